import numpy as np
import pytest

from powerqe.dataset.sources import ImageSource
from powerqe.dataset.store import write_store
from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma_uint8
from powerqe.utils.image.io import write_image


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (20, 30, 3), np.uint8) for name in ("b", "a", "a-x")}
    for name, image in images.items():
        write_image(tmp_path / f"folder/{name}.png", image)
    write_store(tmp_path / "store", images.items())
    return images


@pytest.mark.parametrize("kind", ["folder", "store"])
def test_the_same_images_in_the_same_order(tmp_path, images, kind):
    source = ImageSource(tmp_path / kind)
    assert source.stems() == ["a", "a-x", "b"]
    for name, image in images.items():
        np.testing.assert_array_equal(source[name], image)
        np.testing.assert_array_equal(ImageSource(tmp_path / kind, "y")[name], luma_uint8(image))


@pytest.mark.parametrize("kind", ["folder", "store"])
def test_luma_of_a_part_is_the_part_of_the_luma(tmp_path, images, kind):
    source = ImageSource(tmp_path / kind, "y")
    part = source.converted(source.stored("a")[3:9, 4:20], "a")
    np.testing.assert_array_equal(part, luma_uint8(images["a"])[3:9, 4:20])


def test_gray_where_rgb_is_expected(tmp_path):
    gray = np.zeros((4, 4, 1), np.uint8)
    write_image(tmp_path / "folder/g.png", gray)
    write_store(tmp_path / "store", [("g", gray)])
    for kind, name in (("folder", r"folder/g\.png"), ("store", r"store\[g\]")):
        assert ImageSource(tmp_path / kind, "y")["g"].shape == (4, 4, 1)
        with pytest.raises(UserError, match=rf"{name}.*8-bit gray.*8-bit RGB"):
            ImageSource(tmp_path / kind)["g"]


def test_opening_reads_no_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.png").write_text("no image")
    source = ImageSource(tmp_path / "folder")
    with pytest.raises(UserError, match=r"a\.png"):
        source["a"]


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match="cannot read the image folder"):
        ImageSource(tmp_path / "nowhere")
