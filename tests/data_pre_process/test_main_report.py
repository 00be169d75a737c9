"""The table of what compression did."""

from pathlib import Path

import numpy as np
import pytest

from powerqe.data_pre_process.compress import SIZES
from powerqe.data_pre_process.main_compress_jpeg import main as compress
from powerqe.data_pre_process.main_report import main
from powerqe.utils.codecs import JPEG
from powerqe.utils.image.io import list_images, read_image, write_image


@pytest.fixture
def div2k(data: Path) -> Path:
    """RGB images only, compressed at two qualities."""
    folder = data / "div2k"
    (folder / "raw/0003.png").unlink()
    assert compress(["div2k/raw", "100,10", "div2k/jpeg", "--data-root", str(data), "--quiet", "--nworker", "1"]) == 0
    return folder


def report(div2k: Path, *arguments: str) -> int:
    return main([*arguments, "--data-root", str(div2k.parent)])


def rows(text: str) -> list[list[str]]:
    """The cells of the table, without titles."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"][2:]


def test_means_are_of_each_image(div2k, capsys):
    assert report(div2k, "div2k/raw", "div2k/jpeg") == 0
    out = capsys.readouterr().out
    assert "| compressed" in out
    assert "| bits per pixel | PSNR [dB] (RGB, uint8) | SSIM (RGB, uint8) |" in out
    for row, quality in zip(rows(out), (10, 100), strict=True):
        images = [read_image(path) for path in list_images(div2k / "raw").values()]
        coded = [JPEG().compress(image, quality) for image in images]
        errors = [
            np.mean((image.astype(float) - result) ** 2) for image, (result, _) in zip(images, coded, strict=True)
        ]
        bits = [8 * size / (image.shape[0] * image.shape[1]) for image, (_, size) in zip(images, coded, strict=True)]
        assert row[:3] == [f"div2k/jpeg/qf{quality}", "2", f"{np.mean(bits):.3f}"]
        assert row[3] == f"{np.mean(10 * np.log10(255**2 / np.array(errors))):.3f}"
        assert 0.5 < float(row[4]) <= 1


def test_luma_other_metrics_and_folders_of_one_quality(div2k, capsys):
    folders = ["div2k/jpeg/qf100", "div2k/jpeg/qf10"]
    assert report(div2k, "div2k/raw", *folders, "--color", "y", "--metric", "PSNR", "PSNRB") == 0
    out = capsys.readouterr().out
    assert "PSNR [dB] (Y, uint8)" in out
    assert "PSNRB [dB] (Y, uint8)" in out
    assert [row[0] for row in rows(out)] == folders
    better, worse = rows(out)
    assert float(better[3]) > float(worse[3]) > float(worse[4])


def test_what_is_left_out_is_reported(div2k, capsys):
    folder = div2k / "jpeg/qf10"
    (folder / SIZES).write_text('{"image": "0001", "bytes": 512}\n')
    write_image(folder / "0002.png", read_image(div2k / "raw/0002.png"))
    (div2k / "jpeg/qf100" / SIZES).unlink()
    assert report(div2k, "div2k/raw", "div2k/jpeg") == 0
    out = capsys.readouterr().out
    first, second = rows(out)
    assert first[2] == "1.600"  # 512 bytes of 64 x 40 pixels
    assert second[2] == "n/a"
    assert f"\n{folder / SIZES} has no size for 1 of 2 images" in out
    assert f"\n{div2k / 'jpeg/qf100' / SIZES} has no size for 2 of 2 images" in out
    assert f"\n{folder}: 1 infinite values of PSNR (image equal to its ground truth) are left out of means" in out
    assert float(first[3]) < 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["div2k/raw", "div2k/nothing"], "no folder "),
        (["div2k/raw", "div2k"], "no folder of a quality"),
        (["div2k/nothing", "div2k/jpeg"], "div2k/nothing"),
        (["div2k/raw"], "compressed"),
        (["div2k/raw", "div2k/jpeg", "--metric", "PSNRR"], "unknown metric 'PSNRR' (did you mean 'PSNR'?)"),
        (["div2k/raw/", "div2k/jpeg", "--color", "yuv"], "'yuv'"),
    ],
)
def test_mistakes(div2k, arguments, message, capsys):
    assert report(div2k, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error


def test_gray_and_unpaired_images(div2k, capsys):
    write_image(div2k / "raw/0003.png", np.zeros((9, 9, 1), np.uint8))
    assert report(div2k, "div2k/raw", "div2k/jpeg") == 2
    assert "have no partner" in capsys.readouterr().err
    write_image(div2k / "jpeg/qf10/0003.png", np.zeros((9, 9, 1), np.uint8))
    assert report(div2k, "div2k/raw", "div2k/jpeg/qf10") == 2
    assert "8-bit gray" in capsys.readouterr().err
