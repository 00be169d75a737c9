"""Encoders for sequences out of PyAV: HEVC (x265), H.264 (x264) and AV1 (SVT-AV1), low delay and constant QP.

All code one intra frame and then P frames that refer to earlier ones only, at a constant quantizer without rate
control, adaptive quantization or psycho-visual tuning, on one thread, so that the same frames make the same stream.
Figures are not those of the reference encoders at equal QP and belong into a column of their own.
"""

import re
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from powerqe.utils.codecs.qp_patterns import frame_qps
from powerqe.utils.codecs.video_libraries import LIBRARIES, RATE, Settings, code, options
from powerqe.utils.codecs.x265_zones import zone_shift, zones
from powerqe.utils.errors import UserError
from powerqe.utils.video.frame_records import FrameInfo
from powerqe.utils.video.pyav import pixel_format, pyav, x265_small_frames
from powerqe.utils.video.yuv import Frame, Geometry, YUVReader, YUVWriter


class SequenceCodec(Protocol):
    """What the scripts use of an encoder.

    Attributes:
        name: of the standard, such as "hevc".
        pattern: of the QPs, see `powerqe.utils.codecs.qp_patterns`.
        quality_name: "qp".
        quality_range: smallest and largest QP.
        suffix: of the file of a bit stream.
    """

    name: str
    pattern: str
    quality_name: str
    quality_range: tuple[int, int]
    suffix: str

    def parameters(self, quality: int, geometry: Geometry, count: int) -> str:
        """All parameters of the encoder, as text; it decides with the version what comes out."""
        ...

    def compress(
        self, source: YUVReader, count: int, quality: int, decoded: Path, stream: Path
    ) -> tuple[list[FrameInfo], str]:
        """Encode the first `count` frames to `stream` and write what a decoder makes of it to `decoded`.

        Returns what is known of the frames, and the version of the encoder. Raises `UserError` when the encoder
        cannot do it.
        """
        ...


class LibraryCodec:
    """A standard's encoder out of PyAV, with its decoder.

    All settings are those of `LIBRARIES` but the QP, the preset and, with HEVC, the pattern of the QPs. The stream is
    the packets one after the other (annex B; AV1: open bit stream units). The first frame's bits count the parameter
    sets and, with H.264, x264's message about itself, some 700 bytes that cannot be switched off.

    Args:
        name: of the standard, one of `LIBRARIES`.
        preset: of the encoder; None: medium, of AV1 8 (of 0, slow, to 13).
        pattern: of the QPs; others than "flat" need HEVC.

    Raises:
        UserError: no such standard, preset or pattern; no PyAV, or one without the encoder or its zones.
    """

    quality_name = "qp"

    def __init__(self, name: str, preset: str | None = None, pattern: str = "flat") -> None:
        if name not in LIBRARIES:
            raise UserError(f"unknown codec {name!r}; known: {', '.join(LIBRARIES)}")
        self.name, self.pattern, self._library = name, pattern, LIBRARIES[name]
        self.quality_range, self.suffix = self._library.quality_range, self._library.suffix
        self._preset = preset or self._library.preset
        if self._preset not in self._library.presets:
            raise UserError(f"unknown preset {preset!r} of {name}; known: {', '.join(self._library.presets)}")
        self._qps(0, 1)
        if pattern != "flat" and not self._library.zones:
            raise UserError(f"{name} codes all frames with one QP here: pattern flat, not {pattern}, which hevc has")
        self._pyav()
        if pattern != "flat":
            zone_shift()

    def parameters(self, quality: int, geometry: Geometry, count: int) -> str:
        """See `SequenceCodec.parameters`; as FFmpeg's command line has them."""
        words = [f"-c:v {self._library.encoder} -pix_fmt {pixel_format(geometry)} -r {RATE}"]
        settings = self._settings(quality, geometry, count)
        words += [f"-{name} {value}" for name, value in options(self._library, self._preset, settings).items()]
        return " ".join(words)

    def compress(
        self, source: YUVReader, count: int, quality: int, decoded: Path, stream: Path
    ) -> tuple[list[FrameInfo], str]:
        """See `SequenceCodec.compress`; frame by frame, however long the sequence is."""
        frames, geometry = (source[index] for index in range(count)), source.geometry
        settings, qps, infos = self._settings(quality, geometry, count), self._qps(quality, count), []
        with YUVWriter(decoded, geometry) as writer, open(stream, "wb") as file:
            try:
                for coded in code(self._library, self._preset, settings, frames, geometry, file):
                    writer.write(coded.frame)
                    infos.append(FrameInfo(len(infos), coded.type, qps[len(infos)], coded.bits, coded.psnr_y))
            except self._pyav().FFmpegError as error:
                size = f"{geometry.width}x{geometry.height}"
                raise UserError(f"{self.name} cannot code {source.path} of {size} pixels: {error.strerror}") from None
        if len(infos) != count:
            raise RuntimeError(f"{self.name}: of {count} frames {len(infos)} came back")
        return infos, self._version()

    def _qps(self, quality: int, count: int) -> list[int]:
        low, high = self.quality_range
        return [min(max(qp, low), high) for qp in frame_qps(self.pattern, quality, count)]

    def _settings(self, quality: int, geometry: Geometry, count: int) -> Settings:
        settings: Settings = {"qp": quality, **self._library.settings}
        if self.name == "hevc":
            settings |= x265_small_frames(geometry)
        if self.pattern != "flat":
            settings["zones"] = zones(self._qps(quality, count), zone_shift())
        return settings

    def _version(self) -> str:
        av = self._pyav()
        libavcodec = ".".join(str(part) for part in av.library_versions["libavcodec"])
        return f"{_encoder_version(self.name)}, libavcodec {libavcodec}, PyAV {av.__version__}"

    def _pyav(self) -> Any:
        return pyav(f"{self.name} coding", self._library.encoder, self._library.decoder)


@cache
def _encoder_version(name: str) -> str:
    """What x265 and x264 write about themselves into the stream, or FFmpeg's name of the encoder."""
    library, stream = LIBRARIES[name], BytesIO()
    gray = np.full((64, 128), 128, np.uint8)
    settings = {key: value for key, value in library.settings.items() if key != "info"}
    frame = Frame(gray, gray[:32, :64], gray[:32, :64])
    list(code(library, library.preset, settings, [frame], Geometry(128, 64), stream))
    found = re.search(rb"x265 \(build \d+\) - [!-9;-~]+|x264 - core [!-~]+", stream.getvalue())
    return found[0].decode().replace(" - ", " ") if found else library.encoder.removeprefix("lib")
