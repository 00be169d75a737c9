"""Settings of Pillow, OpenCV and `warnings` that hold while an image is read or written, and no longer."""

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import cv2
from PIL import Image, PngImagePlugin

from powerqe.utils.image.png import LARGEST_TEXT


class _Shared:
    """A context manager in force as long as any thread is inside, for its setting is that of the process."""

    def __init__(self, setting: Callable[[], AbstractContextManager[None]]) -> None:
        self._setting = setting
        self._forget()
        if hasattr(os, "register_at_fork"):  # the threads that are inside do not come along
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._current = self._setting()
                self._current.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._current.__exit__(None, None, None)


@contextmanager
def _any_size() -> Iterator[None]:
    largest, text = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = None, LARGEST_TEXT
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = largest, text


@contextmanager
def _silent() -> Iterator[None]:
    logging: Any = getattr(cv2.utils, "logging", cv2)  # of OpenCV 5, of 4
    set_level = logging.setLogLevel
    level = set_level(0)
    try:
        yield
    finally:
        set_level(level)


pillow_without_limits = _Shared(_any_size)
"""Pillow opens images of any size, instead of at most 180 million pixels, with texts and profiles of `LARGEST_TEXT`
bytes, and does not warn of damaged metadata."""

silent_opencv = _Shared(_silent)
"""OpenCV does not print errors of images to the terminal: a `UserError` has them."""
