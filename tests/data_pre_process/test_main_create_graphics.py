"""The script: names, weights, what is there already, and what it says of mistakes."""

from pathlib import Path

import pytest

from powerqe.data_pre_process.main_create_graphics import main
from powerqe.utils.image.io import list_images, read_image

pytestmark = pytest.mark.slow

SMALL = ["--size", "96", "--nworker", "1", "--quiet"]


def create(root: Path, *arguments: str) -> dict[str, bytes]:
    assert main(["--data-root", str(root), *SMALL, *arguments]) == 0
    return {path.name: path.read_bytes() for path in sorted(root.rglob("*.png"))}


def test_the_same_command_makes_the_same_files(tmp_path):
    first = create(tmp_path / "a", "--count", "6")
    assert len(first) == 6
    assert create(tmp_path / "b", "--count", "6", "--nworker", "2") == first
    images = list_images(tmp_path / "a/graphics/raw")
    assert [stem.split("-")[:2] for stem in images] == [["s0", f"{number:05}"] for number in range(6)]
    assert all(read_image(path, "rgb").shape == (96, 96, 3) for path in images.values())


def test_more_images_leave_those_that_are_there(tmp_path):
    first = create(tmp_path, "--count", "3", "--kinds", "gradient")
    mark = next(iter(first))
    (tmp_path / "graphics/raw" / mark).write_bytes(b"mine")
    more = create(tmp_path, "--count", "5", "--kinds", "gradient")
    assert len(more) == 5
    assert more[mark] == b"mine"
    forced = create(tmp_path, "--count", "5", "--kinds", "gradient", "--force")
    assert {name: forced[name] for name in first} == first


def test_kinds_by_weight_name_and_seed(tmp_path):
    names = create(tmp_path, "--count", "12", "--kinds", "gradient:3,pattern", "--seed", "1", "--name", "held")
    assert sum("gradient" in name for name in names) == 9
    assert sum("pattern" in name for name in names) == 3
    assert all(name.startswith("s1-") for name in names)
    assert (tmp_path / "held/raw").is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kinds", "text,texts"], "'texts'"),
        (["--kinds", "text:0"], "'0' of text"),
        (["--kinds", "text:x"], "'x' of text"),
        (["--kinds", "text:nan"], "'nan' of text"),
        (["--size", "64"], "96"),
        (["--seed", "-1"], "'-1'"),
        (["--count", "0"], "'0'"),
        (["--photos", "no/photos"], "no/photos"),
        (["--fonts", "no/fonts"], "no/fonts"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(arguments, message, tmp_path, capsys):
    assert main(["--data-root", str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not list(tmp_path.rglob("*"))


def test_a_damaged_photograph_is_named(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/bad.png").write_bytes(b"no image")
    arguments = ["--count", "8", "--kinds", "mixed", "--photos", str(tmp_path / "photos")]
    assert main(["--data-root", str(tmp_path), *SMALL, *arguments]) == 1  # some images show no photograph
    assert "bad.png" in capsys.readouterr().err
