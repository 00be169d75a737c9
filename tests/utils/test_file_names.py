"""Names become files inside of their folder, and nothing but a line of text."""

import os
from urllib.parse import unquote

import pytest

from powerqe.utils import file_names
from powerqe.utils.file_names import LONGEST, file_name, place_finder, printable, with_suffix, within
from powerqe.utils.files import atomic_folder, atomic_path, write_text

HARMFUL = ["../../x", "/etc/passwd", "..", ".", "", "a/b", "a\0b", "a\nb", "a%2Fb", "100%", "a\udcffb", "\ud800",
           "x" * 300, "中" * 120, "cash$$", "b$\\frac$"]  # fmt: skip


@pytest.mark.parametrize("name", HARMFUL)
def test_a_name_is_one_file_in_its_folder(tmp_path, name):
    made = file_name(name, ".png")
    path = tmp_path / "in" / made
    write_text(path, "x")
    assert [each.name for each in (tmp_path / "in").iterdir()] == [made]
    assert made.endswith(".png")
    assert file_name(name) not in ("", ".", "..")


def test_different_names_stay_different():
    names = [*HARMFUL, "a_b", "a%b", "a%252Fb", "x" * 299, "x" * 299 + "y"]
    assert len({file_name(name) for name in names}) == len(names)
    assert unquote(file_name("../a%2Fb")) == "../a%2Fb"
    assert file_name("bikes-qf10", ".png") == "bikes-qf10.png"


def test_names_fit_with_their_suffix(tmp_path):
    for stem in ("x" * 245, "中" * 83):
        assert within(stem, ".png") == f"{stem}.png"
        long = within(stem, ".compare.png")
        assert len(os.fsencode(long)) <= LONGEST
        assert within(stem + "y", ".compare.png") != long
        assert with_suffix(tmp_path / f"{stem}.jpg", ".tiff").stem == stem
        for path in (tmp_path / f"{stem}.compare.png", tmp_path / long):
            if len(os.fsencode(path.name)) <= LONGEST:
                with atomic_path(path) as temporary:
                    temporary.touch()
                assert path.is_file()
    with atomic_folder(tmp_path / ("f" * LONGEST)):
        pass
    with atomic_path(tmp_path / f"a.{'s' * (LONGEST - 2)}") as temporary:
        temporary.touch()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_text_of_any_name(tmp_path):
    assert printable("a\udce9\nb\x1b") == "a\\udce9\\x0ab\\x1b"
    write_text(tmp_path / "x.json", '"a\udce9"\r\n')
    assert (tmp_path / "x.json").read_bytes() == b'"a\\udce9"\r\n'


def test_places_through_links_and_where_case_is_ignored(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    place = place_finder()
    assert place(tmp_path / "real/a") == place(tmp_path / "link/a") == place(tmp_path / "link/../real/a")
    assert place(tmp_path / "real/a") != place(tmp_path / "real/A")
    monkeypatch.setattr(file_names, "_ignores_case", lambda _folder: True)
    place = place_finder()
    assert place(tmp_path / "real/a\u0301") == place(tmp_path / "real/\xc1")
