"""From a folder of images to an LMDB store."""

import os

import numpy as np
import pytest

from powerqe.data_pre_process.main_create_lmdb import main
from powerqe.dataset.store import open_store
from powerqe.utils.image.io import list_images, read_image, write_image


def create(data, *more: str) -> int:
    return main(["div2k/raw", "--data-root", str(data), *more])


@pytest.mark.parametrize("codec", ["raw", "png"])
def test_the_store_holds_every_image(data, codec):
    assert create(data, "--codec", codec, "--nworker", "1") == 0
    store, images = open_store(data / "div2k/raw.lmdb"), list_images(data / "div2k/raw")
    assert store.stems() == list(images)
    for stem, path in images.items():
        assert np.array_equal(store[stem], read_image(path, "any"))


def test_more_images_than_are_read_ahead(data):
    for number in range(30):
        write_image(data / f"div2k/raw/1{number:03}.png", np.full((4, 4, 3), number, np.uint8))
    assert create(data, "--nworker", "2") == 0
    store = open_store(data / "div2k/raw.lmdb")
    assert [int(store[f"1{number:03}"][0, 0, 0]) for number in range(30)] == list(range(30))


def test_it_is_made_again_only_when_the_folder_changed(data, capsys):
    file = data / "div2k/raw.lmdb/data.mdb"

    def made() -> bool:
        before = file.stat().st_ino if file.exists() else None
        assert create(data) == 0
        return file.stat().st_ino != before or "exists already" not in capsys.readouterr().out

    assert made()
    assert not made()
    (data / "div2k/raw/0002.png").unlink()
    assert made()
    later = file.stat().st_mtime_ns + 10**9
    os.utime(data / "div2k/raw/0001.png", ns=(later, later))
    assert made()
    os.utime(data / "div2k/raw/0001.png", ns=(0, 0))
    assert not made()
    file.write_bytes(file.read_bytes()[:5000])
    assert made()


def test_a_bad_image_is_named_and_the_old_store_stays(data, capsys):
    assert create(data) == 0
    bad = data / "div2k/raw/0002.png"
    bad.write_bytes(bad.read_bytes()[:-20])
    assert create(data, "--force") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert str(bad) in error
    assert open_store(data / "div2k/raw.lmdb").stems() == ["0001", "0002", "0003"]
    assert [path.name for path in (data / "div2k").iterdir() if ".tmp" in path.name] == []
