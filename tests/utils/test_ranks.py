import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from powerqe.utils.errors import UserError
from powerqe.utils.log import duration
from powerqe.utils.ranks import Ranks, start_ranks
from powerqe.utils.seed import rng_state, seed_everything, set_rng_state

LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")


def test_without_a_launcher_there_is_one_rank(monkeypatch):
    for name in LAUNCHER:
        monkeypatch.delenv(name, raising=False)
    with start_ranks("cpu") as ranks:
        assert (ranks.rank, ranks.world_size, ranks.is_main) == (0, 1, True)
        assert ranks.gather("x") == ["x"]
        assert ranks.any(True, False) == [True, False]
    assert not torch.distributed.is_initialized()


def test_environment_that_makes_no_sense(monkeypatch):
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(UserError, match="RANK: found 'first'"), start_ranks("cpu"):
        pass


@pytest.mark.parametrize(
    ("variables", "words"),
    [({"WORLD_SIZE": "2"}, "MASTER_PORT"), ({"RANK": "1"}, "WORLD_SIZE")],
)
def test_an_environment_of_several_ranks_that_is_not_whole(monkeypatch, variables, words):
    for name in (*LAUNCHER, "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=words), start_ranks("cpu"):
        pass


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_for_this_rank():
    with pytest.raises(UserError, match="0 are visible"), start_ranks("cuda"):
        pass


def test_only_rank_zero_is_main():
    assert not Ranks(1, 1, 2, torch.device("cpu")).is_main


def draw() -> tuple:
    return random.random(), float(np.random.rand()), float(np.random.randn()), float(torch.rand(()))  # noqa: NPY002


def test_generators_go_on_where_they_were(tmp_path):
    seed_everything(3)
    draw()
    torch.save(rng_state(), tmp_path / "rng.pt")
    first = draw()
    seed_everything(4)
    set_rng_state(torch.load(tmp_path / "rng.pt", weights_only=True))
    assert draw() == first


def test_same_seed_same_numbers_and_another_seed_others():
    seed_everything(3)
    first = draw()
    seed_everything(3)
    assert draw() == first
    seed_everything(4)
    assert draw() != first


def test_format_of_durations():
    assert [duration(s) for s in (0, 59.6, 3723, 360000)] == ["0:00:00", "0:01:00", "1:02:03", "100:00:00"]


@pytest.mark.slow
def test_joining_ends_though_gloo_waits():
    wait = "from powerqe.utils.ranks import _no_endless_wait as limit, _MARGIN\nimport time\n"
    wait += "with limit((0.1 - _MARGIN) / 60): time.sleep(60)"
    done = subprocess.run([sys.executable, "-c", wait], capture_output=True, text=True, timeout=50)
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot form the process group")
    assert done.stderr.count("\n") == 1
