"""What a network sees of a frame, and the frame of what it makes."""

import numpy as np
import pytest
import torch

from powerqe.utils.image.tensors import to_image, to_tensor
from powerqe.utils.video.pixels import FramePixels
from powerqe.utils.video.yuv import Frame, Geometry, from_rgb, to_rgb


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("chroma", ["420", "444"])
def test_luma_takes_its_place_and_the_rest_stays(frames, depth, chroma):
    (frame,) = frames(Geometry(16, 8, chroma, depth), 1)
    pixels = FramePixels(1, depth, chroma)
    seen = torch.from_numpy(pixels.seen(frame).astype(np.float32)).movedim(-1, 0)[None] / pixels.peak
    assert all(map(np.array_equal, pixels.restored(seen, frame[1:]), frame))
    made = pixels.restored(seen + 2, frame[1:])
    assert (made.y == (1 << depth) - 1).all()
    assert made.y.dtype == frame.y.dtype
    if depth == 8:
        changed = seen + 0.1 * torch.randn(seen.shape, generator=torch.Generator().manual_seed(0))
        assert np.array_equal(pixels.restored(changed, frame[1:]).y, to_image(changed[0])[..., 0])


def test_ten_bits_are_finer_steps_of_the_same_brightness(frames):
    (frame,) = frames(Geometry(16, 8), 1)
    fine = Frame(*(plane.astype(np.uint16) << 2 for plane in frame))
    coarse, finer = FramePixels(1, 8, "420"), FramePixels(1, 10, "420")
    assert np.array_equal(finer.seen(fine) / finer.peak, coarse.seen(frame) / coarse.peak)
    assert np.array_equal(coarse.seen(fine), coarse.seen(frame))
    zeros = torch.zeros(1, 1, 8, 16)
    assert all(map(np.array_equal, coarse.restored(zeros, fine[1:])[1:], frame[1:]))
    assert finer.restored(zeros, fine[1:]).u is fine.u


@pytest.mark.parametrize("full", [False, True])
def test_colors_go_to_and_from_rgb(frames, full):
    (frame,) = frames(Geometry(16, 8), 1)
    pixels = FramePixels(3, 8, "420", full)
    seen = pixels.seen(frame)
    assert np.array_equal(seen, to_rgb(frame, full=full))
    made = pixels.restored(to_tensor(seen)[None], frame[1:])
    assert all(map(np.array_equal, made, from_rgb(to_rgb(frame, full=full), full=full)))
    double = torch.zeros(1, 3, 16, 32)
    assert pixels.geometry(double) == Geometry(32, 16)
