"""Metrics that pyiqa computes, by name: NIQE, PI, MA, DISTS, MUSIQ and every other that judges single images.

pyiqa comes with the extra `pip install 'powerqe[iqa]'`. Its license, PolyForm Noncommercial 1.0.0, is not PowerQE's:
it allows non-commercial use only. It downloads the weights of a metric when that is first used, into pyiqa's folder
in torch.hub's cache; a file that was put there by hand does as well.
"""

import importlib
from typing import Annotated, Any

import torch
from pydantic import Field

from powerqe.utils.errors import UserError
from powerqe.utils.metrics import METRICS, MetricUnavailable
from powerqe.utils.metrics.foreign import foreign
from powerqe.utils.metrics.image_metric import PEAK, Border, Preparation, Rounding, rgb_pixels
from powerqe.utils.options.registry import nearest

ABSENT = (
    "pyiqa is not installed; pip install 'powerqe[iqa]', if its license suits you: "
    "PolyForm Noncommercial 1.0.0, for non-commercial use only"
)

Weights = Annotated[
    str | None,
    Field(description="the metric's model, a .mat file; null: pyiqa's cache or download"),
]
Name = Annotated[str, Field(description="name of the metric in pyiqa; the command pyiqa -ls lists them")]
Settings = Annotated[
    dict[str, Any] | None,
    Field(
        description="options of the metric in pyiqa, such as {pretrained_model_path: FILE, crop_border: 4}; "
        "pyiqa unpickles files, so name only those that you trust"
    ),
]


def package() -> Any:
    """The module pyiqa.

    Raises:
        MetricUnavailable: it is not installed or does not work.
    """
    with foreign("pyiqa does not work here"):
        try:
            return importlib.import_module("pyiqa")
        except ModuleNotFoundError as error:
            if error.name == "pyiqa":
                raise MetricUnavailable(ABSENT) from None
            raise


def create(name: str, **options: Any) -> Any:
    """A metric of pyiqa, a module in evaluation mode, on the CPU.

    Raises:
        MetricUnavailable: no pyiqa, no weights (offline, missing, damaged), or options that it does not take.
    """
    pyiqa = package()
    with foreign(f"pyiqa cannot set up {name}"):
        metric = pyiqa.create_metric(name, device=torch.device("cpu"), **options)
        return metric.eval().requires_grad_(False)


def version() -> str:
    """Name and version of pyiqa for tables: "pyiqa 0.1.16"."""
    return f"pyiqa {package().__version__}"


