"""The reference encoder of HEVC (HM), a program of the user: it made the data of the papers, in days.

Its builds, the configuration files and the manual are those of the Joint Collaborative Team on Video Coding. What is
known of it here was checked with runs of HM 16.0 and 16.25.
"""

import hashlib
import os
import shutil
from pathlib import Path

from powerqe.utils.codecs.hm_log import has_frames, parse_log, parse_version
from powerqe.utils.errors import UserError
from powerqe.utils.programs import failure, run_program
from powerqe.utils.video.frame_records import FrameInfo, luma_psnr
from powerqe.utils.video.yuv import Geometry, YUVReader

PROGRAMS = ("TAppEncoderStatic", "TAppEncoder")
VARIABLE = "HM_ENCODER"

_FRAME_RATE = 30
_LEVELS = {"3.1": 983_040, "4.1": 2_228_224, "5.1": 8_912_896, "6.2": 35_651_584}
"""Level -> samples of the largest luma frame (ITU-T H.265, table A.8); it changes nothing but a number."""
_SAME_FILE = ("--FrameSkip=0", "--InputBitDepth=8", "--OutputBitDepth=8")
"""What is coded and written, whatever a configuration says; it is the default, so no parameter of the data."""
_ROUNDING = 5.1e-5
"""dB; of PSNR with the four decimals of a log."""


class HM:
    """An HM encoder with a configuration file, such as its own encoder_lowdelay_P_main.cfg.

    The types and the QPs of the frames are those that the log reports; its PSNR must be that of the decoded frames.
    8 bit, 4:2:0 only.

    Args:
        config: the configuration file.
        encoder: the program; None: what the variable HM_ENCODER names, or TAppEncoderStatic or TAppEncoder where the
            system finds programs.

    Raises:
        UserError: no such program or file.
    """

    name, pattern, quality_name, quality_range, suffix = "hm", "configured", "qp", (0, 51), ".hevc"

    def __init__(self, config: Path, encoder: str | None = None) -> None:
        self._encoder = _find(encoder or os.environ.get(VARIABLE))
        try:
            self._digest = hashlib.sha256(config.read_bytes()).hexdigest()[:16]
        except OSError as error:
            raise UserError(f"cannot read the configuration of the HM {config}: {error.strerror}") from None
        self._config = config.resolve()

    def parameters(self, quality: int, geometry: Geometry, count: int) -> str:
        """See `SequenceCodec.parameters`: the command line without files, and which configuration it was."""
        return f"-c {self._config.name} (SHA-256 {self._digest}) {' '.join(_arguments(quality, geometry, count))}"

    def compress(
        self, source: YUVReader, count: int, quality: int, decoded: Path, stream: Path
    ) -> tuple[list[FrameInfo], str]:
        """See `SequenceCodec.compress`; the decoded sequence is the encoder's own reconstruction.

        Raises:
            UserError: the program fails, prints another log, or writes a sequence of another size or with another
                PSNR than it says, for example because the configuration made it code another file.
        """
        geometry = source.geometry
        if (geometry.chroma, geometry.depth) != ("420", 8):
            raise UserError(f"{source.path}: hm is for 4:2:0 with 8 bit only; use hevc")
        # The later of two settings counts: the configuration comes first, so that it cannot name another file.
        files = ["-c", self._config, "-i", source.path.resolve(), "-b", stream, "-o", decoded]
        command = [self._encoder, *map(str, files), *_arguments(quality, geometry, count), *_SAME_FILE]
        done = run_program(command)
        if done.returncode or not has_frames(done.stdout):  # a file that cannot be opened ends it with status 0
            raise UserError(f"{source.path}: {failure(done, done.stdout, done.stderr)}")
        frames = parse_log(done.stdout, count, source.path)
        if not decoded.is_file() or not stream.is_file():
            raise UserError(f"{source.path}: {self._encoder} has written no sequence or no stream")
        made = YUVReader(decoded, geometry)
        if len(made) != count:
            raise UserError(f"{source.path}: {self._encoder} has written another number of frames than {count}")
        for frame in frames:
            self._check(frame, luma_psnr(made.luma(frame.poc), source.luma(frame.poc)), source.path)
        return frames, parse_version(done.stdout)

    def _check(self, frame: FrameInfo, psnr: float, source: Path) -> None:
        if frame.psnr_y != psnr and not abs(frame.psnr_y - psnr) <= _ROUNDING:  # inf - inf is no number
            raise UserError(
                f"{source}: by its log {self._encoder} coded frame {frame.poc} with {frame.psnr_y:.4f} dB, but the "
                f"decoded frame has {psnr:.4f} dB: was another file coded, or with another InternalBitDepth than 8? "
                f"Correct {self._config}"
            )


def _arguments(quality: int, geometry: Geometry, count: int) -> list[str]:
    """All arguments but the files; those of PowerQE's data."""
    size = geometry.width * geometry.height
    level = next((name for name, largest in _LEVELS.items() if size <= largest), "6.2")
    words = f"-q {quality} -wdt {geometry.width} -hgt {geometry.height} -f {count} -fr {_FRAME_RATE} --Level={level}"
    # Frames are coded in blocks of 8 pixels; others are padded, and the decoder cuts.
    conformance = ["--ConformanceWindowMode=1"] if geometry.width % 8 or geometry.height % 8 else []
    return [*words.split(), *conformance]


def _find(encoder: str | None) -> str:
    for name in [encoder] if encoder else PROGRAMS:
        if path := shutil.which(name):
            return str(Path(path).resolve())
    wanted = f"the program {encoder}" if encoder else " or ".join(PROGRAMS)
    raise UserError(
        f"hm needs {wanted}, which is not there or cannot be executed; name it with --hm-encoder or the variable "
        f"{VARIABLE}, or use hevc, which needs none"
    )
