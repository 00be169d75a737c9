"""What is known of published weights: an entry of weights/index.json, or of weights/official.json."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from powerqe.utils.options.components import Section


class Qualities(Section):
    """The qualities for which a network was trained.

    Args:
        unit: "qf", the quality factor of JPEG, WebP or AVIF, or "qp", the quantization parameter of HEVC or BPG.
        values: all of them, or with `span` the lowest and the highest, with all between.
    """

    unit: str
    values: tuple[NonNegativeInt, ...]
    span: bool = False

    def __str__(self) -> str:
        return f"{self.unit} {(' to ' if self.span else ' / ').join(map(str, self.values))}"


class Figure(Section):
    """The mean of a metric over a test set.

    Args:
        set: name of the test set.
        quality: such as "qf10" or "x2"; "-" where there is none.
        over: what is averaged, of videos ("all sequences"); "" of images.
        count: images or videos.
        metric: such as "PSNR".
        unit: "dB", or "" of a number without one.
        convention: how the metric was computed, such as "RGB, uint8"; "" if that is not known.
        before: of the compressed images; None if that is not known.
        after: of the enhanced ones.
        gain: after minus before.
    """

    set: str
    quality: str
    over: str = ""
    count: PositiveInt | None = None
    metric: str
    unit: str = ""
    convention: str = ""
    before: float | None = None
    after: float | None = None
    gain: float | None = None


class Training(Section):
    """How weights were trained, as far as known.

    Args:
        data, validation: the images, as text.
        iterations: number of iterations of these weights.
        planned: number of iterations of the whole training.
        samples: number of training patches.
        patch: their height and width.
        best: iteration of the best validation.
        start: initial weights; None: random.
        torch: version of PyTorch.
        notes: further remarks.
        arguments: of `powerqe train` and `powerqe test`, to reproduce it.
    """

    data: str
    validation: str | None = None
    iterations: PositiveInt | None = None
    planned: PositiveInt | None = None
    samples: PositiveInt | None = None
    patch: PositiveInt | None = None
    best: PositiveInt | None = None
    start: str | None = None
    torch: str | None = None
    notes: tuple[str, ...] = ()
    arguments: str | None = None


class Purpose(Section):
    """What a network was trained for.

    Args:
        task: "jpeg", "hevc", "bpg", "webp", "avif": images of that codec; "double_jpeg": images compressed twice;
            "sr": super-resolution; "video": frames of videos; "denoise", "deblur", "other"; `BACKBONE`.
        color: of input and output, RGB or luma.
        qualities: of the training data; None if uncompressed or unknown.
        scale: super-resolution factor.
    """

    task: str
    color: Literal["rgb", "y"]
    qualities: Qualities | None = None
    scale: PositiveInt = 1

    def __str__(self) -> str:
        """Such as `jpeg, qf 10 / 20, rgb`."""
        scale = f"x{self.scale}" if self.scale > 1 else ""
        return ", ".join(part for part in (self.task, str(self.qualities or ""), scale, self.color) if part)


BACKBONE = "backbone"
"""The task of networks whose features metrics and losses compare."""


class Entry(Purpose):
    """The index entry of published weights: of ours, or the official ones of other authors.

    Args:
        name: of the weights.
        method: the type of the network; of networks that only spandrel has, its name of the architecture.
        parameters: number of parameters.
        network: as `powerqe.net.build_network` takes it; None if it is recognized from the file.
        figures: the means of its tests, those of the first test set first.
        figures_from: source of the figures; "" if measured here.
        test: arguments of `powerqe test` to measure published figures.
        precision: "bf16" or "fp16" -> the least PSNR, in dB, of its results in this type to those in float32, over the
            images of a test (benchmarks/precision.py).
        file: its name, in the folder of the index.
        bytes: size of the file.
        sha256: of the file; its first 8 digits, or "", if the rest is unknown.
        certainty: source of the SHA-256: "computed" here from the file; public records, of several projects or of one;
            the file name by the convention of torch.hub ("prefix only").
        license: its SPDX identifier, or "unknown".
        url: direct download; None: shipped, or to be downloaded by hand.
        mirrors: other URLs of the same file.
        member: path of the file in a zip archive, if the URLs are of an archive; else "".
        link: page for a download by hand.
    """

    name: str
    method: str
    parameters: PositiveInt | None = None
    network: dict[str, Any] | None = None
    training: Training = Training(data="see the paper")
    figures: tuple[Figure, ...] = ()
    figures_from: str = ""
    test: str | None = None
    precision: dict[Literal["bf16", "fp16"], float] = Field(default_factory=dict)
    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    bytes: PositiveInt | None = None
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64}|[0-9a-f]{8}|)$")]
    certainty: Literal["computed", "independent records", "one record", "prefix only", "none"] = "computed"
    license: str
    url: str | None = None
    mirrors: tuple[str, ...] = ()
    member: str = ""
    link: str = ""

    @property
    def main_figures(self) -> list[Figure]:
        """Those over all images or videos, of which each counts the same."""
        return [each for each in self.figures if each.over in ("", "all sequences")]

    def gains(self, metric: str | None = None) -> list[Figure]:
        """Of a metric, or of the first that has gains: those on the first test set, at each quality."""
        known = [each for each in self.main_figures if each.gain is not None]
        found = [each for each in known if each.metric == (metric or known[0].metric)]
        return [each for each in found if each.set == found[0].set]
