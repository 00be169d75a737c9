"""Noise of sensors: Gaussian, of the electronics, and Poisson, of the light."""

from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations.degradation import DEGRADATIONS, Action, Change, check_span

_WHITE = 255


@DEGRADATIONS.register()
class GaussianNoise:
    """lq with noise that is normally distributed, independent from pixel to pixel, rounded and clipped.

    Args:
        sigma: [least, most] standard deviation, of 255 levels, drawn uniformly.
        gray: share of the samples whose channels all have the same noise.

    Raises:
        UserError: values that are not above 0 or in the wrong order.
    """

    def __init__(self, *, sigma: tuple[float, float], gray: Annotated[float, Field(ge=0, le=1)] = 0.0) -> None:
        self._sigma, self._gray = check_span("sigma", sigma, above=0), gray

    def draw(self, dice: Dice) -> Action:
        """See `Degradation.draw`."""
        sigma, gray = dice.within(*self._sigma), dice.unit() < self._gray
        return Change(partial(_gaussian, sigma=sigma, gray=gray, seed=dice.number()))


@DEGRADATIONS.register()
class PoissonNoise:
    """lq as if each sample had counted photons: dark parts have little noise, bright ones more.

    Args:
        photons: [least, most] photons that white stands for, drawn uniformly; fewer are more noise.

    Raises:
        UserError: values that are not above 0 or in the wrong order.
    """

    def __init__(self, *, photons: tuple[float, float]) -> None:
        self._photons = check_span("photons", photons, above=0)

    def draw(self, dice: Dice) -> Action:
        """See `Degradation.draw`."""
        return Change(partial(_poisson, photons=dice.within(*self._photons), seed=dice.number()))


def _gaussian(image: np.ndarray, sigma: float, gray: bool, seed: int) -> np.ndarray:
    shape = (*image.shape[:2], 1) if gray else image.shape
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return _rounded(image + np.float32(sigma) * noise)


def _poisson(image: np.ndarray, photons: float, seed: int) -> np.ndarray:
    return _rounded(np.random.default_rng(seed).poisson(image * (photons / _WHITE)) * (_WHITE / photons))


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, _WHITE).astype(np.uint8)
