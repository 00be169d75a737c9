"""Parts of frames and smaller frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerqe.utils.errors import UserError
from powerqe.utils.image.crop import CropBox
from powerqe.utils.video.planes import check_crop, crop, parse_crop, shrink, shrunk_geometry
from powerqe.utils.video.yuv import Frame, Geometry


def ramp(geometry: Geometry) -> Frame:
    """Samples that say where they are: 8 x row + column (luma pixels) of the pixel or the middle of its chroma."""
    planes = []
    for rows, columns in geometry.shapes:
        step = geometry.width // columns
        y, x = (np.arange(side) * step + (step - 1) / 2 for side in (rows, columns))
        planes.append((4 * (y[:, None] + x) + 20).astype(geometry.dtype))
    return Frame(*planes)


def test_a_crop_is_written_as_it_is_read():
    assert parse_crop("416x240+0+8") == CropBox(top=8, left=0, height=240, width=416)
    assert str(CropBox(8, 0, 240, 416)) == "416x240+0+8"
    for text in ("416x240", "0x4+0+0", "4x4-1+0", "axb+0+0", "4x4+0+0 ", ""):
        with pytest.raises(UserError, match="expected a part of the frame"):
            parse_crop(text)


@pytest.mark.parametrize("chroma", ["420", "444"])
def test_crop_takes_the_same_part_of_all_planes(chroma):
    geometry = Geometry(12, 10, chroma)
    frame = ramp(geometry)
    part = crop(frame, CropBox(2, 4, 4, 6), chroma)
    np.testing.assert_array_equal(part.y, frame.y[2:6, 4:10])
    step = 2 if chroma == "420" else 1
    np.testing.assert_array_equal(part.v, frame.v[2 // step : 6 // step, 4 // step : 10 // step])
    assert part.u.base is not None  # nothing is copied


@pytest.mark.parametrize(
    ("text", "chroma", "message"),
    [
        ("8x8+6+0", "420", "no part 8x8\\+6\\+0 in frames of 12x10"),
        ("8x8+0+4", "420", "no part"),
        ("7x8+0+0", "420", "all four numbers must be even"),
        ("8x8+0+1", "420", "all four numbers must be even"),
        ("7x8+6+0", "444", "no part"),
    ],
)
def test_no_such_part(text, chroma, message):
    with pytest.raises(UserError, match=f"a.mp4: .*{message}"):
        check_crop(parse_crop(text), Geometry(12, 10, chroma), "a.mp4")
    check_crop(parse_crop("7x9+5+1"), Geometry(12, 10, "444"), "a.mp4")


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.sampled_from(["420", "444"]),
    st.sampled_from([8, 10]),
    st.integers(1, 4),
    st.sampled_from(["area", "bicubic"]),
)
def test_shrunk_frames_have_the_computed_geometry(half_width, half_height, chroma, depth, factor, method):
    geometry = Geometry(2 * half_width, 2 * half_height, chroma, depth)
    random = np.random.default_rng(0)
    frame = Frame(*(random.integers(0, 1 << depth, shape).astype(geometry.dtype) for shape in geometry.shapes))
    if min(geometry[:2]) < factor * (2 if chroma == "420" else 1):
        with pytest.raises(UserError, match=r"a\.yuv: .* pixels cannot be reduced"):
            shrunk_geometry(geometry, factor, "a.yuv")
        return
    small = shrunk_geometry(geometry, factor, "a.yuv")
    made = shrink(frame, factor, method, depth)
    assert small.check("a.yuv")[2:] == (chroma, depth)
    assert tuple(plane.shape for plane in made) == small.shapes
    assert all(plane.dtype == geometry.dtype and plane.max() < 1 << depth for plane in made)


@pytest.mark.parametrize("method", ["area", "bicubic"])
@pytest.mark.parametrize("depth", [8, 10])
def test_luma_and_chroma_stay_together(method, depth):
    """In the middle; the bicubic kernel looks over the border."""
    geometry = Geometry(24, 20, "420", depth)
    made = shrink(ramp(geometry), 2, method, depth)
    expected = shrink(Frame(*[ramp(geometry._replace(chroma="444"))[0]] * 3), 2, method, depth)
    chroma = expected.y.astype(float).reshape(5, 2, 6, 2).mean((1, 3))
    np.testing.assert_array_equal(made.y, expected.y)
    np.testing.assert_allclose(made.u[1:-1, 1:-1], chroma[1:-1, 1:-1], atol=1)


def test_area_is_the_mean_and_10_bit_use_their_range():
    plane = np.array([[0, 1023], [1023, 1023]], np.uint16)
    assert shrink(Frame(plane, plane, plane), 2, "area", 10).y.tolist() == [[767]]
    bright = np.full((8, 8), 1023, np.uint16)
    assert (shrink(Frame(bright, bright, bright), 2, "bicubic", 10).y == 1023).all()


def test_nothing_aliases():
    stripes = np.tile(np.array([0, 255], np.uint8), (16, 8))
    for method in ("area", "bicubic"):
        assert np.ptp(shrink(Frame(stripes, stripes, stripes), 2, method, 8).y[:, 2:-2]) <= 1
