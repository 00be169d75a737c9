"""Two processes that lose each other, with real collectives."""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from powerqe.utils import errors, rank_watch
from powerqe.utils.errors import UserError, command
from powerqe.utils.ranks import start_ranks

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")]


@command
def work(event: str, minutes: float) -> None:
    """What each rank does: rank 1 is lost, slow or fails where they meet."""
    with start_ranks("cpu", minutes) as ranks:
        ranks.advise("the last checkpoint is number 7")
        ranks.barrier()
        print("ready")
        with ranks.together():
            if ranks.rank == 1 and event == "fails":
                raise UserError("no such file")
            if ranks.rank == 1 and event == "slow":
                time.sleep(2)
            elif ranks.rank == 1 and event != "fails":
                os.kill(os.getpid(), getattr(signal, event))
        print(ranks.decided(lambda: f"decided by {ranks.rank}"))


def run_rank(rank: int, port: int, event: str, minutes: float, folder: Path) -> None:
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ.update(place, RANK=str(rank), LOCAL_RANK=str(rank))
    rank_watch.BEAT, rank_watch.QUIET, errors.PATIENCE = 0.1, 0.5, 1.0
    with (folder / f"out{rank}").open("w", 1) as sys.stdout, (folder / f"err{rank}").open("w", 1) as sys.stderr:
        os._exit(work(event, minutes))


@contextmanager
def two_ranks(event: str, minutes: float, folder: Path) -> Iterator[list[Any]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=run_rank, args=(rank, port, event, minutes, folder)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    try:
        yield ranks
    finally:
        for rank in ranks:
            rank.kill()
            rank.join(10)


@pytest.mark.parametrize(
    ("event", "minutes", "number", "status", "words"),
    [
        ("SIGKILL", 5, 0, 2, "error: "),
        ("SIGSTOP", 0.02, 0, 2, "error: "),
        ("SIGSTOP", 5, signal.SIGTERM, 128 + signal.SIGTERM, "interrupted: "),
    ],
)
def test_a_lost_rank_ends_the_other_in_time(tmp_path, event, minutes, number, status, words):
    with two_ranks(event, minutes, tmp_path) as (first, _):
        end = time.monotonic() + 20
        while not (tmp_path / "out0").exists() or not (tmp_path / "out0").read_text():
            assert time.monotonic() < end
            time.sleep(0.05)
        if number:
            time.sleep(0.3)
            os.kill(first.pid, number)
        first.join(10)
        assert first.exitcode == status
    told = (tmp_path / "err0").read_text()
    assert told.startswith(words)
    assert told.count("\n") == 1
    assert "number 7" in told


def test_a_rank_that_is_only_slow_is_waited_for_and_the_first_decides(tmp_path):
    with two_ranks("slow", 0.01, tmp_path) as ranks:
        for rank in ranks:
            rank.join(20)
            assert rank.exitcode == 0
    assert [(tmp_path / f"out{rank}").read_text() for rank in range(2)] == ["ready\ndecided by 0\n"] * 2


def test_what_one_rank_cannot_do_ends_all(tmp_path):
    with two_ranks("fails", 5, tmp_path) as ranks:
        for rank in ranks:
            rank.join(20)
            assert rank.exitcode == 2
    told = [(tmp_path / f"err{rank}").read_text() for rank in range(2)]
    assert all("no such file" in each and "rank 1" in each and each.count("\n") == 1 for each in told)
