import pytest
import torch

from powerqe.net.blocks import ChannelAttention, GlobalMean, MeanShift, PixelShuffleUp, ResidualBlock, to_multiple
from powerqe.utils.errors import UserError


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_pixel_shuffle_enlarges(scale):
    up = PixelShuffleUp(2, scale)
    assert up(torch.rand(1, 2, 3, 5)).shape == (1, 2, 3 * scale, 5 * scale)


@pytest.mark.parametrize("scale", [-2, 0, 1, 5, 6])
def test_pixel_shuffle_refuses_other_scales(scale):
    with pytest.raises(UserError, match=rf"scale.*{scale}.*2, 3, 4"):
        PixelShuffleUp(2, scale)


def test_residual_block():
    block = ResidualBlock(2, kernel_size=5, scale=0.5)
    x = torch.rand(1, 2, 7, 6)
    expected = x + 0.5 * block.conv2(block.conv1(x).clamp(min=0))
    torch.testing.assert_close(block(x), expected)
    assert block.conv1.kernel_size == (5, 5)
    assert ResidualBlock(2, bias=False).conv2.bias is None


def test_mean_shift_is_exact_under_autocast():
    """Whole gray levels above 128 are all that bfloat16 has."""
    x = torch.full((1, 3, 1, 2), 200.4)
    with torch.autocast("cpu", torch.bfloat16):
        shifted = MeanShift(3, -1)(x)
        restored = MeanShift(3, 1)(shifted)
    torch.testing.assert_close(shifted[0, :, 0, 0], torch.tensor([85.956, 88.9395, 97.38]), rtol=0, atol=1e-4)
    torch.testing.assert_close(restored, x, rtol=0, atol=1e-4)


def test_mean_shift_multiplies_by_the_diagonal_of_a_file():
    shift = MeanShift(2, 1)
    with torch.no_grad():
        shift.weight.mul_(torch.tensor([2.0, 3.0])[:, None, None, None])
        shift.bias.copy_(torch.tensor([0.5, -1.0]))
    assert shift(torch.ones(1, 2, 1, 1)).flatten().tolist() == [2.5, 2.0]


def test_channel_attention_weighs_by_the_means_of_all_channels():
    attention = ChannelAttention(4, 2)
    x = torch.rand(2, 4, 3, 3)
    means = x.mean((2, 3))[..., None, None]
    weights = attention.expand(attention.reduce(means).clamp(min=0)).sigmoid()
    torch.testing.assert_close(attention(x), weights * x)
    torch.testing.assert_close(GlobalMean()(x), means)
    with pytest.raises(UserError, match=r"reduction.*16.*4"):
        ChannelAttention(4, 16)


def test_to_multiple_repeats_the_last_row_and_column():
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    padded = to_multiple(x, 4)
    assert padded[0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert to_multiple(padded, 4) is padded
