"""All scripts together: the command lines of the documents, and what they say of mistakes."""

import importlib
from pathlib import Path

import pytest

from powerqe.dataset.store import open_store
from powerqe.utils.image.io import list_images, read_image

pytestmark = pytest.mark.slow


def test_the_command_lines_of_the_readme(checkout, shell):
    inside, div2k = checkout / "data_pre_process", checkout / "data/div2k"
    for folder, line in (
        (inside, "python main_down_sample.py div2k 2"),
        (inside, "python main_compress_jpeg.py div2k/raw_ds_2 10,20 div2k/jpeg_ds_2"),
        (inside, "python main_combine_im.py jpeg"),
        (inside, "python main_compress_hevc.py div2k/raw_ds_2 42,37 div2k/hevc_ds_2"),
        (inside, "python main_combine_im.py hevc"),
        (inside, "python main_report.py --color y div2k/raw_ds_2 div2k/jpeg_ds_2 div2k/hevc_ds_2"),
        (checkout, "python data_pre_process/main_create_lmdb.py div2k/jpeg_ds_2/qf10"),
    ):
        done = shell(line, folder)
        assert (done.returncode, done.stderr) == (0, ""), line
    assert list_images(div2k / "raw_ds_2").keys() == {"0001", "0002", "0003"}
    assert {path.name for path in (div2k / "jpeg_ds_2").iterdir()} == {"qf10", "qf20", "qf10.lmdb"}
    assert sorted(list_images(div2k / "jpeg_ds_2_combined"))[:3] == ["0001-qf10", "0001-qf20", "0002-qf10"]
    assert sorted(list_images(div2k / "hevc_ds_2_combined"))[:3] == ["0001-qp37", "0001-qp42", "0002-qp37"]
    store = open_store(div2k / "jpeg_ds_2/qf10.lmdb")
    assert (store["0002"] == read_image(div2k / "jpeg_ds_2/qf10/0002.png")).all()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("main_down_sample", ["div2k"], "ratio"),
        ("main_down_sample", ["div2k", "0"], "found '0'"),
        ("main_down_sample", ["div3k", "2"], "div3k/raw"),
        ("main_down_sample", ["div2k", "2", "--workers", "3"], "--workers"),
        ("main_down_sample", ["div2k", "2", "--method", "cubic"], "invalid choice: 'cubic'"),
        ("main_compress_jpeg", ["div2k/raw", "10,x", "div2k/jpeg"], "10,x"),
        ("main_compress_jpeg", ["div2k/raw", "10,101", "div2k/jpeg"], "qf101"),
        ("main_compress_jpeg", ["div2k/nothing", "10", "div2k/jpeg"], "div2k/nothing"),
        ("main_compress_hevc", ["div2k/raw", "22,52", "div2k/hevc"], "qp52: HEVC has qp 0 to 51"),
        ("main_compress_webp", ["div2k/raw", "-1", "div2k/webp"], "qf-1: WebP has qf 0 to 100"),
        (
            "main_compress_bpg",
            ["div2k/raw", "no/libbpg", "42", "div2k/bpg"],
            "program bpgenc, which is not in no/libbpg",
        ),
        ("main_convert_video", ["div2k/nothing", "x"], "div2k/nothing"),
        ("main_convert_video", ["div2k/raw", "x", "--start", "-1"], "found '-1'"),
        ("main_compress_video", ["div2k/raw", "hevc", "37", "x"], "no sequence <Name>_<W>x<H>_<Frames>.yuv in"),
        ("main_compress_video", ["div2k/nothing", "hevc", "37", "x"], "div2k/nothing"),
        ("main_compress_video", ["div2k/raw", "vvc", "37", "x"], "invalid choice: 'vvc'"),
        ("main_compress_video", ["div2k/raw", "av1", "0", "x"], "qp0: av1 has qp 1 to 63"),
        ("main_compress_video", ["div2k/raw", "hevc", "37", "x", "--pattern", "ldb"], "invalid choice: 'ldb'"),
        ("main_compress_video", ["div2k/raw", "h264", "37", "x", "--pattern", "ldp-hm18"], "pattern flat, not ldp"),
        ("main_compress_video", ["div2k/raw", "hevc", "37", "x", "--preset", "8"], "unknown preset '8' of hevc"),
        ("main_compress_video", ["div2k/raw", "hm", "37", "x"], "--hm-config"),
        ("main_compress_video", ["div2k/raw", "hm", "37", "x", "--hm-config", "a", "--preset", "slow"], "change it"),
        ("main_compress_video", ["div2k/raw", "hevc", "37", "x", "--hm-config", "a"], "are for hm, not for hevc"),
        (
            "main_compress_video",
            ["div2k/raw", "hm", "37", "x", "--hm-config", "a", "--hm-encoder", "no/hm"],
            "hm needs the program no/hm",
        ),
        ("main_report", ["div2k/raw", "div2k/jpeg"], "div2k/jpeg"),
        ("main_combine_im", ["jpeg"], "div2k/jpeg_ds_2"),
        ("main_combine_im", ["jpeg", "--dataset", "x"], "x/jpeg_ds_2"),
        ("main_create_lmdb", ["div2k/nothing"], "div2k/nothing"),
        ("main_create_video_lmdb", ["div2k/nothing"], "no folder of videos"),
        ("main_create_video_lmdb", ["div2k/raw"], "div2k/raw holds images; expected folders of frames"),
        ("main_create_video_lmdb", ["div2k", "--layout", "stdf"], "no video has 7 frames"),
        ("main_create_video_lmdb", ["div2k", "--layout", "stdf", "--color", "rgb"], "--layout stdf"),
        ("main_create_video_lmdb", ["div2k", "--gt"], "--gt is for --layout stdf"),
        ("main_create_video_lmdb", ["div2k", "--size", "64"], "found '64', expected WIDTHxHEIGHT"),
        ("main_create_video_lmdb", ["div2k", "--list", "no/list.txt"], "cannot read no/list.txt"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(name, arguments, message, data: Path, capsys):
    before = sorted(data.rglob("*"))
    status = importlib.import_module(f"data_pre_process.{name}").main([*arguments, "--data-root", str(data)])
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert sorted(data.rglob("*")) == before
