"""utils/codecs/jpeg_estimate.py, on photographs that were compressed here."""

import numpy as np
import pytest
from skimage import data

from powerqe.utils.codecs import JPEG
from powerqe.utils.codecs.jpeg_estimate import DIP, QUALITIES, dips, estimate_quality, last_compression
from tests.drawings import drawing

CAMERA = data.camera()[100:260, 160:320, None]
ASTRONAUT = data.astronaut()[40:200, 140:300]


def test_photographs_that_were_no_jpeg() -> None:
    for image in (CAMERA, ASTRONAUT):
        found = dips(image)
        assert list(found) == list(QUALITIES)
        assert max(found.values()) < DIP
        assert estimate_quality(image) is None


@pytest.mark.parametrize("quality", [5, 10, 20, 37, 50, 75, 80, 90, 95, 98])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_quality_is_found(quality: int, subsampling: str) -> None:
    codec = JPEG(subsampling=subsampling, encoder="pillow")  # type: ignore[arg-type]
    assert estimate_quality(codec.compress(ASTRONAUT, quality)[0]) == quality
    if subsampling == "4:2:0":
        compressed = JPEG().compress(CAMERA, quality)[0]
        assert estimate_quality(compressed) == quality
        assert dips(compressed)[quality] >= DIP


def test_quality_whose_steps_others_divide() -> None:
    """The steps of 90 are fifths of those of 50; the dip there is the deeper one here."""
    compressed = JPEG().compress(data.coffee()[160:320, :160], 50)[0]
    found = dips(compressed)
    assert max(found, key=found.__getitem__) == 90
    assert found[90] > 2 * found[50]
    assert estimate_quality(compressed) == 50


def test_the_lower_of_two_on_one_grid() -> None:
    once = JPEG().compress(CAMERA, 20)[0]
    assert estimate_quality(JPEG().compress(once, 90)[0]) == 20


def test_dip_only_where_blocks_begin() -> None:
    compressed = JPEG().compress(CAMERA, 30)[0]
    assert dips(compressed[8:, 16:])[30] > 2
    for rows, columns in ((4, 4), (0, 1), (3, 0)):
        assert dips(compressed[rows:, columns:])[30] < DIP
        assert estimate_quality(compressed[rows:, columns:]) is None


def test_large_image_is_judged_by_its_middle() -> None:
    """Where a block begins, too: the height of the middle part is not that of whole blocks."""
    image = np.pad(data.camera(), ((13, 14), (29, 30)), mode="reflect")[..., None]
    compressed = JPEG().compress(image, 40)[0]
    assert compressed.shape == (539, 571, 1)
    assert estimate_quality(compressed) == 40
    compressed[:8] = compressed[-8:] = 0
    compressed[:, :24] = compressed[:, -24:] = 255
    assert estimate_quality(compressed) == 40


def test_views_of_read_only_arrays() -> None:
    compressed = JPEG().compress(ASTRONAUT, 25)[0]
    compressed.flags.writeable = False
    assert estimate_quality(compressed[::-1]) == 25  # blocks begin at the other end, too: 160 rows


def test_smallest_images() -> None:
    for size in ((1, 1, 1), (3, 5, 3), (8, 8, 3)):
        assert estimate_quality(np.full(size, 100, np.uint8)) in (None, *QUALITIES)


def test_drawings_and_their_jpeg() -> None:
    """Dips by chance are much the same wherever blocks begin."""
    drawings = [drawing(seed) for seed in range(60)]
    by_chance = [image for image in drawings if last_compression(image).depth >= DIP]
    assert len(by_chance) > 5
    assert not any(map(estimate_quality, by_chance))
    compressed = [JPEG().compress(image, 20)[0] for image in drawings]
    shallow = [image for image in compressed if DIP <= last_compression(image).depth < 1]
    right = [abs(last_compression(image).quality - 20) <= 2 for image in shallow]
    found = [estimate_quality(image) is not None for image in shallow]
    assert sum(right) > 20
    assert sum(is_found for is_found, is_right in zip(found, right, strict=True) if is_right) > 0.9 * sum(right)


@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 8, 3), (15, 40, 1)])
def test_images_too_small_to_compare_positions(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert estimate_quality(image) in (None, *QUALITIES)
