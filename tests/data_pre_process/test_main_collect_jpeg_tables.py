"""From JPEG files to the file of their quantization tables."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from powerqe.data_pre_process.main_collect_jpeg_tables import main
from powerqe.utils.codecs.table_file import read_table_file

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8))
OWN = [list(range(1, 65)), list(range(65, 129))]


@pytest.fixture
def photos(tmp_path):
    """Three files of tables of their own in two folders, one gray, two of libjpeg's."""
    folder = tmp_path / "data/photos"
    (folder / "more").mkdir(parents=True)
    for name in ("a.jpg", "b.JPEG", "more/c.jpg"):
        IMAGE.save(folder / name, "JPEG", qtables=OWN, subsampling="4:4:4")
    IMAGE.convert("L").save(folder / "gray.jpg", qtables=OWN[1:])
    IMAGE.save(folder / "libjpeg.jpg", quality=80)
    cv2.imwrite(str(folder / "more/libjpeg.jpg"), np.zeros((8, 8, 3), np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return tmp_path / "data"


def collect(data, *more):
    return main(["photos", "tables.json", "--data-root", str(data), "--nworker", "2", *more])


def test_the_tables_that_are_no_libjpegs_are_counted(photos, capsys):
    assert collect(photos) == 0
    entries = json.loads((photos / "tables.json").read_text())["tables"]
    assert entries == [{"count": 3, "luma": OWN[0], "chroma": OWN[1]}, {"count": 1, "luma": OWN[1]}]
    assert len(read_table_file(photos / "tables.json")) == 2
    assert "3 different tables in 6 of 6 files, 2 selected" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "counts"), [(["--libjpeg"], [3, 2, 1]), (["--least", "2"], [3])])
def test_which_are_taken(photos, options, counts):
    assert collect(photos, *options) == 0
    assert [entry["count"] for entry in json.loads((photos / "tables.json").read_text())["tables"]] == counts


def test_invalid_files_are_skipped_and_reported(photos, capsys):
    (photos / "photos/cut.jpg").write_bytes((photos / "photos/a.jpg").read_bytes()[:-40])
    IMAGE.save(photos / "photos/coarse.jpg", qtables=[[300] * 64])
    assert collect(photos) == 0
    said = capsys.readouterr().out
    assert "in 6 of 8 files" in said
    assert "cut.jpg: truncated" in said
    assert "coarse.jpg: steps above 255" in said


def test_mistakes(photos, capsys):
    assert collect(photos, "--least", "4") == 2
    assert "0 selected" in capsys.readouterr().err
    assert not (photos / "tables.json").exists()
    assert main(["nothing", "tables.json", "--data-root", str(photos)]) == 2
    assert "no JPEG file in" in capsys.readouterr().err
    assert collect(photos) == 0
    before = (photos / "tables.json").read_bytes()
    assert collect(photos) == 2
    assert "exists already; use --force" in capsys.readouterr().err
    assert collect(photos, "--force") == 0
    assert (photos / "tables.json").read_bytes() == before
