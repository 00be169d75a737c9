import numpy as np
import pytest

from powerqe.utils.codecs.video_frame import VideoFrame
from powerqe.utils.errors import UserError

pytest.importorskip("av")


@pytest.mark.parametrize("standard", ["h264", "hevc"])
def test_a_frame_that_can_be_predicted_is_smaller_than_an_intra_picture(standard, make_image, psnr):
    image = make_image()
    intra = VideoFrame(standard=standard).compress(image, 32)
    moving = VideoFrame(standard=standard, frames=3, motion=(1, 2)).compress(image, 32)
    assert 0 < moving[1] < 0.8 * intra[1]
    assert psnr(moving[0], image) > 30
    assert (moving[0] != intra[0]).any()
    np.testing.assert_array_equal(moving[0], VideoFrame(standard=standard, frames=3).compress(image, 32)[0])


def test_the_frames_before_lie_where_the_motion_comes_from(make_image):
    """Mirrored at the borders, and the last frame is the image itself."""
    image, codec = make_image(), VideoFrame(frames=3, motion=(2, -3))
    np.testing.assert_array_equal(codec._moved(image, 0), image)
    before = codec._moved(image, 2)
    np.testing.assert_array_equal(before[:-4, 6:], image[4:, :-6])
    np.testing.assert_array_equal(before[:-4, 0], image[4:, 6])


@pytest.mark.parametrize("size", [(1, 1), (17, 130), (97, 64)])
@pytest.mark.parametrize("standard", ["h264", "hevc"])
def test_any_size(standard, size, make_image):
    image = make_image(*size)
    assert VideoFrame(standard=standard, frames=2, preset="ultrafast").compress(image, 20)[0].shape == image.shape


def test_no_such_quality(make_image):
    with pytest.raises(UserError, match=r"qp52: VideoFrame.*0 to 51"):
        VideoFrame().compress(make_image(), 52)
