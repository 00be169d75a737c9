"""Work divided among machines and ranks: every item once, evenly, and nothing but numbers that make sense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.utils.errors import UserError
from powerqe.utils.launcher import Place
from powerqe.utils.shards import Part, Shard, deal, parse_shard, part_here, shard_of_environment

SLURM = {"SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "1"}
KUBERNETES = {"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "3"}


@given(st.lists(st.integers(0, 100), max_size=20), st.integers(1, 5))
def test_everything_is_dealt_once_and_evenly(costs, hands):
    dealt = deal(costs, hands)
    assert sorted(number for hand in dealt for number in hand) == list(range(len(costs)))
    loads = [sum(costs[number] for number in hand) for hand in dealt]
    assert max(loads) - min(loads) <= max(costs, default=0)


def test_the_dearest_come_first():
    assert deal([1, 5, 2, 4], 2) == [[1, 0], [3, 2]]


@given(st.lists(st.integers(1, 100), max_size=20), st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_machines_may_have_different_numbers_of_ranks(costs, ranks):
    parts = [
        Part(Shard(index, len(ranks)), Place(rank, rank, count)).of(costs)
        for index, count in enumerate(ranks)
        for rank in range(count)
    ]
    assert sorted(number for part in parts for number in part) == list(range(len(costs)))


@pytest.mark.parametrize(
    "text", ["4/3", "3/3", "0/0", "-1/3", "a/b", "1", "1/", "/3", "1/3/5", "1 / 3", "1.0/3", "", "²/3"]
)
def test_no_such_shard(text):
    with pytest.raises(UserError):
        parse_shard(text)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({**SLURM, "SLURM_ARRAY_TASK_ID": "1"}, (0, 3)),
        ({**SLURM, "SLURM_ARRAY_TASK_ID": "3"}, (2, 3)),
        ({"SLURM_ARRAY_TASK_ID": "8", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "0",
          "SLURM_ARRAY_TASK_STEP": "4"}, (2, 4)),
        ({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "1", "SLURM_ARRAY_TASK_MIN": "7"}, (0, 1)),
        (KUBERNETES, (2, 3)),
        ({**KUBERNETES, **SLURM, "SLURM_ARRAY_TASK_ID": "1"}, (0, 3)),
    ],
)  # fmt: skip
def test_shard_of_the_environment(environment, expected):
    found = shard_of_environment(environment)
    assert (found and (found.index, found.count)) == expected


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({**SLURM, "SLURM_ARRAY_TASK_ID": "7"}, "SLURM_ARRAY_TASK_ID"),  # --array=1,3,7
        ({**SLURM, "SLURM_ARRAY_TASK_ID": "x"}, "SLURM_ARRAY_TASK_ID"),
        ({"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_COUNT"),
        ({"JOB_COMPLETION_INDEX": "2"}, "JOB_COMPLETIONS"),
        ({**KUBERNETES, "JOB_COMPLETIONS": "2"}, "JOB_COMPLETIONS"),
        ({**KUBERNETES, "JOB_COMPLETIONS": "many"}, "JOB_COMPLETIONS"),
    ],
)
def test_environment_that_makes_no_sense(environment, name):
    with pytest.raises(UserError, match=f"{name}.*--shard"):
        shard_of_environment(environment)


def test_ranks_in_several_pods_share_the_work_themselves(monkeypatch):
    for name, value in {
        **KUBERNETES,
        "WORLD_SIZE": "4",
        "LOCAL_WORLD_SIZE": "2",
        "RANK": "3",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    assert part_here(None).shard.count == 1
    assert part_here(parse_shard("1/2")).of([1.0] * 8) == [7]
