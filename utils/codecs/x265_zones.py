"""A QP for each frame with x265, which has no hierarchy of QPs for P frames: zones of one frame each."""

from collections.abc import Iterable
from functools import cache
from io import BytesIO

import numpy as np

from powerqe.utils.codecs.video_libraries import LIBRARIES, Settings, code
from powerqe.utils.errors import UserError
from powerqe.utils.video.yuv import Frame, Geometry

_ZONE, _COUNT = 6, 12
_QP, _LOW_QP = 40, 10
_RISE = 3  # dB; the 30 steps of QP make more than 15


def zones(qps: Iterable[int], shift: int) -> str:
    """The value of x265's parameter `zones` that gives each frame its QP, counted from `shift`."""
    return "/".join(f"{poc + shift},{poc + shift},q={qp}" for poc, qp in enumerate(qps))


@cache
def zone_shift() -> int:
    """By how much x265's count of frames in zones is ahead of the order of display; 1 in x265 4.2.

    Found by experiment, as x265 does not report it: of a dozen unlike frames one zone
    gets a much lower QP, and the frame that is much better for it is looked for.

    Raises:
        UserError: none is, or more than one: frames would not have the given QP.
    """
    zone = zones([_LOW_QP], _ZONE)
    better = np.flatnonzero(_psnr({"zones": zone}) > _psnr({}) + _RISE)
    if len(better) != 1:
        raise UserError(
            f"this build of x265 cannot give a frame a QP of its own: of {_COUNT} frames, {len(better)} became better "
            "by it, not one; use the pattern flat, or PyAV's own build: pip install -U av"
        )
    return _ZONE - int(better[0])


def _psnr(settings: Settings) -> np.ndarray:
    """Of each of the frames, which have nothing in common that a P frame could use."""
    library, geometry, random = LIBRARIES["hevc"], Geometry(128, 64), np.random.default_rng(0)
    chroma = np.full((32, 64), 128, np.uint8)
    luma = (random.integers(0, 256, (8, 16), np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(_COUNT))
    frames = (Frame(y, chroma, chroma) for y in luma)
    settings = {"qp": _QP, **library.settings, **settings}
    return np.array([coded.psnr_y for coded in code(library, "medium", settings, frames, geometry, BytesIO())])
