"""What the page does with an image, without the page: read it, compress it first if wanted, enhance it, score it."""

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
from powerqe.net.weights.entry import Entry
from powerqe.net.weights.index import known_weights
from powerqe.utils.codecs import CODECS, Codec
from powerqe.utils.codecs.jpeg_estimate import estimate_quality
from powerqe.utils.codecs.jpeg_tables import nearest_quality, quant_tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.photo import Photo, read_photo
from powerqe.utils.image.tensors import to_tensor
from powerqe.utils.metrics.psnr import PSNR
from powerqe.utils.metrics.ssim import SSIM

_MODELS = 4
"""Networks that are kept in memory."""
_CLEAN = 90
"""JPEG quality from which an image passes for clean."""


@dataclass(frozen=True)
class Choice:
    """What a user has set.

    Attributes:
        method: type of network; empty: any that suits the image.
        weights: name of published weights, or a path; empty: those of the method that suit the image.
        qf: quality factor that the network is conditioned on, if it can be; None: it estimates it.
        self_ensemble: the mean over eight orientations.
        codec: with which the image is compressed first; empty: it is taken as it is.
        quality: of the codec.
    """

    method: str = ""
    weights: str = ""
    qf: float | None = None
    self_ensemble: bool = False
    codec: str = ""
    quality: int = 0


class Score(NamedTuple):
    """A metric of the compressed and of the enhanced image, against the clean one."""

    metric: str
    unit: str
    convention: str
    before: float
    after: float


@dataclass(frozen=True)
class Outcome:
    """What became of an image.

    Attributes:
        before, after: both upright and of the same size; `after` has the metadata of the file.
        model: that enhanced it. seconds: that it took, without the loading of weights.
        facts: on the image before, for people, such as "JPEG quality 10". notes: what the user should know.
        scores: empty unless the image was compressed here, for only then the clean one is known.
    """

    before: Photo
    after: Photo
    model: Model
    seconds: float
    facts: tuple[str, ...]
    notes: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()


class DemoProcessor:
    """Enhances the images of a page, one after another.

    Args:
        options: how networks are applied.
        megapixels: of the largest image that is taken.
        weights: by name or path, that are available_weights in addition to the published ones.

    Attributes:
        weights: as they were named. named: the model of them; None if there are none.

    Raises:
        UserError: no such weights, or not for images.
    """

    def __init__(self, options: InferenceOptions, megapixels: float, weights: str | None = None) -> None:
        self._options, self._largest = options, int(megapixels * 1e6)
        self._load = lru_cache(maxsize=_MODELS)(Model)
        self.weights, self.named = weights, None if weights is None else self._load(weights, options)
        if self.named and self.named.takes_clips:
            raise UserError(f"{self.named.method} ({weights}) is for videos; choose weights for images")

    def read(self, path: str | Path) -> Photo:
        """The image of a file that was sent.

        Raises:
            UserError: see `read_photo`; or it is too large for this page. The message has no folder in it.
        """
        path = Path(path)
        return read_photo(path, name=path.name, largest=self._largest)

    def enhance(self, photo: Photo, choice: Choice) -> Outcome:
        """Enhance an image as a user wants it.

        Raises:
            UserError: no weights suit it, or it cannot be coded by the codec.
        """
        prepared = _network_input(photo, choice)
        weights, remark = _choose_weights(prepared, choice)
        options = replace(self._options, qf=choice.qf, self_ensemble=choice.self_ensemble)
        model, start = self._load(weights, options), time.perf_counter()
        enhanced = enhance_photo(prepared.photo, model, "the image")
        seconds = time.perf_counter() - start
        before, after = _pair(enhanced)
        scores = () if prepared.clean is None else _scores(prepared.clean, before, after)
        said = (f"to the network it {text}" for text in describe_quality(None, enhanced.estimates))
        notes = (remark, prepared.note, *said, *enhanced.notes)
        return Outcome(before, after, model, seconds, prepared.facts, tuple(filter(None, notes)), scores)


class _NetworkInput(NamedTuple):
    """An image as the network gets it.

    quality: of its file or codec, if it is known. clean: what it was before it was compressed here.
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
    pixels, size = codec.compress(clean.pixels, choice.quality)  # and what is transparent stays so
    tables = quant_tables(choice.quality, pixels.shape[2]) if choice.codec == "JPEG" else None
    photo = replace(clean, pixels=pixels, format=choice.codec.upper(), tables=tables, notes=())
    height, width = pixels.shape[:2]
    facts = (describe_photo(sent)[0], f"{choice.codec} {codec.quality_name.upper()} {choice.quality}",
             f"{8 * size / (height * width):.2f} bits per pixel")  # fmt: skip
    note = f"your image was no clean one: a JPEG of quality {known}" if known and known < _CLEAN else ""
    return _NetworkInput(photo, choice.quality, facts, clean, note)


def describe_photo(photo: Photo) -> tuple[str, ...]:
    """What a file is, for people: its size, and its quality as its tables or its pixels tell it."""
    height, width = photo.pixels.shape[:2]
    known = describe_quality(photo, {})
    if not known and photo.pixels.dtype == np.uint8 and (quality := estimate_quality(photo.pixels)):
        known = [f"its pixels look like JPEG of quality {quality}"]
    kind = [*(["gray"] if photo.is_gray else []), *(["16 bit"] if photo.peak > 255 else [])]
    return f"{width} × {height}", *kind, *(known or [photo.format])


def available_weights() -> dict[str, list[Entry]]:
    """The weights for images that are on this machine, by the type of their network."""
    found: dict[str, list[Entry]] = {}
    for known in known_weights().values():
        if known.path.is_file() and known.entry.task != "video":
            found.setdefault(known.entry.method, []).append(known.entry)
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def codecs() -> Mapping[str, Codec]:
    """Those that work on this machine, by name."""
    found: dict[str, Codec] = {}
    for name in CODECS.names():
        try:
            found[name] = CODECS[name]()
        except UserError:
            continue  # a library or a program that is not here
    return found


def _choose_weights(prepared: _NetworkInput, choice: Choice) -> tuple[str, str]:
    """The name of the weights for an image, and a remark for the user."""
    if choice.weights:
        return choice.weights, ""
    photo, entries = prepared.photo, available_weights()
    has_tables, takes_qf = photo.tables is not None, choice.qf is not None
    image = ImageDescription(photo.format, photo.is_gray, prepared.quality, has_tables, takes_qf)
    if not choice.method:
        entry, remark = choose(image, [entry for each in entries.values() for entry in each if entry.scale == 1])
        return entry.name, remark
    try:
        entry, remark = choose(image, entries[choice.method])
    except UserError:  # for other images, which the user wants to see nevertheless
        color = "y" if photo.is_gray else "rgb"
        found = entries[choice.method]
        entry = next((entry for entry in found if entry.color == color), found[0])
        remark = f"{entry.name} was made for other images ({entry})"
    return entry.name, remark


def _eight_bits(photo: Photo) -> Photo:
    if photo.peak == 255:
        return photo
    alpha = None if photo.alpha is None else (photo.alpha / 257).round().astype(np.uint8)
    return replace(photo, pixels=(photo.pixels / 257).round().astype(np.uint8), alpha=alpha)


def _pair(enhanced: Enhanced) -> tuple[Photo, Photo]:
    """Before and after, upright and of one size."""
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
        except UserError:  # smaller than the window of SSIM
            continue
        found.append(Score(type(metric).__name__, metric.unit, metric.describe(target.shape[1]), *values))
    return tuple(found)
