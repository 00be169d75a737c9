"""Who uses the network of several images that are enhanced at once, each in a thread of its own from file to file.

Threads suit this, for what takes time (codecs, networks) leaves the interpreter to others meanwhile. Networks are
fastest with one core for each image; an image so large that there is no memory for several has all cores to itself.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_PIXELS_PER_CORE = 1 << 14
"""With fewer, threads cost more than they save."""


class Turns:
    """Which images use the network at a time, and with how many cores each.

    Args:
        most: images at once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.cores = torch.get_num_threads()
        self._free, self._users = most, 0
        self._changed = threading.Condition()

    @contextmanager
    def use(self) -> Iterator[None]:
        """A thread that will take a turn; the cores are divided among these."""
        with self._changed:
            self._users += 1
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(self.cores)
            with self._changed:
                self._users -= 1

    @contextmanager
    def turn(self, pixels: int, *, alone: bool) -> Iterator[None]:
        """Wait for the turn of an image of so many pixels, `alone` for one without others."""
        wanted = self.most if alone else 1
        with self._changed:
            while not self._changed.wait_for(lambda: self._free >= wanted, timeout=1):
                pass  # so that it can be interrupted
            self._free -= wanted
            share = 1 if alone else min(self._users, self.most)
        try:
            torch.set_num_threads(max(1, min(self.cores // share, pixels // _PIXELS_PER_CORE)))
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()
