"""Settings of other libraries hold while somebody is inside, and are then as they were."""

import threading
import warnings

import cv2
import pytest
from PIL import Image

from powerqe.utils.image.library_settings import pillow_without_limits, silent_opencv

OPENCV_LOG = getattr(cv2.utils, "logging", cv2)  # of OpenCV 5, of 4


def test_pillow_is_as_before_when_the_last_one_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 77)
    filters = list(warnings.filters)
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with pillow_without_limits:
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with pillow_without_limits:
        thread.start()
        assert entered.wait(10)
    assert Image.MAX_IMAGE_PIXELS is None  # for the other one
    leave.set()
    thread.join(10)
    assert Image.MAX_IMAGE_PIXELS == 77
    assert warnings.filters == filters


def test_settings_come_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 77)
    level = OPENCV_LOG.getLogLevel()

    def fail() -> None:
        with pillow_without_limits, silent_opencv:
            assert OPENCV_LOG.getLogLevel() == 0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert Image.MAX_IMAGE_PIXELS == 77
    assert OPENCV_LOG.getLogLevel() == level
