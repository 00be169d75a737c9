from pathlib import Path

import pytest

from powerqe.inference.input_files import find_jobs, make_folder
from powerqe.utils.errors import UserError


def targets(*arguments):
    return [(str(job.source), str(job.target)) for job in find_jobs(*arguments)]


@pytest.fixture
def here(photos, monkeypatch):
    """The folder around photos/, which is the working folder."""
    monkeypatch.chdir(photos.parent)
    return photos.parent


def test_folder_keeps_its_tree(here):
    expected = [("photos/a.jpg", "out/a.png"), ("photos/b.png", "out/b.png"), ("photos/sub/c.jpg", "out/sub/c.png")]
    assert targets(["photos"], Path("out")) == expected


def test_results_inside_of_the_folder_and_hidden_files_are_no_images(here):
    for name in ("photos/out/a.png", "photos/.hidden.jpg", "photos/.git/x.png"):
        path = here / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    found = [source for source, _ in targets(["photos"], Path("photos/out"))]
    assert found == ["photos/a.jpg", "photos/b.png", "photos/sub/c.jpg"]


def test_files_and_patterns_each_once(here):
    assert targets(["photos/b.png", "photos/*.jpg", "photos/a.jpg"], None) == [
        ("photos/b.png", "enhanced/b.png"),
        ("photos/a.jpg", "enhanced/a.png"),
    ]
    assert targets(["photos/**/*.jpg"], None) == [
        ("photos/a.jpg", "enhanced/a.png"),
        ("photos/sub/c.jpg", "enhanced/sub/c.png"),
    ]


def test_two_files_of_one_stem_get_names_of_their_own(here):
    (here / "photos/a.png").write_bytes(b"x")
    names = dict(targets(["photos"], Path("out")))
    assert names["photos/a.jpg"] == "out/a.jpg.png"
    assert names["photos/a.png"] == "out/a.png.png"
    assert names["photos/b.png"] == "out/b.png"


def test_formats(here):
    (here / "photos/d.gif").write_bytes(b"x")
    assert dict(targets(["photos"], Path("out"), "jpeg"))["photos/b.png"] == "out/b.jpg"
    same = dict(targets(["photos"], Path("out"), "same"))
    assert (same["photos/a.jpg"], same["photos/d.gif"]) == ("out/a.jpg", "out/d.png")


def test_output_may_be_a_file(here):
    assert targets(["photos/a.jpg"], Path("x/better.JPG")) == [("photos/a.jpg", "x/better.JPG")]
    make_folder(Path("x/better.JPG"))
    assert (here / "x").is_dir()
    (here / "odd.png").mkdir()
    assert targets(["photos/a.jpg"], Path("odd.png")) == [("photos/a.jpg", "odd.png/a.png")]


@pytest.mark.parametrize(
    ("inputs", "output", "file_format", "message"),
    [
        (["none.jpg"], None, None, r"none\.jpg"),
        (["photos/*.xyz"], None, None, r"photos/\*\.xyz"),
        (["empty"], None, None, r"empty.*\.jpg.*\.mp4.*\.yuv"),
        (["photos"], "x.png", None, r"x\.png.*3"),
        (["photos/a.jpg"], "x.png", "jpeg", r"x\.png.*--format"),
        (["photos/b.png"], "photos", None, r"photos/b\.png"),
        (["photos/b.png"], "photos/b.png", None, r"photos/b\.png"),
    ],
)
def test_mistakes(here, inputs, output, file_format, message):
    (here / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        find_jobs(inputs, output and Path(output), file_format)


def test_folder_that_cannot_be_made(here):
    with pytest.raises(UserError, match=r"photos/a\.jpg/out"):
        make_folder(Path("photos/a.jpg/out"))
