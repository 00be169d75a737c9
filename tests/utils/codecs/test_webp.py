import cv2
import numpy as np
import pytest

from powerqe.utils.codecs.webp import WebP


@pytest.mark.parametrize("quality", [5, 40, 100])
def test_default_is_the_webp_that_opencv_writes(quality, make_image):
    image = make_image()
    data = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])[1]
    result, size = WebP().compress(image, quality)
    np.testing.assert_array_equal(result, cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    assert size == data.size


def test_effort_makes_it_smaller(make_image):
    assert WebP(method=6).compress(make_image(), 50)[1] < WebP(method=0).compress(make_image(), 50)[1]
