"""The dominant quality factor of photographs that scikit-image carries."""

from functools import cache

import cv2
import numpy as np
import pytest
import skimage

from powerqe.utils.codecs import JPEG
from powerqe.utils.codecs import jpeg_dominant as dominant
from powerqe.utils.codecs.jpeg_dominant import dominant_quality
from powerqe.utils.codecs.jpeg_estimate import DIP
from powerqe.utils.image.color import luma_uint8


@cache
def photograph(color: bool = False) -> np.ndarray:
    image = np.ascontiguousarray(skimage.data.astronaut()[:192, 100:340])
    return image if color else luma_uint8(image)


def compressed(image: np.ndarray, quality: int, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    return JPEG().compress(np.ascontiguousarray(image[shift[0] :, shift[1] :]), quality)[0]


@pytest.mark.parametrize(
    ("first", "last", "shift"), [(10, 30, (4, 4)), (10, 50, (0, 3)), (30, 90, (7, 1)), (30, 50, (4, 4))]
)
def test_a_first_compression_that_was_stronger_is_found_where_its_blocks_are(first, last, shift):
    found = dominant_quality(compressed(compressed(photograph(), first), last, shift))
    assert found.quality == pytest.approx(first, abs=1)
    assert found.shift == tuple(-side % 8 for side in shift)
    assert found.trusted
    assert found.remark == ""


@pytest.mark.parametrize(("first", "last"), [(50, 10), (30, 30), (None, 10), (None, 50), (None, 90)])
def test_otherwise_it_is_the_last_one(first, last):
    image = photograph() if first is None else compressed(photograph(), first)
    found = dominant_quality(compressed(image, last, (4, 4)))
    assert found.quality == pytest.approx(last, abs=1)
    assert (found.shift, found.trusted) == ((0, 0), True)
    assert found.dip > 4 * DIP


def test_color_is_judged_by_its_luma():
    found = dominant_quality(compressed(compressed(photograph(color=True), 10), 50, (4, 4)))
    assert found.quality == pytest.approx(10, abs=1)
    assert found.shift == (4, 4)


def test_an_image_that_was_cropped_after_its_only_compression():
    found = dominant_quality(np.ascontiguousarray(compressed(photograph(), 40)[3:, 6:]))
    assert (found.quality, found.shift, found.trusted) == (40, (5, 2), True)


def test_an_image_that_never_was_jpeg():
    found = dominant_quality(photograph())
    assert not found.trusted
    assert found.remark == "no trace of JPEG: its change by JPEG has no dip of 0.3 at any quality factor"


@pytest.mark.parametrize("shape", [(40, 40, 1), (1, 1, 1), (7, 30, 3), (17, 8, 3)])
@pytest.mark.parametrize("value", [0, 77, 255])
def test_an_image_without_detail_has_no_estimate(shape, value):
    found = dominant_quality(np.full(shape, value, np.uint8))
    assert not found.trusted
    assert found.remark


def test_what_counts_can_be_set():
    twice = compressed(compressed(photograph(), 10), 50, (4, 4))
    assert dominant_quality(twice, distinct=1e6).quality == pytest.approx(50, abs=1)


def test_quantization_of_the_coefficients_is_what_jpeg_does():
    image = photograph()[:187, :237]  # no multiples of 8: the rest is left out
    whole = image[:184, :232]
    changes = dominant._quantization(image[..., 0])
    assert list(changes) == list(range(4, 97))
    for quality in (4, 10, 50, 80):
        change = np.square(whole.astype(float) - compressed(whole, quality)).mean()
        assert changes[quality] == pytest.approx(change, rel=0.03)


def test_transform_is_that_of_opencv():
    block = photograph()[24:40, 48:72, 0]
    expected = [cv2.dct(part.astype(np.float32) - 128).ravel() for row in np.split(block, 2)
                for part in np.split(row, 3, axis=1)]  # fmt: skip
    np.testing.assert_allclose(dominant._coefficients(block), np.array(expected), atol=1e-3)
