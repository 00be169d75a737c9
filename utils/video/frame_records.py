"""Type, QP, bits and PSNR of every frame of a coded sequence: `<stem>.frames.json` next to `<stem>.yuv`.

The file holds one JSON object: how the sequence was coded ("codec", "encoder", "parameters", "pattern", ...), SHA-256
sums, and "frames", one object for each frame in the order of display.
"""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.files import write_text

SUFFIX = ".frames.json"


class FrameInfo(NamedTuple):
    """A coded frame.

    poc: its place in the order of display, from 0. type: of its slices, "I", "P" or "B". qp: the quantization
    parameter that the encoder was set to use. bits: of its share of the stream. psnr_y: PSNR of its luma in dB,
    `math.inf` if nothing was lost (null in the file, for JSON has no infinity).
    """

    poc: int
    type: str
    qp: int
    bits: int
    psnr_y: float


def luma_psnr(result: np.ndarray, target: np.ndarray, depth: int = 8) -> float:
    """PSNR in dB of a plane of integers with `depth` bits; `math.inf` of equal ones."""
    error = np.mean(np.square(result.astype(np.float64) - target))
    return 10 * math.log10(((1 << depth) - 1) ** 2 / error) if error else math.inf


def frames_path(sequence: str | os.PathLike[str]) -> Path:
    """Where the frames of a sequence are described: `a/b_416x240_50.yuv` -> `a/b_416x240_50.frames.json`."""
    return Path(sequence).with_suffix(SUFFIX)


def read_frames(path: str | os.PathLike[str]) -> list[FrameInfo]:
    """The frames that a file describes, in the order of display; see `read_record` for the errors."""
    return read_record(path)[1]


def read_record(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[FrameInfo]]:
    """How a sequence was coded, all of the file but its frames; and the frames.

    Raises:
        UserError: no such file, or not such a description: another form, no frame, or frames that are not
            numbered 0, 1, 2 ...
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        frames = [_info(frame) for frame in record.pop("frames")]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; `powerqe data compress-video` writes it") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} does not describe frames ({type(error).__name__}: {error}); make it again") from None
    if not frames or [frame.poc for frame in frames] != list(range(len(frames))):
        raise UserError(f"{path}: found {len(frames)} frames, not numbered 0, 1, 2 ...; make it again")
    return record, frames


def write_record(path: str | os.PathLike[str], record: dict[str, Any], frames: Sequence[FrameInfo]) -> None:
    """The inverse of `read_record`, one line for each frame."""
    head = json.dumps({**record, "frames": []}, indent=1).removesuffix("]\n}")
    lines = ",\n".join(f"  {json.dumps(_plain(frame))}" for frame in frames)
    write_text(path, f"{head}\n{lines}\n ]\n}}\n")


def _info(frame: dict[str, Any]) -> FrameInfo:
    psnr = frame["psnr_y"]
    return FrameInfo(
        int(frame["poc"]),
        str(frame["type"]),
        int(frame["qp"]),
        int(frame["bits"]),
        math.inf if psnr is None else float(psnr),
    )


def _plain(frame: FrameInfo) -> dict[str, Any]:
    return frame._asdict() | {"psnr_y": frame.psnr_y if math.isfinite(frame.psnr_y) else None}
