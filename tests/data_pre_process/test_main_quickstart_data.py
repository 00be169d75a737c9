"""The photographs of the quickstart."""

import numpy as np
import pytest
from skimage import data as skimage_data

from powerqe.data_pre_process.main_quickstart_data import main
from powerqe.data_pre_process.quickstart import TEST, TRAIN
from powerqe.utils.image.io import list_images, read_image


@pytest.mark.slow
def test_nine_rgb_photographs_the_test_ones_last(tmp_path):
    assert main(["--data-root", str(tmp_path)]) == 0
    images = list_images(tmp_path / "quickstart/raw")
    assert [stem.split("-")[0] for stem in images] == [f"{number:02}" for number in range(1, 10)]
    assert [stem.split("-")[1] for stem in images][-3:] == ["astronaut", "chelsea", "coffee"]
    assert all(min(read_image(path, "rgb").shape[:2]) >= 300 for path in images.values())
    assert np.array_equal(read_image(images["09-coffee"]), skimage_data.coffee())


def test_a_stereo_pair_is_not_split():
    assert {name for name in TRAIN if name.startswith("motorcycle")} == {"motorcycle_left.png", "motorcycle_right.png"}
    assert not any(name.startswith("motorcycle") for name in TEST)
