"""What every codec promises, and how it is chosen."""

import pickle
import warnings

import numpy as np
import pytest
from PIL import features

from powerqe.utils.codecs import CODECS, JPEG, check_quality
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import build, validate_component

SPECS = {
    "JPEG by OpenCV": {"type": "JPEG"},
    "JPEG by Pillow": {"type": "JPEG", "encoder": "pillow"},
    "WebP": {"type": "WebP"},
    "AVIF": {"type": "AVIF", "speed": 9},
    "HEVC": {"type": "HEVC"},
    "a frame of H.264": {"type": "VideoFrame"},
    "the third of HEVC": {"type": "VideoFrame", "standard": "hevc", "frames": 3, "preset": "ultrafast"},
}
QUALITIES = {"qf": (1, 10, 40, 100), "qp": (51, 37, 22, 0)}  # from bad to good


@pytest.fixture(params=SPECS.values(), ids=SPECS)
def codec(request):
    if request.param["type"] == "AVIF" and "avif" not in features.get_supported():
        pytest.skip("this Pillow has no AVIF")
    return build(validate_component("codec", request.param))


def test_names():
    assert CODECS.names() == ["AVIF", "BPG", "HEVC", "JPEG", "VideoFrame", "WebP"]


@pytest.mark.parametrize("channels", [1, 3])
def test_better_quality_is_larger_and_closer(codec, channels, make_image, psnr):
    image = make_image(channels=channels)
    results = [codec.compress(image, quality) for quality in QUALITIES[codec.quality_name]]
    assert all(result.shape == image.shape and result.dtype == np.uint8 for result, _ in results)
    assert all(result.flags.c_contiguous for result, _ in results)
    sizes = [size for _, size in results]
    figures = [psnr(result, image) for result, _ in results]
    assert sizes[1:] == sorted(set(sizes[1:]))
    assert sizes[0] < sizes[2]  # the two worst may be a copy of the frame before, in a few bytes
    assert figures == sorted(set(figures))
    assert figures[-1] > 35


def test_channels_stay_in_place(codec):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    quality = QUALITIES[codec.quality_name][-1]
    np.testing.assert_allclose(codec.compress(red, quality)[0].astype(int), red, atol=4)


@pytest.mark.parametrize("level", [0, 100, 255])
def test_gray_levels_stay_in_place(codec, level):
    """An error of a range (16 ... 235 taken for 0 ... 255) would show at the ends."""
    gray = np.full((20, 20, 1), level, np.uint8)
    quality = QUALITIES[codec.quality_name][-1]
    for image in (gray, np.repeat(gray, 3, axis=2)):
        np.testing.assert_allclose(codec.compress(image, quality)[0].astype(int), image, atol=1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (65, 3), (15, 17), (66, 71)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_cuts_of_a_larger_image(codec, shape, channels, make_image):
    image = make_image(80, 80, channels)[3 : 3 + shape[0], 5 : 5 + shape[1]]
    image.flags.writeable = False
    result, size = codec.compress(image, 30)
    assert result.shape == image.shape
    again = codec.compress(image.copy(), 30)
    np.testing.assert_array_equal(result, again[0])
    assert size == again[1] > 0
    assert np.abs(result.astype(int) - image).mean() < 20


@pytest.mark.parametrize("beyond", [-1, 1])
def test_quality_out_of_range(codec, beyond, make_image):
    low, high = codec.quality_range
    quality = low - 1 if beyond < 0 else high + 1
    name, unit = type(codec).__name__, codec.quality_name
    with pytest.raises(UserError, match=rf"{unit}{quality}: {name}.*{unit} {low}.*{high}"):
        codec.compress(make_image(), quality)
    assert check_quality(codec, low) == low
    assert check_quality(codec, high) == high


def test_survives_pickling(codec, make_image):
    copy = pickle.loads(pickle.dumps(codec))
    np.testing.assert_array_equal(copy.compress(make_image(), 35)[0], codec.compress(make_image(), 35)[0])


@pytest.mark.parametrize(
    ("name", "pixels"), [("JPEG", 66_000), ("JPEG by Pillow", 66_000), ("WebP", 17_000), ("AVIF", 66_000)]
)
def test_too_large(name, pixels):
    if name == "AVIF" and "avif" not in features.get_supported():
        pytest.skip("this Pillow has no AVIF")
    spec = SPECS.get(name, SPECS["JPEG by OpenCV"])
    with pytest.raises(UserError, match=rf"{spec['type']}.*{pixels}x1"):
        build(validate_component("codec", spec)).compress(np.zeros((1, pixels, 3), np.uint8), 30)


def test_is_a_component(make_image):
    codec = build(validate_component("codec", {"type": "JPEG", "subsampling": "4:4:4"}))
    image = make_image()
    np.testing.assert_array_equal(codec.compress(image, 20)[0], JPEG(subsampling="4:4:4").compress(image, 20)[0])
    for spec, message in (
        ({"type": "JPEG", "subsampling": "4:1:0"}, "subsampling"),
        ({"type": "jpeg"}, "unknown codec 'jpeg' .did you mean 'JPEG'"),
        ({"type": "WebP", "method": 7}, "method: found 7, expected 0 <= int <= 6"),
        ({"type": "AVIF", "speed": 11}, "speed: found 11, expected 0 <= int <= 10"),
        ({"type": "HEVC", "preset": "hasty"}, "preset"),
    ):
        with pytest.raises(UserError, match=message):
            validate_component("codec", spec)


@pytest.mark.parametrize("name", ["WebP", "AVIF"])
def test_pillow_without_the_format(name, monkeypatch):
    monkeypatch.setattr(features, "get_supported", lambda: ["jpg"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserError, match=f"{name}"):
            CODECS[name]()
