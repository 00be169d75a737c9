"""Huge images are read and written in bands, with the same pixels."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from powerqe.utils.image import decode
from powerqe.utils.image.metadata import Metadata
from powerqe.utils.image.photo import Photo, decode_photo, read_photo
from powerqe.utils.image.write import write_photo


def noise(channels: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (150, 77, channels)).astype(dtype)


def encoded(mode: str, file_format: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(3)).convert(mode).save(file, file_format, **options)
    return file.getvalue()


FILES = {
    **{f"JPEG {mode}": encoded(mode, "JPEG", quality=30) for mode in ("RGB", "L", "CMYK")},
    "progressive JPEG": encoded("RGB", "JPEG", progressive=True, subsampling=1),
    "RGB as such": encoded("RGB", "JPEG", keep_rgb=True),
    **{f"PNG {mode}": encoded(mode, "PNG") for mode in ("RGB", "RGBA", "L", "LA", "P", "1")},
    "WEBP": encoded("RGB", "WEBP"),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_same_pixels_are_read(kind, monkeypatch):
    usual = decode_photo(FILES[kind], "x")
    monkeypatch.setattr(decode, "HUGE", 1)
    huge = decode_photo(FILES[kind], "x")
    np.testing.assert_array_equal(huge.pixels, usual.pixels)
    assert (huge.alpha is None) == (usual.alpha is None)
    assert usual.alpha is None or np.array_equal(huge.alpha, usual.alpha)
    assert (huge.notes, huge.metadata) == (usual.notes, usual.metadata)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_same_image_is_written(dtype, channels, has_alpha, orientation, monkeypatch, tmp_path):
    metadata = Metadata(xmp=b"<x/>", comments=(b"hello",), orientation=orientation)
    photo = Photo(noise(channels, dtype), noise(1, dtype) if has_alpha else None, orientation, metadata)
    write_photo(tmp_path / "usual.png", photo)
    monkeypatch.setattr(decode, "HUGE", 1)
    write_photo(tmp_path / "huge.png", photo)
    monkeypatch.undo()
    usual, huge = (read_photo(tmp_path / f"{name}.png") for name in ("usual", "huge"))
    np.testing.assert_array_equal(huge.pixels, usual.pixels)
    assert not has_alpha or np.array_equal(huge.alpha, usual.alpha)
    assert huge.metadata == usual.metadata
    decoded = cv2.imread(str(tmp_path / "huge.png"), cv2.IMREAD_UNCHANGED)
    assert decoded.dtype == dtype
