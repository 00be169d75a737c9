"""Windows of frames as they come, and the threads before and behind the network."""

import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from powerqe.dataset.windows import Marked, PeakFrames, Sliding
from powerqe.inference.video_frames import Behind, Pixels, ahead, windows
from powerqe.utils.image.tensors import to_image
from powerqe.utils.video.yuv import Frame, Geometry, from_rgb, to_rgb


@given(st.integers(0, 12), st.integers(0, 4))
def test_windows_are_those_of_the_data_set(length, radius):
    window = Sliding(radius=radius)
    marked = Marked(length, range(length))
    found = list(windows(iter(range(length)), window, None))
    assert found == [list(window.around(frame, marked)) for frame in range(length)]


@given(st.integers(1, 14), st.sets(st.integers(0, 17), min_size=1))
def test_windows_of_peaks_are_those_of_the_data_set(length, peaks):
    """Also if more frames were counted than there are."""
    marked = Marked(length, range(length), np.array(sorted(peak for peak in peaks if peak < length), int))
    window = PeakFrames()
    found = list(windows(iter(range(length)), window, np.array(sorted(peaks))))
    assert found == [list(window.around(frame, marked)) for frame in range(length)]


def test_no_more_frames_are_read_than_a_window_needs():
    read = []
    frames = (read.append(number) or number for number in range(20))
    for number, _ in enumerate(windows(frames, Sliding(radius=2), None)):
        assert len(read) == min(number + 3, 20)


def test_some_items_are_ready_and_no_more():
    made = []
    items = ahead((made.append(number) or number for number in range(9)), 2)
    assert next(items) == 0
    time.sleep(0.05)
    assert made == [0, 1, 2]
    assert list(items) == list(range(1, 9))
    assert list(ahead(iter(()), 2)) == []


def test_an_error_comes_in_its_place_and_closing_ends_the_thread():
    def items():
        yield 1
        raise ValueError("second")

    found = ahead(items(), 3)
    assert next(found) == 1
    with pytest.raises(ValueError, match="second"):
        next(found)
    endless = ahead(iter(lambda: 0, 1), 2)
    next(endless)
    endless.close()
    assert not any(thread.name.startswith("frames") for thread in threading.enumerate())


def test_what_is_behind_is_done_in_order():
    done = []
    with Behind(2) as behind:
        for number in range(6):
            behind.do(done.append, number)
    assert done == list(range(6))


def test_what_failed_is_said_and_what_waits_is_left_undone():
    done, behind = [], Behind(3)
    behind.do(time.sleep, 0.05)
    behind.do(done.append, 6)
    behind.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert done == []
    with pytest.raises(ZeroDivisionError), Behind(2) as behind:
        behind.do(lambda: 1 / 0)


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("chroma", ["420", "444"])
def test_luma_takes_its_place_and_the_rest_stays(frames, depth, chroma):
    (frame,) = frames(Geometry(16, 8, chroma, depth), 1)
    pixels = Pixels(1, depth, chroma)
    seen = torch.from_numpy(pixels.seen(frame).astype(np.float32))[None] / pixels.peak
    assert all(map(np.array_equal, pixels.made(seen, frame), frame))
    made = pixels.made(seen + 2, frame)
    assert (made.y == (1 << depth) - 1).all()
    assert made.y.dtype == frame.y.dtype
    if depth == 8:
        changed = seen + 0.1 * torch.randn(seen.shape, generator=torch.Generator().manual_seed(0))
        assert np.array_equal(pixels.made(changed, frame).y, to_image(changed[0])[..., 0])


def test_ten_bits_are_finer_steps_of_the_same_brightness(frames):
    (frame,) = frames(Geometry(16, 8), 1)
    fine = Frame(*(plane.astype(np.uint16) << 2 for plane in frame))
    coarse, finer = Pixels(1, 8, "420"), Pixels(1, 10, "420")
    assert np.array_equal(finer.seen(fine) / finer.peak, coarse.seen(frame) / coarse.peak)
    assert all(map(np.array_equal, coarse.taken(fine), frame))
    assert finer.taken(fine) is fine


@pytest.mark.parametrize("full", [False, True])
def test_colors_go_to_and_from_rgb(frames, full):
    (frame,) = frames(Geometry(16, 8), 1)
    pixels = Pixels(3, 8, "420", full)
    seen = pixels.seen(frame)
    assert np.array_equal(seen.transpose(1, 2, 0), to_rgb(frame, full=full))
    made = pixels.made(torch.from_numpy(seen / np.float32(255))[None], frame)
    assert all(map(np.array_equal, made, from_rgb(to_rgb(frame, full=full), full=full)))
    double = torch.zeros(1, 3, 16, 32)
    assert pixels.geometry(double) == Geometry(32, 16)
