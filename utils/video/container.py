"""Video files (mp4, mkv and other formats of FFmpeg) to planes and back, through PyAV."""

import errno
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path
from powerqe.utils.image.crop import CropBox
from powerqe.utils.video.colors import FULL, RGB, Color, converter
from powerqe.utils.video.container_metadata import ContainerMetadata, StreamCopier, film, other_streams
from powerqe.utils.video.frame_metadata import FIELD_ORDERS, display_matrix, field_order, hdr10, lost_with_frames
from powerqe.utils.video.packets import STREAMED, Clock, Survey, decoded, survey
from powerqe.utils.video.planes import check_crop, crop
from powerqe.utils.video.pyav import (
    FORMATS,
    RGB_FORMATS,
    chroma_location,
    from_av_frame,
    is_held,
    is_rgb,
    nearest,
    open_container,
    pixel_format,
    pyav,
    to_av_frame,
    x265_small_frames,
)
from powerqe.utils.video.yuv import SUBSAMPLING, Chroma, Depth, Frame, Geometry

LOSSLESS = {".mp4": "libx265", ".mkv": "ffv1"}
"""By the suffix of the file: FFmpeg's encoder. Many players have HEVC; FFV1 is much faster."""
PRESET = "superfast"
"""Of x265 without loss: its files are smaller than those of `fast`, which takes a third more time."""
_SMALL = 1280 * 720
"""Pixels of a frame: with fewer, x265's threads wait for each other longer than they compute, so there is one."""

_FEW = 2
"""Frames of a video that is too short for x265 4.2 to know when it is to be decoded: it gives a number it never set."""


