"""net/ops/dcn/modules.py: the layers, how they start, and the weights that they load."""

import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from powerqe.net.ops import dcn
from powerqe.net.ops.dcn import DeformConv2d, ModulatedDeformConv2d, ModulatedDeformConv2dPack
from powerqe.utils.errors import UserError


@pytest.fixture(autouse=True)
def _anywhere() -> None:
    dcn.force_backend("reference")


def test_signatures_are_those_of_torchvision() -> None:
    ops = pytest.importorskip("torchvision.ops")

    def names(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert names(dcn.deform_conv2d) == names(ops.deform_conv2d)
    assert names(DeformConv2d) == names(ops.DeformConv2d)
    assert names(DeformConv2d.forward) == names(ops.DeformConv2d.forward)
    layer, theirs = DeformConv2d(4, 6, (3, 1), (2, 1), 1, groups=2), ops.DeformConv2d(4, 6, (3, 1), (2, 1), 1, groups=2)
    theirs.load_state_dict(layer.state_dict())
    x, offset = torch.randn(1, 4, 7, 8), torch.randn(1, 12, 4, 10)
    torch.testing.assert_close(layer(x, offset), theirs(x, offset))


def test_layers_start_as_the_authors_do() -> None:
    layer = ModulatedDeformConv2d(8, 64, 3, groups=2)
    bound = 1 / math.sqrt(8 * 9)
    assert layer.weight.shape == (64, 4, 3, 3)
    assert bound * 0.98 < layer.weight.abs().max() <= bound
    assert abs(layer.weight.mean()) < bound * 0.05
    assert layer.bias is not None
    assert not layer.bias.any()


def test_a_new_pack_is_half_an_ordinary_convolution() -> None:
    pack = ModulatedDeformConv2dPack(4, 6, 3, padding=2, stride=2, dilation=2, deformable_groups=2)
    x = torch.randn(2, 4, 9, 8)
    ordinary = nn.functional.conv2d(x, pack.weight, None, 2, 2, 2)
    torch.testing.assert_close(pack(x), ordinary / 2)


def test_a_pack_takes_offsets_first_and_then_the_mask() -> None:
    pack = ModulatedDeformConv2dPack(4, 6, (3, 1), padding=(1, 0), deformable_groups=2)
    nn.init.normal_(pack.conv_offset_mask.weight)
    layer = ModulatedDeformConv2d(4, 6, (3, 1), padding=(1, 0), deformable_groups=2)
    layer.load_state_dict({"weight": pack.weight, "bias": pack.bias})
    x = torch.randn(1, 4, 5, 5)
    predicted = pack.conv_offset_mask(x)
    assert predicted.shape[1] == 18
    torch.testing.assert_close(pack(x), layer(x, predicted[:, :12], predicted[:, 12:].sigmoid()))


@pytest.mark.parametrize("name", ["conv_offset_mask", "conv_offset"])
@pytest.mark.parametrize("prefix", ["", "0."])
def test_loads_the_weights_of_all_packs(name: str, prefix: str) -> None:
    source = ModulatedDeformConv2dPack(2, 3, 3, padding=1)
    nn.init.normal_(source.conv_offset_mask.weight)
    assert list(source.state_dict()) == ["weight", "bias", "conv_offset_mask.weight", "conv_offset_mask.bias"]
    state = {prefix + k.replace("conv_offset_mask", name): v for k, v in source.state_dict().items()}
    pack = ModulatedDeformConv2dPack(2, 3, 3, padding=1)
    (nn.Sequential(pack) if prefix else pack).load_state_dict(state)
    x = torch.randn(1, 2, 4, 4)
    torch.testing.assert_close(pack(x), source(x))
    assert prefix + f"{name}.weight" in state  # the caller's dictionary stays as it is


def test_layers_without_bias() -> None:
    assert list(DeformConv2d(2, 3, 3, bias=False).state_dict()) == ["weight"]


def forward(layer: nn.Module, channels: int) -> Tensor:
    return layer(torch.zeros(1, 4, 5, 5), torch.zeros(1, channels, 5, 5), torch.zeros(1, channels // 2, 5, 5))


def test_groups_that_do_not_fit_are_errors() -> None:
    with pytest.raises(UserError, match=r"DeformConv2d.*3.*in_channels 4"):
        DeformConv2d(4, 6, 3, groups=3)
    with pytest.raises(UserError, match=r"ModulatedDeformConv2d: deformable_groups.*3"):
        ModulatedDeformConv2d(4, 6, 3, deformable_groups=3)
    with pytest.raises(UserError, match=r"ModulatedDeformConv2dPack: deformable_groups.*0"):
        ModulatedDeformConv2dPack(4, 6, 3, deformable_groups=0)
    layer = ModulatedDeformConv2d(4, 6, 3, padding=1, deformable_groups=2)
    assert forward(layer, 36).shape == (1, 6, 5, 5)
    with pytest.raises(UserError, match=r"offset.*18 channels.*36.*deformable_groups 2"):
        forward(layer, 18)
    with pytest.raises(TypeError):  # no misspelt argument is ignored
        ModulatedDeformConv2d(4, 6, 3, deform_groups=2)  # pyright: ignore[reportCallIssue]


def test_representation_of_layers() -> None:
    text = repr(ModulatedDeformConv2d(4, 6, 3, padding=1, deformable_groups=2))
    assert "4, 6, kernel_size=(3, 3)" in text
    assert "deformable_groups=2" in text
