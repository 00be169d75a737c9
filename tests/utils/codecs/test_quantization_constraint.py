"""utils/codecs/quantization_constraint.py: the set, and that projections never lead away from the original."""

import io

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from powerqe.utils.codecs.constraint_bands import BandConstraint
from powerqe.utils.codecs.jpeg_bands import CoefficientBands
from powerqe.utils.codecs.jpeg_coefficients import read_coefficients
from powerqe.utils.codecs.quantization_constraint import QuantizationConstraint, Trust
from powerqe.utils.image.tensors import to_tensor

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def content(height: int, width: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Smooth, with noise, and saturated in places."""
    random = np.random.default_rng(seed)
    coarse = random.normal(128, 120, (height // 8 + 2, width // 8 + 2, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, 3)
    return (smooth + random.normal(0, 5, smooth.shape)).clip(0, 255).astype(np.uint8)[..., :channels]


def compressed(image: np.ndarray, **options) -> tuple[QuantizationConstraint, torch.Tensor, torch.Tensor]:
    """The constraint of the JPEG file of an image, the image, and the decoded JPEG."""
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "JPEG", **options)
    decoded = np.array(Image.open(file)).reshape(image.shape)
    return QuantizationConstraint(read_coefficients(file.getvalue())), to_tensor(image)[None], to_tensor(decoded)[None]


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Root of the squared differences, in levels."""
    return float((one - other).square().sum().sqrt()) * 255


@settings(max_examples=30, deadline=None)
@given(size=SIZES, quality=st.integers(1, 100), seed=st.integers(0, 99))
def test_the_original_is_in_the_set(size, quality, seed):
    constraint, original, _ = compressed(content(*size, seed=seed), quality=quality)
    assert (constraint.project(original) - original).abs().max() * 255 < 0.05


@settings(max_examples=20, deadline=None)
@given(size=SIZES, quality=st.integers(1, 90), subsampling=st.integers(0, 2), seed=st.integers(0, 99))
def test_the_original_is_nearly_in_the_set_in_color(size, quality, subsampling, seed):
    """The encoder rounded its planes."""
    constraint, original, _ = compressed(content(*size, 3, seed), quality=quality, subsampling=subsampling)
    assert (constraint.project(original) - original).abs().max() * 255 < 1


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), quality=st.integers(1, 100), change=st.floats(0, 0.5))
def test_projections_never_lead_away_from_the_original(rows, columns, quality, change):
    constraint, original, _ = compressed(content(8 * rows, 8 * columns), quality=quality)
    noise = torch.randn(original.shape, generator=torch.Generator().manual_seed(0))
    image = (original + change * noise).clamp(0, 1)
    projected = constraint.project(image)
    assert distance(projected, original) <= distance(image, original) + 0.05


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 3), columns=st.integers(1, 3), quality=st.integers(1, 90), subsampling=st.integers(0, 2))
def test_projection_is_idempotent(rows, columns, quality, subsampling):
    """As long as nothing is clipped at black or white, which leads out of the set again."""
    image = content(16 * rows, 16 * columns, 3) // 2 + 64
    constraint, original, _ = compressed(image, quality=quality, subsampling=subsampling)
    noise = torch.randn(original.shape, generator=torch.Generator().manual_seed(0))
    once = constraint.project(original + 0.05 * noise)
    if once.min() > 0 and once.max() < 1:
        assert (constraint.project(once) - once).abs().max() * 255 < 0.01


def test_saturated_blocks_are_constrained():
    """A white page with a gray letter: nothing but the file says how white it was."""
    image = np.full((16, 16, 1), 255, np.uint8)
    image[4:8, 4:8] = 100
    constraint, original, decoded = compressed(image, quality=80)
    wrong = decoded.clone()
    wrong[..., 8:, 8:] = 0.8
    assert (constraint.project(wrong)[..., 8:, 8:] - original[..., 8:, 8:]).abs().max() * 255 < 10


