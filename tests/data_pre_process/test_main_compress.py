"""Compression of a folder by the codecs other than JPEG, and the sizes that it notes."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import features

from powerqe.data_pre_process.compress import SIZES, quality_folders, read_sizes
from powerqe.utils.codecs import CODECS, JPEG
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import list_images, read_image

# "Codes" a PNG file by a line of text before it.
PROGRAMS = {
    "bpgenc": 'echo "$9 ${10}" | cat - "${13}" > "${12}"',
    "bpgdec": 'tail -n +2 "$5" > "$4"',
}


@pytest.fixture
def libbpg(tmp_path: Path) -> Path:
    (tmp_path / "libbpg").mkdir()
    for name, line in PROGRAMS.items():
        program = tmp_path / "libbpg" / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    return tmp_path / "libbpg"


def compress(codec: str, data: Path, *arguments: str) -> int:
    return importlib.import_module(f"data_pre_process.main_compress_{codec}").main(
        ["div2k/raw", *arguments, f"div2k/{codec}", "--data-root", str(data), "--nworker", "2"]
    )


@pytest.mark.parametrize(
    ("name", "folders"), [("HEVC", {"qp42", "qp22"}), ("WebP", {"qf42", "qf22"}), ("AVIF", {"qf42", "qf22"})]
)
def test_images_and_sizes_are_those_of_the_codec(data, name, folders):
    if name == "AVIF" and "avif" not in features.get_supported():
        pytest.skip("this Pillow has no AVIF")
    assert compress(name.lower(), data, "42,22") == 0
    made = data / "div2k" / name.lower()
    assert {folder.name for folder in made.iterdir()} == folders
    for folder in made.iterdir():
        sizes = read_sizes(folder)
        assert sizes.keys() == list_images(folder).keys() == {"0001", "0002", "0003"}
        for stem, path in list_images(data / "div2k/raw").items():
            image, size = CODECS[name]().compress(read_image(path, "any"), int(folder.name[2:]))
            np.testing.assert_array_equal(read_image(folder / f"{stem}.png", "any"), image)
            assert sizes[stem] == size


def test_bpg(data, libbpg):
    assert compress("bpg", data, str(libbpg), "42") == 0
    for stem, path in list_images(data / "div2k/raw").items():
        made = read_image(data / f"div2k/bpg/qp42/{stem}.png", "any")
        np.testing.assert_array_equal(made, read_image(path, "any"))
    assert read_sizes(data / "div2k/bpg/qp42").keys() == {"0001", "0002", "0003"}


def test_a_failing_program_is_named_with_the_image(data, libbpg, capsys):
    (libbpg / "bpgenc").write_text('#!/bin/sh\necho "cannot read" >&2; exit 1\n')
    assert compress("bpg", data, str(libbpg), "42") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: 3 of 3 images failed: ")
    assert f"raw/0001.png: {libbpg}/bpgenc " in error
    assert error.count("\n") == 1
    assert not (data / "div2k/bpg").exists()


def test_sizes_go_on_with_the_images(data):
    assert compress("jpeg", data, "10") == 0
    folder = data / "div2k/jpeg/qf10"
    before = read_sizes(folder)
    (folder / "0002.png").unlink()
    assert compress("jpeg", data, "10") == 0
    assert read_sizes(folder) == before
    assert len((folder / SIZES).read_text().splitlines()) == 4  # only one was made again
    with open(folder / SIZES, "a") as file:
        file.write(
            '{"image": "0001", "bytes": 1}\n{"image": "0003", "by{"image": "0002", "bytes": 7}\n3\n{"image": "0003\n'
        )
    assert read_sizes(folder) == before | {"0001": 1}  # a line that was cut off, by a full disk, counts for nothing
    assert compress("jpeg", data, "10", "--force") == 0
    assert read_sizes(folder) == before


def test_no_image_without_its_size(data, monkeypatch, capsys):
    """The size comes first: if the run ends between the two, the image is made again."""
    (data / "div2k/jpeg/qf10" / SIZES).mkdir(parents=True)  # cannot be written
    assert compress("jpeg", data, "10") == 2
    assert "Is a directory" in capsys.readouterr().err
    assert [path.name for path in (data / "div2k/jpeg/qf10").iterdir()] == [SIZES]


def test_folders_of_qualities_by_number(tmp_path):
    for name in ("qf100", "qf20", "qp3", "qf9", "qf10.lmdb", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "qf7").touch()
    assert [folder.name for folder in quality_folders(tmp_path)] == ["qf9", "qf20", "qf100", "qp3"]
    with pytest.raises(UserError, match=r"qf10.*/other"):
        quality_folders(tmp_path / "other")
    with pytest.raises(UserError, match="/nothing"):
        quality_folders(tmp_path / "nothing")


def test_a_name_of_any_characters(data):
    (data / "div2k/raw/0001.png").rename(data / 'div2k/raw/a "b",\né.png')
    assert compress("jpeg", data, "10") == 0
    size = JPEG().compress(read_image(data / 'div2k/raw/a "b",\né.png'), 10)[1]
    assert read_sizes(data / "div2k/jpeg/qf10")['a "b",\né'] == size
