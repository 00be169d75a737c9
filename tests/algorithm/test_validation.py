"""What is saved before a validation, and the best checkpoint as the best of the run that goes on."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from powerqe.algorithm import trainer as trainers
from powerqe.algorithm import updates
from powerqe.algorithm.experiment import Experiment, find_resume, is_judged_alike
from powerqe.algorithm.trainer import Trainer
from powerqe.net.arcnn import ARCNN
from powerqe.utils.checkpoint import load_checkpoint
from powerqe.utils.errors import UserError
from powerqe.utils.options.tree import load_options
from powerqe.utils.ranks import Ranks

ALONE = Ranks(0, 0, 1, torch.device("cpu"))
FOLDER = Path("exp/tiny-c")
NO_BASELINE = "train.if_test_baseline=false"
ALLOW = "train.load_state.if_allow_change=true"


@pytest.fixture(autouse=True)
def _in_folder(pairs, monkeypatch):
    monkeypatch.chdir(pairs)


@pytest.fixture
def go(opt):
    """Train with overrides, as the command does."""

    def train(*overrides: str, until: int | None = None, resume: str = "never") -> Trainer:
        options = load_options(opt, overrides=[NO_BASELINE, *overrides])
        found = find_resume(options, resume)
        trainer = Trainer(options, ALONE, resumes=found is not None)
        if found:
            trainer.load_state(found.state)
        experiment = Experiment(options, trainer.step, is_main=True)
        try:
            trainer.run(experiment, until)
        finally:
            experiment.close()
        return trainer

    return train


@pytest.fixture
def judged(monkeypatch) -> dict[int, float]:
    """The value of each validation by its iteration, to be set by a test; 20 where it is not."""
    values: dict[int, float] = {}

    def validate(self: Trainer, network: nn.Module | None) -> dict[str, float]:
        return dict.fromkeys(self._validation.metrics.names, values.get(self.step, 20.0))

    monkeypatch.setattr(Trainer, "_validate", validate)
    return values


def best() -> tuple[int, float]:
    """Iteration and value of ckp-best.pt; those that ckp-last.pt has are the same."""
    found, last = (load_checkpoint(FOLDER / f"ckp-{name}.pt") for name in ("best", "last"))
    assert found["iter"] in last["best"]["iters"]
    assert found["best"]["value"] == last["best"]["value"]
    return found["iter"], found["best"]["value"]


def grow(self: nn.Module, x: Tensor) -> Tensor:
    """As a network that takes patches, and whole images not."""
    if x.shape[-1] > 16:
        torch.empty(1 << 50, dtype=torch.uint8)
    return x + self.layers(x)


def test_a_validation_that_fails_costs_no_iteration(go, monkeypatch):
    forward, seen = ARCNN.forward, 0

    def grown(self: ARCNN, x: Tensor) -> Tensor:
        nonlocal seen
        seen += x.shape[-1] > 16
        return grow(self, x) if seen > 1 else forward(self, x)  # the trial before the training finds memory

    monkeypatch.setattr(ARCNN, "forward", grown)
    with pytest.raises(UserError, match=r"56 x 48.*val\.tile"):
        go()
    saved = load_checkpoint(FOLDER / "ckp-last.pt")
    assert (saved["iter"], saved["best"]["iters"]) == (4, [])
    monkeypatch.setattr(ARCNN, "forward", forward)
    go(resume="auto", until=5)
    assert load_checkpoint(FOLDER / "ckp-4.pt")["judged"] == 4  # when there was memory
    assert best()[0] in (4, 5)


def test_the_baseline_tries_the_largest_image(go, monkeypatch):
    monkeypatch.setattr(ARCNN, "forward", grow)
    with pytest.raises(UserError, match=r"56 x 48.*val\.tile"):
        go("train.if_test_baseline=true")
    assert not any(FOLDER.glob("ckp-*"))


def test_a_stop_is_heard_between_two_images_and_the_network_is_judged_after_resuming(go, monkeypatch):
    seen = 0
    forward = ARCNN.forward

    def stopped(self: ARCNN, x: Tensor) -> Tensor:
        nonlocal seen
        if x.shape[-1] == 56:
            seen += 1
            running.received = seen > 1
        return forward(self, x)

    class Signals(trainers.StopSignals):
        def __init__(self) -> None:
            nonlocal running
            super().__init__()
            running = self

    running = trainers.StopSignals()
    monkeypatch.setattr(trainers, "StopSignals", Signals)
    monkeypatch.setattr(ARCNN, "forward", stopped)
    go("dataset.val.slice=[0, 8]")
    assert seen == 2  # the first image, and the trial before the training
    saved = load_checkpoint(FOLDER / "ckp-last.pt")
    assert (saved["iter"], saved["best"]["iters"]) == (4, [])
    monkeypatch.setattr(ARCNN, "forward", forward)
    go("dataset.val.slice=[0, 8]", resume="auto", until=4)
    assert best()[0] == 4


@pytest.mark.parametrize(
    "change",
    [
        "val.criterion={SSIM: {}}",
        "val.criterion={PSNR: {channel: y}}",
        "val.self_ensemble=true",
        "dataset.val.slice=[5, 7]",
    ],
)
def test_another_judge_knows_nothing_of_earlier_values(go, judged, change):
    judged[4] = 40.0
    go(until=4)
    assert best() == (4, 40.0)
    judged[4], judged[8] = 10.0, 11.0
    go(change, resume="auto")
    assert best() == (8, 11.0)


def test_the_same_judge_remembers(go, judged):
    judged[4] = 40.0
    go(until=4)
    judged[4] = 0.0  # not judged again
    go("val.tile={size: 16}", "train.inter_val=3", resume="auto")
    assert best() == (4, 40.0)


def test_the_future_of_an_older_checkpoint_is_forgotten(go, judged):
    judged |= {2: 30.0, 4: 25.0, 6: 50.0, 8: 60.0}
    go("train.inter_val=2", "train.keep_ckp=null")
    assert best() == (8, 60.0)
    older = "train.load_state={if_load: true, ckp_load_path: exp/tiny-c/ckp-4.pt}"
    go("train.inter_val=2", "train.keep_ckp=2", older, until=5)
    assert best() == (2, 30.0)
    assert {path.name for path in FOLDER.glob("ckp-*.pt")} == {
        *(f"ckp-{name}.pt" for name in (4, 5, "last", "best", "6.old", "8.old"))
    }


def test_a_best_that_is_gone_is_not_claimed(go, judged):
    judged |= {2: 30.0, 4: 25.0, 6: 50.0, 8: 60.0}
    go("train.inter_val=2", "train.keep_ckp=null")
    (FOLDER / "ckp-2.pt").unlink()
    go("train.inter_val=2", "train.load_state={if_load: true, ckp_load_path: exp/tiny-c/ckp-4.pt}", until=5)
    assert best() == (4, 25.0)


def test_past_a_damaged_checkpoint(go, judged):
    judged |= {4: 30.0, 8: 40.0}
    go()
    for name in ("last", "8"):  # one file, which is ckp-best.pt, too
        (FOLDER / f"ckp-{name}.pt").write_bytes(b"damaged")
    judged[5] = 10.0
    go(resume="auto", until=5)
    assert best() == (4, 30.0)


def test_killed_between_checkpoint_and_best(go, judged, monkeypatch):
    judged |= {4: 30.0, 8: 40.0}
    go(until=4)
    before = (FOLDER / "ckp-best.pt").read_bytes()
    go(resume="auto")
    (FOLDER / "ckp-best.pt").unlink()
    (FOLDER / "ckp-best.pt").write_bytes(before)
    go("train.niter=9", ALLOW, resume="auto")
    assert best() == (8, 40.0)


@pytest.mark.parametrize("options", [{}, {"val": None}, {"val": {"criterion": []}}])
def test_old_options_that_are_no_more_judged_otherwise(opt, options):
    assert not is_judged_alike(options, load_options(opt))


def test_a_best_of_another_program_is_not_the_best(go, judged):
    judged[4] = 30.0
    go(until=4)
    torch.save({"format": 1, "iter": 4}, FOLDER / "new.pt")
    (FOLDER / "new.pt").replace(FOLDER / "ckp-best.pt")
    go(resume="auto", until=5)
    assert best() == (4, 30.0)


def test_without_validation_the_newest_is_the_best(go):
    go("dataset.val=null", "train.inter_val=2")
    go("dataset.val=null", "train.load_state={if_load: true, ckp_load_path: exp/tiny-c/ckp-4.pt}", until=4)
    assert load_checkpoint(FOLDER / "ckp-best.pt")["iter"] == 4


@pytest.mark.parametrize("amp", ["none", "fp16"])
def test_a_training_that_only_skips_gives_up(go, monkeypatch, amp):
    monkeypatch.setattr(updates, "MOST_SKIPS", 5)
    explode = ["algorithm.optimizer={type: SGD, lr: 1.0e+30}", "train.nonfinite=skip", "train.niter=100"]
    with pytest.raises(UserError, match=r"iteration [67], .* 5 updates in a row"):
        go(*explode, f"train.amp={amp}", "train.inter_val=50")
