"""Video files (mp4, mkv and other formats of FFmpeg) to planes and back, through PyAV."""

import math
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path
from powerqe.utils.image.crop import CropBox
from powerqe.utils.video.container_metadata import ContainerMetadata, StreamCopier, other_streams
from powerqe.utils.video.planes import check_crop, crop
from powerqe.utils.video.pyav import FORMATS, from_av_frame, pixel_format, pyav, to_av_frame, x265_tree_size
from powerqe.utils.video.yuv import Chroma, Depth, Frame, Geometry

LOSSLESS = {".mp4": "libx265", ".mkv": "ffv1"}
"""By the suffix of the file: FFmpeg's encoder. Many players have HEVC; FFV1 is much faster."""

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".3gp", ".ts", ".mts", ".mpg", ".mpeg", ".wmv", ".flv",
            ".y4m", ".hevc", ".h264", ".obu", ".ivf")  # fmt: skip
"""Of the files that are taken for videos when a folder is searched; a file that is named may have any other."""


class Color(NamedTuple):
    """The color description of a stream, in the numbers of ITU-T H.273 (range: of FFmpeg, 1 studio, 2 full)."""

    range: int = 0
    space: int = 2
    primaries: int = 2
    transfer: int = 2


_FEW = 2
"""Frames of a video that is too short for x265 4.2 to know when it is to be decoded: it gives a number it never set."""

_BT601 = Color(1, 6, 2, 2)  # what RGB is converted to


class VideoReader:
    """The frames of a video file from the first to the last, one in memory at a time: use it in a `with` block.

    Samples are those of the file if it has 4:2:0 or 4:4:4 chroma and 8 or 10 bit. All else is converted by FFmpeg's
    swscale: to 4:4:4 if it is RGB, else to 4:2:0, with 10 bit if it has more than 8; `converted` is the original.
    Damage is an error where the decoder sees it; of a few bytes inside a frame, most codecs do not.

    Args:
        path: of the file.
        chroma, depth: to be converted to; None: as above.
        crop: the part of each frame that is wanted.
        odd: convert 4:2:0 chroma of odd sides, which has no place in a `Frame`, to 4:4:4; else it is an error.

    Attributes:
        geometry: of the frames. rate: frames per second. color: of the file. metadata: further metadata of the file, of
            which the rotation is known when the first frame is. converted: what the file has, as FFmpeg calls it, or
            None if nothing is converted.

    Raises:
        UserError: no such file, no video in it, a damaged one (also later, while it is read), odd sides with 4:2:0
            chroma, or no such part.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        chroma: Chroma | None = None,
        depth: Depth | None = None,
        crop: CropBox | None = None,
        *,
        odd: bool = False,
    ) -> None:
        self._av = pyav("reading videos")
        self.path = Path(path)
        self._container = self._open()
        try:
            self._stream = self._find_stream()
            self._set_up(chroma, depth, crop, odd)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames; once, for the file is read along."""
        return (frame for frame, _ in self.timed())

    def timed(self) -> Iterator[tuple[Frame, int | None]]:
        """The frames, and when each is shown in steps of `metadata.time_base`; None if unknown."""
        for av_frame in self._av_frames():
            if (av_frame.width, av_frame.height, av_frame.format.name) != self._kind:
                raise UserError(f"{self.path}: the size or the format of the frames changes; split the video there")
            if self.metadata.matrix is None:
                self.metadata = self.metadata._replace(matrix=_matrix(av_frame))
            time = av_frame.pts
            if av_frame.format.name != self._format:
                av_frame = self._reformatter.reformat(av_frame, format=self._format)
            frame = from_av_frame(av_frame)
            yield (frame if self._crop is None else crop(frame, self._crop, self._whole.chroma)), time

    def _open(self) -> Any:
        try:
            return self._av.open(str(self.path))
        except self._av.FFmpegError as error:
            if isinstance(error, OSError):
                raise UserError(f"cannot read the video {self.path}: {error.strerror}") from None
            raise UserError(f"{self.path} is no video, or it is cut off ({error.strerror})") from None

    def _find_stream(self) -> Any:
        if not self._container.streams.video:
            raise UserError(f"{self.path} has no video stream")
        stream = self._container.streams.video[0]
        if stream.codec_context is None or stream.codec_context.pix_fmt is None or not stream.codec_context.width:
            raise UserError(f"{self.path}: no frame of its video stream can be decoded")
        stream.codec_context.options = {"err_detect": "crccheck+explode"}  # else damaged frames are made up
        return stream

    def _set_up(self, chroma: Chroma | None, depth: Depth | None, crop: CropBox | None, odd: bool) -> None:
        context = self._stream.codec_context
        self._kind = (context.width, context.height, context.pix_fmt)
        natural = FORMATS.get(context.pix_fmt) or _nearest(context.format)
        if odd and (context.width % 2 or context.height % 2):
            natural = "444", natural[1]
        self._whole = Geometry(context.width, context.height, chroma or natural[0], depth or natural[1])
        keep = FORMATS.get(context.pix_fmt) == (self._whole.chroma, self._whole.depth)
        self._format = context.pix_fmt if keep else pixel_format(self._whole)
        self._reformatter = self._av.video.reformatter.VideoReformatter()
        self._crop = crop
        if crop is None:
            self.geometry = self._whole.check(self.path)
        else:
            self.geometry = self._whole._replace(width=crop.width, height=crop.height)
            check_crop(crop, self._whole, self.path)
        self.converted = None if keep else context.pix_fmt
        self.rate = Fraction(self._stream.average_rate or self._stream.guessed_rate or 25)
        self.color = _BT601 if context.format.is_rgb else _color(context)
        aspect = self._stream.sample_aspect_ratio  # unknown: None, of PyAV 19 zero
        base, pixels = Fraction(self._stream.time_base), Fraction(aspect) if aspect else None
        self.metadata = ContainerMetadata(base, pixels, None, self.path, other_streams(self._container))

    def _av_frames(self) -> Iterator[Any]:
        packets = 0
        try:
            for packet in self._container.demux(self._stream):
                packets += packet.size > 0
                if packet.is_corrupt:
                    raise UserError(f"{self.path} is cut off or damaged at frame {packets}; get it again")
                for av_frame in packet.decode():
                    if av_frame.is_corrupt:
                        raise UserError(f"{self.path} is damaged at frame {packets}; get it again")
                    yield av_frame
        except self._av.FFmpegError as error:
            raise UserError(f"{self.path} is damaged at frame {packets} ({error.strerror}); get it again") from None
        if packets < self._stream.frames:
            raise UserError(f"{self.path} is cut off: {packets} frames of {self._stream.frames}; get it again")


