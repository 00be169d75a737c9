"""The results of a test on images or on videos: results.json, from which tables, reports and cards are made.

Scores are by name of the metric ("PSNR"), of the compressed images (`baseline`) and of the enhanced ones (`result`);
NaN where there is none. In the file NaN is null and infinity is "inf".
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError, field_validator

from powerqe.evaluation.evaluate import Metrics, labeled
from powerqe.evaluation.old_results import OLD_VIDEO_FILE, converted
from powerqe.utils.errors import UserError
from powerqe.utils.files import write_text
from powerqe.utils.options.components import explain

FILE = "results.json"
FORMAT = 2


def _plain(value: float) -> float | str | None:
    return value if math.isfinite(value) else None if math.isnan(value) else "inf" if value > 0 else "-inf"


Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value), PlainSerializer(_plain)]
Scores = dict[str, Number]


class Part(BaseModel):
    """Base of all parts of the file."""

    model_config = ConfigDict(frozen=True)


class Metric(Part):
    """How a metric was computed.

    Args:
        unit: "dB", or "" of a number without one.
        convention: channels, rounding, border ...
        higher_is_better: None where that is not known.
        not_available: why it could not be computed, of any image or of some.
    """

    name: str
    unit: str
    convention: str
    higher_is_better: bool | None = None
    not_available: str | None = None

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    @property
    def was_computed(self) -> bool:
        """Whether it was computed for any image (see `Metrics.convention`)."""
        return self.convention != "not available"


class Weights(Part):
    """A tested file."""

    path: str
    sha256: str


class Estimate(Part):
    """A property that the network estimates, such as the quality factor, of one image; of several images the means.

    Args:
        of: what is estimated: a key of the sample ("quality").
        truth: NaN if it is not known, and of several images.
        error: absolute; NaN if the truth is not known.
    """

    of: str
    value: Number
    truth: Number = math.nan
    error: Number = math.nan


class Scored(Part):
    """Fields common to an image, a video and an average.

    Args:
        set: test set.
        group: setting of the compression ("qf10", "qp37"); "" if there is none.
        seconds: time of the network alone.
    """

    set: str
    group: str
    baseline: Scores
    result: Scores
    seconds: float

    def gain(self, metric: str) -> float:
        """Score after enhancement minus score before; NaN if one of the two is missing."""
        return self.result.get(metric, math.nan) - self.baseline.get(metric, math.nan)


class Image(Scored):
    """One image.

    Args:
        height, width: of the compressed image.
        scale: how many times it was enlarged for `baseline`.
        enhanced: path of the saved image, relative to the experiment's folder.
        not_available: metric -> why it cannot be computed of this image.
    """

    name: str
    height: int
    width: int
    channels: int
    scale: int = 1
    estimates: dict[str, Estimate] = {}
    enhanced: str | None = None
    not_available: dict[str, str] = {}

    @property
    def label(self) -> str:
        """Name and setting."""
        return labeled(self.name, self.group)

    @property
    def size(self) -> str:
        """Size as text."""
        return f"{self.width}x{self.height}x{self.channels}, enlarged {self.scale} times"


class Frames(Scored):
    """The frames of one video, or of several: scores are means.

    Args:
        frames: how many were tested.
        peaks: how many of them are PQFs; None if that is not known.
        left_out: metric -> how many frames its means leave out.
        fluctuation: that of the first PSNR over the frames, see evaluation/video_scores.py.
    """

    frames: int
    peaks: int | None = None
    left_out: dict[str, int] = {}
    fluctuation: Scores = {}

    @property
    def fps(self) -> float:
        """Frames per second, of the network alone."""
        return self.frames / self.seconds if self.seconds else math.nan


class Video(Frames):
    """One video.

    Args:
        jct_class: letter of its class among the sequences of JCT-VC, "" outside of them.
        bits: of the tested frames; None if unknown.
        lq: the compressed file.
        codec: how it was coded, from `<stem>.frames.json`.
    """

    name: str
    height: int
    width: int
    jct_class: str = ""
    bits: int | None = None
    lq: str
    codec: dict[str, Any] = {}

    @property
    def label(self) -> str:
        """Its name, which is the same at all settings."""
        return self.name

    @property
    def size(self) -> str:
        """Size as text."""
        return f"{self.width}x{self.height}, {self.frames} frames"


class Average(Frames):
    """The means over the images or videos of one set and group. An image counts as a frame.

    Args:
        over: what is averaged: "images", "class A", "all sequences" or "all frames".
        weighting: "sequences", each video counts the same, as in papers; "frames", each frame or image does.
        count: images or videos.
    """

    over: str = "images"
    weighting: str = "frames"
    count: int
    estimates: dict[str, Estimate] = {}


class Results(Part):
    """The outcome of a test, and what was tested (evaluation/provenance.py).

    Args:
        parameters: of all networks together.
        weights: "all", or "peaks" and "others", -> file.
        test: how the network was applied.
        precision: "fp32", "bf16" or "fp16", in which the network computed; of two networks both; "" if unknown.
        engine: what computed it, and on which kind of device.
        threads: of the CPU; None on other devices.
        data: test set -> options of the data set, which make the same images again, in the order of `images`.
        notes: for the reader, such as scores left out of a mean.
    """

    format: int = FORMAT
    experiment: str
    date: str = ""
    network: dict[str, Any]
    parameters: int
    weights: dict[str, Weights]
    test: dict[str, Any] = {}
    device: str = ""
    precision: str = ""
    engine: str = ""
    threads: int | None = None
    versions: dict[str, str] = {}
    data: dict[str, Any] = {}
    metrics: dict[str, Metric]
    images: list[Image] = []
    videos: list[Video] = []
    averages: list[Average]
    notes: list[str] = []

    @field_validator("network")
    @classmethod
    def _has_type(cls, network: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(network.get("type"), str):
            raise ValueError("the network has no type")
        return network

    @property
    def method(self) -> str:
        """Type of the network."""
        return self.network["type"]

    @property
    def machine(self) -> str:
        """Device, threads and precision as text."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        return ", ".join(part for part in (self.device, threads, self.precision) if part)

    @property
    def computation(self) -> list[str]:
        """Precision and engine as a line, if they are known."""
        return [f"computed in {self.precision} by {self.engine}"] if self.engine else []

    @property
    def fluctuating(self) -> Metric | None:
        """The metric of fluctuations and curves of videos: the first in dB."""
        return next((metric for metric in self.metrics.values() if metric.unit == "dB"), None)


