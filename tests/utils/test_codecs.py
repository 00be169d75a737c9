import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.codecs import CODECS, JPEG, check_quality
from utils.components import build, validate_component
from utils.errors import UserError
from utils.image_io import list_images, read_image

SHARED = Path(__file__).resolve().parents[2] / "../shared"


def picture(height=50, width=70, channels=3):
    noise = np.random.default_rng(1).integers(0, 256, (6, 8, channels), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize("encoder", ["cv2", "pillow"])
@pytest.mark.parametrize("channels", [1, 3])
def test_better_quality_is_larger_and_closer(encoder, channels):
    image = picture(channels=channels)
    results = [JPEG(encoder=encoder).compress(image, quality) for quality in (1, 10, 40, 100)]
    assert all(result.shape == image.shape and result.dtype == np.uint8 for result, _ in results)
    sizes = [size for _, size in results]
    figures = [psnr(result, image) for result, _ in results]
    assert sizes == sorted(sizes)
    assert figures == sorted(figures)
    assert figures[-1] > 35


@pytest.mark.parametrize("encoder", ["cv2", "pillow"])
def test_channels_stay_in_place(encoder):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    result, _ = JPEG(encoder=encoder).compress(red, 90)
    np.testing.assert_allclose(result, red, atol=3)


def test_default_is_the_jpeg_that_opencv_writes():
    image = picture()
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 10])[1]
    result, size = JPEG().compress(image, 10)
    np.testing.assert_array_equal(result, cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    assert size == data.size


@pytest.mark.parametrize("encoder", ["cv2", "pillow"])
def test_subsampling_orders_the_sizes(encoder):
    sizes = [JPEG(subsampling=s, encoder=encoder).compress(picture(), 50)[1] for s in ("4:2:0", "4:2:2", "4:4:4")]
    assert sizes == sorted(set(sizes))


def test_cuts_of_a_larger_image_and_single_pixels():
    image = picture()
    np.testing.assert_array_equal(
        JPEG().compress(image[3:40, 5:61], 30)[0], JPEG().compress(image[3:40, 5:61].copy(), 30)[0]
    )
    assert JPEG().compress(np.zeros((1, 1, 3), np.uint8), 5)[0].shape == (1, 1, 3)


@pytest.mark.parametrize("quality", [0, 101, -3])
def test_quality_out_of_range(quality):
    with pytest.raises(UserError, match=f"qf{quality}: JPEG has qf 1 to 100"):
        JPEG().compress(picture(), quality)
    assert check_quality(JPEG(), 100) == 100


def test_is_a_component():
    codec = build(validate_component("codec", {"type": "JPEG", "subsampling": "4:4:4"}))
    image = picture()
    np.testing.assert_array_equal(codec.compress(image, 20)[0], JPEG(subsampling="4:4:4").compress(image, 20)[0])
    assert "JPEG" in CODECS
    with pytest.raises(UserError, match="subsampling"):
        validate_component("codec", {"type": "JPEG", "subsampling": "4:1:0"})
    with pytest.raises(UserError, match="unknown codec 'jpeg'"):
        validate_component("codec", {"type": "jpeg"})


def test_survives_pickling():
    codec = pickle.loads(pickle.dumps(JPEG(encoder="pillow")))
    np.testing.assert_array_equal(codec.compress(picture(), 9)[0], JPEG(encoder="pillow").compress(picture(), 9)[0])


def test_live1_at_quality_10_has_the_published_psnr():
    folder = SHARED / "data/live1"
    if not folder.is_dir():
        pytest.skip("the LIVE1 pictures are not here")
    images = [read_image(path) for path in list_images(folder).values()]
    assert np.mean([psnr(JPEG().compress(image, 10)[0], image) for image in images]) == pytest.approx(25.69, abs=0.005)
