"""utils/codecs/jpeg_tables.py, against what Pillow and OpenCV write and against files put together by hand."""

import contextlib
import io
import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from powerqe.utils.codecs.jpeg_tables import nearest_quality, quant_tables, read_tables
from powerqe.utils.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
NATURAL = {"RGB": 2, "L": 1}
# Coordinates of the first and last entries of a file's table, from figure A.6 of T.81.
ZIG_ZAG = {0: (0, 0), 1: (0, 1), 2: (1, 0), 3: (2, 0), 4: (1, 1), 5: (0, 2), 35: (7, 0), 62: (7, 6), 63: (7, 7)}


def written(mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    """The tables 0 and 1 that Pillow finds in a file."""
    found = Image.open(io.BytesIO(data)).quantization
    return np.array([found[number] for number in sorted(found)[:2]], np.float32).reshape(-1, 8, 8)


def segment(code: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(content) + 2) + content


def table(number: int, values: np.ndarray | list[int], wide: bool = False) -> bytes:
    return bytes([wide << 4 | number]) + struct.pack(">64H" if wide else ">64B", *values)


def frame(selectors: dict[int, int], code: int = 0xC0, bits: int = 8) -> bytes:
    components = b"".join(bytes([component, 0x11, number]) for component, number in selectors.items())
    return segment(code, struct.pack(">BHHB", bits, 16, 16, len(selectors)) + components)


def scan(*components: int) -> bytes:
    """A scan header and pixels' code, in which a stuffed 0xFF and a restart marker occur."""
    selectors = b"".join(bytes([component, 0]) for component in components)
    return segment(0xDA, bytes([len(components)]) + selectors + b"\x00\x3f\x00") + b"\x12\xff\x00\x34\xff\xd0\x56"


def jpeg(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments) + b"\xff\xd9"


def dqt(*tables: bytes) -> bytes:
    return segment(0xDB, b"".join(tables))


FLAT = {value: table(0, [value] * 64) for value in (3, 5, 7)}


# --------------------------------------------------------------------------- of a quality factor


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_tables_of_every_quality_are_libjpegs(mode: str, channels: int) -> None:
    for quality in range(1, 101):
        data = written(mode, quality=quality)
        made = quant_tables(quality, channels)
        assert made.dtype == np.float32
        assert made.shape == (NATURAL[mode], 8, 8)
        np.testing.assert_array_equal(made, by_pillow(data), f"quality {quality}")
        np.testing.assert_array_equal(made, read_tables(data), f"quality {quality}")


@pytest.mark.parametrize("quality", [0, 101, -3])
def test_no_such_quality(quality: int) -> None:
    with pytest.raises(UserError, match=rf"{quality}, JPEG.*1 to 100"):
        quant_tables(quality, 3)


def test_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import powerqe.utils.codecs.jpeg_tables"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# --------------------------------------------------------------------------- of a file


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([255, 32767]), st.booleans())
def test_any_tables(seed: int, count: int, largest: int, progressive: bool) -> None:
    """Pillow gives component i table i, or the last one; steps beyond 255, at most 32767, have 16 bits."""
    tables = np.random.default_rng(seed).integers(1, largest + 1, (count, 64))
    data = written(qtables=tables.tolist(), progressive=progressive)
    expected = tables[[0, min(1, count - 1)]].reshape(2, 8, 8)
    np.testing.assert_array_equal(read_tables(data), expected)


def test_opencv_with_two_qualities_and_restart_markers() -> None:
    options = [cv2.IMWRITE_JPEG_LUMA_QUALITY, 30, cv2.IMWRITE_JPEG_CHROMA_QUALITY, 80, cv2.IMWRITE_JPEG_RST_INTERVAL, 1]
    data = cv2.imencode(".jpg", PIXELS, [*options, cv2.IMWRITE_JPEG_QUALITY, 50])[1].tobytes()
    np.testing.assert_array_equal(read_tables(data), by_pillow(data))
    np.testing.assert_array_equal(read_tables(data), [quant_tables(30, 3)[0], quant_tables(80, 3)[1]])


def test_from_a_path_and_with_a_preview_inside(tmp_path) -> None:
    preview = written(quality=5)
    path = tmp_path / "photo.jpg"
    path.write_bytes(written(quality=70)[:2] + segment(0xE1, preview) + written(quality=70)[2:] + preview)
    for file in (path, str(path), path.read_bytes(), memoryview(path.read_bytes())):
        np.testing.assert_array_equal(read_tables(file), quant_tables(70, 3))


def test_order_in_the_file() -> None:
    found = read_tables(jpeg(dqt(table(0, list(range(1, 65)))), frame({1: 0}), scan(1)))
    assert found.shape == (1, 8, 8)
    assert {entry: found[0][at] for entry, at in ZIG_ZAG.items()} == {entry: entry + 1 for entry in ZIG_ZAG}


def test_several_tables_in_one_segment_of_both_widths() -> None:
    tables = dqt(table(2, [9] * 64), table(3, [300] * 64, wide=True), table(0, [4] * 64))
    data = jpeg(tables, frame({7: 3, 1: 0, 5: 2}, code=0xC1), scan(7, 1, 5))
    np.testing.assert_array_equal(read_tables(data)[:, 0, 0], [300, 4])


