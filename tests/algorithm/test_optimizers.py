import math

import pytest
import torch

from powerqe.algorithm.registries import OPTIMIZERS
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import build, validate_component


def schedule(niter: int = 100, **spec: object):
    return build(validate_component("scheduler", spec), niter)


def test_constant_and_warmup():
    factor = schedule(type="none", warmup=3)
    assert [factor(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_multi_step_halves_from_each_milestone_on():
    factor = schedule(type="MultiStep", milestones=[10, 20], gamma=0.5)
    assert [factor(step) for step in (0, 9, 10, 19, 20, 99)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_cosine_goes_from_one_to_the_floor():
    factor = schedule(type="Cosine", floor=0.1)
    assert factor(0) == 1
    assert factor(50) == pytest.approx(0.55)
    assert factor(100) == factor(1000) == pytest.approx(0.1)
    assert schedule(type="Cosine", period=10)(5) == pytest.approx(0.5)


def test_cosine_restart_grows():
    factor = schedule(type="CosineRestart", period=10, growth=2)
    assert factor(0) == factor(10) == factor(30) == 1
    assert factor(5) == factor(20) == pytest.approx(0.5)
    assert factor(9) == pytest.approx((1 + math.cos(0.9 * math.pi)) / 2)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_each_optimizer_descends(name):
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    lr = {"Adadelta": 10.0, "Adagrad": 0.5, "RAdam": 0.1}.get(name, 0.05)  # whose steps are small
    optimizer = build(validate_component("optimizer", {"type": name, "lr": lr}), [weight])
    for _ in range(100):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert weight.abs().max() < 0.5


def test_all_of_pytorch_are_there_with_their_own_arguments():
    kinds = {
        name
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    }
    assert {*OPTIMIZERS.names(), *OPTIMIZERS.refused} == kinds - {"Optimizer"}
    spec = {"type": "RMSprop", "lr": "1e-3", "alpha": 0.9, "momentum": 0.5, "centered": True}
    optimizer = build(validate_component("optimizer", spec), [torch.nn.Parameter(torch.zeros(2))])
    assert isinstance(optimizer, torch.optim.RMSprop)
    group = optimizer.param_groups[0]
    assert [group[key] for key in ("lr", "alpha", "momentum", "centered")] == [1e-3, 0.9, 0.5, True]


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("Adam", {"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "fused": True}),
        ("AdamW", {"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01, "fused": True}),
        ("SGD", {"lr": 1e-2, "momentum": 0.9, "weight_decay": 0, "nesterov": False, "fused": True}),
        ("Adafactor", {"lr": 1e-2, "eps": (None, 1e-3)}),
    ],
)
def test_defaults(name, defaults):
    optimizer = build(validate_component("optimizer", {"type": name}), [torch.nn.Parameter(torch.zeros(2))])
    assert {key: optimizer.param_groups[0][key] for key in defaults} == defaults


def test_a_value_that_only_pytorch_refuses_is_one_line():
    options = validate_component("optimizer", {"type": "SGD", "momentum": 0, "nesterov": True})
    with pytest.raises(UserError, match="optimizer SGD: "):
        build(options, [torch.nn.Parameter(torch.zeros(2))])


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("optimizer", {"type": "Adam", "lr": -1}, "> 0"),
        ("optimizer", {"type": "Adam", "betas": [0.9, 1.0]}, "< 1"),
        ("optimizer", {"type": "Adan"}, "did you mean 'Adam'"),
        ("optimizer", {"type": "NAdam", "momentum_decai": 0.1}, "'momentum_decay'"),
        ("optimizer", {"type": "Rprop", "etas": [0.5]}, "etas"),
        ("optimizer", {"type": "LBFGS"}, "LBFGS.*SGD"),
        ("optimizer", {"type": "SparseAdam"}, "sparse"),
        ("scheduler", {"type": "MultiStep"}, "milestones: missing"),
        ("scheduler", {"type": "Cosine", "T_max": 3}, "unknown key 'T_max'"),
    ],
)
def test_mistakes_are_named(kind, spec, words):
    with pytest.raises(UserError, match=words):
        validate_component(kind, spec)
