"""The attacks notice what they are to notice: crashes, hangs, tracebacks, leftovers, files outside, other weights."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from powerqe.benchmarks.attacks import inputs
from powerqe.benchmarks.attacks.damage import changed, damaged
from powerqe.benchmarks.attacks.inputs import Verdict, run_command, try_all
from powerqe.benchmarks.attacks.tally import Tally
from powerqe.benchmarks.attacks.training import Calls, is_exact
from powerqe.utils.checkpoint import save_checkpoint
from powerqe.utils.errors import UserError

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux")


def refuse() -> None:
    raise UserError("no")


def case(number: int, place: Path, log: Path) -> Verdict:
    (place / "mine").write_text("x")
    actions = (
        lambda: None,
        refuse,
        lambda: {}["defect"],
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        lambda: time.sleep(60),
        lambda: (place / "../../x").write_text("x"),
        lambda: (place / ".a.123.tmp.pt").write_text("x"),
        lambda: Path(os.environ["TMPDIR"], "x").write_text("x"),
        lambda: run_command(lambda: 0, log),
    )
    done = actions[number]()
    return done if isinstance(done, Verdict) else Verdict("read")


@linux
@pytest.mark.slow
def test_what_becomes_of_cases_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "SECONDS", 2.0)
    tally = Tally("all")
    try_all(tally, 9, case, tmp_path)
    wanted = {"tried": 9, "read": 5, "refused": 1, "tracebacks": 2, "hangs": 1, "outside": 1, "leftovers": 2}
    assert tally.counts == wanted
    assert len(tally.findings) == 6
    assert {line.split(":")[0] for line in tally.findings} <= {f"all, case {number}" for number in range(2, 8)}
    assert not tally.is_good


@linux
def test_verdicts_on_commands(tmp_path: Path) -> None:
    def command(status: int, *lines: str) -> str:
        def task() -> int:
            with (tmp_path / "log").open("a") as log:
                log.writelines(f"{line}\n" for line in lines)
            return status

        return run_command(task, tmp_path / "log").word

    (tmp_path / "log").write_text("error: of another case\n")
    assert [command(0, "done"), command(2, "error: no"), command(1, "a", "error: no")] == ["read", "refused", "refused"]
    assert {command(2), command(0, "error: no"), command(2, "error: a", "error: b"), command(3)} == {"tracebacks"}


def test_trainings_are_compared_bit_by_bit(tmp_path: Path) -> None:
    state = {"iter": 6, "samples": 12, "ema": None, "optimizers": {}, "rng": [[1, 2]], "best": {"value": 1.0}}
    for name, value in (("one", 1.0), ("same", 1.0), ("other", 1.0000001)):
        networks = {"net": {"w": torch.tensor([value])}}
        save_checkpoint(state | {"networks": networks}, tmp_path / name / "exp/tiny-c/ckp-last.pt")
    assert is_exact(tmp_path / "same", tmp_path / "one") == ""
    assert is_exact(tmp_path / "other", tmp_path / "one") == "networks"
    assert "nowhere" in is_exact(tmp_path / "nowhere", tmp_path / "one")


def test_calls_are_the_same_each_time() -> None:
    found = []
    with Calls(3, lambda: found.append(len(seen))) as calls:
        seen: list[int] = []
        for number in range(5):
            seen.append(number)
    assert found == [2]
    assert calls.count >= 5


def test_damages_are_the_same_each_time() -> None:
    data = bytes(range(256)) * 9
    first, again, other = (damaged(data, random.Random(seed)) for seed in (1, 1, 2))
    assert first == again != other
    trees = [{"a": [1, {"b": 2}]} for _ in range(2)]
    for tree in trees:
        changed(tree, (7, "x"), random.Random(3))
    assert trees[0] == trees[1] != {"a": [1, {"b": 2}]}
