"""net/tchebichef.py against recorded scores of the original and against the rule written patch by patch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from powerqe.net.tchebichef import PATCH, Codec, Rule, TchebichefQuality, polynomials
from powerqe.utils.errors import UserError

RECORDED = np.load(Path(__file__).parents[1] / "data/rbqe.npz")
NAMES = sorted(name.removeprefix("iqam/image/") for name in RECORDED if name.startswith("iqam/image/"))

both_codecs = pytest.mark.parametrize("codec", ["jpeg", "hevc"])
both_rules = pytest.mark.parametrize("rule", ["python", "matlab"])


def recorded(name: str) -> Tensor:
    return torch.from_numpy(RECORDED[name])


def one_channel(image: Tensor) -> Tensor:
    return image[None, None]


def photo_like(height: int, width: int, seed: int = 3, batch: int = 1) -> Tensor:
    """Color images with smooth, textured and blocky parts."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 5, 6, generator=generator)
    image = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    fine = torch.rand(batch, 3, height, width, generator=generator)
    return image + fine * 0.3 * (coarse.mean((1, 2, 3), keepdim=True) < torch.linspace(0, 1, width))


def patch_by_patch(image: np.ndarray, codec: Codec, rule: Rule) -> float:
    """The score of one channel in float64, as the specification says it: a loop over the patches."""
    size = PATCH[codec]
    powers = np.vander(np.linspace(-1, 1, size), increasing=True)
    table = np.linalg.qr(powers)[0].T
    table *= np.sign(table[:, -1:])
    table = np.round(table, 4) if rule == "python" else table
    row = np.exp(-np.array([1, 0, 1]) / 50)
    blur = np.outer(row, row) / row.sum() ** 2
    offset = size // 2 - (rule == "python")
    smooth, textured = [], []

    def moments_of(patch: np.ndarray) -> np.ndarray:
        unit = patch / np.linalg.norm(patch)
        return table @ (unit - unit.mean()) @ table.T

    for top in range(offset, image.shape[0] // size * size - size + 1, size):
        for left in range(offset, image.shape[1] // size * size - size + 1, size):
            patch = image[top : top + size, left : left + size].astype(np.float64)
            if np.ptp(patch) == 0:
                smooth.append(1.0 if rule == "python" else 0.0)
                continue
            moments = moments_of(patch)
            if np.sum(moments**2) - moments[0, 0] ** 2 > 0.004:
                padded = np.pad(patch, 1)
                blurred = sum(
                    blur[i, j] * padded[i : i + size, j : j + size] for i in range(3) for j in range(3)
                )  # fmt: skip
                others = moments_of(blurred)
                textured.append(1 - np.mean((2 * moments * others + 1e-5) / (moments**2 + others**2 + 1e-5)))
                continue
            sizes = np.abs(moments)
            shares = []
            for line in (sizes[-1], sizes[:, -1]):
                if rule == "python":
                    share = line.sum() / sizes.sum() - sizes[0, 0] + 1e-5
                else:
                    share = line.sum() / (sizes.sum() - sizes[0, 0] + 1e-5)
                shares.append(min(share, 0.05))
            smooth.append(np.log(1 - np.mean(shares)) / np.log(1 - 0.05))
    halves = [np.mean(scores) if scores else 1.0 for scores in (smooth, textured)]
    return halves[0] ** 0.9 * halves[1] ** 0.1


# --------------------------------------------------------------------------- the original's scores


@both_codecs
@pytest.mark.parametrize("name", NAMES)
def test_recorded_scores(name: str, codec: Codec) -> None:
    score = TchebichefQuality(codec=codec)(one_channel(recorded(f"iqam/image/{name}")))
    expected = float(RECORDED[f"iqam/score_{codec}/{name}"])
    if np.isnan(expected):  # where the original stops with an error
        expected = patch_by_patch(RECORDED[f"iqam/image/{name}"], codec, "python")
    assert score.shape == (1,)
    assert float(score) == pytest.approx(expected, abs=2e-5)


@both_codecs
def test_recorded_scores_of_a_batch(codec: Codec) -> None:
    quality = TchebichefQuality(codec=codec)
    patches = quality(recorded(f"iqam/patch/{codec}/x")[:, None])
    np.testing.assert_allclose(patches.numpy(), RECORDED[f"iqam/patch/{codec}/score"], atol=3e-5)
    exits = quality(recorded("y")[:, 0])
    np.testing.assert_allclose(exits.numpy(), RECORDED[f"iqam/exit_scores_{codec}"], atol=1e-6)


def test_thresholds_are_the_recorded_ones() -> None:
    for codec, threshold in json.loads(str(RECORDED["__config__"]))["iqam_thresholds"].items():
        assert TchebichefQuality(codec=codec).threshold == threshold


@both_codecs
def test_polynomials(codec: Codec) -> None:
    table = polynomials(PATCH[codec])
    torch.testing.assert_close(table @ table.T, torch.eye(len(table), dtype=torch.float64))
    np.testing.assert_allclose(table.numpy(), RECORDED[f"iqam/table_{codec}"], atol=5.001e-5)


# --------------------------------------------------------------------------- the rule


@both_codecs
@both_rules
@pytest.mark.parametrize("size", [(16, 16), (47, 61), (64, 40)])
def test_all_at_once_is_patch_by_patch(codec: Codec, rule: Rule, size: tuple[int, int]) -> None:
    image = photo_like(*size)[:, :1]
    score = float(TchebichefQuality(codec=codec, rule=rule)(image))
    assert score == pytest.approx(patch_by_patch(image[0, 0].numpy(), codec, rule), abs=2e-5)
    assert 0 < score < 0.99


@both_rules
def test_images_of_a_batch_do_not_meet(rule: Rule) -> None:
    quality, images = TchebichefQuality(rule=rule), photo_like(40, 56, batch=3)
    alone = torch.cat([quality(image[None]) for image in images])
    assert len(set(alone.tolist())) == 3
    torch.testing.assert_close(quality(images), alone, rtol=0, atol=1e-6)


def test_channel() -> None:
    image = photo_like(40, 48)
    red = TchebichefQuality(rule="python")
    assert red(image) == red(image[:, :1])
    assert red(image) != red(image[:, 1:2])
    luma = TchebichefQuality(rule="matlab")
    y = (65.481 * image[:, :1] + 128.553 * image[:, 1:2] + 24.966 * image[:, 2:] + 16) / 255
    assert float(luma(image)) == pytest.approx(float(luma(y)), abs=1e-6)
    assert luma(image) != luma(image[:, :1])


def test_scale_does_not_matter() -> None:
    quality, image = TchebichefQuality(), photo_like(40, 48)
    torch.testing.assert_close(quality(255 * image), quality(image), rtol=0, atol=1e-5)


def test_precision_of_the_network_does_not_matter() -> None:
    quality, image = TchebichefQuality(), photo_like(40, 48)
    with torch.autocast("cpu", torch.bfloat16):
        assert quality(image) == quality(image)
        inside = quality(image)
    assert inside.dtype == torch.float32
    assert inside == quality(image)


# --------------------------------------------------------------------------- cases that the original leaves open


@both_codecs
@pytest.mark.parametrize("value", [0.0, 0.1, 0.37, -0.3, 1.0, 1e-30])
def test_constant_images(value: float, codec: Codec) -> None:
    image = torch.full((2, 3, 41, 57), value)
    assert TchebichefQuality(codec=codec)(image).tolist() == [1.0, 1.0]
    assert TchebichefQuality(codec=codec, rule="matlab")(image[:, :1]).tolist() == [0.0, 0.0]


def test_round_off_is_no_content() -> None:
    image = 0.4 + 1e-7 * torch.rand(1, 1, 40, 40)
    assert image.unique().numel() > 1
    assert float(TchebichefQuality()(image)) == 1.0
    step = 0.4 + torch.zeros(1, 1, 40, 40)
    step[..., 16:] += 1 / 255  # the smallest step of an 8-bit image is content
    assert float(TchebichefQuality()(step)) < 0.999


@both_rules
def test_black_bars(rule: Rule) -> None:
    image = torch.rand(1, 1, 64, 64)
    image[..., :32] = 0  # every smooth patch is zero
    score = float(TchebichefQuality(rule=rule)(image))
    assert score == pytest.approx(patch_by_patch(image[0, 0].numpy(), "jpeg", rule), abs=1e-5)
    assert (score > 0.9) == (rule == "python")


@both_codecs
@both_rules
def test_no_patch(codec: Codec, rule: Rule) -> None:
    quality, side = TchebichefQuality(codec=codec, rule=rule), 2 * PATCH[codec]
    for size in ((1, 1), (side - 1, 100), (100, side - 1)):
        assert quality(torch.rand(2, 3, *size)).tolist() == [1.0, 1.0]
    assert float(quality(photo_like(side, side))) < 1


def test_nan_is_never_good_enough() -> None:
    images = photo_like(32, 32, batch=2)
    images[0, 0, 12, 12] = float("nan")
    assert TchebichefQuality(threshold=0).good_enough(images).tolist() == [False, True]


# --------------------------------------------------------------------------- as a module


def test_threshold_belongs_to_it() -> None:
    image = photo_like(40, 48)
    score = float(TchebichefQuality()(image))
    assert TchebichefQuality(threshold=score).good_enough(image).tolist() == [True]
    assert TchebichefQuality(threshold=score + 1e-6).good_enough(image).tolist() == [False]


@pytest.mark.parametrize("threshold", [-0.1, 1.01, float("nan")])
def test_threshold_outside(threshold: float) -> None:
    with pytest.raises(UserError, match=r"found threshold .*expected a quality threshold in \[0, 1\]"):
        TchebichefQuality(threshold=threshold)


def test_nothing_to_learn_or_to_save() -> None:
    quality = TchebichefQuality()
    assert not quality.state_dict()
    assert not list(quality.parameters())
    assert not quality(torch.rand(1, 3, 32, 32, requires_grad=True)).requires_grad
