import time

import pytest
import torch

from powerqe.net.measure import clock

CPU = torch.device("cpu")


class Clock:
    """Time that passes in calls only: the first takes longer, as one that warms up does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *seconds: float) -> None:
        self.now, self.calls, self.seconds = 0.0, 0, seconds
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def __call__(self) -> None:
        self.now += self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1


def test_the_median_without_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    call = Clock(monkeypatch, 9.0, 0.1, 0.5, 0.2)
    assert clock.timed(call, CPU, runs=3) == (pytest.approx(200), 3)
    assert call.calls == 4


@pytest.mark.parametrize(("seconds", "runs"), [(0.001, 100), (0.1, 10), (0.3, 3), (4.0, 1)])
def test_about_a_second_of_runs(seconds: float, runs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Clock(monkeypatch, seconds)
    assert clock.timed(call, CPU) == (pytest.approx(1e3 * seconds), runs)
    assert call.calls == runs + 1
