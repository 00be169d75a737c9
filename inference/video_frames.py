"""The frames of a video on their way through a network: windows of them as they are read, and a thread that
writes behind, a bounded number of frames away.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from powerqe.dataset.windows import FrameWindow, Marked

T = TypeVar("T")
_END: Any = object()


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


class WriteQueue:
    """A thread that does things in their order, of which a few may wait: use it in a `with` block.

    What it did is done when the block ends; where the block fails, what waits is left undone.
    """

    def __init__(self, number: int) -> None:
        self._thread, self._number = ThreadPoolExecutor(1, "frames"), number
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> "WriteQueue":
        return self

    def do(self, task: Callable[..., Any], *arguments: Any) -> None:
        """Raises what an earlier task raised."""
        self.wait(self._number - 1)
        self._waiting.append(self._thread.submit(task, *arguments))

    def wait(self, number: int = 0) -> None:
        """Until so many tasks are left. Raises what one of the others raised."""
        while len(self._waiting) > number:
            self._waiting.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._thread.shutdown(cancel_futures=True)
