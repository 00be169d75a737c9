"""Every kind of image: its size, the same each time and another for another number; and the neutral share."""

import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from powerqe.data_pre_process.graphics.fonts import Face, bundled_faces
from powerqe.data_pre_process.graphics.kinds import (
    HELD_OUT_SEED,
    KINDS,
    NEUTRAL,
    SMALLEST,
    TRAIN_SEED,
    WEIGHTS,
    create_graphic,
    kind_of,
)
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import write_image

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


@cache
def faces() -> tuple[Face, ...]:
    return bundled_faces()


def create(kind: str, index: int, seed: int = TRAIN_SEED, photos: tuple[Path, ...] = ()) -> np.ndarray:
    return create_graphic(kind, seed, index, SMALLEST, faces(), photos)


def is_neutral(image: np.ndarray) -> bool:
    return bool((image == image[..., :1]).all())


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_rgb_of_the_size_and_the_same_each_time(kind):
    images = [create(kind, index) for index in range(12)]
    assert {(image.shape, image.dtype.name) for image in images} == {((SMALLEST, SMALLEST, 3), "uint8")}
    assert all((image == create(kind, index)).all() for index, image in enumerate(images[:4]))
    assert len({image.tobytes() for image in images}) == 12
    assert sum(image.std() > 8 for image in images) >= 9  # something is to be seen
    assert any(not is_neutral(image) for image in images)


def test_another_seed_shows_other_images():
    assert all((create(kind, 3) != create(kind, 3, HELD_OUT_SEED)).any() for kind in KINDS)


def test_another_process_makes_the_same_image():
    program = (
        "import sys; from powerqe.data_pre_process.graphics.kinds import create_graphic\n"
        "from powerqe.data_pre_process.graphics.fonts import bundled_faces\n"
        f"sys.stdout.buffer.write(create_graphic('mixed', 0, 5, {SMALLEST}, bundled_faces()).tobytes())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=120, check=True)
    assert done.stdout == create("mixed", 5).tobytes()


@pytest.mark.parametrize("kind", ["drawing", "gradient", "pixel-art"])
def test_a_fair_share_is_neutral(kind):
    share = np.mean([is_neutral(create(kind, index)) for index in range(120)])
    assert NEUTRAL - 0.12 < share < NEUTRAL + 0.3  # some are neutral by themselves


def test_kinds_come_as_often_as_they_weigh_in_any_stretch_of_numbers():
    total = sum(WEIGHTS.values())
    for start in (0, 1234):
        found = Counter(kind_of(index, WEIGHTS) for index in range(start, start + 210))
        assert all(abs(found[kind] - 210 * weight / total) < 4 for kind, weight in WEIGHTS.items())
    assert {kind_of(index, dict.fromkeys(KINDS, 1.0)) for index in range(2 * len(KINDS))} == set(KINDS)
    assert {kind_of(index, {"plot": 0.1}) for index in range(9)} == {"plot"}


def test_photographs_are_shown_reduced(tmp_path):
    red = np.zeros((240, 240, 3), np.uint8)
    red[::2, :, 0], red[1::2, :, 0] = 255, 155  # stripes that halving averages to 205
    write_image(tmp_path / "red.png", red)
    photos = (tmp_path / "red.png",)
    shown = [(create("mixed", index, photos=photos) == (205, 0, 0)).all(axis=-1).mean() for index in range(40)]
    assert max(shown) > 0.2
    assert all(
        (create("mixed", index, photos=photos) == create("mixed", index, photos=photos)).all() for index in range(3)
    )


def test_too_small_a_size_is_a_mistake_of_the_user():
    with pytest.raises(UserError, match=str(SMALLEST)):
        create_graphic("text", 0, 0, SMALLEST - 1, faces())
