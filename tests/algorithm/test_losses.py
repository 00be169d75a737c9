import pytest
import torch

from powerqe.algorithm.losses import LossOptions, WeightedLosses
from powerqe.utils.options.components import validate_component


def make(**losses: dict) -> WeightedLosses:
    options = {name: validate_component("loss", {"type": name, **spec}, LossOptions) for name, spec in losses.items()}
    return WeightedLosses(options)


def test_values_and_weighted_sum():
    result, target = torch.tensor([[0.0, 0.5]]), torch.tensor([[0.5, 0.5]])
    loss = make(MSE={"weight": 2.0}, L1={"weight": 0.5}, Charbonnier={"eps": 0.75})(result, target)
    assert loss.parts["MSE"].item() == pytest.approx(0.125)
    assert loss.parts["L1"].item() == pytest.approx(0.25)
    assert loss.parts["Charbonnier"].item() == pytest.approx((1.0 + 0.75**0.5) / 2)
    assert loss.total.item() == pytest.approx(2 * 0.125 + 0.5 * 0.25 + (1.0 + 0.75**0.5) / 2)


def test_low_precision_output_is_judged_in_float32():
    result = torch.full((1, 1, 4, 4), 0.3, dtype=torch.bfloat16)
    loss = make(MSE={})(result, torch.full((1, 1, 4, 4), 0.5))
    assert loss.total.dtype == torch.float32
    assert loss.total.item() == pytest.approx((float(result[0, 0, 0, 0]) - 0.5) ** 2, rel=1e-6)


def test_charbonnier_gradient_is_finite_where_images_agree():
    result = torch.zeros(1, 1, 2, 2, requires_grad=True)
    make(Charbonnier={})(result, torch.zeros(1, 1, 2, 2)).total.backward()
    assert torch.equal(result.grad, torch.zeros_like(result))
