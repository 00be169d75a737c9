"""evaluation/video_progress.py: whatever an interruption leaves, the next test goes on from a sound beginning."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerqe.evaluation.video_progress import FrameScores, Saved, VideoWork, digest
from powerqe.utils.video.yuv import Frame, Geometry

GEOMETRY = Geometry(8, 4)
NUMBERS = [0, 1, 2, 5, 6]


def row(number: int) -> FrameScores:
    return FrameScores(number, number % 2, {"PSNR": 30 + number / 3}, {"PSNR": float("inf")}, 0.1)


def make_frame(number: int) -> Frame:
    random = np.random.default_rng(number)
    return Frame(*(random.integers(0, 256, shape, np.uint8) for shape in GEOMETRY.shapes))


def saved(root: Path) -> Saved:
    return Saved(root / "video.yuv", GEOMETRY)


def work(root: Path, fingerprint: dict | None = None, *, save: bool = True, anew: bool = False) -> VideoWork:
    return VideoWork(root / "work/v", NUMBERS, fingerprint or {}, saved(root) if save else None, anew=anew)


def go_on(root: Path, stop: int | None = None, **more) -> int:
    """Work until `stop` frames are done; how many were done before."""
    with work(root, **more) as found:
        before = len(found.rows)
        for number in NUMBERS[before:stop]:
            found.add(row(number), make_frame(number))
        if len(found.rows) == len(NUMBERS) and not found.is_finished:
            found.finish()
        if stop is None:
            assert found.is_finished
            assert found.rows == [row(number) for number in NUMBERS]
    return before


def expected() -> bytes:
    return b"".join(plane.tobytes() for number in NUMBERS for plane in make_frame(number))


def test_it_goes_on_and_the_video_appears_when_it_is_whole(tmp_path):
    assert go_on(tmp_path, 2) == 0
    assert go_on(tmp_path, 3) == 2
    assert not (tmp_path / "video.yuv").exists()
    assert go_on(tmp_path) == 3
    assert (tmp_path / "video.yuv").read_bytes() == expected()
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["v.jsonl"]
    assert go_on(tmp_path) == 5


@settings(max_examples=40, deadline=None)
@given(stop=st.integers(0, 5), lines=st.integers(0, 700), raw=st.integers(0, 260), garbage=st.binary(max_size=9))
def test_from_whatever_is_left(tmp_path_factory, stop, lines, raw, garbage):
    root = tmp_path_factory.mktemp("left")
    go_on(root, stop)
    for name, size in (("v.jsonl", lines), ("v.yuv", raw)):
        if (path := root / "work" / name).exists():
            path.write_bytes(path.read_bytes()[:size] + (garbage if name == "v.jsonl" else b""))
    done = go_on(root)
    assert done <= stop
    assert (root / "video.yuv").read_bytes() == expected()


@pytest.mark.parametrize("what", ["gone", "cut"])
def test_a_video_that_was_lost_is_made_again(tmp_path, what):
    go_on(tmp_path)
    path = tmp_path / "video.yuv"
    path.unlink() if what == "gone" else os.truncate(path, 7)
    assert go_on(tmp_path) == 0
    assert path.read_bytes() == expected()


def test_a_stop_before_the_name_is_given(tmp_path):
    go_on(tmp_path, 4)
    with work(tmp_path) as found:
        found.add(row(6), make_frame(6))  # the last, but no finish
    assert go_on(tmp_path) == 5
    assert (tmp_path / "video.yuv").read_bytes() == expected()


def test_a_stop_after_the_name_is_given_begins_anew(tmp_path):
    """Nothing says any more whose video it is."""
    go_on(tmp_path)
    lines = (tmp_path / "work/v.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "work/v.jsonl").write_bytes(b"".join(lines[:-1]))
    assert go_on(tmp_path) == 0


def test_an_older_video_under_the_name_is_not_taken_for_the_new_one(tmp_path):
    go_on(tmp_path, fingerprint={"weights": 1})
    (tmp_path / "video.yuv").write_bytes(b"older" * 48)  # as many bytes
    go_on(tmp_path, 4, fingerprint={"weights": 2})
    assert go_on(tmp_path, fingerprint={"weights": 2}) == 4
    assert (tmp_path / "video.yuv").read_bytes() == expected()


def test_another_fingerprint_or_option_starts_again(tmp_path):
    go_on(tmp_path, 3, fingerprint={"weights": 1})
    assert go_on(tmp_path, 2, fingerprint={"weights": 2}) == 0
    assert go_on(tmp_path, fingerprint={"weights": 2}, anew=True) == 0
    assert go_on(tmp_path, fingerprint={"weights": 2}) == 5


def test_scores_alone_are_kept_without_images(tmp_path):
    assert go_on(tmp_path, 3, save=False) == 0
    assert go_on(tmp_path, save=False) == 3
    assert not list(tmp_path.rglob("*.yuv"))
    assert go_on(tmp_path, 5) == 0  # but to save them they are needed


def test_fingerprints_are_of_content():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
