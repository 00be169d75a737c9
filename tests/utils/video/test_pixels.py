"""What a network sees of a frame, and the frame of what it makes."""

import numpy as np
import pytest
import torch

from powerqe.utils.image.tensors import to_image
from powerqe.utils.video.pixels import FramePixels
from powerqe.utils.video.yuv import Frame, Geometry


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("chroma", ["420", "444"])
def test_luma_takes_its_place_and_the_rest_stays(frames, depth, chroma):
    geometry = Geometry(16, 8, chroma, depth)
    (frame,) = frames(geometry, 1)
    pixels = FramePixels(1, geometry)
    seen = torch.from_numpy(pixels.seen(frame).astype(np.float32)).movedim(-1, 0)[None] / pixels.peak
    assert all(map(np.array_equal, pixels.restored(seen, frame), frame))
    made = pixels.restored(seen + 2, frame)
    assert (made.y == (1 << depth) - 1).all()
    assert made.y.dtype == frame.y.dtype
    if depth == 8:
        changed = seen + 0.1 * torch.randn(seen.shape, generator=torch.Generator().manual_seed(0))
        assert np.array_equal(pixels.restored(changed, frame).y, to_image(changed[0])[..., 0])


def test_ten_bits_are_finer_steps_of_the_same_brightness(frames):
    (frame,) = frames(Geometry(16, 8), 1)
    fine = Frame(*(plane.astype(np.uint16) << 2 for plane in frame))
    coarse, finer = FramePixels(1, Geometry(16, 8)), FramePixels(1, Geometry(16, 8, "420", 10))
    assert np.array_equal(finer.seen(fine) / finer.peak, coarse.seen(frame) / coarse.peak)
    assert np.array_equal(coarse.seen(fine), coarse.seen(frame))
    zeros = torch.zeros(1, 1, 8, 16)
    assert all(map(np.array_equal, coarse.restored(zeros, fine)[1:], frame[1:]))
    assert finer.restored(zeros, fine).u is fine.u


def test_ten_bits_of_color_are_finer_steps_too(frames):
    (frame,) = frames(Geometry(16, 8), 1)
    fine = Frame(*(plane.astype(np.uint16) << 2 for plane in frame))
    coarse, finer = FramePixels(3, Geometry(16, 8)), FramePixels(3, Geometry(16, 8, "420", 10))
    assert finer.seen(fine).dtype == np.uint16
    assert np.abs(finer.seen(fine) / finer.peak - coarse.seen(frame) / coarse.peak).max() <= 0.51 / 255
    assert np.array_equal(finer.shown(fine), coarse.seen(frame))


def test_frames_without_planes_are_made_of_the_result_alone():
    zeros = torch.zeros(1, 1, 2, 4)
    made = FramePixels(1, Geometry(4, 2)).restored(zeros, None)
    assert [plane.tolist() for plane in made] == [[[0] * 4] * 2, [[128, 128]], [[128, 128]]]
    made = FramePixels(3, Geometry(4, 2)).restored(zeros.expand(1, 3, 2, 4), None)
    assert [plane.tolist() for plane in made] == [[[16] * 4] * 2, [[128, 128]], [[128, 128]]]
