"""Every file has a result of its own, or nothing is done."""

import os
from pathlib import Path

import pytest

from powerqe.inference.input_files import find_jobs
from powerqe.utils import file_names
from powerqe.utils.errors import UserError


def targets(inputs, output="out", file_format=None, **options):
    """Source -> target, no two of which are alike."""
    jobs = find_jobs(inputs, Path(output), file_format, **options)
    made = [path for job in jobs for path in (*job.results(options.get("compare", False)), job.spare) if path]
    assert len(set(made)) == len(made)
    return {str(job.source): str(job.target) for job in jobs}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder, and a function that puts files there, each with a content of its own."""
    monkeypatch.chdir(tmp_path)

    def here(*names):
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(name)

    return here


def test_folders_with_files_of_one_name(here):
    here("d1/photo.jpg", "d2/photo.jpg", "d2/other.jpg")
    expected = {"d1/photo.jpg": "out/d1/photo.png", "d2/photo.jpg": "out/d2/photo.png"}
    assert targets(["d1", "d2"]) == expected | {"d2/other.jpg": "out/other.png"}
    assert targets(["d1/photo.jpg", "d2/photo.jpg"]) == expected
    assert targets(["d1/*.jpg", "d2/p*.jpg"]) == expected


def test_one_stem_and_names_that_are_made_of_it(here):
    here("p/a.jpg", "p/a.png", "p/a.jpg.png", "p/b.png")
    assert targets(["p"]) == {
        "p/a.jpg": "out/a.jpg.png",
        "p/a.png": "out/a.png.png",
        "p/a.jpg.png": "out/a.jpg.png.png",
        "p/b.png": "out/b.png",
    }


def test_comparisons_are_results(here):
    here("a.jpg", "a.compare.png", "b.jpg", "b.png")
    names = targets(["a.jpg", "a.compare.png"], compare=True)
    assert names == {"a.jpg": "out/a.jpg.png", "a.compare.png": "out/a.compare.png.png"}
    assert targets(["a.jpg", "a.compare.png"])["a.jpg"] == "out/a.png"
    assert targets(["b.jpg", "b.png"], file_format="same") == {"b.jpg": "out/b.jpg", "b.png": "out/b.png"}
    assert targets(["b.jpg", "b.png"], file_format="same", compare=True)["b.png"] == "out/b.png.png"


def test_videos_of_one_name(here):
    here("dir/a.mp4", "a.mp4", "a.avi", "a.mov", "x/F_8x8_1.yuv", "y/F_8x8_1.yuv")
    assert targets(["dir/a.mp4", "a.mp4"]) == {"dir/a.mp4": "out/dir/a.mp4", "a.mp4": "out/a.mp4"}
    assert targets(["a.avi", "a.mov"]) == {"a.avi": "out/a.avi.mkv", "a.mov": "out/a.mov.mkv"}
    assert set(targets(["x", "y"]).values()) == {"out/x/F_8x8_1.yuv", "out/y/F_8x8_1.yuv"}


def test_the_same_file_twice_is_enhanced_once(here, tmp_path):
    here("p/a.jpg")
    Path("q").symlink_to("p")
    Path("p/b.jpg").symlink_to("a.jpg")
    Path("p/a.jpeg").hardlink_to("p/a.jpg")
    assert targets(["p/a.jpg", "./p/../p/a.jpg", "q/a.jpg", str(tmp_path / "p/a.jpg")]) == {"p/a.jpg": "out/a.png"}
    assert targets(["p"]) == {"p/a.jpeg": "out/a.png", "p/b.jpg": "out/b.png"}


def test_where_case_is_ignored(here, monkeypatch):
    here("d1/a.jpg", "d2/A.jpg")
    assert set(targets(["d1", "d2"]).values()) == {"out/a.png", "out/A.png"}
    monkeypatch.setattr(file_names, "_ignores_case", lambda _folder: True)
    assert set(targets(["d1", "d2"]).values()) == {"out/d1/a.png", "out/d2/A.png"}


def test_no_result_in_the_place_of_a_source(here):
    here("x/a.jpg", "out/a.png", "a.jpg", "a.compare.png", "out/sub/b.png")
    assert targets(["x/a.jpg", "out/a.png"]) == {"x/a.jpg": "out/a.jpg.png", "out/a.png": "out/a.png.png"}
    assert targets(["a.jpg", "out/sub"]) == {"a.jpg": "out/a.png", "out/sub/b.png": "out/b.png"}
    for inputs, output, compare in (
        (["out"], "out", False),
        (["a.jpg", "a.compare.png"], ".", False),
        (["a.compare.png"], "a.png", True),
    ):
        with pytest.raises(UserError, match="written over"):
            find_jobs(inputs, Path(output), compare=compare)


def test_results_of_before_are_left_out_of_a_search(here, caplog):
    here("p/a.jpg", "p/enhanced/a.png", "p/notes.txt", "p/x.TXT", "p/.hidden.jpg", "p/.git/x.png", "p/b.heic", "p/raw")
    Path("p/gone.png").symlink_to("nowhere")
    os.mkfifo("p/pipe.png")
    with caplog.at_level("INFO", "powerqe"):
        assert targets(["p"], "p/enhanced") == {"p/a.jpg": "p/enhanced/a.png"}
    line = caplog.messages[-1]
    kinds = ("2 .txt", "2 hidden", "1 folder of results", "1 .heic", "1 broken link", "1 no regular file", "1 without")
    assert all(kind in line for kind in kinds)
    assert line.startswith("9 ")


def test_more_suffixes_are_known(here):
    here(*(f"p/{suffix}.{suffix}" for suffix in ("jfif", "jpe", "avif", "JPG")))
    assert len(targets(["p"])) == 4
    assert targets(["p/jfif.jfif"], file_format="same") == {"p/jfif.jfif": "out/jfif.jfif"}


def test_long_names(here):
    stem = "x" * 245
    here(f"{stem}.jpg", f"{stem[:-4]}.jpg")
    for job in find_jobs([f"{stem}.jpg", f"{stem[:-4]}.jpg"], Path("out"), "tiff", compare=True):
        assert job.target.stem == job.source.stem
        assert max(len(path.name) for path in (*job.results(True), job.spare)) <= 255
