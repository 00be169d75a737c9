"""The processing of the demo, without its page: read an image, optionally compress it, enhance it, score it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from powerqe.inference.choose import ImageDescription, choose
from powerqe.inference.enhance_files import describe_quality
from powerqe.inference.enhance_image import Enhanced, enhance_photo
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.model import Model
from powerqe.net.weights.entry import BACKBONE, Entry
from powerqe.net.weights.index import known_weights
from powerqe.utils.codecs import CODECS, JPEG, Codec
from powerqe.utils.codecs.jpeg_estimate import estimate_quality
from powerqe.utils.codecs.jpeg_tables import nearest_quality, quant_tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.photo import Photo, read_photo
from powerqe.utils.image.tensors import to_tensor
from powerqe.utils.metrics import MetricUnavailable
from powerqe.utils.metrics.psnr import PSNR
from powerqe.utils.metrics.ssim import SSIM

_MODELS = 4
"""Number of networks kept in memory."""
_CLEAN = 90
"""JPEG quality from which an image is regarded as clean."""


@dataclass(frozen=True)
class Choice:
    """The settings of a user.

    Attributes:
        method: type of network; empty: selected for the image.
        weights: name of published weights, or a path; empty: selected for the image.
        qf: quality factor that the network is conditioned on, if it can be; None: it estimates it.
        self_ensemble: average over eight orientations.
        codec: codec that compresses the image first; empty: none.
        quality: of the codec.
    """

    method: str = ""
    weights: str = ""
    qf: float | None = None
    self_ensemble: bool = False
    codec: str = ""
    quality: int = 0


class Score(NamedTuple):
    """A metric of the compressed and of the enhanced image against the clean one."""

    metric: str
    unit: str
    convention: str
    before: float
    after: float


@dataclass(frozen=True)
class Outcome:
    """The result for an image.

    Attributes:
        before, after: both upright and of the same size; `after` has the metadata of the file.
        model: the model used. seconds: time of enhancement, without loading weights.
        facts: properties of the input as text, such as "JPEG quality 10". notes: remarks for the user.
        scores: empty unless the image was compressed here, as they need the clean image.
    """

    before: Photo
    after: Photo
    model: Model
    seconds: float
    facts: tuple[str, ...]
    notes: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()


class DemoProcessor:
    """Enhances the images of the demo.

    Args:
        options: inference options.
        megapixels: maximum size of an image.
        weights: name or path of weights offered in addition to the published ones.

    Attributes:
        weights: their name or path. named: their model; None if there are none.

    Raises:
        UserError: no such weights, or weights for videos.
    """

    def __init__(self, options: InferenceOptions, megapixels: float, weights: str | None = None) -> None:
        self._options, self._largest = options, int(megapixels * 1e6)
        self._load = lru_cache(maxsize=_MODELS)(Model)
        self.weights, self.named = weights, None if weights is None else self._load(weights, options)
        if self.named and self.named.takes_clips:
            raise UserError(f"{self.named.method} ({weights}) is for videos; choose weights for images")

    def read(self, path: str | Path) -> Photo:
        """Read an uploaded image.

        Raises:
            UserError: as `read_photo`, or the image is too large. The message has no folder in it.
        """
        path = Path(path)
        return read_photo(path, name=path.name, largest=self._largest)

    def enhance(self, photo: Photo, choice: Choice) -> Outcome:
        """Enhance an image with the settings of a user.

        Raises:
            UserError: no suitable weights, or the codec cannot compress the image.
        """
        prepared = _network_input(photo, choice)
        weights, remark = _choose_weights(prepared, choice)
        options = replace(self._options, qf=choice.qf, self_ensemble=choice.self_ensemble)
        model, start = self._load(weights, options), time.perf_counter()
        enhanced = enhance_photo(prepared.photo, model, "the image")
        seconds = time.perf_counter() - start
        before, after = _pair(enhanced)
        scores = () if prepared.clean is None else _scores(prepared.clean, before, after)
        estimates = (f"according to the network it {text}" for text in describe_quality(None, enhanced.estimates))
        notes = (remark, prepared.note, *estimates, *enhanced.notes)
        return Outcome(before, after, model, seconds, prepared.facts, tuple(filter(None, notes)), scores)


class _NetworkInput(NamedTuple):
    """The input of the network.

    quality: of its file or codec, if known. clean: the image before it was compressed here.
    """

    photo: Photo
    quality: int | None
    facts: tuple[str, ...]
    clean: Photo | None = None
    note: str = ""


def _network_input(sent: Photo, choice: Choice) -> _NetworkInput:
    known = None if sent.tables is None else nearest_quality(sent.tables)[0]
    if not choice.codec:
        return _NetworkInput(sent, known, describe_photo(sent))
    clean, codec = _eight_bits(sent.upright()), codecs()[choice.codec]
    pixels, size = codec.compress(clean.pixels, choice.quality)  # alpha is not compressed
    is_jpeg = isinstance(codec, JPEG)
    tables = quant_tables(choice.quality, pixels.shape[2]) if is_jpeg else None
    file = codec.encode(clean.pixels, choice.quality) if is_jpeg else None
    photo = replace(clean, pixels=pixels, format=choice.codec.upper(), tables=tables, file=file, notes=())
    height, width = pixels.shape[:2]
    facts = (describe_photo(sent)[0], f"{choice.codec} {codec.quality_name.upper()} {choice.quality}",
             f"{8 * size / (height * width):.2f} bits per pixel")  # fmt: skip
    note = f"the uploaded image is not clean: a JPEG of quality {known}" if known and known < _CLEAN else ""
    return _NetworkInput(photo, choice.quality, facts, clean, note)


def describe_photo(photo: Photo) -> tuple[str, ...]:
    """Size and kind of an image, and its quality by its tables or estimated from its pixels, as text."""
    height, width = photo.pixels.shape[:2]
    known = describe_quality(photo, {})
    if not known and photo.pixels.dtype == np.uint8 and (quality := estimate_quality(photo.pixels)):
        known = [f"its pixels look like JPEG of quality {quality}"]
    kind = [*(["gray"] if photo.is_gray else []), *(["16 bit"] if photo.peak > 255 else [])]
    return f"{width} × {height}", *kind, *(known or [photo.format])


def available_weights() -> dict[str, list[Entry]]:
    """The weights for images on this machine, by network type."""
    found: dict[str, list[Entry]] = {}
    for known in known_weights().values():
        if known.path.is_file() and known.entry.task not in ("video", BACKBONE):
            found.setdefault(known.entry.method, []).append(known.entry)
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def codecs() -> Mapping[str, Codec]:
    """The codecs that work on this machine, by name."""
    found: dict[str, Codec] = {}
    for name in CODECS.names():
        try:
            found[name] = CODECS[name]()
        except UserError:
            continue  # its library or program is not installed
    return found


def _choose_weights(prepared: _NetworkInput, choice: Choice) -> tuple[str, str]:
    """The name of the weights for an image, and a remark for the user."""
    if choice.weights:
        return choice.weights, ""
    photo, entries = prepared.photo, available_weights()
    has_tables, takes_qf = photo.tables is not None, choice.qf is not None
    image = ImageDescription(photo.format, photo.is_neutral, prepared.quality, has_tables, takes_qf)
    if not choice.method:
        entry, remark = choose(image, [entry for each in entries.values() for entry in each if entry.scale == 1])
        return entry.name, remark
    try:
        entry, remark = choose(image, entries[choice.method])
    except UserError:  # made for other images, but chosen by the user
        color = "y" if photo.is_neutral else "rgb"
        found = entries[choice.method]
        entry = next((entry for entry in found if entry.color == color), found[0])
        remark = f"{entry.name} is intended for other images ({entry})"
    return entry.name, remark


def _eight_bits(photo: Photo) -> Photo:
    if photo.peak == 255:
        return photo
    alpha = None if photo.alpha is None else (photo.alpha / 257).round().astype(np.uint8)
    return replace(photo, pixels=(photo.pixels / 257).round().astype(np.uint8), alpha=alpha)


def _pair(enhanced: Enhanced) -> tuple[Photo, Photo]:
    """Input and result, upright and of the same size."""
    before, after = enhanced.before.upright(), enhanced.photo.upright()
    height, width = after.pixels.shape[:2]
    if before.pixels.shape[:2] != (height, width):
        large = cv2.resize(before.pixels, (width, height), interpolation=cv2.INTER_CUBIC)
        before = replace(before, pixels=large.reshape(height, width, -1), alpha=after.alpha)
    return before, after


def _scores(clean: Photo, before: Photo, after: Photo) -> tuple[Score, ...]:
    if clean.pixels.shape != after.pixels.shape:
        return ()
    found = []
    for metric in (PSNR(), SSIM()):
        target, *others = (to_tensor(each.pixels)[None] for each in (clean, before, after))
        try:
            values = [float(metric(other, target)) for other in others]
        except MetricUnavailable:  # smaller than the window of SSIM
            continue
        found.append(Score(type(metric).__name__, metric.unit, metric.describe(target.shape[1]), *values))
    return tuple(found)
