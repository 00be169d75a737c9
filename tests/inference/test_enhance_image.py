"""What becomes of images of every kind, and that the pixels are those of test.py."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from skimage.data import astronaut

from powerqe.evaluation.tester import test as run_test
from powerqe.inference.choose import description_of
from powerqe.inference.enhance_files import Models, enhance_files
from powerqe.inference.enhance_image import enhance_photo, enhance_tensor
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.input_files import EnhanceJob
from powerqe.inference.model import Model
from powerqe.net import NETWORKS
from powerqe.net.weights import find, spec
from powerqe.utils.codecs import JPEG
from powerqe.utils.errors import UserError
from powerqe.utils.image.photo import Photo, decode_photo, read_photo
from powerqe.utils.options.tree import load_options
from powerqe.utils.ranks import start_ranks


class Fixed(Model):
    """A network that gives what it is told, and keeps what it saw."""

    def __init__(self, change, channels=3, needs_tables=False):
        self.name, self.channels, self.needs_tables, self.seen = "fixed", channels, needs_tables, []
        self.takes_clips = self.needs_quality = False
        self.scale, self.options = 1, InferenceOptions("cpu", consistency="off")
        self._change = change

    def __call__(self, batch):
        self.seen.append(batch)
        return self._change(batch["lq"]), {}


def identity(image):
    return image.clone()


@pytest.mark.parametrize(
    "name", ["arcnn-bsds500-qf10", "qgcn-bsds500-color", "fbcnn-bsds500-gray", "rbqe-bsds500-jpeg"]
)
def test_pixels_are_those_of_test_py(name, tmp_path, monkeypatch, root, jpeg, inference_options):
    """Byte for byte the same PNG file, for the same JPEG file and weights."""
    gray = name.endswith("gray")
    (tmp_path / "lq").mkdir()
    (tmp_path / "lq/a.jpg").write_bytes(jpeg(10, channels=1 if gray else 3, height=61, width=83))
    path = root / "weights" / f"{name}.safetensors"
    data = {"type": "PairedImages", "gt": None, "lq": str(tmp_path / "lq"), "color": "y" if gray else "rgb"}
    if "qgcn" in name:
        data["tables"] = "file"
    tree = {"name": "t", "network": spec(find(path)), "dataset": {"test": data}, "device": "cpu",
            "test": {"ckp_load_path": str(path), "criterion": {}}}  # fmt: skip
    if "rbqe" in name:
        tree["test"]["forward"] = {"exit": "auto"}  # as its option file has it
    (tmp_path / "o.yml").write_text(yaml.safe_dump({"defaults": tree, "cases": {"c": {}}}))
    monkeypatch.chdir(tmp_path)
    with start_ranks("cpu") as ranks:
        run_test(load_options("o.yml"), ranks)
    results = []
    enhance_files(
        [EnhanceJob(Path("lq/a.jpg"), Path("out/a.png"))],
        Models(str(path), inference_options(consistency="off")),
        results.append,
    )
    assert not results[0].error
    assert Path("out/a.png").read_bytes() == Path("exp/t/test_im_enhanced/test/a.png").read_bytes()
    assert Path("out/a.png").read_bytes() != Path("lq/a.jpg").read_bytes()


KINDS = st.tuples(
    st.sampled_from([np.uint8, np.uint16]), st.sampled_from([1, 3]), st.booleans(), st.sampled_from([1, 3])
)


@given(KINDS, st.integers(1, 8), st.integers(0, 2**32))
def test_a_network_that_changes_nothing_changes_nothing(kind, orientation, seed):
    dtype, channels, has_alpha, network_channels = kind
    random, peak = np.random.default_rng(seed), np.iinfo(dtype).max
    pixels = random.integers(0, peak + 1, (6, 5, channels)).astype(dtype)
    alpha = random.integers(0, peak + 1, (6, 5, 1)).astype(dtype) if has_alpha else None
    photo = Photo(pixels, alpha, orientation)
    result = enhance_photo(photo, Fixed(identity, network_channels), "x").photo
    assert result.pixels.dtype == dtype
    np.testing.assert_array_equal(result.pixels, pixels)
    assert result.alpha is alpha
    assert result.orientation == orientation


@pytest.mark.parametrize("height", [127, 128, 129, 300])
def test_every_row_of_a_high_image_is_its_own(image, height):
    photo = Photo(image(height, 9))
    result = enhance_photo(photo, Fixed(lambda x: 1 - x), "x").photo
    np.testing.assert_array_equal(result.pixels, 255 - photo.pixels)


def test_luma_network_keeps_chroma(image):
    photo = Photo(image() // 2 + 60)
    model = Fixed(lambda luma: luma + 10 / 255, channels=1)
    result = enhance_photo(photo, model, "x")
    change = result.photo.pixels.astype(int) - photo.pixels
    assert set(np.unique(change)) == {12}  # 10 steps of luma are 10 * 255 / 219 = 11.6 of R, G and B
    assert model.seen[0]["lq"].shape == (1, 1, 40, 56)
    assert result.notes == ("weights for luma: the chroma stays as it was",)


def test_gray_through_colors_is_the_mean_of_them(image):
    photo = Photo(image(channels=1) // 2 + 60)
    shift = torch.tensor([0.0, 3.0, 9.0]).view(1, 3, 1, 1) / 255
    result = enhance_photo(photo, Fixed(lambda rgb: rgb + shift), "x")
    np.testing.assert_array_equal(result.photo.pixels, photo.pixels + 4)
    assert result.notes == ("gray, through weights for color",)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_rgb_without_color_stays_without_color(kind, channels, image):
    """As the same image in gray, whatever the network makes of the three channels."""
    gray = image(channels=1).astype(kind) // 2 + 60
    shift = torch.tensor([0.0, 3.0, 9.0][:channels]).view(1, -1, 1, 1) / 255
    results = [enhance_photo(Photo(pixels), Fixed(lambda x: x + shift, channels), "x")
               for pixels in (gray, gray.repeat(3, 2))]  # fmt: skip
    np.testing.assert_array_equal(results[1].photo.pixels, results[0].photo.pixels.repeat(3, 2))
    np.testing.assert_array_equal(results[1].before.pixels, gray.repeat(3, 2))
    tensor = torch.from_numpy(gray.repeat(3, 2) / np.iinfo(kind).max).permute(2, 0, 1)[None].float()
    floats = enhance_tensor(tensor, Fixed(lambda x: x + shift, channels), "x")
    assert floats.shape == tensor.shape
    assert torch.equal(floats, floats[:, :1].expand(-1, 3, -1, -1))
    assert description_of(Photo(gray.repeat(3, 2))).is_gray


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", [1, 6])
def test_what_is_invisible_does_not_change_what_is_visible(kind, orientation, image):
    random = np.random.default_rng(0)
    visible, hidden = image().astype(kind), random.integers(0, 256, (40, 56, 3)).astype(kind)
    alpha = random.integers(0, 2, (40, 56, 1)).astype(kind) * np.arange(40, dtype=kind)[:, None, None]
    blur = Fixed(lambda x: torch.nn.functional.avg_pool2d(x, 5, 1, 2))
    photos = [Photo(np.where(alpha > 0, visible, below), alpha, orientation, format="JPEG")
              for below in (visible, hidden, visible * 0)]  # fmt: skip
    found = [enhance_photo(photo, blur, "x").photo for photo in photos]
    seen = Photo(visible, alpha, orientation).upright()
    for photo, below in zip(found, (visible, hidden, visible * 0), strict=True):
        np.testing.assert_array_equal(photo.alpha, seen.alpha)
        np.testing.assert_array_equal(photo.pixels * (seen.alpha > 0), found[0].pixels * (seen.alpha > 0))
        below = Photo(below, alpha, orientation).upright().pixels
        np.testing.assert_array_equal(photo.pixels * (seen.alpha == 0), below * (seen.alpha == 0))
    assert not np.array_equal(found[0].pixels * (seen.alpha > 0), seen.pixels * (seen.alpha > 0))


def test_hidden_colors_are_no_color(image):
    """A colored pixel that nobody sees makes a gray image no color image."""
    pixels, alpha = image(channels=1).repeat(3, 2), np.full((40, 56, 1), 255, np.uint8)
    pixels[0, 0], alpha[0, 0] = (255, 0, 9), 0
    assert description_of(Photo(pixels, alpha)).is_gray
    result = enhance_photo(Photo(pixels, alpha), Fixed(lambda x: x * torch.tensor([1, 0.5, 0.2]).view(1, 3, 1, 1)), "x")
    assert result.photo.pixels[0, 0].tolist() == [255, 0, 9]
    assert np.array_equal(result.photo.pixels[1:, :, :1].repeat(3, 2), result.photo.pixels[1:])


def test_sixteen_bits_are_computed_with():
    pixels = np.arange(0, 65536, 7, dtype=np.uint16)[:9360].reshape(40, 78, 3)
    result = enhance_photo(Photo(pixels), Fixed(lambda x: x * 0.5), "x")
    assert np.abs(result.photo.pixels.astype(int) - pixels / 2).max() <= 0.51


def test_alpha_grows_with_the_image(weights, inference_options, image):
    alpha = np.full((40, 56, 1), 77, np.uint8)
    result = enhance_photo(Photo(image(), alpha), Model(weights("twice"), inference_options()), "x").photo
    assert result.pixels.shape == (80, 112, 3)
    assert result.alpha is not None
    assert result.alpha.shape == (80, 112, 1)
    assert set(np.unique(result.alpha)) == {77}


def test_tables_are_those_of_the_file_before_it_is_turned(jpeg):
    photo = decode_photo(jpeg(30), "a.jpg")
    model = Fixed(identity, needs_tables=True)
    result = enhance_photo(replace(photo, orientation=6), model, "x")
    np.testing.assert_array_equal(model.seen[0]["tables"][0], photo.tables)
    assert model.seen[0]["lq"].shape[-2:] == (40, 56)
    assert result.photo.orientation == 6  # turned when it is written
    model = Fixed(identity)
    result = enhance_photo(replace(photo, orientation=6), model, "x")
    assert model.seen[0]["lq"].shape[-2:] == (56, 40)  # as test.py sees it
    assert result.photo.orientation == 1


def test_tables_of_a_file_that_was_a_jpeg():
    pixels = JPEG().compress(astronaut()[:256, :256], 30)[0]
    model = Fixed(identity, needs_tables=True)
    result = enhance_photo(Photo(pixels), model, "x")
    assert "quality 30 estimated" in " ".join(result.notes)
    assert model.seen[0]["tables"].shape == (1, 2, 8, 8)
    gray = Fixed(identity, channels=1, needs_tables=True)
    enhance_photo(Photo(pixels), gray, "x")
    assert gray.seen[0]["tables"].shape == (1, 1, 8, 8)
    with pytest.raises(UserError, match=r"x.*JPEG.*use other weights"):
        enhance_photo(Photo(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)), model, "x")


def test_quality_factor_is_given_or_estimated(weights, inference_options, image):
    path = weights("fbcnn")
    estimated = Model(path, inference_options())
    told = [enhance_photo(Photo(image()), Model(path, inference_options(qf=qf)), "x") for qf in (5.0, 95.0)]
    assert not np.array_equal(told[0].photo.pixels, told[1].photo.pixels)
    assert told[0].estimates == told[1].estimates
    assert list(enhance_photo(Photo(image()), estimated, "x").estimates) == ["qf"]
    with pytest.raises(UserError, match=r"ARCNN .*FBCNN"):
        Model(weights("arcnn"), inference_options(qf=20.0))


def test_a_network_gets_the_quality_of_the_file_or_of_its_pixels(weights, inference_options, jpeg, tmp_path):
    """By the user, by the tables, by the pixels of a JPEG that is none any more, by nobody."""
    path = weights("drunet")
    (tmp_path / "a.jpg").write_bytes(jpeg(20, height=160, width=160))
    photo = read_photo(tmp_path / "a.jpg")
    model = Model(path, inference_options())

    def told(photo, qf=None):
        return enhance_photo(photo, model if qf is None else Model(path, inference_options(qf=qf)), "x")

    by_user = [told(photo, qf).photo.pixels for qf in (20.0, 50.0)]
    assert not np.array_equal(*by_user)
    assert np.array_equal(told(photo).photo.pixels, by_user[0])
    assert not told(photo).notes
    decoded = told(Photo(photo.pixels))
    assert np.array_equal(decoded.photo.pixels, by_user[0])
    assert "quality 20 estimated" in decoded.notes[0]
    noise = Photo(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    assert np.array_equal(told(noise).photo.pixels, told(noise, 50.0).photo.pixels)
    assert "unknown" in told(noise).notes[0]
    assert not told(noise, 50.0).notes


def test_a_blind_network_gets_no_quality(weights, inference_options, image):
    assert not enhance_photo(Photo(image()), Model(weights("blind"), inference_options()), "x").notes
    with pytest.raises(UserError, match=r"DRUNet .*FBCNN"):
        Model(weights("blind"), inference_options(qf=20.0))


@pytest.mark.parametrize("options", [{"tile": "off"}, {"tile": 32}, {"self_ensemble": True}, {"precision": "bf16"}])
def test_ways_to_apply_a_network(weights, inference_options, image, options):
    path = weights("arcnn")
    plain = enhance_photo(Photo(image()), Model(path, inference_options()), "x").photo.pixels.astype(int)
    other = enhance_photo(Photo(image()), Model(path, inference_options(**options)), "x").photo.pixels.astype(int)
    assert np.abs(plain - other).max() <= (0 if "tile" in options else 40)
    assert np.array_equal(plain, other) == ("tile" in options)


def test_networks_for_other_things_are_refused(weights, inference_options, tmp_path, image):
    with pytest.raises(UserError, match=r"a\.png: STDF"):
        enhance_photo(Photo(image()), Model(weights("stdf"), inference_options()), "a.png")
    with pytest.raises(UserError, match="'qgcn-bsds500-color'"):
        Model("qgcn-bsds500-colr", inference_options())
    Path(tmp_path / "x.safetensors").write_bytes(json.dumps({}).encode())
    with pytest.raises(UserError, match=r"x\.safetensors is damaged"):
        Model(str(tmp_path / "x.safetensors"), inference_options())


def test_luma_cannot_be_enlarged_without_its_chroma(image):
    model = Fixed(lambda luma: luma.repeat(1, 1, 2, 2), channels=1)
    with pytest.raises(UserError, match="enlarge luma"):
        enhance_photo(Photo(image()), model, "x")


def test_a_whole_image_that_does_not_fit(weights, inference_options, image, monkeypatch):
    model = Model(weights("arcnn"), inference_options(tile="off"))

    def fail(network, x):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(NETWORKS["ARCNN"], "forward", fail)
    with pytest.raises(UserError, match=r"56 x 40.*--tile"):
        enhance_photo(Photo(image()), model, "x")
