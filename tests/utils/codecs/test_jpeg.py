from pathlib import Path

import cv2
import numpy as np
import pytest

from powerqe.utils.codecs import JPEG
from powerqe.utils.image.io import list_images, read_image

SHARED = Path(__file__).resolve().parents[3] / "../shared"


def test_default_is_the_jpeg_that_opencv_writes(picture):
    image = picture()
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 10])[1]
    result, size = JPEG().compress(image, 10)
    np.testing.assert_array_equal(result, cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    assert size == data.size


@pytest.mark.parametrize("encoder", ["cv2", "pillow"])
def test_subsampling_orders_the_sizes(encoder, picture):
    sizes = [JPEG(subsampling=s, encoder=encoder).compress(picture(), 50)[1] for s in ("4:2:0", "4:2:2", "4:4:4")]
    assert sizes == sorted(set(sizes))


def test_live1_at_quality_10_has_the_published_psnr(psnr):
    folder = SHARED / "data/live1"
    if not folder.is_dir():
        pytest.skip("the LIVE1 pictures are not here")
    images = [read_image(path) for path in list_images(folder).values()]
    assert np.mean([psnr(JPEG().compress(image, 10)[0], image) for image in images]) == pytest.approx(25.69, abs=0.005)
