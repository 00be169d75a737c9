"""Both methods, each with a folder of its own; gray images and odd sizes too."""

import numpy as np
import pytest

from powerqe.data_pre_process.main_down_sample import main
from powerqe.utils.image.imresize import area_downsample, bicubic_downsample
from powerqe.utils.image.io import list_images, read_image


@pytest.mark.parametrize(
    ("arguments", "folder", "method"),
    [
        ([], "raw_ds_3", area_downsample),
        (["--method", "area"], "raw_ds_3", area_downsample),
        (["--method", "bicubic"], "raw_bicubic_ds_3", bicubic_downsample),
    ],
)
def test_methods(data, arguments, folder, method):
    before = {path.name for path in (data / "div2k").iterdir()}
    assert main(["div2k", "3", "--data-root", str(data), "--nworker", "1", "--quiet", *arguments]) == 0
    assert {path.name for path in (data / "div2k").iterdir()} - before == {folder}
    small = list_images(data / "div2k" / folder)
    assert list(small) == ["0001", "0002", "0003"]
    for stem, path in small.items():
        original = read_image(data / "div2k/raw" / f"{stem}.png", "any")
        assert read_image(path, "any").shape == (original.shape[0] // 3, original.shape[1] // 3, original.shape[2])
        np.testing.assert_array_equal(read_image(path, "any"), method(original, 3))
