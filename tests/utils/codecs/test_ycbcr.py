import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.utils.codecs.ycbcr import from_i420, to_i420


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_color_is_that_of_jpeg(rgb):
    """ITU-T T.871: the same as OpenCV's conversion, which is the one of libjpeg, up to its rounding."""
    image = np.full((2, 4, 3), rgb, np.uint8)
    y, cr, cb = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[0, 0].astype(int)
    planes = to_i420(image)
    assert planes.shape == (3, 4)
    np.testing.assert_allclose(planes.astype(int), [[y] * 4, [y] * 4, [cb, cb, cr, cr]], atol=1)
    np.testing.assert_allclose(from_i420(planes, 3).astype(int), image, atol=2)


def test_planes_lie_as_ffmpeg_has_them():
    av = pytest.importorskip("av")
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(to_i420(image), "yuvj420p")
    planes = [np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes]
    mean = image.reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(planes[0], image @ [0.299, 0.587, 0.114], atol=0.51)
    np.testing.assert_allclose(planes[1], 128 + (mean[..., 2] - mean @ [0.299, 0.587, 0.114]) / 1.772, atol=0.51)
    np.testing.assert_allclose(planes[2], 128 + (mean[..., 0] - mean @ [0.299, 0.587, 0.114]) / 1.402, atol=0.51)


def test_chroma_is_interpolated_between_the_middles_of_its_pixels():
    planes = np.full((3, 4), 128, np.uint8)
    planes[2] = [128, 128, 108, 148]  # Cr of the left and of the right half
    red = from_i420(planes, 3)[..., 0].astype(int)
    np.testing.assert_allclose(red, np.tile(128 + 1.402 * np.array([-20, -10, 10, 20]), (2, 1)), atol=0.51)


def test_gray_is_the_luma():
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 1), np.uint8)
    planes = to_i420(image)
    assert (planes[4:] == 128).all()
    np.testing.assert_array_equal(from_i420(planes, 1), image)
