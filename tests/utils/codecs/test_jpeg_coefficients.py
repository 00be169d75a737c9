"""utils/codecs/jpeg_coefficients.py, against the pixels that Pillow decodes and between codings."""

import contextlib
import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from powerqe.utils.codecs import jpeg_walk
from powerqe.utils.codecs.jpeg_bands import CoefficientBands
from powerqe.utils.codecs.jpeg_coefficients import JPEGCoefficients, read_coefficients
from powerqe.utils.codecs.jpeg_tables import quant_tables
from powerqe.utils.errors import UserError

PROGRESSIVE = {"progressive": True}
RESTARTS = {"restart_marker_blocks": 3}


def content(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth, with noise and black and white areas."""
    random = np.random.default_rng(seed)
    coarse = random.normal(128, 90, (height // 8 + 2, width // 8 + 2, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, 3)
    return (smooth + random.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


def written(image: np.ndarray, mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def plane(found: JPEGCoefficients, number: int = 0) -> np.ndarray:
    """The samples of a plane, neither rounded nor clipped."""
    blocks = found.planes[number].levels * found.planes[number].steps
    rows = [np.hstack([cv2.idct(block) for block in row.astype(np.float32)]) for row in blocks]
    return np.vstack(rows) + 128


def same(first: JPEGCoefficients, second: JPEGCoefficients) -> bool:
    """In the blocks that the image needs; others are not in all codings."""
    for one, other in zip(first.planes, second.planes, strict=True):
        rows, columns = (
            -(-side // (8 * by)) for side, by in zip((first.height, first.width), one.reduction, strict=True)
        )
        if not np.array_equal(one.levels[:rows, :columns], other.levels[:rows, :columns]):
            return False
    return (first.height, first.width, first.colors) == (second.height, second.width, second.colors)


@settings(max_examples=15, deadline=None)
@given(
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    quality=st.integers(1, 100),
    mode=st.sampled_from(("RGB", "L")),
    subsampling=st.integers(0, 2),
    options=st.sampled_from((PROGRESSIVE, RESTARTS, {"optimize": True}, {**PROGRESSIVE, **RESTARTS})),
)
def test_codings_of_the_same_coefficients(size, quality, mode, subsampling, options):
    image = content(*size)
    common = {"quality": quality, "subsampling": subsampling}
    baseline = read_coefficients(written(image, mode, **common))
    assert same(read_coefficients(written(image, mode, **common, **options)), baseline)
    assert np.array_equal(baseline.planes[0].steps, quant_tables(quality, 1)[0])
    assert (baseline.height, baseline.width) == size


@pytest.mark.parametrize("options", [{}, PROGRESSIVE, RESTARTS])
@pytest.mark.parametrize("quality", [5, 50, 90, 100])
def test_coefficients_give_the_decoded_pixels(quality, options):
    data = written(content(53, 70), "L", quality=quality, **options)
    decoded = np.array(Image.open(io.BytesIO(data)), np.float32)
    assert np.abs(plane(read_coefficients(data)).clip(0, 255)[:53, :70] - decoded).max() < 1.01


@pytest.mark.parametrize(("subsampling", "reduction"), [("4:4:4", (1, 1)), ("4:2:2", (1, 2)), ("4:2:0", (2, 2))])
def test_sampling(subsampling, reduction):
    found = read_coefficients(written(content(40, 40), subsampling=subsampling))
    assert [each.reduction for each in found.planes] == [(1, 1), reduction, reduction]


def test_chroma():
    image = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    found = read_coefficients(written(image, quality=100))
    expected = np.array(Image.fromarray(image).convert("YCbCr"))[0, 0]
    assert np.abs([plane(found, number).mean() for number in range(3)] - expected).max() < 1.01


def test_rgb_is_not_taken_for_ycbcr():
    assert read_coefficients(written(content(16, 16), keep_rgb=True)).colors == "rgb"
    assert read_coefficients(written(content(16, 16))).colors == "ycbcr"
    assert read_coefficients(written(content(16, 16), "L")).colors == "gray"


@pytest.mark.parametrize("options", [{}, PROGRESSIVE, RESTARTS, {**PROGRESSIVE, **RESTARTS}])
def test_chunks_do_not_show(monkeypatch, options):
    data = written(content(96, 96), quality=95, **options)
    expected = read_coefficients(data)
    monkeypatch.setattr(jpeg_walk, "_CHUNK", 5000)
    monkeypatch.setattr(jpeg_walk, "_MARGIN", 4000)
    monkeypatch.setattr(jpeg_walk.Progress, "limit", 8 * 1000)
    assert same(read_coefficients(data), expected)
    assert_bands(data)


def assert_bands(data: bytes) -> None:
    whole, file = read_coefficients(data), CoefficientBands(data)
    assert (*file.size, file.channels) == (whole.height, whole.width, len(whole.planes))
    for height in (file.unit, 4 * file.unit):
        bands = list(file.bands(height))
        assert [band.height for band in bands[:-1]] == [height] * (len(bands) - 1)
        assert sum(band.height for band in bands) == whole.height
        for number, plane in enumerate(whole.planes):
            parts = [band.planes[number] for band in bands]
            np.testing.assert_array_equal(np.concatenate([part.levels for part in parts]), plane.levels)
            assert all(part.reduction == plane.reduction for part in parts)
            np.testing.assert_array_equal(parts[0].steps, plane.steps)


@pytest.mark.parametrize("sampling", ["411", "420", "422", "440", "444", "gray"])
@pytest.mark.parametrize("interval", [0, 3])
def test_bands(sampling, interval):
    image, options = content(131, 85), [cv2.IMWRITE_JPEG_RST_INTERVAL, interval]
    if sampling != "gray":
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")]
    assert_bands(cv2.imencode(".jpg", image[..., 0] if sampling == "gray" else image, options)[1].tobytes())


def test_damage_in_bands():
    data = bytearray(written(content(200, 96), quality=90))
    data[len(data) // 2 : -2] = bytes(len(data) - 2 - len(data) // 2)
    with pytest.raises(UserError):
        list(CoefficientBands(bytes(data)).bands(16))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_a_user_error_or_read(data):
    options = data.draw(st.sampled_from(({}, PROGRESSIVE, RESTARTS)))
    file = bytearray(written(content(24, 24), **options))
    for _ in range(data.draw(st.integers(1, 3))):
        file[data.draw(st.integers(2, len(file) - 3))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UserError):
        read_coefficients(bytes(file))


def test_what_is_refused():
    whole = written(content(64, 64), quality=90)
    cut = whole[: len(whole) // 2] + b"\xff\xd9"
    for data in (b"", b"no image", whole[:-2], cut, written(content(16, 16), "CMYK")):
        with pytest.raises(UserError, match=r"photo\.jpg"):
            read_coefficients(data, "photo.jpg")
