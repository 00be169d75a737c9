"""An image in bands of tiles: its pixels are those of the whole image, and no more of it is there as floats."""

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from powerqe.inference.enhance_image import enhance_photo
from powerqe.inference.model import Model
from powerqe.net.measure.live_memory import LiveMemory
from powerqe.utils.image.photo import Photo, decode_photo


def make_image(height: int = 150, width: int = 117) -> np.ndarray:
    """Smooth, with noise."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return (smooth + random.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


def from_jpeg(quality: int = 20, orientation: int = 1, mode: str = "RGB", **options) -> Photo:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(make_image()).convert(mode).save(file, "JPEG", quality=quality, exif=exif.tobytes(), **options)
    return decode_photo(file.getvalue(), "a.jpg")


def with_hidden() -> Photo:
    pixels = make_image()
    alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    alpha[30:60, 40:80] = 0
    return Photo(pixels, alpha, orientation=7)


PHOTOS = {
    "JPEG": from_jpeg,
    "JPEG without subsampling": lambda: from_jpeg(subsampling=0),
    "progressive": lambda: from_jpeg(progressive=True),
    **{f"turned {number}": lambda number=number: from_jpeg(orientation=number) for number in (3, 5, 6)},
    "gray": lambda: from_jpeg(mode="L"),
    "neutral": lambda: Photo(np.repeat(make_image()[..., :1], 3, 2)),
    "hidden": with_hidden,
    "16 bits": lambda: Photo(make_image().astype(np.uint16) * 257, orientation=4),
}


@pytest.mark.parametrize(("name", "mode"), [("arcnn", "off"), ("luma", "on")])
@pytest.mark.parametrize("kind", PHOTOS)
def test_bands_give_the_pixels_of_the_whole(kind, name, mode, weights, inference_options):
    photo, options = PHOTOS[kind](), {"consistency": mode}
    whole = enhance_photo(photo, Model(weights(name), inference_options(tile="off", **options)), "x")
    model = Model(weights(name), inference_options(tile=16, **options))
    found = enhance_photo(photo, model, "x")
    own = replace(photo, pixels=photo.pixels.copy())
    instead = enhance_photo(own, model, "x", in_place=True)
    assert model.tile == 16
    assert not np.array_equal(whole.photo.pixels, whole.before.pixels)
    for each in (found, instead):
        change = np.abs(each.photo.pixels.astype(int) - whole.photo.pixels)
        assert change.max() <= 1
        assert (change > 0).mean() < 1e-3
        assert (each.notes, each.photo.orientation) == (whole.notes, whole.photo.orientation)
    np.testing.assert_array_equal(found.before.pixels, whole.before.pixels)
    shares = kind != "hidden"  # what is hidden was filled, in a copy
    assert np.shares_memory(instead.photo.pixels, own.pixels) == shares


@pytest.mark.parametrize("name", ["fbcnn", "qgcn", "twice"])
def test_other_networks(name, weights, inference_options):
    photo = from_jpeg(orientation=8)
    whole, found = (
        enhance_photo(photo, Model(weights(name), inference_options(tile=tile)), "x") for tile in ("off", 32)
    )
    assert np.abs(found.photo.pixels.astype(int) - whole.photo.pixels).max() <= 1
    assert found.estimates == pytest.approx(whole.estimates, abs=0.01)


@pytest.mark.parametrize(("quality", "believed"), [(60, True), (12, False)])
def test_an_earlier_compression_decides_as_for_the_whole(quality, believed, weights, inference_options, monkeypatch):
    """Also if the network agrees with the file all the same, for which it has to be applied once more."""
    monkeypatch.setattr("powerqe.inference.consistency.earlier_quality", lambda pixels, quality: 5)
    if not believed:
        monkeypatch.setattr("powerqe.inference.consistency._AGREEMENT", 1.0)
    photo, options = from_jpeg(quality), {"consistency": "auto", "force_enhance": False}
    whole, found = (
        enhance_photo(photo, Model(weights("arcnn"), inference_options(tile=tile, **options)), "x")
        for tile in ("off", 16)
    )
    assert any("quality 5" in note for note in whole.notes) == believed
    assert found.notes == whole.notes
    np.testing.assert_array_equal(found.photo.pixels, whole.photo.pixels)


def test_floats_do_not_grow_with_the_height(weights, inference_options):
    model, peaks = Model(weights("arcnn"), inference_options(tile=32, consistency="on")), []
    for height in (200, 800):
        file = cv2.imencode(".jpg", make_image(height, 64))[1].tobytes()
        photo = decode_photo(file, "x")
        with LiveMemory() as live:
            enhance_photo(photo, model, "x", in_place=True)
        peaks.append(live.peak)
    assert peaks[1] < 1.1 * peaks[0]
