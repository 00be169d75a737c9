"""Resizing, as photographs are before they are sent, shown or stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from PIL import Image

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations.degradation import DEGRADATIONS, Action, DegradedPair, check_span
from powerqe.utils.errors import UserError

_KERNELS = {
    "area": Image.Resampling.BOX,
    "linear": Image.Resampling.BILINEAR,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
Kernel = Literal["area", "linear", "cubic", "lanczos", "nearest"]


@dataclass(frozen=True)
class _Resized(Action):
    """lq and gt at `factor` times their size; with `back` only lq, there and back."""

    factor: float
    kernel: Kernel
    back: bool

    def needs(self, side: int) -> int:
        return side if self.back else ceil(side / self.factor)

    def apply(self, pair: DegradedPair, least: int) -> DegradedPair:
        height, width = pair.lq.shape[:2]
        if self.back:
            small = self._resized(pair.lq, self._size(height, width, 1))
            return DegradedPair(self._resized(small, (height, width)), pair.gt)
        size = self._size(height, width, least)
        if size == (height, width):
            return pair
        lq, gt = (self._resized(image, size) for image in (pair.lq, pair.gt))
        return DegradedPair(lq, gt)

    def _size(self, height: int, width: int, least: int) -> tuple[int, int]:
        factor = max(self.factor, min(1.0, least / min(height, width)))
        return max(round(factor * height), 1), max(round(factor * width), 1)

    def _resized(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        channels = image.shape[2]
        source = Image.fromarray(image[..., 0] if channels == 1 else image)
        height, width = size
        return np.array(source.resize((width, height), _KERNELS[self.kernel])).reshape(height, width, channels)


@DEGRADATIONS.register()
class Resize:
    """The image at another size; lq and gt alike, so that gt is what a network should make of lq at that size.

    With `back: true` only lq is resized, and then brought back to its size by the same kernel: gt stays, and lq has
    lost detail. Kernels are Pillow's, widened when shrinking so that nothing aliases (but nearest). An image is never
    made smaller than the patch that is to be cut out of it.

    Args:
        factor: [least, most] factor of height and width, drawn uniformly.
        kernel: one or more, of which one is drawn.
        back: bring lq back to its size, and leave gt as it is.

    Raises:
        UserError: factors that are not above 0 or in the wrong order, or no kernel.
    """

    def __init__(
        self,
        *,
        factor: tuple[float, float],
        kernel: Kernel | list[Kernel] = ["area", "linear", "cubic", "lanczos"],  # noqa: B006 - never changed
        back: bool = False,
    ) -> None:
        self._factor = check_span("factor", factor, above=0)
        self._kernels: Sequence[Kernel] = [kernel] if isinstance(kernel, str) else kernel
        if not self._kernels:
            raise UserError(f"kernel: found none, expected one or more of {', '.join(_KERNELS)}")
        self._back = back

    def draw(self, dice: Dice) -> Action:
        """See `Degradation.draw`."""
        kernel = self._kernels[dice.between(0, len(self._kernels) - 1)]
        return _Resized(dice.within(*self._factor), kernel, self._back)
