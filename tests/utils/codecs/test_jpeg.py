import cv2
import numpy as np
import pytest

from powerqe.utils.codecs import JPEG
from powerqe.utils.codecs.jpeg import compress_with_tables
from powerqe.utils.codecs.jpeg_tables import quant_tables
from powerqe.utils.image.io import list_images, read_image


def test_default_is_the_jpeg_that_opencv_writes(make_image):
    image = make_image()
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 10])[1]
    result, size = JPEG().compress(image, 10)
    np.testing.assert_array_equal(result, cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    assert size == data.size


@pytest.mark.parametrize("encoder", ["cv2", "pillow"])
def test_subsampling_orders_the_sizes(encoder, make_image):
    sizes = [JPEG(subsampling=s, encoder=encoder).compress(make_image(), 50)[1] for s in ("4:2:0", "4:2:2", "4:4:4")]
    assert sizes == sorted(set(sizes))


@pytest.mark.needs_data("live1")
def test_live1_at_quality_10_has_the_published_psnr(psnr, data_folder):
    images = [read_image(path) for path in list_images(data_folder / "live1").values()]
    assert np.mean([psnr(JPEG().compress(image, 10)[0], image) for image in images]) == pytest.approx(25.69, abs=0.005)


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
def test_with_the_tables_of_a_quality_factor_the_image_is_that_of_the_factor(make_image, subsampling):
    image = make_image()
    result, size = compress_with_tables(image, quant_tables(30, 3), subsampling)
    expected = JPEG(subsampling=subsampling).compress(image, 30)
    np.testing.assert_array_equal(result, expected[0])
    assert size == expected[1]
    np.testing.assert_array_equal(
        compress_with_tables(image[..., :1], quant_tables(30, 3), subsampling)[0],
        JPEG().compress(image[..., :1], 30)[0],
    )
