"""What a video file has besides its frames: time stamps, the shape of pixels, rotation, sound, subtitles, attachments,
chapters, its title. All of it is kept where the format and PyAV can, and said where they cannot.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from powerqe.utils.video.pyav import open_container

_KINDS = {
    "audio": "sound",
    "subtitle": "subtitles",
    "video": "further video",
    "data": "data",
    "attachment": "attachment",
}
_OF_THE_FORMAT = ("major_brand", "minor_version", "compatible_brands", "encoder")
"""Tags on the writing of the file, not on its content."""
_OF_THE_TRACK = ("language", "title", "name", "timecode")
"""Tags of a video stream that are true of its frames after they changed."""
_COVER = 1024
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC."""
_CHAPTERS = "SubtitleHandler"
"""Who handles the stream of an MP4 file that holds the titles of its chapters: it is made anew with them."""
_REORDERED = 17
"""More frames than any codec keeps back."""


class ContainerMetadata(NamedTuple):
    """What is kept when the frames of a file change.

    time_base: seconds of a step of time stamps; None: one frame. aspect: width / height of a pixel; None: unknown.
    matrix: how players are to turn the frames: FFmpeg's display matrix. source: the file, of which sound and the like
    are copied; None: nothing is. others: what there is to copy, such as "aac sound". film: the number of the stream
    with the frames. start: seconds at which the clock of a recording began; its result begins at 0. last: how long the
    last frame is shown, in steps; None: as its frame rate says. hdr10: as parameters of x265. field_order: see
    `frame_metadata.field_order`. lost: what no result keeps.
    """

    time_base: Fraction | None = None
    aspect: Fraction | None = None
    matrix: tuple[int, ...] | None = None
    source: Path | None = None
    others: tuple[str, ...] = ()
    film: int = 0
    start: Fraction = Fraction(0)
    last: int | None = None
    hdr10: tuple[str, ...] = ()
    field_order: int | None = None
    lost: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """All that a raw file has no place for."""
        found = {"rotation": self.matrix, "interlaced flag": self.field_order, "HDR10 metadata": self.hdr10}
        return [*self.others, *(name for name, value in found.items() if value), *self.lost]


def film(container: Any) -> int:
    """The number of the video stream that has the frames: no cover, and the first that has more than one.

    Its packets are read until that is known.
    """
    covers = [stream for stream in container.streams.video if is_cover(stream)]
    found = [stream for stream in container.streams.video if stream not in covers] or covers
    seen: set[int] = set()
    for packet in container.demux(found) if len(found) > 1 else ():
        if packet.size and packet.stream.index in seen:
            return packet.stream.index
        seen |= {packet.stream.index} if packet.size else set()
    return found[0].index


def is_cover(stream: Any) -> bool:
    """Whether a video stream is an image that stands for the file."""
    return bool(_flags(stream) & _COVER)


def _flags(stream: Any) -> int:
    """Dispositions as FFmpeg has them; before PyAV 15 they were no numbers."""
    return getattr(stream.disposition, "value", stream.disposition)


def other_streams(container: Any, film: int) -> tuple[str, ...]:
    """What a file that PyAV has opened has besides the stream of its frames, in words."""
    chapters = ("chapters",) if _chapters(container) else ()
    return (*(_called(stream) for stream in _companions(container, film)), *chapters)


