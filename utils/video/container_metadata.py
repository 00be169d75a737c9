"""What a video file has besides its frames: time stamps, the shape of pixels, rotation, sound, subtitles, its title."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

_KINDS = {"audio": "sound", "subtitle": "subtitles"}
_OF_THE_FORMAT = ("major_brand", "minor_version", "compatible_brands", "encoder")
"""Tags on the writing of the file, not on its content."""


class ContainerMetadata(NamedTuple):
    """What is kept when the frames of a file change.

    time_base: seconds of a step of time stamps; None: one frame. aspect: width / height of a pixel; None: unknown.
    matrix: how players are to turn the frames: FFmpeg's display matrix. source: the file, of which sound and the like
    are copied; None: nothing is. others: what there is to copy, such as "aac sound".
    """

    time_base: Fraction | None = None
    aspect: Fraction | None = None
    matrix: tuple[int, ...] | None = None
    source: Path | None = None
    others: tuple[str, ...] = ()


def other_streams(container: Any) -> tuple[str, ...]:
    """Sound and subtitles of a file that PyAV has opened, in words."""
    return tuple(_called(stream) for stream in _companions(container))


class StreamCopier:
    """Copies sound and subtitles, as they are, into a file that is written.

    Args:
        av: the module.
        source: the file that has them; None: there are none.
        container: that is written, before its first packet.

    Attributes:
        left_out: what the container does not take, in words. damaged: what could not be copied to its end.
    """

    def __init__(self, av: Any, source: Path | None, container: Any) -> None:
        self.left_out: list[str] = []
        self.damaged: list[str] = []
        self._error, self._target = av.FFmpegError, container
        self._source = None if source is None else av.open(str(source))
        self._streams: dict[int, Any] = {}
        if self._source is None:
            return
        kept = {key: value for key, value in self._source.metadata.items() if key not in _OF_THE_FORMAT}
        container.metadata.update(kept)
        for stream in _companions(self._source):
            if _codec(stream) in container.supported_codecs:
                self._streams[stream.index] = container.add_stream_from_template(stream)
                self._streams[stream.index].metadata.update(stream.metadata)
            else:
                self.left_out.append(f"its {_called(stream)}, which the format cannot hold")
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
            except self._error as error:
                self.damaged.append(f"the end of its sound, which is damaged ({error.strerror})")
                self._next = None

    def close(self) -> None:
        if self._source is not None:
            self._source.close()

    def _demuxed(self) -> Iterator[Any]:
        assert self._source is not None
        wanted = [stream for stream in _companions(self._source) if stream.index in self._streams]
        for packet in self._source.demux(wanted) if wanted else ():
            if packet.dts is not None and packet.size:
                yield packet


def _companions(container: Any) -> list[Any]:
    return [stream for stream in container.streams if stream.type in _KINDS]


def _called(stream: Any) -> str:
    return f"{_codec(stream)} {_KINDS[stream.type]}"


def _codec(stream: Any) -> str:
    """FFmpeg's name of the codec, not of one of its decoders."""
    return "unknown" if stream.codec_context is None else stream.codec_context.codec.canonical_name