class VideoReader:
    """The frames of a video file from the first to the last, one in memory at a time: use it in a `with` block.

    Samples are those of the file if it has gray, 4:2:0, 4:2:2 or 4:4:4 and 8 or 10 bit. All else becomes what loses
    least, with 10 bit if it has more than 8; `converted` is the original. RGB becomes YCbCr of 4:4:4 in the studio
    range, with the matrix that players take for the size, unless it is wanted.
    Damage is an error where the decoder sees it; of a few bytes inside a frame, most codecs do not.

    Args:
        path: of the file.
        chroma, depth: to be converted to; None: as above.
        crop: the part of each frame that is wanted.
        odd: convert 4:2:0 chroma of odd sides, which has no place in a `Frame`, to 4:4:4; else it is an error.
        rgb: leave RGB as it is.

    Attributes:
        geometry, color: of the frames. rate: frames per second. metadata: further metadata of the file, of which what
            the frames have is known when the first one is. converted: what the file has, as FFmpeg calls it, or None
            if nothing is converted.

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
        rgb: bool = False,
    ) -> None:
        self._av = pyav("reading videos")
        self.path = Path(path)
        self._container = self._open()
        try:
            self._stream = self._find_stream()
            self._set_up(chroma, depth, crop, odd, rgb)
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
        is_first = True
        for av_frame in decoded(self._container, self._stream, self.path, self._av.FFmpegError):
            if (av_frame.width, av_frame.height, av_frame.format.name) != self._kind:
                raise UserError(f"{self.path}: the size or the format of the frames changes; split the video there")
            if is_first:
                self.metadata = self._completed(av_frame)
                is_first = False
            time = av_frame.pts
            if av_frame.format.name not in FORMATS | RGB_FORMATS:
                av_frame = self._reformatter.reformat(
                    av_frame, format=self._format, src_color_range=self._range, dst_color_range=self._range
                )
            frame = self._convert(from_av_frame(av_frame))
            yield (frame if self._crop is None else crop(frame, self._crop, self._whole.chroma)), time

    def _open(self) -> Any:
        try:
            return open_container(self.path)
        except self._av.FFmpegError as error:
            if isinstance(error, OSError):
                raise UserError(f"cannot read the video {self.path}: {error.strerror}") from None
            raise UserError(f"{self.path} is no video, or it is cut off ({error.strerror})") from None

    def _find_stream(self) -> Any:
        if not self._container.streams.video:
            raise UserError(f"{self.path} has no video stream")
        with self._open() as other:
            try:
                stream = self._container.streams[film(other)]
            except self._av.FFmpegError as error:
                raise UserError(f"{self.path} is damaged ({error.strerror}); get it again") from None
        if stream.codec_context is None or stream.codec_context.pix_fmt is None or not stream.codec_context.width:
            raise UserError(f"{self.path}: no frame of its video stream can be decoded")
        stream.codec_context.options = {"err_detect": "crccheck+explode"}  # else damaged frames are made up
        return stream

    def _set_up(self, chroma: Chroma | None, depth: Depth | None, crop: CropBox | None, odd: bool, rgb: bool) -> None:
        context = self._stream.codec_context
        self._kind = (context.width, context.height, context.pix_fmt)
        found = Geometry(context.width, context.height, *nearest(context.format))
        is_odd = odd and any(side % step for side, step in zip(found, SUBSAMPLING[found.chroma][::-1], strict=False))
        natural = "444" if is_odd else found.chroma
        self._whole = found._replace(chroma=chroma or natural, depth=depth or found.depth)
        color = _color(self.path, self._stream)
        keeps_rgb = color.is_rgb and rgb and self._whole.chroma == "444"
        self.color = color.converted(found) if color.is_rgb and not keeps_rgb else color
        self._format, self._range = pixel_format(found, rgb=color.is_rgb), color.range or 1
        self._convert = converter(found, color, self._whole, self.color)
        is_kept = is_held(context.format, self._whole, rgb=keeps_rgb)
        self._reformatter = self._av.video.reformatter.VideoReformatter()
        self._crop = crop
        if crop is None:
            self.geometry = self._whole.check(self.path)
        else:
            self.geometry = self._whole._replace(width=crop.width, height=crop.height)
            check_crop(crop, self._whole, self.path)
            self.color = self.color.resized(self._whole, self.geometry)
        self.converted = None if is_kept else context.pix_fmt
        self.rate = Fraction(self._stream.average_rate or self._stream.guessed_rate or 25)
        aspect = self._stream.sample_aspect_ratio  # unknown: None, of PyAV 19 zero
        base, pixels = Fraction(self._stream.time_base), Fraction(aspect) if aspect else None
        number, begin = self._stream.index, self._container.start_time or 0
        has_clock = self._container.format.name in STREAMED
        self.metadata = ContainerMetadata(
            base,
            pixels,
            source=self.path,
            others=other_streams(self._container, number),
            film=number,
            start=Fraction(begin, self._av.time_base) if has_clock else Fraction(0),
        )

    def _completed(self, av_frame: Any) -> ContainerMetadata:
        """The metadata with what the first frame tells."""
        return self.metadata._replace(
            matrix=display_matrix(av_frame),
            hdr10=hdr10(av_frame),
            field_order=field_order(av_frame, self._stream.codec_context),
            lost=tuple(lost_with_frames(av_frame, self._stream)),
        )

    def survey(self) -> Survey:
        """What its packets tell; instead of its frames, for the file is read along."""
        try:
            return survey(self._container, self._stream, self.path)
        except self._av.FFmpegError as error:
            raise UserError(f"{self.path} is damaged ({error.strerror}); get it again") from None


def count_packets(path: str | os.PathLike[str]) -> int:
    """How many frames a video has, without decoding: right for all but odd streams (fields, hidden frames).

    Raises:
        UserError: as `VideoReader` does.
    """
    with VideoReader(path, chroma="444") as video:  # of any size
        return video.survey().count


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
        kind: the suffix that decides, if it is not that of the path: of a segment (utils/video/segments.py).

    Attributes:
        left_out: what the file cannot keep of that, in words. order: the times of its packets, as they were coded.

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
        kind: str | None = None,
    ) -> None:
        self._path = Path(path)
        suffix = kind or self._path.suffix.lower()
        if suffix not in LOSSLESS:
            raise UserError(f"cannot write the video {path}: the suffix must be one of {', '.join(LOSSLESS)}")
        self._encoder = LOSSLESS[suffix] if crf is None else "libx265"
        self._av = pyav(f"writing {suffix}", self._encoder)
        self._geometry, self._rate, self._color = geometry.check(path), rate, color or Color()
        self._metadata = metadata or ContainerMetadata()
        self._options = _options(self._encoder, geometry, crf, self._color.location, self._metadata.hdr10)
        self._whole = atomic_path(path)
        self._base = self._metadata.time_base or 1 / rate
        self._count, self._clock = 0, Clock(rate, self._base)
        self.left_out: list[str] = []
        self.order: list[int] = []

    def __enter__(self) -> "VideoWriter":
        temporary = self._whole.__enter__()
        try:
            self._container = open_container(temporary, "w")
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
        av_frame = to_av_frame(frame, self._geometry, rgb=self._color.is_rgb)
        if av_frame.format.name != self._stream.pix_fmt:  # the same samples in FFV1's order
            av_frame = av_frame.reformat(format=self._stream.pix_fmt)
        av_frame.pts, av_frame.time_base = self._clock.tick(time), self._base
        self._count += 1
        self._put(av_frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            try:
                if kind is None:
                    if self._count:
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
        if self._color.location and self._encoder == "ffv1" and self._geometry.chroma == "420":
            self.left_out.append("the place of its chroma, which HEVC alone keeps (mp4, or --crf)")
        if self._encoder == "libx265" and self._path.suffix.lower() == ".mp4":
            context.codec_tag = "hvc1"  # Apple's players know no other
        if metadata.field_order in FIELD_ORDERS:
            context.field_order = metadata.field_order
        elif metadata.field_order is not None:
            self.left_out.append("its interlaced flag, whose order of fields this version of PyAV does not tell")
        if metadata.hdr10 and self._encoder != "libx265":
            self.left_out.append("its HDR10 metadata, which HEVC alone keeps (mp4, or --crf)")
        if metadata.start:
            self.left_out.append(f"its start at {float(metadata.start):.3f} s: it begins at 0 now")
        self.left_out += [f"its {name}" for name in metadata.lost]
        if metadata.matrix and hasattr(self._stream, "set_display_matrix"):
            self._stream.set_display_matrix(metadata.matrix)
        elif metadata.matrix:
            self.left_out.append("its rotation, which this version of PyAV cannot write")
        self._companions = StreamCopier(self._av, metadata, self._container)
        self.left_out += self._companions.left_out

    def put(self, packet: Any) -> None:
        """Append a packet of the same encoder."""
        try:
            if packet.dts is not None:
                self._companions.copy(packet.dts * packet.time_base)
            packet.stream = self._stream
            self._container.mux(packet)
        except self._av.FFmpegError as error:
            raise self._failure(error) from None

    def _put(self, av_frame: Any) -> None:
        try:
            for packet in self._stream.encode(av_frame):
                if self._count <= _FEW:
                    packet.dts = packet.pts
                self.order.append(packet.pts)
                self.put(packet)
        except self._av.FFmpegError as error:
            raise self._failure(error) from None

    def _close(self) -> None:
        self._companions.close()
        try:
            self._container.close()
        except self._av.FFmpegError as error:
            raise self._failure(error) from None

    def _failure(self, error: Any) -> Exception:
        if error.errno == errno.ENOSPC:  # what is done is worth keeping
            return OSError(error.errno, error.strerror, str(self._path))
        size = f"{self._geometry.width}x{self._geometry.height}"
        return UserError(f"cannot write the video {self._path} of {size} pixels: {error.strerror}")


def _options(
    encoder: str, geometry: Geometry, crf: float | None, location: int | None, hdr10: tuple[str, ...]
) -> dict[str, str]:
    if encoder != "libx265":
        return {
            "level": "3",
            "slicecrc": "1",
        }  # FFV1 with checksums: older FFmpeg has none by default
    loss = {"lossless": 1} if crf is None else {"crf": crf}
    threads = {"pools": "none"} if crf is None and geometry.width * geometry.height < _SMALL else {}
    settings = {**loss, **threads, "log-level": "none", **x265_small_frames(geometry)}
    if location is not None and geometry.chroma == "420":
        settings["chromaloc"] = location
    preset = PRESET if crf is None else "medium"
    parameters = [*(f"{name}={value}" for name, value in settings.items()), *hdr10]
    return {"preset": preset, "x265-params": ":".join(parameters)}


def _color(path: Path, stream: Any) -> Color:
    """The description of the frames of a stream as FFmpeg takes them: RGB and gray have the full range by default."""
    context = stream.codec_context
    noted = Color(*map(int, (context.color_range, context.colorspace, context.color_primaries, context.color_trc)))
    if is_rgb(context.format):
        return noted._replace(range=FULL, space=RGB)
    chroma, _ = nearest(context.format)
    is_full = context.pix_fmt.startswith("yuvj") or (chroma == "400" and not noted.range)
    location = chroma_location(path, stream.index) if chroma == "420" else None
    space = 2 if noted.is_rgb else noted.space
    return noted._replace(range=FULL if is_full else noted.range, space=space, location=location)


def _describe(context: Any, geometry: Geometry, color: Color) -> None:
    context.width, context.height = geometry.width, geometry.height
    pixels = pixel_format(geometry, rgb=color.is_rgb)
    context.pix_fmt = "bgr0" if pixels == "gbrp" and context.name == "ffv1" else pixels
    context.thread_count = 1 if context.name == "libx265" else 0  # x265 has its own, and takes this for frames at once
    context.color_range, context.colorspace = color.range, color.space
    context.color_primaries, context.color_trc = color.primaries, color.transfer
