"""Fonts, words and lines: what is written is inside its box, and the renderings differ as they are meant to."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from powerqe.data_pre_process.graphics.fonts import SCRIPTS, Face, bundled_faces, faces_of
from powerqe.data_pre_process.graphics.lettering import Pen, fill, wrap
from powerqe.data_pre_process.graphics.scene import Scene
from powerqe.data_pre_process.graphics.words import Writer, code

FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"


@cache
def faces() -> tuple[Face, ...]:
    return bundled_faces()


def face(name: str) -> Face:
    return next(face for face in faces() if face.path == FONTS / name)


def written(rendering: str, text: str = "Words") -> np.ndarray:
    image = Image.new("RGB", (120, 40), (255, 255, 255))
    Pen(face("DejaVuSans.ttf"), 20, (0, 0, 0), rendering).write(image, 5, 5, text)
    return np.asarray(image)


def test_the_fonts_that_come_with_the_libraries_know_their_scripts():
    assert {"latin", "accented", "cyrillic", "greek"} <= set(face("DejaVuSans.ttf").scripts)
    assert face("cmr10.ttf").scripts == ("latin",)
    assert face("DejaVuSansMono.ttf").mono
    assert not face("DejaVuSans.ttf").mono
    assert not any(face.path and "LastResort" in face.path.name for face in faces())


def test_a_folder_of_fonts_may_hold_other_and_damaged_files(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/good.ttf").write_bytes((FONTS / "DejaVuSans.ttf").read_bytes())
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    (tmp_path / "read.me").write_text("no font")
    assert [face.path for face in faces_of(tmp_path)] == [tmp_path / "sub/good.ttf"]


def test_renderings():
    gray, subpixel, binary, stretched = map(written, ("gray", "subpixel", "binary", "stretched"))
    assert set(np.unique(binary)) == {0, 255}
    assert len(np.unique(gray)) > 8
    assert (gray == gray[..., :1]).all()
    assert (stretched == stretched[..., :1]).all()
    assert (subpixel != subpixel[..., :1]).any()
    assert np.abs(subpixel.mean(axis=(0, 1)) - gray.mean()).max() < 6  # as much ink in each channel


@pytest.mark.parametrize("rendering", ["gray", "subpixel", "binary", "stretched"])
@given(x=st.integers(-150, 150), y=st.integers(-60, 60))
def test_text_may_leave_the_image(rendering, x, y):
    image, wide = Image.new("RGB", (60, 30)), Image.new("RGB", (420, 180))
    pen = Pen(face("DejaVuSans.ttf"), 12, (255, 0, 0), rendering)
    pen.write(image, x, y, "Words")
    pen.write(wide, x + 180, y + 75, "Words")
    assert np.array_equal(np.asarray(image), np.asarray(wide)[75:105, 180:240])


@given(
    text=st.lists(st.text("abcmW", min_size=1, max_size=30), min_size=1, max_size=12).map(" ".join),
    width=st.integers(20, 200),
)
def test_wrapped_lines_fit_and_lose_nothing(text, width):
    pen = Pen(face("DejaVuSans.ttf"), 10, (0, 0, 0))
    lines = wrap(text, pen, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(pen.width(line) <= width for line in lines)


@pytest.mark.parametrize("align", ["left", "right", "center", "justify"])
def test_a_paragraph_stays_in_its_box(align):
    image = Image.new("RGB", (200, 100), (255, 255, 255))
    pen = Pen(face("DejaVuSerif.ttf"), 10, (0, 0, 0))
    below = fill(image, (50, 20, 150, 75), "some words in many short lines " * 9, pen, align=align)
    rows, columns = np.nonzero((np.asarray(image) < 200).any(axis=-1))
    assert 20 <= rows.min() <= rows.max() < 76
    assert 49 <= columns.min() <= columns.max() <= 151
    assert 60 < below <= 75


def test_words_are_of_their_script():
    scene = Scene(np.random.default_rng(0), 100, 100, faces())
    for script, letters in SCRIPTS.items():
        known = set(letters) | set(SCRIPTS["latin"])
        writer = Writer(scene, script, 40)
        assert all(set(word) <= known for word in writer.vocabulary), script
        assert any(set(word) - set(SCRIPTS["latin"]) for word in writer.vocabulary) or script == "latin"
        assert writer.paragraph(3)


def test_code_has_the_given_number_of_lines():
    scene = Scene(np.random.default_rng(0), 100, 100, faces())
    listing = code(scene, 30)
    assert len(listing) == 30
    assert {role for line in listing for _, role in line} == {"word", "name", "number", "string", "comment", "sign"}
