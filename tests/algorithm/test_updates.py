"""Updates that leave out what is not finite, and how seldom the host waits for the device."""

import os
import threading
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from powerqe.algorithm import updates
from powerqe.algorithm.phase import Phase
from powerqe.algorithm.trainer import Trainer
from powerqe.algorithm.updates import Updates
from powerqe.net.arcnn import ARCNN
from powerqe.utils.errors import UserError
from powerqe.utils.options.tree import Options, TrainOptions, load_options
from powerqe.utils.ranks import Ranks

CPU = torch.device("cpu")
ALONE = Ranks(0, 0, 1, CPU)
READS = ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__float__", "__int__", "__index__")
FUSED = {"Adam", "SGD"}


@pytest.fixture
def reads(monkeypatch) -> Counter[str]:
    """How often this thread reads tensors, by their method. On a GPU each would wait for all work before it."""
    counts: Counter[str] = Counter()
    thread = threading.get_ident()

    def counted(name: str) -> Any:
        method = getattr(Tensor, name)

        def read(self: Tensor, *arguments: Any) -> Any:
            counts[name] += threading.get_ident() == thread
            return method(self, *arguments)

        return read

    for name in READS:
        monkeypatch.setattr(Tensor, name, counted(name))
    return counts


GAN = (
    "algorithm={type: RelativisticGAN, loss: {Charbonnier: {}}, discriminator: {type: VGGDiscriminator, "
    "num_features: 2, hidden_features: 4, patch_size: [32, 32]}}"
)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["train.amp=fp16", "train.clip_grad=1", "train.real_bs_pg=4"],
        ["algorithm.optimizer={type: SGD}"],
        [GAN, "dataset.train.patch=32"],
        ["algorithm={type: MultiExit}", "network={type: RBQE, num_features: 2}", "dataset.train.lq=qf10"],
        ["network={type: DRUNet, widths: [2, 4], num_blocks: 1}", "algorithm.loss={SSIM: {}, FFT: {}, PSNR: {}}"],
    ],
    ids=["Adam", "fp16", "SGD", "GAN", "MultiExit", "DRUNet"],
)
def test_the_host_reads_nothing_of_the_device_in_most_iterations(opt, pairs, monkeypatch, reads, overrides):
    monkeypatch.chdir(pairs)
    monkeypatch.setattr(updates, "SLOW", 60)
    (pairs / "qf10").symlink_to("lq")
    trainer = Trainer(load_options(opt, overrides=["dataset.val=null", "train.niter=100", *overrides]), ALONE)
    batches = trainer._batches()

    def iterate(count: int) -> None:
        for _ in range(count):
            trainer._iterate(batches)
            trainer._updates.check(trainer.step, now=False, stop=False)

    iterate(2)  # the first update of an optimizer, and of the average, is looked at
    is_host_check = "DRUNet" in str(overrides)  # whose check of the quality is done where it costs nothing
    reads.clear()
    iterate(updates.EVERY)
    assert reads == {"tolist": 1, **({"__bool__": updates.EVERY} if is_host_check else {})}


def phase_of(kind: str, parameter: Tensor, **arguments: Any) -> Phase:
    fused = {"fused": True} if kind in FUSED else {}
    optimizer = getattr(torch.optim, kind)([parameter], lr=0.1, **fused, **arguments)
    return Phase("net", torch.nn.Identity(), lambda batch: pytest.fail("no loss"), optimizer, lambda step: 1.0)


@pytest.mark.parametrize("bad", ["gradient", "loss"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["Adam", "SGD", "RMSprop"])
def test_an_update_that_is_not_finite_changes_nothing(kind, first, bad):
    """Weights and state go on as if there had been no such update."""
    arguments = {"momentum": 0.9} if kind == "SGD" else {}
    ends = []
    for losses in (["good"] * 3, ["good", "bad", "good", "good"] if not first else ["bad", "good", "good", "good"]):
        parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        phase = phase_of(kind, parameter, **arguments)
        made = Updates(TrainOptions(nonfinite="skip"), ALONE)
        for number, kind_of_loss in enumerate(losses):
            scale = 1.0 if kind_of_loss == "good" else float("inf")
            loss = (scale * parameter).sum() if bad == "gradient" else parameter.sum() + (0 if scale == 1.0 else scale)
            made.backward(loss if kind_of_loss == "bad" else parameter.square().sum(), 1)
            made.apply(phase, loss.detach(), "a, b", number + 1)
        made.check(len(losses), now=True, stop=False)
        state = [value for value in phase.optimizer.state[parameter].values() if value is not None]
        ends.append([parameter.detach(), *state])
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one, other)


