"""Select published weights for an image or a video: those with the largest gain in their tests at its quality.

Of weights for images with nearly the same gain, those for the widest range of qualities are selected, for files are
often compressed twice; then those that need less to be known.

The index lists task, colors and qualities of the training of weights, and their PSNR gain on the first test set.
Of official weights it is the published gain. Gains on different test sets are compared directly; weights without a
known gain come last.
"""

import importlib.util
import inspect
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, NamedTuple

from powerqe.net import NETWORKS
from powerqe.net.weights.entry import BACKBONE, Entry
from powerqe.net.weights.index import known_weights
from powerqe.net.weights.recognize import LIBRARY
from powerqe.utils.codecs.jpeg_tables import nearest_quality
from powerqe.utils.errors import UserError
from powerqe.utils.image.photo import Photo

PEAKS = "peaks"
"""Value of `window` of network classes that take the nearest frames of peak quality (MFQE)."""
_VIDEO = "video"
TASKS = {"JPEG": "jpeg", "MPO": "jpeg", "WEBP": "webp", "AVIF": "avif", "HEVC": "hevc", "BPG": "bpg"}
"""File format -> task of the weights."""
_UNROUNDED = "PSNR-float"
"""The PSNR of papers on videos (protocols mfqe_y and stdf_y)."""
_ALIKE = 0.15
"""dB between gains that are nearly the same: test sets have few images, and files are not all photographs."""
_NEAR = 2
"""Maximum difference of an image's quality factor from those of the training."""


class ImageDescription(NamedTuple):
    """The properties of an image by which weights are selected.

    format: of the file, as in Pillow, or HEVC, BPG. is_gray: whether it has no colors. quality: its quality
    factor, or quantization parameter; None if that is not known. has_tables: whether its quantization tables are
    known. takes_qf: only networks that can be conditioned on a quality factor will do.
    """

    format: str
    is_gray: bool
    quality: int | None = None
    has_tables: bool = False
    takes_qf: bool = False


def description_of(photo: Photo, *, takes_qf: bool = False) -> ImageDescription:
    """Description of an image file by its format, colors and quantization tables."""
    quality = None if photo.tables is None else nearest_quality(photo.tables)[0]
    return ImageDescription(photo.format, photo.is_neutral, quality, photo.tables is not None, takes_qf)


def choose(image: ImageDescription, entries: Iterable[Entry] | None = None) -> tuple[Entry, str]:
    """The weights for an image, and a remark for the user, which may be empty.

    Args:
        entries: to choose from; None: all that are on this machine.

    Raises:
        UserError: no weights suit such an image.
    """
    entries = installed_weights() if entries is None else entries
    fitting = [entry for entry in entries if entry.color == ("y" if image.is_gray else "rgb") and entry.scale == 1]
    own = [entry for entry in fitting if entry.task == TASKS.get(image.format, "")]
    suited = [entry for entry in own if _suits(entry, image.quality)]
    blind = [entry for entry in own if _is_blind(entry)]  # for a quality beyond all that was trained for
    best, remark = _best(suited, image) or _best(blind, image), ""
    if best is None and not any(_is_usable(entry, image) for entry in own):
        what = f"{image.format} files" if image.format else "such an image"
        remark = f"nothing is known of the damage in {what}: weights for JPEG of any quality"
        blind = [entry for entry in fitting if entry.task == "jpeg" and _is_blind(entry)]
        best = _best(blind, image._replace(quality=None))  # what another codec calls so means nothing here
    if best is None:
        kind = "gray" if image.is_gray else "color"
        raise UserError(f"no published weights suit this {kind} image; name some with --weights")
    return best, remark


def _best(entries: Iterable[Entry], image: ImageDescription) -> Entry | None:
    """Of those that can be used. Entries of less gain are not looked into, for that imports their networks."""
    alike: list[tuple[float, Entry]] = []
    gains = [(_gain(entry, image.quality), entry) for entry in entries]
    for gain, entry in sorted(gains, key=itemgetter(0), reverse=True):
        if alike and gain < alike[0][0] - _ALIKE:
            break
        if _is_usable(entry, image):
            alike.append((gain, entry))
    return max(alike, key=lambda each: (*_reach(each[1]), each[0]), default=(0.0, None))[1]


