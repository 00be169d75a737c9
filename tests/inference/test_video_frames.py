"""Windows of frames as they come, and the thread behind the network."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.dataset.windows import Marked, PeakFrames, Sliding
from powerqe.inference.video_frames import WriteQueue, windows


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


def test_what_is_behind_is_done_in_order():
    done = []
    with WriteQueue(2) as queue:
        for number in range(6):
            queue.do(done.append, number)
    assert done == list(range(6))


def test_failures_are_reported_and_waiting_jobs_are_dropped():
    done, queue = [], WriteQueue(3)
    queue.do(time.sleep, 0.05)
    queue.do(done.append, 6)
    queue.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert done == []
    with pytest.raises(ZeroDivisionError), WriteQueue(2) as queue:
        queue.do(lambda: 1 / 0)
