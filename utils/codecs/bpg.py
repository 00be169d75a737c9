"""BPG, through the programs of libbpg (https://bellard.org/bpg)."""

import shutil
from pathlib import Path
from tempfile import gettempdir
from typing import ClassVar
from uuid import uuid4

import numpy as np

from powerqe.utils.codecs.codec import CODECS, check_quality
from powerqe.utils.errors import UserError
from powerqe.utils.files import scratch_folder
from powerqe.utils.image.io import read_image, write_image
from powerqe.utils.programs import failure, run_program

_SETTINGS = ("-m", "1", "-b", "8", "-f", "420", "-c", "ycbcr")
_NARROWEST = 25  # pixels; bpgenc 0.9.8 crashes for smaller widths


@CODECS.register()
class BPG:
    """BPG: an HEVC intra frame in a small container, 8 bit, 4:2:0, full-range BT.601 YCbCr, fastest level.

    That is `bpgenc -m 1 -b 8 -f 420 -c ycbcr -q QP` and `bpgdec -b 8`, as PowerQE's data have always been made.
    libbpg 0.9.6 to 0.9.8 codes the slices with QP - 3, 0.9 to 0.9.5 with QP + 1; `-m 1` is x265's preset superfast
    since 0.9.2, which has no SAO. A gray image is coded as RGB with equal channels: bpgdec writes RGB only. Images
    narrower than 25 pixels are padded by repeating the last pixels, and cut again. The size counts the whole file.

    Args:
        folder: of the programs bpgenc and bpgdec; null: where the system finds programs (PATH).

    Raises:
        UserError: one of the programs is not there or cannot be executed.
    """

    quality_name: ClassVar[str] = "qp"
    quality_range: ClassVar[tuple[int, int]] = (0, 51)

    def __init__(self, *, folder: str | None = None) -> None:
        self._encoder, self._decoder = (_program(name, folder) for name in ("bpgenc", "bpgdec"))

    def compress(self, image: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
        """See `Codec.compress`; `quality` is the QP, 0 (best) to 51.

        Raises:
            UserError: also when a program fails; the message has its name and output.
        """
        level = str(check_quality(self, quality))
        with scratch_folder(Path(gettempdir(), f"powerqe-bpg-{uuid4().hex}")) as folder:
            original, stream, decoded = (folder / name for name in ("in.png", "coded.bpg", "out.png"))
            missing = max(_NARROWEST - image.shape[1], 0)
            wide = np.pad(image, ((0, 0), (0, missing), (0, 0)), mode="edge")
            write_image(original, np.broadcast_to(wide, (*wide.shape[:2], 3)))
            _run([self._encoder, *_SETTINGS, "-q", level, "-o", str(stream), str(original)], stream)
            _run([self._decoder, "-b", "8", "-o", str(decoded), str(stream)], decoded)
            result, size = read_image(decoded), stream.stat().st_size
        if result.shape[:2] != wide.shape[:2]:
            found, expected = (f"{shape[1]}x{shape[0]}" for shape in (result.shape, wide.shape))
            raise UserError(f"{self._decoder} gave {found} pixels for an image of {expected}")
        return np.ascontiguousarray(result[:, : image.shape[1], : image.shape[2]]), size


def _program(name: str, folder: str | None) -> str:
    path = shutil.which(name, path=None if folder is None else str(Path(folder).resolve()))
    if path is None:
        where = "in no folder of PATH" if folder is None else f"not in {folder}"
        raise UserError(
            f"BPG needs the program {name}, which is {where} or cannot be executed; name the folder of libbpg's "
            "programs (https://bellard.org/bpg), or use HEVC, which needs none"
        )
    return path


def _run(command: list[str], output: Path) -> None:
    """Run a program that writes a file; raises `UserError` when it fails or writes none."""
    done = run_program(command)
    if done.returncode or not output.is_file():
        raise UserError(failure(done, done.stderr, done.stdout))
