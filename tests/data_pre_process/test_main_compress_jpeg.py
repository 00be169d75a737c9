"""JPEG compression of a folder."""

from pathlib import Path

import cv2
import numpy as np

from powerqe.data_pre_process.main_compress_jpeg import main
from powerqe.utils.image.io import list_images, read_image


def test_equals_opencv_at_each_quality(data):
    assert main(["div2k/raw", "30,10", "div2k/out/jpeg", "--data-root", str(data)]) == 0
    for path in list_images(data / "div2k/raw").values():
        for quality in (10, 30):
            original = _as_stored(path)
            file = cv2.imencode(".jpg", original, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            expected = np.asarray(cv2.imdecode(file, cv2.IMREAD_UNCHANGED))
            made = _as_stored(data / f"div2k/out/jpeg/qf{quality}/{path.name}")
            assert np.array_equal(made, expected)
            assert not np.array_equal(made, original)


def test_a_new_quality_leaves_the_others_as_they_are(data, capsys):
    folder = data / "div2k/jpeg"
    assert main(["div2k/raw", "10", "div2k/jpeg", "--data-root", str(data)]) == 0
    before = (folder / "qf10/0001.png").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["div2k/raw", "10,90,90", "div2k/jpeg", "--data-root", str(data)]) == 0
    assert "3 images written, 3 existed already" in capsys.readouterr().out
    assert (folder / "qf10/0001.png").stat().st_mtime_ns == before
    worse, better = (np.abs(_error(data, f"qf{quality}")).mean() for quality in (10, 90))
    assert better < worse


def _as_stored(path: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


def _error(data, quality: str) -> np.ndarray:
    gt, lq = (read_image(data / f"div2k/{folder}/0001.png").astype(int) for folder in ("raw", f"jpeg/{quality}"))
    return lq - gt