def metric_records(metrics: Metrics, channels: Iterable[int]) -> dict[str, Metric]:
    """How metrics were computed of images with so many channels (1 or 3, or both)."""
    counts = dict.fromkeys(channels)
    return {
        name: Metric(
            name=name,
            unit=metrics.unit(name),
            convention=" / ".join(metrics.convention(name, count) for count in counts),
            higher_is_better=metrics.higher_is_better(name),
            not_available=metrics.unavailable.get(name),
        )
        for name in metrics.names
    }


def write_results(results: Results, folder: Path) -> None:
    """Write results.json, whole or not at all."""
    write_text(folder / FILE, to_json(results))


def to_json(results: Results) -> str:
    """The content of results.json."""
    return json.dumps(results.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def read_results(folder: Path) -> list[Results]:
    """The results of an experiment; of an older version there may be two, of images and of videos.

    Raises:
        UserError: there are none, or none that this version can read.
    """
    found = [_read(path) for name in (FILE, OLD_VIDEO_FILE) if (path := folder / name).is_file()]
    if not found:
        what = f"{folder} has no {FILE}" if folder.is_dir() else f"there is no folder {folder}"
        raise UserError(
            f"{what}; give folders of experiments that `powerqe test` has tested, such as exp/arcnn-div2k-qf10"
        )
    return found[:1] if found[0].videos else found


def _read(path: Path) -> Results:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("format", 0) > FORMAT:
            raise UserError(
                f"{path}: found format {data['format']}, this version reads up to {FORMAT}; upgrade PowerQE"
            )
        return Results.model_validate(data if data.get("format") == FORMAT else converted(data))
    except ValidationError as error:
        reason = explain(error)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise UserError(f"{path} holds no results of `powerqe test` ({reason}); test again")