def test_narrow_sets_end_at_the_decoded_image():
    constraint, original, decoded = compressed(content(32, 32) // 2 + 64, quality=30)
    distances = [distance(constraint.project(original, narrow), decoded) for narrow in (0.0, 0.3, 0.7, 1.0)]
    assert distances == sorted(distances)
    assert distances[0] < 15  # rounding of the decoder
    assert distances[-1] > 50


@pytest.mark.parametrize("size", [(700, 24), (530, 40)])
def test_strips_do_not_show(monkeypatch, size):
    constraint, original, decoded = compressed(content(*size, 3), quality=40)
    image = (original * 0.9 + 0.03).clamp(0, 1)
    in_strips = constraint.project(image), constraint.weigh(image, decoded).image
    monkeypatch.setattr("powerqe.utils.codecs.quantization_constraint._STRIP", 1 << 20)
    whole = constraint.project(image), constraint.weigh(image, decoded).image
    for one, other in zip(in_strips, whole, strict=True):
        assert (one - other).abs().max() < 1e-5


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("size", [(131, 40), (8, 24), (37, 30)])
def test_bands_give_what_the_whole_gives(size, trusted):
    file = io.BytesIO()
    image = content(*size, 3)
    Image.fromarray(image).save(file, "JPEG", quality=30)
    decoded = to_tensor(np.array(Image.open(file)))[None]
    changed = (to_tensor(image)[None] * 0.9 + 0.03).clamp(0, 1)
    constraint = QuantizationConstraint(read_coefficients(file.getvalue()))
    whole = constraint.weigh(changed, decoded, 1.0, None) if trusted else constraint.weigh(changed, decoded)
    bands = BandConstraint(CoefficientBands(file.getvalue()))
    parts = list(zip(changed.split(bands.height, 2), decoded.split(bands.height, 2), strict=True))
    found = torch.cat(list(bands.weighed(parts, trusted=trusted)), 2)
    assert (found - whole.image).abs().max() < 1e-5
    assert (bands.contradiction, bands.share_kept) == pytest.approx((whole.contradiction, whole.kept), rel=1e-4)
    measured = BandConstraint(CoefficientBands(file.getvalue()))
    assert torch.equal(torch.cat(list(measured.measured(each for each, _ in parts)), 2), changed)
    assert measured.contradiction == pytest.approx(whole.contradiction, rel=1e-4)


def test_what_contradicts_the_file_is_not_kept():
    constraint, original, decoded = compressed(content(64, 64), quality=90)
    good = constraint.weigh(0.5 * (original + decoded), decoded)
    bad = constraint.weigh(original.flip(3), decoded)
    assert good.contradiction < 0.01
    assert bad.contradiction > 0.5
    assert good.kept > 0.3
    assert bad.kept < 0.1
    assert distance(bad.image, decoded) < distance(good.image, decoded)


def test_trust():
    ones = torch.ones(3, 3)

    def trust(share: float = 0.05, details: float = 10, step: float = 10, low: float = 5) -> float:
        return float(Trust()(ones, share * ones, details * ones, step, low).mean())

    by_contradiction = [trust(share=share) for share in (0.0, 0.01, 0.1, 0.5)]
    assert by_contradiction == sorted(by_contradiction, reverse=True)
    by_step = [trust(step=step) for step in (1, 4, 20, 100)]
    assert by_step == sorted(by_step)
    assert by_step[0] < 0.1
    assert by_step[-1] > 0.5
    assert trust(details=0, low=20) == 1  # where steps are coarse, whatever is in the block,
    assert trust(details=0, low=20, share=0.5) == 0  # if the network agrees with the file
    assert trust(details=0, step=30) == 0 < trust(details=5, step=30) < trust(details=20, step=30)


def test_rgb_files_are_projected_as_rgb():
    image = content(32, 32, 3)
    constraint, original, _ = compressed(image, quality=60, keep_rgb=True)
    assert (constraint.project(original) - original).abs().max() * 255 < 0.05