def test_what_was_left_out_is_told_with_its_own_iteration_and_images(caplog):
    parameter = torch.nn.Parameter(torch.ones(2))
    phase, made = phase_of("Adam", parameter), Updates(TrainOptions(nonfinite="skip"), ALONE)
    for number in range(1, 6):
        factor = float("nan") if number == 3 else 1.0
        made.backward((factor * parameter).sum(), 1)
        made.apply(phase, torch.tensor(factor), f"image {number}", number)
    with caplog.at_level("INFO", "powerqe"):
        made.check(5, now=True, stop=False)
    (line,) = caplog.messages
    assert "iteration 3, net" in line
    assert "image 3)" in line


class Other(Ranks):
    """One of two ranks; `others` are the flags of the other one."""

    others: tuple[bool, ...] = ()

    def any(self, *flags: bool) -> list[bool]:
        return [mine or other for mine, other in zip(flags, (*self.others, *[False] * len(flags)), strict=False)]


@pytest.mark.parametrize(("nonfinite", "fails"), [("stop", True), ("skip", False)])
def test_a_loss_that_is_not_finite_on_another_rank_counts_here_too(nonfinite, fails, caplog):
    ranks = Other(0, 0, 2, CPU)
    Other.others = (False, False, True)  # stop, slow, the first update
    parameter = torch.nn.Parameter(torch.ones(2))
    made = Updates(TrainOptions(nonfinite=nonfinite), ranks)
    made.backward(parameter.sum(), 1)
    made.apply(phase_of("Adam", parameter), torch.tensor(2.0), "here", 1)
    if fails:
        with pytest.raises(UserError, match=r"iteration 1, .*here.*not finite"):
            made.check(1, now=False, stop=False)
        return
    with caplog.at_level("INFO", "powerqe"):
        assert not made.check(1, now=False, stop=False)
    assert "update skipped" in caplog.text


@pytest.mark.parametrize(("world_size", "stops"), [(1, 1), (2, 1 + updates.EVERY)])
def test_all_ranks_stop_at_the_same_look(monkeypatch, world_size, stops):
    """The first look is after the first iteration, so a signal in the second waits for the next one."""
    monkeypatch.setattr(updates, "SLOW", 60)
    parameter = torch.nn.Parameter(torch.ones(2))
    phase, ranks = phase_of("Adam", parameter), (Other if world_size == 2 else Ranks)(0, 0, world_size, CPU)
    Other.others = ()
    made = Updates(TrainOptions(), ranks)
    for step in range(1, 40):
        made.backward(parameter.sum(), 1)
        made.apply(phase, torch.tensor(2.0), "", step)
        if made.check(step, now=False, stop=step >= (1 if world_size == 1 else 2)):
            break
    assert step == stops


def test_slow_iterations_are_looked_at_one_by_one(monkeypatch):
    monkeypatch.setattr(updates, "SLOW", 0)
    parameter = torch.nn.Parameter(torch.ones(2))
    phase, made = phase_of("Adam", parameter), Updates(TrainOptions(), Other(0, 0, 2, CPU))
    Other.others = ()
    for step in (1, 2):
        made.backward(parameter.sum(), 1)
        made.apply(phase, torch.tensor(2.0), "", step)
        assert made.check(step, now=False, stop=step == 2) == (step == 2)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], {True}),
        (["dataset.train.patch=null", "dataset.train.bs_pg=1"], {False}),
        (["train.deterministic=true"], {False}),
    ],
)
def test_cudnn_searches_in_training_steps_on_crops_alone(opt, pairs, monkeypatch, overrides, expected):
    monkeypatch.chdir(pairs)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    seen: dict[bool, set[bool]] = {True: set(), False: set()}
    forward = ARCNN.forward

    def watched(self: ARCNN, x: Tensor) -> Tensor:
        seen[self.training].add(torch.backends.cudnn.benchmark)
        return forward(self, x)

    options: Options = load_options(opt, overrides=["train.niter=2", "train.inter_val=1", *overrides])
    trainer = Trainer(options, ALONE)
    monkeypatch.setattr(ARCNN, "forward", watched)
    try:
        trainer.run(None)
        assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == options.train.deterministic
        assert torch.are_deterministic_algorithms_enabled() == options.train.deterministic
    finally:
        torch.use_deterministic_algorithms(False)
    assert seen == {True: expected, False: {False}}
    assert not torch.backends.cudnn.benchmark