def count_packets(path: str | os.PathLike[str]) -> int:
    """How many frames a video has, without decoding: right for all but odd streams (fields, hidden frames).

    Raises:
        UserError: as `VideoReader` does.
    """
    with VideoReader(path, chroma="444") as video:  # of any size
        try:
            return sum(packet.size > 0 for packet in video._container.demux(video._stream))
        except video._av.FFmpegError as error:
            raise UserError(f"{path} is damaged ({error.strerror}); get it again") from None


class VideoWriter:
    """Writes frames to an mp4 or mkv file: use it in a `with` block.

    Nothing is lost, by lossless HEVC in mp4 and FFV1 in mkv, unless `crf` is given: then both have lossy HEVC. The
    file appears under its name when the block succeeds.

    Args:
        path: of the file; the suffix decides.
        geometry: of the frames.
        rate: frames per second.
        color: to be noted in the file.
        crf: x265's constant rate factor, 0 (best) to 51.
        metadata: what else is kept of the file that the frames come from.

    Attributes:
        left_out: what the file cannot keep of that, in words.

    Raises:
        UserError: another suffix, a geometry that cannot be or that the encoder does not take, or PyAV without the
            encoder.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        geometry: Geometry,
        rate: Fraction = Fraction(25),
        color: Color | None = None,
        *,
        crf: float | None = None,
        metadata: ContainerMetadata | None = None,
    ) -> None:
        self._path = Path(path)
        suffix = self._path.suffix.lower()
        if suffix not in LOSSLESS:
            raise UserError(f"cannot write the video {path}: the suffix must be one of {', '.join(LOSSLESS)}")
        self._encoder = LOSSLESS[suffix] if crf is None else "libx265"
        self._av = pyav(f"writing {suffix}", self._encoder)
        self._geometry, self._rate, self._color = geometry.check(path), rate, color or Color()
        self._metadata = metadata or ContainerMetadata()
        self._options = _options(self._encoder, geometry, crf)
        self._whole = atomic_path(path)
        self._base = self._metadata.time_base or 1 / rate
        self._count, self._last = 0, -math.inf
        self.left_out: list[str] = []

    def __enter__(self) -> "VideoWriter":
        temporary = self._whole.__enter__()
        try:
            self._container = self._av.open(str(temporary), "w")
            self._stream = self._container.add_stream(self._encoder, rate=self._rate, options=self._options)
            _describe(self._stream.codec_context, self._geometry, self._color)
            self._keep()
        except self._av.FFmpegError as error:
            failure = self._failure(error)
            self._whole.__exit__(UserError, failure, None)
            raise failure from None
        return self

    def write(self, frame: Frame, time: int | None = None) -> None:
        """Append a frame.

        Args:
            time: when it is shown, in steps of `metadata.time_base` and later than the one before; None: by the rate.
        """
        self._geometry.check_frame(frame, self._path)
        av_frame = to_av_frame(frame, self._geometry)
        by_rate = round(self._count / (self._rate * self._base))
        self._last = int(max(by_rate if time is None else time, self._last + 1))
        av_frame.pts, av_frame.time_base = self._last, self._base
        self._count += 1
        self._put(av_frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            try:
                if kind is None:
                    self._put(None)
                    self._companions.copy()
                    self.left_out += self._companions.damaged
            finally:
                self._close()
        except BaseException as failure:
            self._whole.__exit__(type(failure), failure, None)
            raise
        self._whole.__exit__(kind, error, traceback)

    def _keep(self) -> None:
        """Note what the other file has besides its frames."""
        context, metadata = self._stream.codec_context, self._metadata
        context.time_base = self._stream.time_base = self._base
        if metadata.aspect:
            context.sample_aspect_ratio = metadata.aspect
        if (
            metadata.aspect not in (None, 1) and self._encoder == "ffv1"
        ):  # Matroska has it elsewhere, beyond PyAV's reach
            aspect = f"{metadata.aspect.numerator}:{metadata.aspect.denominator}"
            self.left_out.append(f"its shape of pixels, {aspect}, which HEVC alone keeps (mp4, or --crf)")
        if self._encoder == "libx265" and self._path.suffix.lower() == ".mp4":
            context.codec_tag = "hvc1"  # Apple's players know no other
        if metadata.matrix and hasattr(self._stream, "set_display_matrix"):
            self._stream.set_display_matrix(metadata.matrix)
        elif metadata.matrix:
            self.left_out.append("its rotation, which this version of PyAV cannot write")
        self._companions = StreamCopier(self._av, metadata.source, self._container)
        self.left_out += self._companions.left_out

    def _put(self, av_frame: Any) -> None:
        try:
            for packet in self._stream.encode(av_frame):
                if self._count <= _FEW:
                    packet.dts = packet.pts
                if packet.dts is not None:
                    self._companions.copy(packet.dts * packet.time_base)
                self._container.mux(packet)
        except self._av.FFmpegError as error:
            raise self._failure(error) from None

    def _close(self) -> None:
        self._companions.close()
        try:
            self._container.close()
        except self._av.FFmpegError as error:
            raise self._failure(error) from None

    def _failure(self, error: Any) -> UserError:
        size = f"{self._geometry.width}x{self._geometry.height}"
        return UserError(f"cannot write the video {self._path} of {size} pixels: {error.strerror}")


def _options(encoder: str, geometry: Geometry, crf: float | None) -> dict[str, str]:
    if encoder != "libx265":
        return {
            "level": "3",
            "slicecrc": "1",
        }  # FFV1 with checksums: older FFmpeg has none by default
    loss = {"lossless": 1} if crf is None else {"crf": crf}
    settings = {**loss, "log-level": "none", **x265_tree_size(geometry)}
    preset = "fast" if crf is None else "medium"
    return {"preset": preset, "x265-params": ":".join(f"{name}={value}" for name, value in settings.items())}


def _matrix(av_frame: Any) -> tuple[int, ...] | None:
    """How players are to turn the frames, as FFmpeg stores it (libavutil/display.h)."""
    found = av_frame.side_data.get("DISPLAYMATRIX")
    return None if found is None else struct.unpack("=9i", bytes(found))


def _nearest(format: Any) -> tuple[Chroma, Depth]:
    """What frames of another format are converted to."""
    return "444" if format.is_rgb else "420", 10 if max(part.bits for part in format.components) > 8 else 8


def _color(context: Any) -> Color:
    full = context.pix_fmt.startswith("yuvj")
    fields = (context.colorspace, context.color_primaries, context.color_trc)
    return Color(2 if full else int(context.color_range), *(int(field) for field in fields))


def _describe(context: Any, geometry: Geometry, color: Color) -> None:
    context.width, context.height, context.pix_fmt = geometry.width, geometry.height, pixel_format(geometry)
    context.thread_count = 1
    context.color_range, context.colorspace = color.range, color.space
    context.color_primaries, context.color_trc = color.primaries, color.transfer
