"""The combined folder for blind training."""

import errno
from pathlib import Path

import numpy as np
import pytest

from powerqe.data_pre_process.main_combine_im import main
from powerqe.utils.image.io import list_images, read_image, write_image


@pytest.fixture
def div2k(tmp_path: Path) -> Path:
    for quality in (10, 20):
        for stem in ("0001", "0002"):
            image = np.full((8, 8, 3), quality + int(stem), np.uint8)
            write_image(tmp_path / f"div2k/jpeg_ds_2/qf{quality}/{stem}.png", image)
    (tmp_path / "div2k/jpeg_ds_2/qf10.lmdb").mkdir()  # no quality
    return tmp_path / "div2k"


def combine(div2k: Path, *more: str) -> int:
    return main(["jpeg", "--data-root", str(div2k.parent), *more])


def values(div2k: Path) -> dict[str, int]:
    """Stem -> gray value of each combined image."""
    images = list_images(div2k / "jpeg_ds_2_combined")
    return {stem: int(read_image(path)[0, 0, 0]) for stem, path in images.items()}


EXPECTED = {"0001-qf10": 11, "0001-qf20": 21, "0002-qf10": 12, "0002-qf20": 22}


def test_links_are_relative_and_a_second_run_is_fine(div2k, tmp_path, capsys):
    assert combine(div2k) == 0
    assert values(div2k) == EXPECTED
    assert "4 images linked, 0 existed already" in capsys.readouterr().out
    assert combine(div2k) == 0
    assert "0 images linked, 4 existed already" in capsys.readouterr().out
    moved = div2k.rename(tmp_path / "elsewhere")
    assert values(moved) == EXPECTED


def test_wrong_and_dangling_links_are_put_right(div2k):
    combine(div2k)
    folder = div2k / "jpeg_ds_2_combined"
    (folder / "0001-qf20.png").unlink()
    (folder / "0001-qf20.png").symlink_to("../jpeg_ds_2/qf10/0001.png")
    (div2k / "jpeg_ds_2/qf10/0002.png").unlink()
    assert combine(div2k) == 0
    assert values(div2k) == {key: value for key, value in EXPECTED.items() if key != "0002-qf10"}


@pytest.mark.parametrize("refused", [("symlink_to",), ("symlink_to", "hardlink_to")], ids=["hard link", "copy"])
def test_without_symbolic_links(div2k, monkeypatch, capsys, refused):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    for name in refused:
        monkeypatch.setattr(Path, name, refuse)
    assert combine(div2k) == 0
    assert values(div2k) == EXPECTED
    links = {path.stat().st_nlink for path in (div2k / "jpeg_ds_2_combined").iterdir()}
    assert links == ({1} if "hardlink_to" in refused else {2})
    assert combine(div2k) == 0
    assert "0 images linked, 4 existed already" in capsys.readouterr().out


def test_other_names(div2k):
    (div2k / "jpeg_ds_2").rename(div2k / "bpg_ds_3")
    set14 = div2k.rename(div2k.with_name("set14"))
    assert main(["bpg", "--dataset", "set14", "--ratio", "3", "--data-root", str(set14.parent)]) == 0
    assert len(list_images(set14 / "bpg_ds_3_combined")) == 4


def test_a_folder_without_qualities_is_a_mistake(div2k, capsys):
    for quality in (10, 20):
        (div2k / f"jpeg_ds_2/qf{quality}").rename(div2k / f"qf{quality}")
    assert combine(div2k) == 2
    assert "qf10" in capsys.readouterr().err
    assert not (div2k / "jpeg_ds_2_combined").exists()
