import io
import random

import cv2
import numpy as np
import pytest
from PIL import Image

from powerqe.utils.errors import UserError
from powerqe.utils.image.io import read_image
from powerqe.utils.image.jpeg_damage import Severity, jpeg_damage
from powerqe.utils.image.photo import decode_photo

NOISE = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)
PIXELS = cv2.resize(NOISE, (67, 50), interpolation=cv2.INTER_CUBIC)
KINDS = {
    "sequential": {"quality": 50},
    "optimized": {"quality": 100, "optimize": True, "subsampling": 0},
    "restarts": {"quality": 50, "restart_marker_blocks": 2},
    "progressive": {"quality": 75, "progressive": True},
    "progressive with restarts": {"quality": 90, "progressive": True, "restart_marker_rows": 1},
}


def jpeg(mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def scan(data):
    """Where the data of the first scan begin."""
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_whole_files_are_not_damaged(kind, mode):
    data = jpeg(mode, **KINDS[kind])
    assert jpeg_damage(data) is None
    assert jpeg_damage(data + jpeg() + b"a video") is None  # as cameras append


@pytest.mark.parametrize("sampling", [0x411111, 0x221111, 0x121111, 0x211111, 0x111111])
@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("interval", [0, 3])
def test_samplings(sampling, progressive, interval):
    options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    data = cv2.imencode(".jpg", PIXELS, [*options, cv2.IMWRITE_JPEG_RST_INTERVAL, interval])[1].tobytes()
    assert jpeg_damage(data) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9])
def test_cut_and_closed(kind, part):
    data = jpeg(**KINDS[kind])
    start = scan(data)
    cut = data[: start + int(part * (len(data) - start))]
    assert jpeg_damage(cut).severity is Severity.CUT
    closed = jpeg_damage(cut + b"\xff\xd9")
    assert closed.severity is Severity.CUT or "progressive" in kind
    assert closed.severity > Severity.NONE


def test_restart_markers():
    data = jpeg(**KINDS["restarts"])
    at = data.index(b"\xff\xd2", scan(data))
    for wrong in (data[:at] + data[at + 2 :], data[: at + 1] + b"\xd5" + data[at + 2 :]):
        assert "restart markers" in jpeg_damage(wrong).what


def test_bytes_that_belong_to_no_block():
    data = jpeg(**KINDS["sequential"])
    assert jpeg_damage(data[:-2] + bytes(5) + data[-2:]) == (Severity.NONE, "5 bytes more than its blocks have")
    assert jpeg_damage(data[:-2] + b"x7y9z" + data[-2:]) == (Severity.WRONG, "5 bytes more than its blocks have")
    assert jpeg_damage(data[:-3] + data[-2:]).severity is Severity.CUT


@pytest.mark.parametrize("kind", KINDS)
def test_zeros_in_the_middle(kind):
    data = jpeg(**KINDS[kind])
    middle = (scan(data) + len(data)) // 2
    assert jpeg_damage(data[:middle] + bytes(40) + data[middle + 40 :]).severity > Severity.NONE


def test_no_bytes_are_a_defect_of_ours():
    rng = random.Random(0)
    for kind in list(KINDS) * 40:
        data = bytearray(jpeg(**KINDS[kind]))
        for _ in range(3):
            data[rng.randrange(2, len(data))] = rng.randrange(256)
        found = jpeg_damage(bytes(data))
        assert found is None or found.what


def test_an_image_of_a_data_set_is_refused_and_one_to_enhance_says_it(tmp_path):
    data = jpeg(**KINDS["restarts"])
    at = data.index(b"\xff\xd2", scan(data))
    wrong = data[:at] + data[at + 2 :]
    (tmp_path / "wrong.jpg").write_bytes(wrong)
    with pytest.raises(UserError, match=r"wrong\.jpg: damaged.*restart"):
        read_image(tmp_path / "wrong.jpg")
    assert any("damaged" in note for note in decode_photo(wrong, "wrong.jpg").notes)
    assert "damaged" not in str(decode_photo(data + b"trailing", "whole.jpg").notes)
    for cut in (data[:at], data[:at] + b"\xff\xd9"):
        with pytest.raises(UserError, match=r"cut\.jpg: (truncated|damaged)"):
            decode_photo(cut, "cut.jpg")
