"""The description of coded frames: what is written is read, and what is none is refused."""

import json
import math
from pathlib import Path

import pytest

from powerqe.utils.errors import UserError
from powerqe.utils.video.frame_records import FrameInfo, frames_path, read_frames, read_record, write_record

FRAMES = [FrameInfo(0, "I", 36, 4096, 38.25), FrameInfo(1, "P", 45, 8, math.inf)]


@pytest.mark.parametrize("record", [{}, {"codec": "hevc", "list": [1, {"a": "é"}]}])
def test_what_is_written_is_read(tmp_path, record):
    path = tmp_path / "a.frames.json"
    write_record(path, record, FRAMES)
    assert read_record(path) == (record, FRAMES)
    assert read_frames(path) == FRAMES
    text = path.read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert sum('"poc"' in line for line in text.splitlines()) == 2  # a line for each


def test_the_file_is_next_to_the_sequence():
    assert frames_path("a/Netflix-1.5_8x8_2.yuv") == Path("a/Netflix-1.5_8x8_2.frames.json")


def described(**change: object) -> dict[str, object]:
    return {"poc": 0, "type": "I", "qp": 37, "bits": 8, "psnr_y": 30.0} | change


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "does not describe frames"),
        ("[]", "does not describe frames"),
        ("{}", "KeyError: 'frames'"),
        ('{"frames": [3]}', "does not describe frames"),
        ('{"frames": []}', "found 0 frames"),
        (json.dumps({"frames": [described(poc=1)]}), "numbered 0, 1, 2"),
        (json.dumps({"frames": [described(), described()]}), "2 frames"),
        (json.dumps({"frames": [described(qp=None)]}), "does not describe frames"),
    ],
)
def test_what_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "a.frames.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read_frames(path)
    assert str(path) in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"a\.frames\.json"):
        read_frames(tmp_path / "a.frames.json")