def test_definition_before_the_first_scan_of_a_component_counts() -> None:
    data = jpeg(
        dqt(FLAT[7]),
        dqt(FLAT[3]),  # of one number, the later one
        frame({1: 0, 2: 0, 3: 0}, code=0xC2),
        scan(1),
        dqt(FLAT[5]),
        scan(2, 3),
        dqt(FLAT[7]),
        scan(1),  # progressive: more bits of a component that has its table
    )
    np.testing.assert_array_equal(read_tables(data)[:, 0, 0], [3, 5])


# --------------------------------------------------------------------------- what cannot be read

GRAY = (dqt(FLAT[3]), frame({1: 0}), scan(1))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no JPEG file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "no JPEG file, so it names no quantization tables"),
        (jpeg(*GRAY)[:-2], "truncated"),
        (written()[:-2], "truncated"),
        (written()[:300], "truncated"),
        (b"\xff\xd8\xff\xdb", "truncated"),
        (b"\xff\xd8\xff\xdb\x00", "truncated"),
        (written("CMYK"), r"4 components \(CMYK\).*gray \(1\).*3"),
        (jpeg(dqt(FLAT[3]), frame({1: 0, 2: 0}), scan(1, 2)), "2 components, expected"),
        (jpeg(dqt(FLAT[3]), frame({1: 0}, 0xC1, bits=12), scan(1)), r"12 bits.*8"),
        (jpeg(dqt(FLAT[3]), frame({1: 0}, 0xC9), scan(1)), "arithmetic codes, expected Huffman"),
        (jpeg(dqt(FLAT[3]), frame({1: 0}, 0xCA), scan(1)), "arithmetic codes"),
        (jpeg(frame({1: 0}, 0xC3), scan(1)), "lossless JPEG"),
        (jpeg(frame({1: 0}, 0xCB), scan(1)), "lossless JPEG"),
        (jpeg(frame({1: 0}, 0xF7), scan(1)), "lossless JPEG"),
        (jpeg(dqt(FLAT[3]), frame({1: 0}, 0xC5), scan(1)), "hierarchical JPEG"),
        (jpeg(dqt(FLAT[3]), frame({1: 1}), scan(1)), "component 1"),
        (jpeg(frame({1: 0}), scan(1), dqt(FLAT[3])), "before its quantization table is defined"),
        (jpeg(dqt(FLAT[3]), scan(1), frame({1: 0})), "before its quantization table is defined"),
        (jpeg(dqt(FLAT[3])), "no frame, or a component without a scan"),
        (jpeg(dqt(FLAT[3]), frame({1: 0, 2: 0, 3: 0}), scan(1)), "no frame, or a component without a scan"),
        (jpeg(dqt(FLAT[3][:-1]), *GRAY[1:]), "a quantization table is cut off"),
        (jpeg(dqt(b"\x20" + bytes(192)), *GRAY[1:]), "a quantization table is cut off"),
        (jpeg(dqt(table(0, [0] + [1] * 63)), *GRAY[1:]), "a quantization step of 0"),
        (jpeg(GRAY[0], segment(0xC0, b"\x08\x00"), GRAY[2]), "the frame header is cut off"),
        (jpeg(GRAY[0], segment(0xC0, b"\x08\x00\x10\x00\x10\x03\x01\x11\x00"), GRAY[2]), "the frame header is cut off"),
        (jpeg(GRAY[0], segment(0xC0, b"\x08\x00\x10\x00\x10\x03" + b"\x01\x11\x00" * 3), GRAY[2]), "of one number"),
        (jpeg(*GRAY[:2], segment(0xDA, b"")), "a scan header is cut off"),
        (jpeg(*GRAY[:2], segment(0xDA, b"\x02\x01\x00")), "a scan header is cut off"),
    ],
)
def test_unsupported_and_damaged(data: bytes, problem: str, tmp_path) -> None:
    path = tmp_path / "odd.jpg"
    path.write_bytes(data)
    for file, name in ((path, None), (data, "store[odd]")):
        with pytest.raises(UserError, match=problem) as error:
            read_tables(file, name)
        assert str(error.value).startswith(f"{name or path}: ")
        assert "\n" not in str(error.value)


def test_missing_file(tmp_path) -> None:
    with pytest.raises(UserError, match=r"JPEG.*absent\.jpg"):
        read_tables(tmp_path / "absent.jpg")


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 10**6))
def test_any_damage_is_an_error_of_the_user_or_none(at: int, value: int, end: int) -> None:
    data = bytearray(written(quality=60))
    data[at % 640] = value  # the headers lie there
    data = data[: len(data) - end % len(data) if end % 3 == 0 else None]
    with contextlib.suppress(UserError):
        assert read_tables(data).shape[1:] == (8, 8)


@pytest.mark.parametrize("quality", range(1, 101))
def test_nearest_quality_of_the_tables_of_libjpeg(quality):
    tables = quant_tables(quality, 3)
    found, is_exact = nearest_quality(tables)
    assert is_exact
    assert found >= quality
    np.testing.assert_array_equal(quant_tables(found, 1)[0], tables[0])


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_nearest_quality_of_other_tables(quality):
    tables = quant_tables(quality, 3)
    tables[0, 2:4, 2:4] += 1
    found, is_exact = nearest_quality(tables)
    assert not is_exact
    assert abs(found - quality) <= 1