def choose_for_video(
    qp: int | None, has_peaks: bool, takes_qf: bool = False, entries: Iterable[Entry] | None = None
) -> tuple[Entry, str]:
    """The weights for a video, and a remark for the user, which may be empty.

    Args:
        qp: its quantization parameter; None if that is not known.
        has_peaks: whether its frames of peak quality are known for sure.
        takes_qf: only networks that can be conditioned on a quality factor.
        entries: to choose from; None: all that are on this machine.

    Raises:
        UserError: none are there for such a video.
    """
    entries = installed_weights() if entries is None else entries
    suited = [entry for entry in entries if entry.task == _VIDEO and entry.scale == 1 and _takes(entry, set(), takes_qf)
              and (has_peaks or window_of(entry.method) != PEAKS)]  # fmt: skip
    if not suited:
        reason = " and can be conditioned on a quality factor" if takes_qf else ""
        raise UserError(f"no published weights are for videos{reason}; name some with --weights")
    nearest = min(_distance(entry, qp) for entry in suited)
    chosen = max((entry for entry in suited if _distance(entry, qp) == nearest), key=lambda entry: _gain(entry, qp))
    if qp is not None and nearest <= _NEAR:
        return chosen, ""
    known = "its quality is not known" if qp is None else f"it has QP {qp}"
    return chosen, f"{known}: weights for {str(chosen.qualities or 'any').replace('qp', 'QP')}"


def window_of(method: str) -> str | None:
    """Which frames a type of network sees at once: "sliding", `PEAKS`, or None: one."""
    return getattr(_network(method), "window", None)


def arguments_of(method: str) -> dict[str, Any]:
    """Of the forward of a type of network, after the image: name -> default, `inspect.Parameter.empty` if required."""
    parameters = list(inspect.signature(_network(method).forward).parameters.values())[2:]
    return {parameter.name: parameter.default for parameter in parameters}


def _required(method: str) -> set[str]:
    """The arguments of `arguments_of` that have no default."""
    return {name for name, default in arguments_of(method).items() if default is inspect.Parameter.empty}


def can_be_conditioned(method: str) -> bool:
    """Whether all networks of a type take an optional quality factor and estimate it otherwise (FBCNN). For DRUNet it
    depends on quality_map: its weights have to be named."""
    return method in NETWORKS and "qf" in getattr(NETWORKS[method], "estimates", {})


def _network(method: str) -> Any:
    """The class of a type of network; of those of other authors the one that applies them all."""
    return NETWORKS[method if method in NETWORKS else LIBRARY]


def has_library() -> bool:
    """Whether networks of other authors can be applied here."""
    return importlib.util.find_spec(LIBRARY.lower()) is not None


def installed_weights() -> list[Entry]:
    """The entries of all weights on this machine."""
    here = (known.entry for known in known_weights().values() if known.path.is_file())
    return [entry for entry in here if entry.task != BACKBONE]


def _is_usable(entry: Entry, image: ImageDescription) -> bool:
    is_for_images = window_of(entry.method) is None
    return is_for_images and _takes(entry, {"tables"} if image.has_tables else set(), image.takes_qf)


def _takes(entry: Entry, known: set[str], takes_qf: bool) -> bool:
    """Whether a network is here, needs no more than is known, and takes a quality factor if it has to."""
    is_here = entry.method in NETWORKS or has_library()
    return is_here and _required(entry.method) <= known and (not takes_qf or can_be_conditioned(entry.method))


def _distance(entry: Entry, quality: int | None) -> int:
    """From the qualities that a network was trained for; 0 where one of them is not known."""
    if quality is None or entry.qualities is None:
        return 0
    values = entry.qualities.values
    if entry.qualities.span and values[0] <= quality <= values[-1]:
        return 0
    return min(abs(quality - value) for value in values)


def _suits(entry: Entry, quality: int | None) -> bool:
    if quality is None or entry.qualities is None:
        return _is_blind(entry)
    values = entry.qualities.values
    if entry.qualities.span:
        return values[0] <= quality <= values[-1]
    return any(abs(quality - value) <= _NEAR for value in values)


def _is_blind(entry: Entry) -> bool:
    """Whether it was trained for a whole range of qualities."""
    return entry.qualities is not None and entry.qualities.span


def _reach(entry: Entry) -> tuple[int, int]:
    """The range of qualities in the training, and minus the number of things that have to be known."""
    values = entry.qualities.values if entry.qualities and entry.qualities.span else (0,)
    return values[-1] - values[0], -len(_required(entry.method))


def _gain(entry: Entry, quality: int | None) -> float:
    """The gain at the tested quality next to that of the image; if that is not known, the mean of all."""
    gains = [(_number(figure.quality), figure.gain or 0.0) for figure in entry.gains("PSNR") or entry.gains(_UNROUNDED)]
    if not gains:
        return float("-inf")
    if quality is None:
        return sum(gain for _, gain in gains) / len(gains)
    return min(gains, key=lambda each: abs(each[0] - quality))[1]


def _number(quality: str) -> int:
    digits = "".join(filter(str.isdigit, quality))
    return int(digits) if digits else 0