class PyIQA:
    """Base of the metrics below, each of which names its metric of pyiqa.

    Judges RGB; gray images enter as three equal channels.

    Args:
        border: pixels left out at each side, besides those that the metric leaves out itself.
        rounding: "uint8", "float" or "unclamped".

    Raises:
        MetricUnavailable: pyiqa is not installed, or the metric's weights are not to be had.
    """

    name = ""
    """In pyiqa."""
    unit = ""
    higher_is_better: bool | None = None
    needs_target = False

    def __init__(self, *, border: Border = 0, rounding: Rounding = "uint8") -> None:
        self._set_up(border, rounding)

    def _set_up(self, border: Border, rounding: Rounding, **options: Any) -> None:
        self._prepare = Preparation("all", border, rounding)
        self._network = create(self.name, **options)

    @torch.no_grad()
    def __call__(self, result: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
        """Score of each image, (N,) float64, of one or two (N, C, H, W) in [0, 1], C = 1 or 3.

        Raises:
            UserError: neither gray nor RGB, or as `Preparation`.
            MetricUnavailable: pyiqa cannot judge this image; mostly it is too small.
        """
        if self.needs_target and target is not None:
            images = self._prepare.pixels(result, target)
        else:
            images = (self._prepare.judged(result),)
        images = [rgb_pixels(image) / PEAK for image in images]
        network = self._network.to(result.device)
        height, width = result.shape[-2:]
        with foreign(f"{self.name} of pyiqa cannot judge an image of {height}x{width}"):
            return network(*images).double().reshape(len(result))

    def describe(self, channels: int) -> str:
        """The convention, for images of this many channels, with the metric's name and version in pyiqa."""
        return f"{self._prepare.describe(channels)}, {version()} {self.name}"


class _FromOneFile(PyIQA):
    """Base of the metrics whose whole model is one file."""

    def __init__(self, *, weights: Weights = None, border: Border = 0, rounding: Rounding = "uint8") -> None:
        self._set_up(border, rounding, pretrained_model_path=weights)


@METRICS.register()
class NIQE(_FromOneFile):
    """Distance of the luma's statistics from undamaged photographs'; no ground truth, lower is better; extra iqa.

    A. Mittal, R. Soundararajan, A. C. Bovik, "Making a 'Completely Blind' Image Quality Analyzer", IEEE SPL 20(3),
    2013. An image needs 96x96 pixels. Computed by pyiqa (extra iqa, non-commercial license).
    """

    name = "niqe"
    higher_is_better = False


@METRICS.register()
class MA(_FromOneFile):
    """Ma et al.'s no-reference metric (NRQM), 0 to 10; no ground truth, higher is better; extra iqa.

    C. Ma, C.-Y. Yang, X. Yang, M.-H. Yang, "Learning a No-Reference Quality Metric for Single-Image
    Super-Resolution", CVIU 158, 2017. Computed by pyiqa (extra iqa, non-commercial license).
    """

    name = "nrqm"
    higher_is_better = True


@METRICS.register()
class PI(PyIQA):
    """Perceptual index, (10 - MA + NIQE) / 2; no ground truth, lower is better; extra iqa.

    Y. Blau, R. Mechrez, R. Timofte, T. Michaeli, L. Zelnik-Manor, "The 2018 PIRM Challenge on Perceptual Image
    Super-Resolution", ECCVW 2018. Of studio-range luma, without 4 pixels at each side; the metrics MA and NIQE judge
    full-range luma and the whole image, so PI does not follow from them. Computed by pyiqa (extra iqa,
    non-commercial license).
    """

    name = "pi"
    higher_is_better = False


@METRICS.register()
class DISTS(PyIQA):
    """Distance of structure and texture in deep features; 0 for equal images, lower is better; extra iqa.

    K. Ding, K. Ma, S. Wang, E. P. Simoncelli, "Image Quality Assessment: Unifying Structure and Texture Similarity",
    IEEE TPAMI 44(5), 2022. Computed by pyiqa (extra iqa, non-commercial license).
    """

    name = "dists"
    higher_is_better = False
    needs_target = True


@METRICS.register()
class MUSIQ(PyIQA):
    """Multi-scale quality transformer, 0 to 100; no ground truth, higher is better; extra iqa.

    J. Ke, Q. Wang, Y. Wang, P. Milanfar, F. Yang, "MUSIQ: Multi-Scale Image Quality Transformer", ICCV 2021.
    Trained on KonIQ-10k; on other data were musiq-ava, musiq-paq2piq and musiq-spaq (`type: IQA`). Computed by
    pyiqa (extra iqa, non-commercial license).
    """

    name = "musiq"
    higher_is_better = True


@METRICS.register()
class IQA(PyIQA):
    """Any metric of pyiqa that judges single images, by its name there; extra iqa.

    Ground truth and direction are as declared by pyiqa. Its license is non-commercial.

    Args:
        metric: its name.
        options: its own, as pyiqa names them.
        border: pixels left out at each side, besides those that the metric leaves out itself.
        rounding: "uint8", "float" or "unclamped".

    Raises:
        MetricUnavailable: pyiqa is not installed, the metric's weights are not to be had, or it does not take the
            options.
        UserError: pyiqa has no metric of this name, or one of sets of images.
    """

    def __init__(
        self,
        *,
        metric: Name,
        options: Settings = None,
        border: Border = 0,
        rounding: Rounding = "uint8",
    ) -> None:
        known = package().list_models()
        if metric not in known:
            raise UserError(f"IQA: {version()} has no metric {metric!r}{nearest(metric, known)}; pyiqa -ls lists them")
        if "fid" in metric or metric == "inception_score":
            raise UserError(f"IQA: {metric!r} judges sets of images, not single ones; there is the metric FID")
        self.name = metric
        self._set_up(border, rounding, **(options or {}))
        self.higher_is_better = not self._network.lower_better
        self.needs_target = self._network.metric_mode == "FR"
