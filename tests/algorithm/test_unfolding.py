"""algorithm/unfolding.py: losses by hand, which recursions learn, exact resuming, and the non-local module alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.algorithm.experiment import Experiment, find_resume
from powerqe.algorithm.phase import Setting
from powerqe.algorithm.trainer import Trainer
from powerqe.algorithm.unfolding import DeblockPretraining, Unfolding, blurred, enlarged_share
from powerqe.net import build_network, save_weights
from powerqe.net.non_local_deblock import NonLocalDeblock
from powerqe.utils.checkpoint import load_checkpoint
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import build, validate_component
from powerqe.utils.options.tree import load_options
from powerqe.utils.ranks import Ranks

CPU = torch.device("cpu")
ALONE = Ranks(0, 0, 1, CPU)
NETWORK = {"type": "CISRPSI", "num_features": 4, "num_groups": (1, 1), "num_blocks": 1, "reduction": 2}
SMALL = [
    "network={type: CISRPSI, num_features: 4, num_groups: [1, 1], num_blocks: 1, reduction: 2}",
    "algorithm={type: Unfolding, optimizer: {type: Adam, lr: 1.0e-3}}",
    "dataset={val: {type: DownSampledImages, gt: gt, scale: 2, slice: [6, 7]}, train: {type: DownSampledImages, gt: gt,"
    " scale: 2, patch: 6, bs_pg: 2, nworker_pg: 0, codecs: [{codec: {type: JPEG}, quality: [10, 50]}]}}",
]


def make(recursions: int = 3, niter: int = 100, **options: Any) -> Unfolding:
    torch.manual_seed(0)
    spec = validate_component("algorithm", {"type": "Unfolding", **options})
    network = build_network({**NETWORK, "recursions": recursions})
    return build(spec, network, Setting(niter, CPU, lambda network: network))


def batch(seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(2, 2, 3, 6, 7, generator=generator)
    return {"lq": small[0], "clean": small[1], "gt": torch.rand(2, 3, 12, 14, generator=generator)}


def weights(network: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters() if p.requires_grad])


def train(opt: Path, *sets: str, until: int | None = None, resume: str = "never") -> Trainer:
    options = load_options(opt, overrides=[*SMALL, *sets])
    trainer = Trainer(options, ALONE)
    if found := find_resume(options, resume):
        trainer.load_state(found.state)
    trainer.run(Experiment(options, trainer.step, is_main=True), until)
    return trainer


@pytest.fixture
def _in_folder(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pairs)


# --------------------------------------------------------------------------- Unfolding


@pytest.mark.parametrize(("recursions", "expected"), [(1, [1]), (2, [1]), (3, [0.5, 1]), (5, [0.25, 0.5, 0.75, 1])])
def test_loss_of_each_recursion(recursions: int, expected: list[float]) -> None:
    algorithm, data = make(recursions), batch()
    pairs = algorithm.networks["net"](data["lq"], return_all=True)
    phases = algorithm.phases(25)  # in the second fifth of 100: b = 0.3
    assert len(phases) == len(expected)
    for phase, weight, (enlarged, clean) in zip(phases, expected, pairs[-len(expected) :], strict=True):
        total, parts = phase.loss(data)
        of_clean, of_gt = (clean - data["clean"]).abs().mean(), (enlarged - data["gt"]).abs().mean()
        torch.testing.assert_close(parts, {"L1 clean": of_clean, "L1 gt": of_gt})
        torch.testing.assert_close(total, weight * (0.7 * of_clean + 0.3 * of_gt))


def test_each_recursion_learns_before_the_next_is_computed() -> None:
    algorithm, data = make(), batch()
    second, third = algorithm.phases(0)
    assert second.optimizer is third.optimizer is algorithm.optimizers["net"]
    network, twin = algorithm.networks["net"], make().networks["net"]
    enlarged = twin(data["lq"], previous=twin(data["lq"], previous=twin.start(data["lq"]))[0])[0]

    before = weights(network)
    second.loss(data).total.backward()
    second.optimizer.step()
    assert not torch.equal(weights(network), before)
    twin.load_state_dict(network.state_dict())
    expected = (twin(data["lq"], previous=enlarged)[0] - data["gt"]).abs().mean()
    torch.testing.assert_close(third.loss(data).parts["L1 gt"], expected)


def test_every_batch_has_its_own_enlarged_images() -> None:
    algorithm, data = make(), [batch(1), batch(2)]
    second, third = algorithm.phases(0)
    alone = []
    for seed in (1, 2):
        fresh = batch(seed)
        second.loss(fresh)
        alone.append(third.loss(fresh).total)
    for one in data:
        second.loss(one)
    assert [third.loss(one).total for one in data] == alone


def test_gradients_reach_all_but_the_non_local_modules() -> None:
    algorithm, data = make(), batch()
    for phase in algorithm.phases(0):
        phase.network.zero_grad()
        phase.loss(data).total.backward()
        for name, parameter in phase.network.named_parameters():
            assert (parameter.grad is None) is name.startswith("nonlocal"), (phase.name, name)


def test_rounded_weights_of_the_skipped_recursion_are_not_taken_again() -> None:
    algorithm, data = make(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        loss = algorithm.phases(0)[0].loss(data)
    loss.total.backward()
    missing = [n for n, p in algorithm.networks["net"].named_parameters() if p.requires_grad and p.grad is None]
    assert not missing


def test_share_of_the_enlarged_image() -> None:
    shares = [round(enlarged_share(step, 500), 6) for step in (0, 99, 100, 200, 300, 400, 499, 500)]
    assert shares == [0.1, 0.1, 0.3, 0.5, 0.7, 0.9, 0.9, 0.9]
    original = [round(enlarged_share(step, 500, original=True), 6) for step in (0, 94, 95, 195, 494, 495, 499)]
    assert original == [0.1, 0.1, 0.3, 0.5, 0.9, 1.1, 1.1]


def test_original_moves_the_weights_in_the_first_recursion() -> None:
    algorithm, data = make(original=True), batch()
    phases = algorithm.phases(99)
    assert [phase.name for phase in phases] == ["recursion 1", "recursion 2", "recursion 3"]
    network, optimizer = algorithm.networks["net"], algorithm.optimizers["net"]
    moved = []
    for phase in (*phases, phases[0]):
        before = weights(network)
        total, parts = phase.loss(data)
        total.backward()
        assert all(p.grad is not None for p in network.parameters() if p.requires_grad)
        optimizer.step()
        optimizer.zero_grad()
        moved.append(not torch.equal(weights(network), before))
    assert total.item() == 0
    assert moved == [False, True, True, True], "Adam has nothing to go by before the first loss"
    total, parts = phases[2].loss(data)
    torch.testing.assert_close(total, -0.1 * parts["L1 clean"] + 1.1 * parts["L1 gt"])


def test_weights_of_the_non_local_modules(tmp_path: Path) -> None:
    torch.manual_seed(1)
    trained = NonLocalDeblock()
    save_weights(trained, tmp_path / "trained.safetensors")
    network = make(nonlocal_weights=str(tmp_path / "trained.safetensors")).networks["net"]
    for part in (network.nonlocal1, network.nonlocal2):
        torch.testing.assert_close(part.state_dict(), trained.state_dict(), rtol=0, atol=0)
        assert not any(p.requires_grad for p in part.parameters())


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nonlocal_weights"):
        make(nonlocal_weights="nowhere.pt")
    spec = validate_component("algorithm", {"type": "Unfolding"})
    with pytest.raises(UserError, match=r"CISRPSI.*NonLocalDeblock"):
        build(spec, NonLocalDeblock(), Setting(1, CPU, lambda network: network))
    data = batch()
    del data["clean"]
    with pytest.raises(UserError, match="DownSampledImages"):
        make().phases(0)[0].loss(data)


# --------------------------------------------------------------------------- in the trainer


@pytest.mark.slow
@pytest.mark.usefixtures("_in_folder")
@pytest.mark.parametrize("sets", [(), ("algorithm.original=true", "train.real_bs_pg=4", "train.niter=4")], ids=str)
def test_resume_is_exact(opt: Path, sets: tuple[str, ...]) -> None:
    train(opt, *sets, "name=whole")
    train(opt, *sets, "name=parts", until=3)
    train(opt, *sets, "name=parts", resume="auto")
    whole, parts = (load_checkpoint(f"exp/{name}/ckp-last.pt") for name in ("whole", "parts"))
    assert whole["iter"] == parts["iter"] == (4 if sets else 8)
    for place in (("networks", "net"), ("ema", "net")):
        states = [state[place[0]][place[1]] for state in (whole, parts)]
        assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    moments = [state["optimizers"]["net"]["state"] for state in (whole, parts)]
    for index, values in moments[0].items():
        assert values["step"] == (3 * 4 if sets else 2 * 8), "updates: recursions that learn x iterations"
        assert all(torch.equal(value, moments[1][index][key]) for key, value in values.items())


@pytest.mark.usefixtures("_in_folder")
@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_precisions(opt: Path, amp: str) -> None:
    trainer = train(opt, f"train.amp={amp}", "train.niter=2")
    fresh = Trainer(load_options(opt, overrides=SMALL), ALONE)
    network = trainer.algorithm.networks["net"]
    assert weights(network).isfinite().all()
    assert not torch.equal(weights(network), weights(fresh.algorithm.networks["net"]))


# --------------------------------------------------------------------------- the non-local module alone


def test_blur() -> None:
    dot = torch.zeros(1, 1, 5, 5)
    dot[..., 2, 2] = 16
    assert blurred(dot)[0, 0, 1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert blurred(dot).sum() == 16
    flat = torch.full((2, 3, 4, 1), 0.7)
    torch.testing.assert_close(blurred(flat), flat)


@pytest.mark.parametrize("key", ["clean", "gt"])
def test_the_module_learns_from_a_blurred_clean_image(key: str) -> None:
    torch.manual_seed(0)
    network, data = NonLocalDeblock(), batch()
    spec = validate_component("algorithm", {"type": "DeblockPretraining", "loss": {"L1": {}}})
    algorithm: DeblockPretraining = build(spec, network, Setting(1, CPU, lambda network: network))
    if key == "gt":
        data["gt"] = data.pop("clean")
    total, parts = algorithm.phases(0)[0].loss(data)
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    reference = F.conv2d(F.pad(data[key], (1, 1, 1, 1), "replicate"), kernel.expand(3, 1, 3, 3), groups=3)
    torch.testing.assert_close(total, (network(data["lq"], reference) - data[key]).abs().mean())
    assert list(parts) == ["L1"]
    assert "reference" not in data


def test_no_clean_image_to_learn_from() -> None:
    data = batch()
    del data["clean"]
    algorithm = build(
        validate_component("algorithm", {"type": "DeblockPretraining", "loss": {"L1": {}}}),
        NonLocalDeblock(),
        Setting(1, CPU, lambda network: network),
    )
    with pytest.raises(UserError, match=r"DeblockPretraining.*before"):
        algorithm.phases(0)[0].loss(data)


@pytest.mark.usefixtures("_in_folder")
def test_trained_alone_then_in_both_places(opt: Path) -> None:
    alone = (
        "network={type: NonLocalDeblock}",
        "algorithm={type: DeblockPretraining}",
        "dataset.val=null",
        "train.niter=2",
    )
    trained = train(opt, *alone, "name=pretrain").ema.module.state_dict()
    path = "algorithm.nonlocal_weights=exp/pretrain/ckp-best.pt"
    network = train(opt, path, "train.niter=2").algorithm.networks["net"]
    for part in (network.nonlocal1, network.nonlocal2):
        assert all(torch.equal(tensor, trained[name]) for name, tensor in part.state_dict().items())
