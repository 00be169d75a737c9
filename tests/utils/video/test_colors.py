"""YCbCr of the standards: known colors, where nothing changes, and what a file or a name says of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from powerqe.utils.errors import UserError
from powerqe.utils.video.colors import Color, color_space, marked, named_color
from powerqe.utils.video.pixels import FramePixels
from powerqe.utils.video.yuv import Frame, Geometry, YUVName

CHROMAS = ["400", "420", "422", "444"]
COLORS = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.75, 0.5, 0.25]])
BT601, BT709, BT2020 = 6, 1, 9
GOLDEN = {  # ITU-R BT.601-7, BT.709-6 and BT.2020-2; full range: ITU-T H.273, section 8.3, as in ITU-T T.871 for BT.601
    (BT601, 1, 8): [[235, 128, 128], [16, 128, 128], [81, 90, 240], [145, 54, 34], [41, 240, 110], [136, 91, 161]],
    (BT709, 1, 8): [[235, 128, 128], [16, 128, 128], [63, 102, 240], [173, 42, 26], [32, 240, 118], [133, 94, 159]],
    (BT2020, 1, 8): [[235, 128, 128], [16, 128, 128], [74, 97, 240], [164, 47, 25], [29, 240, 119], [137, 92, 158]],
    (BT601, 2, 8): [[255, 128, 128], [0, 128, 128], [76, 85, 255], [150, 44, 21], [29, 255, 107], [139, 85, 165]],
    (BT709, 2, 8): [[255, 128, 128], [0, 128, 128], [54, 99, 255], [182, 30, 12], [18, 255, 116], [136, 89, 163]],
    (BT2020, 2, 8): [[255, 128, 128], [0, 128, 128], [67, 92, 255], [173, 36, 11], [15, 255, 118], [140, 87, 162]],
    (BT709, 1, 10): [[940, 512, 512], [64, 512, 512], [250, 409, 960], [691, 167, 105], [127, 960, 471],
                     [533, 374, 634]],
    (BT2020, 1, 10): [[940, 512, 512], [64, 512, 512], [294, 387, 960], [658, 189, 100], [116, 960, 476],
                      [547, 369, 633]],
    (BT2020, 2, 10): [[1023, 512, 512], [0, 512, 512], [269, 369, 1023], [694, 143, 42], [61, 1023, 471],
                      [564, 348, 650]],
}  # fmt: skip


def noise(geometry: Geometry, seed: int = 0) -> Frame:
    random = np.random.default_rng(seed)
    return Frame(*(random.integers(0, 1 << geometry.depth, s).astype(geometry.dtype) for s in geometry.shapes))


@pytest.mark.parametrize(("matrix", "range", "depth"), GOLDEN)
def test_known_colors(matrix, range, depth):
    geometry = Geometry(6, 1, "444", depth)
    space, samples = color_space(geometry, Color(range, matrix)), np.array(GOLDEN[matrix, range, depth])
    made = np.stack(space.from_rgb(COLORS[None]), 2)[0].astype(int)
    assert np.abs(made - samples).max() <= (depth == 10)  # halves
    assert (made == samples).mean() > 0.8
    back = space.to_rgb(Frame(*(plane[None].astype(geometry.dtype) for plane in samples.T)))[0]
    assert np.abs(back - COLORS).max() < 2 / (219 << (depth - 8))


def test_white_and_black_of_both_ranges():
    gray = np.full((2, 2), 128, np.uint8)
    for range, black, white in ((1, 16, 235), (2, 0, 255)):
        pixels = FramePixels(3, Geometry(2, 2, "444"), Color(range))
        assert (pixels.seen(Frame(np.full((2, 2), black, np.uint8), gray, gray)) == 0).all()
        assert (pixels.seen(Frame(np.full((2, 2), white, np.uint8), gray, gray)) == 255).all()


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([*CHROMAS, "rgb"]),
    st.sampled_from([8, 10]),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([1, 2, 6, 9]),
    st.integers(0, 5),
    st.sampled_from([1, 3]),
    st.integers(0, 99),
)
def test_a_network_that_changes_nothing_changes_no_sample(chroma, depth, range, matrix, location, channels, seed):
    is_rgb = chroma == "rgb"
    geometry = Geometry(10, 6, "444" if is_rgb else chroma, depth)
    pixels = FramePixels(channels, geometry, Color(range, 0 if is_rgb else matrix, location=location))
    frame = noise(geometry, seed)
    seen = torch.from_numpy(pixels.seen(frame).astype(np.float32)).movedim(-1, 0)[None] / pixels.peak
    assert seen.shape[1] == channels
    made = pixels.restored(seen, frame)
    for before, after in zip(frame, made, strict=True):
        assert before.dtype == after.dtype
        assert np.array_equal(before, after)


@pytest.mark.parametrize("chroma", ["420", "422", "444"])
@pytest.mark.parametrize("depth", [8, 10])
def test_an_even_change_of_color_arrives(chroma, depth):
    geometry = Geometry(8, 4, chroma, depth)
    pixels = FramePixels(3, geometry, Color(1, BT709))
    before, after = (np.broadcast_to(color, (4, 8, 3)) for color in ([0.5, 0.4, 0.3], [0.3, 0.4, 0.5]))
    space = color_space(geometry, Color(1, BT709))
    frame = space.from_rgb(before)
    result = torch.from_numpy(after.copy()).movedim(-1, 0)[None].float()
    for made, wanted in zip(pixels.restored(result, frame), space.from_rgb(after), strict=True):
        assert np.abs(made.astype(int) - wanted).max() <= 1 << (depth - 8)


def test_a_network_of_luma_adds_its_change_to_rgb():
    geometry = Geometry(4, 2, "444")
    pixels = FramePixels(1, geometry, Color(2, 0))
    frame = Frame(*(np.full((2, 4), value, np.uint8) for value in (100, 50, 200)))  # green, blue, red
    seen = pixels.seen(frame)
    assert seen[0, 0, 0] == round(16 + 219 / 255 * (0.299 * 200 + 0.587 * 100 + 0.114 * 50))
    made = pixels.restored(torch.from_numpy(seen.astype(np.float32) + 21.9).movedim(-1, 0)[None] / 255, frame)
    more = 255 / 219 * 21.9
    assert [int(plane[0, 0]) for plane in made] == pytest.approx([100 + more, 50 + more, 200 + more], abs=0.51)


def test_larger_frames_are_made_anew():
    pixels = FramePixels(3, Geometry(1280, 2, "420"), Color(1))
    result = torch.zeros(1, 3, 4, 8)
    result[:, 0] = 1
    made = pixels.restored(result, noise(Geometry(4, 2)))
    assert [plane.shape for plane in made] == [(4, 8), (2, 4), (2, 4)]
    assert [int(plane[0, 0]) for plane in made] == GOLDEN[BT709, 1, 8][2]
    assert pixels.made(result) == Geometry(8, 4)


@pytest.mark.parametrize(
    ("size", "color", "matrix"),
    [
        ((416, 240), Color(), BT601),
        ((720, 576), Color(), BT601),
        ((1280, 534), Color(), BT709),
        ((720, 1280), Color(), BT709),
        ((1920, 1080), Color(space=6), 6),
        ((1920, 1080), Color(space=5), 5),
        ((416, 240), Color(space=1), BT709),
        ((416, 240), Color(primaries=9), BT2020),
        ((1920, 1080), Color(space=8), BT709),  # YCgCo, which is not known
    ],
)
def test_the_matrix_is_that_of_the_file_or_of_the_players(size, color, matrix):
    assert color.matrix(*size) == matrix


def test_names_of_raw_files_have_what_differs():
    small, large = Geometry(416, 240), Geometry(1920, 1080)
    name = YUVName("a", 416, 240, 5)
    assert str(marked(name, Color(), small)) == "a_416x240_5.yuv"
    assert str(marked(name, Color(1, BT601, 6, 6), small)) == "a_416x240_5.yuv"
    assert str(marked(name, Color(1), large)) == "a_416x240_5_bt709.yuv"  # it was made smaller
    assert str(marked(name._replace(depth=10), Color(2, BT2020), small)) == "a_416x240_5_10bit_bt2020_full.yuv"
    assert named_color("a_416x240_5_10bit_bt2020_full.yuv") == Color(2, BT2020)
    assert named_color("x/a_416x240_5.yuv") == named_color("a.yuv") == Color()


def test_odd_sides_have_no_subsampled_chroma():
    with pytest.raises(UserError, match="3x2 pixels"):
        color_space(Geometry(3, 2)).from_rgb(np.zeros((2, 3, 3)))