class StreamCopier:
    """Copies all streams but that of the frames, as they are, into a file that is written, chapters, and tags.

    Args:
        av: the module.
        metadata: of the file that has them.
        container: that is written, with the stream of its frames, before its first packet.

    Attributes:
        left_out: what the container does not take, in words. damaged: what could not be copied to its end.
    """

    def __init__(self, av: Any, metadata: ContainerMetadata, container: Any) -> None:
        self.left_out: list[str] = []
        self.damaged: list[str] = []
        self._av, self._target, self._start = av, container, metadata.start
        self._source = None if metadata.source is None else open_container(metadata.source)
        self._streams: dict[int, Any] = {}
        if self._source is None:
            return
        kept = {key: value for key, value in self._source.metadata.items() if key not in _OF_THE_FORMAT}
        container.metadata.update(kept)
        film, made = self._source.streams[metadata.film], container.streams[0]
        made.metadata.update({key: value for key, value in film.metadata.items() if key in _OF_THE_TRACK})
        made.disposition = _flags(film)
        for stream in _companions(self._source, metadata.film):
            if not self._taken(stream):
                is_place = container.format.name == "matroska" and (stream.type == "attachment" or is_cover(stream))
                who = "this version of PyAV" if is_place else "the format"
                self.left_out.append(f"its {_called(stream)}, which {who} cannot hold")
        if chapters := _chapters(self._source):
            container.set_chapters(chapters)
        self._packets = self._demuxed()
        self._next = next(self._packets, None)

    def copy(self, until: Fraction | None = None) -> None:
        """Write what belongs to the time before `until`, in seconds; None: all that is left."""
        while self._streams and self._next is not None:
            packet = self._next
            if until is not None and packet.dts * packet.time_base > until:
                return
            packet.stream = self._streams[packet.stream.index]
            try:
                self._target.mux(packet)
                self._next = next(self._packets, None)
            except self._av.FFmpegError as error:
                self.damaged.append(f"the end of its sound, which is damaged ({error.strerror})")
                self._next = None

    def close(self) -> None:
        if self._source is not None:
            self._source.close()

    def _taken(self, stream: Any) -> bool:
        """Whether there is a place for a stream, which is made."""
        target, is_matroska = self._target, self._target.format.name == "matroska"
        if stream.type == "attachment" or (is_cover(stream) and is_matroska):
            return is_matroska and hasattr(target, "add_attachment") and self._attached(stream)  # since PyAV 17
        if stream.codec_context is None or _codec(stream) not in target.supported_codecs:
            return False
        made = self._streams[stream.index] = target.add_stream_from_template(stream, opaque=True)
        made.metadata.update(stream.metadata)
        made.disposition = _flags(stream)
        return True

    def _attached(self, stream: Any) -> bool:
        """Give a Matroska file an attachment, or a cover, which is one there."""
        if stream.type == "attachment":
            self._target.add_stream_from_template(stream)
            return True
        assert self._source is not None
        with open_container(self._source.name) as again:
            packet = next((packet for packet in again.demux(again.streams[stream.index]) if packet.size), None)
        kind = "jpeg" if _codec(stream) == "mjpeg" else _codec(stream)
        if packet is not None:
            self._target.add_attachment(f"cover.{kind}", f"image/{kind}", bytes(packet))
        return packet is not None

    def _demuxed(self) -> Iterator[Any]:
        assert self._source is not None
        wanted = [stream for stream in self._source.streams if stream.index in self._streams]
        early: dict[int, list[Any]] = {stream.index: [] for stream in wanted}
        for packet in self._source.demux(wanted) if wanted else ():
            if not packet.size:
                continue
            waiting = early[packet.stream.index]
            waiting.append(packet)
            if is_cover(packet.stream):
                packet.pts = packet.dts = 0
            if packet.dts is None and len(waiting) < _REORDERED:
                continue  # Matroska does not say when the first frames are decoded
            last = packet.pts if packet.dts is None else packet.dts
            for before, each in enumerate(reversed(waiting)):
                each.dts = last - before * max(packet.duration or 0, 1)
            yield from map(self._shifted, waiting)
            waiting.clear()

    def _shifted(self, packet: Any) -> Any:
        """At the time of the result."""
        begin = round(self._start / packet.time_base)
        packet.dts -= begin
        packet.pts = None if packet.pts is None else packet.pts - begin
        return packet


def _chapters(container: Any) -> list[Any]:
    """Since PyAV 17."""
    return container.chapters() if hasattr(container, "chapters") else []


def _companions(container: Any, film: int) -> list[Any]:
    """Without streams that are made anew, of the titles of chapters and of the timecode."""
    has_chapters = bool(_chapters(container))
    found = [stream for stream in container.streams if stream.index != film and stream.type in _KINDS]
    tags = [(stream, stream.metadata) for stream in found]
    return [
        stream
        for stream, tag in tags
        if stream.type != "data" or not ("timecode" in tag or (has_chapters and tag.get("handler_name") == _CHAPTERS))
    ]


def _called(stream: Any) -> str:
    kind = "cover" if is_cover(stream) else _KINDS[stream.type]
    if stream.metadata.get("handler_name") == _CHAPTERS and stream.type == "data":
        return "chapters"
    if stream.codec_context is None:
        name = stream.metadata.get("filename") or stream.metadata.get("handler_name")
        return f"{kind} {name}" if name else kind
    return f"{_codec(stream)} {kind}"


def _codec(stream: Any) -> str:
    """FFmpeg's name of the codec, not of one of its decoders."""
    return "unknown" if stream.codec_context is None else stream.codec_context.codec.canonical_name
