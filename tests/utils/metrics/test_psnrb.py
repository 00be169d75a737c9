"""PSNR-B against recorded scores, a plain loop over the definition, and the published JPEG rows."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma_uint8
from powerqe.utils.metrics.psnr import PSNR
from powerqe.utils.metrics.psnrb import PSNRB, Form

FORMS: tuple[Form, ...] = ("fbcnn", "qgcn")


def gray_images(height: int, width: int, seed: int) -> np.ndarray:
    """A result with blocks and its target, (2, H, W) of 8-bit values."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(40, 200, (height // 8 + 1, width // 8 + 1)).repeat(8, 0).repeat(8, 1)
    return blocks[:height, :width] + generator.integers(0, 20, (2, height, width))


def to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32))[None, None] / 255


def by_the_definition(result: np.ndarray, target: np.ndarray, border: int = 0) -> float:
    """PSNR-B by walking over all neighbors and counting them; None of the module's tricks."""
    height, width = result.shape
    steps: dict[bool, list[int]] = {True: [], False: []}
    for row in range(border, height - border):
        for column in range(border, width - border):
            here = int(result[row, column])
            if column + 1 < width - border:
                steps[(column + 1) % 8 == 0].append((here - int(result[row, column + 1])) ** 2)
            if row + 1 < height - border:
                steps[(row + 1) % 8 == 0].append((here - int(result[row + 1, column])) ** 2)
    inner = (slice(border, height - border), slice(border, width - border))
    mse = np.square(result[inner].astype(float) - target[inner]).mean()
    if steps[True] and (excess := np.mean(steps[True]) - np.mean(steps[False])) > 0:
        mse += math.log2(8) / math.log2(min(result[inner].shape)) * excess
    return 10 * math.log10(255**2 / mse)


def test_golden_values(score, golden):
    assert score("PSNRB") == pytest.approx(golden["fb_color"][2], abs=1e-6)
    assert score("PSNRB", form="qgcn") == pytest.approx(golden["qgcn_color"][2], abs=1e-6)
    for form in FORMS:
        assert score("PSNRB", channels=1, form=form) == pytest.approx(golden["fb_gray"][2], abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 9))
def test_actual_count_follows_the_definition_at_any_size(height: int, width: int, seed: int):
    result, target = gray_images(height, width, seed)
    value = PSNRB(count="actual")(to_tensor(result), to_tensor(target)).item()
    assert value == pytest.approx(by_the_definition(result, target), abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9), st.integers(1, 9))
def test_border_keeps_the_blocks_where_they_are(seed: int, border: int):
    result, target = gray_images(35, 29, seed)
    value = PSNRB(border=border, count="actual")(to_tensor(result), to_tensor(target)).item()
    assert value == pytest.approx(by_the_definition(result, target, border), abs=1e-9)


@pytest.mark.parametrize("size", [(64, 48), (16, 16), (8, 24), (8, 8)])
def test_counts_agree_on_whole_blocks(size: tuple[int, int]):
    pair = [to_tensor(image) for image in gray_images(*size, seed=0)]
    assert torch.equal(PSNRB()(*pair), PSNRB(count="actual")(*pair))


def test_border_of_whole_blocks_is_cropping_by_hand():
    result, target = (to_tensor(image) for image in gray_images(48, 64, seed=0))
    inner = (..., slice(8, -8), slice(8, -8))
    assert torch.equal(PSNRB(border=8)(result, target), PSNRB()(result[inner], target[inner]))


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (1, 1), (1, 8)])
def test_without_a_block_edge_it_is_psnr(size: tuple[int, int]):
    for count in ("published", "actual"):
        pair = [to_tensor(image) for image in gray_images(*size, seed=1)]
        assert torch.equal(PSNRB(count=count)(*pair), PSNR()(*pair))


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (3, 64), (9, 9)])
def test_thin_images_have_a_finite_value_not_above_psnr(size: tuple[int, int]):
    for count in ("published", "actual"):
        pair = [to_tensor(image) for image in gray_images(*size, seed=2)]
        assert torch.isfinite(value := PSNRB(count=count)(*pair))
        assert value < PSNR()(*pair)


def test_edges_of_the_result_count_and_those_of_the_target_do_not():
    blocky = torch.zeros(1, 1, 32, 32)
    blocky[..., 8:16, 8:16] = 0.1
    smooth = torch.full_like(blocky, 0.05)
    assert PSNRB()(blocky, smooth) < PSNR()(blocky, smooth)
    assert torch.equal(PSNRB()(smooth, blocky), PSNR()(smooth, blocky))
    assert PSNRB()(smooth, smooth).item() == torch.inf


def test_edges_off_the_grid_lower_nothing():
    shifted = torch.zeros(1, 1, 32, 32)
    shifted[..., 12:20, 12:20] = 0.1
    assert torch.equal(PSNRB()(shifted, shifted + 0.01), PSNR()(shifted, shifted + 0.01))


def test_batch_is_its_images_one_by_one():
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand(2, 3, 3, 5, 4, generator=generator).repeat_interleave(8, -1).repeat_interleave(8, -2)
    result, target = (blocks + 0.1 * torch.rand(blocks.shape, generator=generator))[..., 1:, 1:]
    for metric in (PSNRB(), PSNRB(form="qgcn"), PSNRB(channel="y")):
        single = [metric(result[k : k + 1], target[k : k + 1]) for k in range(3)]
        torch.testing.assert_close(metric(result, target), torch.cat(single), rtol=0, atol=1e-9)


def test_luma_takes_the_edges_of_rounded_luma(golden):
    result, target = (
        torch.from_numpy(golden[name].transpose(2, 0, 1).copy())[None].float() / 255 for name in ("dist", "gt")
    )
    edges = to_tensor(luma_uint8(golden["dist"])[..., 0])
    effect = 10 ** (-PSNRB()(edges, edges) / 10)  # without an error only BEF is left
    expected = -10 * torch.log10(10 ** (-PSNR(channel="y")(result, target) / 10) + effect)
    for form in FORMS:
        torch.testing.assert_close(PSNRB(channel="y", form=form)(result, target), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "channels", "text"),
    [
        ({}, 1, "Y, uint8"),
        ({}, 3, "RGB, uint8, BEF of Y"),
        ({"form": "qgcn"}, 3, "RGB, uint8, BEF of RGB"),
        ({"channel": "y", "border": 3, "count": "actual"}, 3, "Y, uint8, border 3, actual count"),
    ],
)
def test_describe_names_the_convention(options, channels: int, text: str):
    assert PSNRB(**options).describe(channels) == text


def test_published_count_with_a_cut_block_is_an_error():
    with pytest.raises(UserError, match="count: actual"):
        PSNRB(border=4)


def test_four_channels_are_an_error_in_the_luma_form():
    with pytest.raises(UserError, match="found 4 channels"):
        PSNRB()(torch.zeros(1, 4, 16, 16), torch.zeros(1, 4, 16, 16))
