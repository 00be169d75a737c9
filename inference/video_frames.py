"""The frames of a video on their way through a network: its windows of them, which pixels it sees, what becomes of all
the others. Reading ahead and writing behind happen in threads, a bounded number of frames away.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import numpy as np
from torch import Tensor

from powerqe.dataset.videos import eight_bits
from powerqe.dataset.windows import FrameWindow, Marked
from powerqe.utils.image.tensors import to_image
from powerqe.utils.video.yuv import Chroma, Depth, Frame, Geometry, from_rgb, to_rgb

T = TypeVar("T")
_END: Any = object()


class Pixels(NamedTuple):
    """Which pixels of a frame a network sees, and a frame with what it makes of them.

    A network of luma gets that, and the chroma stays as it was. A network of RGB gets colors as the data sets convert
    them, so that its pixels are those of `powerqe test`.

    Attributes:
        channels: 1 or 3, of the network. depth: bits of the frames that are made; of those that come, if they have
            more, the rest is rounded away. chroma: of the frames. full: they have the full range.
    """

    channels: int
    depth: Depth
    chroma: Chroma
    full: bool = False

    @property
    def peak(self) -> int:
        """The value that is 1 for the network: 255 steps of 8 bits, however many bits there are."""
        return 255 << (self.depth - 8)

    def taken(self, frame: Frame) -> Frame:
        """The frame with no more bits than can be kept."""
        return Frame(*map(eight_bits, frame)) if self.depth == 8 else frame

    def seen(self, frame: Frame) -> np.ndarray:
        """(C, H, W) in 0 ... `peak`, of a frame that is `taken`."""
        if self.channels == 1:
            return frame.y[None]
        return to_rgb(frame, full=self.full).transpose(2, 0, 1)

    def made(self, result: Tensor, frame: Frame) -> Frame:
        """The frame with the network's result, (1, C, H, W), in its place."""
        if self.channels == 3:
            return from_rgb(to_image(result[0]), self.chroma, full=self.full)
        top = ((1 << self.depth) - 1) / self.peak
        luma = result[0, 0].clamp(0, top).mul(self.peak).round().numpy()
        return Frame(luma.astype(frame.y.dtype), frame.u, frame.v)

    def geometry(self, result: Tensor) -> Geometry:
        """Of the frames that are made."""
        return Geometry(result.shape[-1], result.shape[-2], self.chroma, self.depth)


def windows(items: Iterator[T], window: FrameWindow, peaks: np.ndarray | None) -> Iterator[list[T]]:
    """For each frame of a video the frames that its window has, oldest first, as they come.

    No more frames are kept than windows need: those from the first to the last of one window, at most.

    Args:
        items: the frames, in the order of display.
        peaks: the numbers of the frames of peak quality, ascending; None if the window needs none.
    """
    marked = Marked(1 << 62, (), peaks)
    kept: dict[int, T] = {}
    read = 0
    for frame in count():
        while marked.length > read <= max(window.around(frame, marked)):
            item = next(items, _END)
            if item is _END:
                marked = Marked(read, (), None if peaks is None else peaks[peaks < read])
            else:
                kept[read] = item
                read += 1
        if frame >= marked.length:
            return
        yield [kept[number] for number in window.around(frame, marked)]
        following = window.around(frame + 1, marked)
        kept = {number: item for number, item in kept.items() if number > frame or number in following}


def ahead(items: Iterator[T], number: int) -> Generator[T]:
    """The items, of which a thread gets the next few ready while one is in use; close it if it is not used up."""
    with ThreadPoolExecutor(1, "frames") as thread:
        waiting = deque(thread.submit(next, items, _END) for _ in range(number))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(thread.submit(next, items, _END))
                yield item
        finally:
            for future in waiting:
                future.cancel()


class Behind:
    """A thread that does things in their order, of which a few may wait: use it in a `with` block.

    What it did is done when the block ends; where the block fails, what waits is left undone.
    """

    def __init__(self, number: int) -> None:
        self._thread, self._number = ThreadPoolExecutor(1, "frames"), number
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> "Behind":
        return self

    def do(self, task: Callable[..., Any], *arguments: Any) -> None:
        """Raises what an earlier task raised."""
        if len(self._waiting) >= self._number:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(task, *arguments))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            while kind is None and self._waiting:
                self._waiting.popleft().result()
        finally:
            self._thread.shutdown(cancel_futures=True)
