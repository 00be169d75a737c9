import numpy as np
import pytest
import torch

from powerqe.algorithm.experiment import Experiment, find_resume
from powerqe.algorithm.gan import discriminator_loss, generator_loss
from powerqe.algorithm.trainer import Trainer
from powerqe.evaluation.tester import test as run_test
from powerqe.utils.checkpoint import load_checkpoint
from powerqe.utils.errors import UserError
from powerqe.utils.options.tree import Options, load_options
from powerqe.utils.ranks import Ranks

ALONE = Ranks(0, 0, 1, torch.device("cpu"))
SMALL = [
    "algorithm={type: RelativisticGAN, niter_warmup: 3, loss: {Charbonnier: {weight: 0.01}}, discriminator: "
    "{type: VGGDiscriminator, num_features: 2, hidden_features: 4, patch_size: [32, 32]}}",
    "dataset.train.patch=32",
    "train.inter_val=8",
]


@pytest.fixture(autouse=True)
def _in_folder(pairs, monkeypatch):
    monkeypatch.chdir(pairs)


def train(options: Options, until: int | None = None, resume: str = "never") -> Trainer:
    trainer = Trainer(options, ALONE)
    if found := find_resume(options, resume):
        trainer.load_state(found.state)
    trainer.run(Experiment(options, trainer.step, is_main=True), until)
    return trainer


def test_recorded_values(root):
    data = np.load(root / "tests/data/losses.npz")
    real = torch.from_numpy(data["ragan/real_logits"])
    fake = torch.from_numpy(data["ragan/fake_logits"]).requires_grad_()
    loss = generator_loss(real, fake)
    loss.backward()
    assert loss.item() == pytest.approx(float(data["ragan/gen_loss_inter1"]), rel=1e-5)
    assert torch.allclose(fake.grad, torch.from_numpy(data["ragan/gen_grad_fake_inter1"]), atol=1e-6)
    scale = torch.ones((), requires_grad=True)
    loss = discriminator_loss(scale * real, scale * fake.detach())
    loss.backward()
    halves = float(data["ragan/dis_real_inter1"]) + float(data["ragan/dis_fake_inter1"])
    assert loss.item() == pytest.approx(halves, rel=1e-5)
    assert scale.grad.item() == pytest.approx(float(data["ragan/dis_grad_scale_inter1"]), rel=1e-4)


def test_losses_by_their_formula():
    real, fake = torch.tensor([[1.0], [0.0]]), torch.tensor([[-1.0], [0.5]])
    log_sigmoid = torch.nn.functional.logsigmoid
    r, f = real - fake.mean(), fake - real.mean()
    assert torch.isclose(discriminator_loss(real, fake), -(log_sigmoid(r).mean() + log_sigmoid(-f).mean()) / 2)
    assert torch.isclose(generator_loss(real, fake), -(log_sigmoid(-r).mean() + log_sigmoid(f).mean()) / 2)


def test_warm_up_trains_the_network_alone_and_then_both_learn(opt):
    trainer = Trainer(load_options(opt, overrides=SMALL), ALONE)
    batches, networks = trainer._batches(), trainer.algorithm.networks
    assert [phase.name for phase in trainer.algorithm.phases(2)] == ["warmup"]
    assert [phase.name for phase in trainer.algorithm.phases(3)] == ["net", "discriminator"]

    def weights() -> list[torch.Tensor]:
        return [torch.cat([p.detach().flatten() for p in network.parameters()]) for network in networks.values()]

    before = weights()
    for _ in range(3):
        trainer._iterate(batches)
    after = weights()
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    trainer._iterate(batches)
    last = weights()
    assert not torch.equal(after[0], last[0])
    assert not torch.equal(after[1], last[1])


def test_each_phase_leaves_gradients_only_to_its_own_network(opt):
    trainer = Trainer(load_options(opt, overrides=SMALL), ALONE)
    batch = next(trainer._batches())
    generator, discriminator = trainer.algorithm.networks.values()
    game = trainer.algorithm.phases(3)
    game[0].loss(batch).total.backward()
    assert all(p.grad is not None for p in generator.parameters())
    assert all(p.grad is None for p in discriminator.parameters())
    generator.zero_grad()
    game[1].loss(batch).total.backward()
    assert all(p.grad is None for p in generator.parameters())
    assert all(p.grad is not None for p in discriminator.parameters())


def test_accumulation_divides_the_adversarial_term_once(opt):
    """Two equal batches accumulated give the gradient of one (PowerQE 1 halved the adversarial term twice)."""
    trainer = Trainer(load_options(opt, overrides=SMALL), ALONE)
    batch, phase = next(trainer._batches()), trainer.algorithm.phases(3)[0]
    gradients = []
    for micro in ([batch], [batch, batch]):
        phase.network.zero_grad()
        trainer._backward(phase, micro)
        gradients.append(torch.cat([p.grad.flatten() for p in phase.network.parameters()]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("stop", [2, 5])
def test_resume_is_exact_in_either_phase(opt, stop):
    train(load_options(opt, overrides=[*SMALL, "name=whole"]))
    train(load_options(opt, overrides=[*SMALL, "name=parts"]), until=stop)
    train(load_options(opt, overrides=[*SMALL, "name=parts"]), resume="auto")
    whole, parts = (load_checkpoint(f"exp/{name}/ckp-last.pt") for name in ("whole", "parts"))
    for network, state in whole["networks"].items():
        assert all(torch.equal(tensor, parts["networks"][network][name]) for name, tensor in state.items())
    for name, state in whole["optimizers"].items():
        for index, moments in state["state"].items():
            assert all(torch.equal(value, parts["optimizers"][name]["state"][index][key])
                       for key, value in moments.items())  # fmt: skip
    assert len(whole["optimizers"]["warmup"]["state"]) > 0


def test_testing_builds_no_discriminator(opt, monkeypatch):
    options = load_options(opt, overrides=SMALL)
    train(options, until=4)
    import powerqe.net.esrgan

    monkeypatch.setattr(powerqe.net.esrgan.VGGDiscriminator, "__init__", lambda *_, **__: pytest.fail("built"))
    run_test(options, ALONE)


def test_a_discriminator_for_another_patch_is_refused_before_the_warm_up(opt):
    with pytest.raises(UserError, match=r"16x16.*32x32.*patch_size"):
        train(load_options(opt, overrides=[*SMALL, "dataset.train.patch=16"]), until=1)


def test_the_first_pass_does_not_train_the_discriminator(opt):
    trainer = Trainer(load_options(opt, overrides=SMALL), ALONE)
    discriminator = trainer.algorithm.networks["discriminator"]
    before = {name: tensor.clone() for name, tensor in discriminator.state_dict().items()}
    trainer.algorithm.phases(0)[0].loss(next(trainer._batches()))
    assert discriminator.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in discriminator.state_dict().items())
