"""The command for parts of the work: shards, ranks, lists of files, and a repeated command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from powerqe.cli import main
from powerqe.inference.file_list import below
from powerqe.inference.input_files import find_jobs
from powerqe.utils.launcher import Place
from powerqe.utils.shards import Part, Shard


@pytest.fixture
def enhance(photos, weights, monkeypatch):
    """Runs the command in the folder around photos/, which has six images; gives its status."""
    monkeypatch.chdir(photos.parent)
    for number in range(3):
        (photos / f"x{number}.jpg").write_bytes((photos / "a.jpg").read_bytes())
    network = weights("arcnn")
    return lambda *words: main(["enhance", "--weights", network, "--device", "cpu", *words])


def content(folder: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*.*")}


def test_shards_make_the_whole_and_a_repeated_one_only_what_is_missing(enhance, capsys):
    assert enhance("photos", "-o", "whole") == 0
    for index in range(3):
        assert enhance("photos", "-o", "out", "--shard", f"{index}/3") == 0
        assert len(content("out")) == 2 * (index + 1)
    assert content("out") == content("whole")
    Path("out/x1.png").unlink()
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.*")}
    statuses = [enhance("photos", "-o", "out", "--shard", f"{index}/3") for index in range(3)]
    assert statuses == [0, 0, 0]
    assert content("out") == content("whole")
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert capsys.readouterr().err == ""


def test_a_task_of_an_array_takes_its_shard(enhance, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "6")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "6")
    assert enhance("photos", "-o", "out") == 0
    assert list(content("out")) == ["x2.png"]
    assert enhance("photos", "-o", "all", "--shard", "0/1") == 0
    assert len(content("all")) == 6


def test_a_result_of_another_process_is_no_failure(enhance, monkeypatch, capsys):
    monkeypatch.setattr("powerqe.inference.input_files.is_finished", lambda *_, **__: False)
    assert enhance("photos/a.jpg", "-o", "out") == enhance("photos/a.jpg", "-o", "out") == 0
    assert "skipped" in capsys.readouterr().out


def test_longest_videos_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, size in (("a.jpg", 9), ("b_8x8_1.yuv", 100), ("c_8x8_9.yuv", 900), ("d.mp4", 20), ("e.jpg", 5)):
        Path(name).write_bytes(bytes(size))
    ranks = [find_jobs(["*.*"], None, part=Part(Shard(0, 1), Place(rank, rank, 2))) for rank in range(2)]
    names = [[job.source.name for job in jobs] for jobs in ranks]
    assert names == [["d.mp4", "a.jpg"], ["c_8x8_9.yuv", "b_8x8_1.yuv", "e.jpg"]]


@pytest.mark.parametrize(
    ("name", "place"),
    [("photos/a.jpg", "photos/a.jpg"), ("./a.jpg", "a.jpg"), ("/data/b/../a.jpg", "data/a.jpg"),
     ("../../x/a.jpg", "x/a.jpg"), ("x/../../a.jpg", "a.jpg")],
)  # fmt: skip
def test_paths_stay_below_the_output_folder(name, place):
    assert below(name) == place


def test_a_list_of_files(enhance, capsys, monkeypatch):
    lines = [
        "photos/sub/c.jpg",
        "",
        "photos/none.jpg",
        str(Path("photos/b.png").resolve()),
        "photos/sub/c.jpg",
        "photos/sub",
    ]
    Path("list.txt").write_bytes("\r\n".join(lines).encode())
    assert enhance("--list", "list.txt", "-o", "out") == 1
    errors = capsys.readouterr().err
    assert "list.txt, line 3: " in errors
    assert "list.txt, line 6: " in errors
    absolute = Path(lines[3]).with_suffix(".png").relative_to("/")
    assert set(content("out")) == {"photos/sub/c.png", str(absolute)}
    with open("list.txt", "rb") as stdin:
        monkeypatch.setattr(sys, "stdin", type("", (), {"buffer": stdin}))
        assert enhance("--list", "-", "-o", "out2", "--shard", "0/4") == 0
    assert set(content("out2")) == {"photos/sub/c.png"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["--list", "list.txt"]),
        (b"\n\r\n", ["--list", "list.txt"]),
        (b"photos/a.jpg\0photos/b.png\0", ["--list", "list.txt"]),
        (b"", ["--list", "photos"]),
        (b"", []),
        (b"", ["photos", "--shard", "4/3"]),
    ],
)
def test_mistakes(enhance, capsys, content, words):
    if content is not None:
        Path("list.txt").write_bytes(content)
    assert enhance(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not Path("enhanced").exists()


@pytest.mark.slow
def test_ranks_share_the_work_and_one_reports_failures(enhance, root, photos, tmp_path):
    (photos / "bad.jpg").write_bytes(b"no image")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", root / "enhance.py"]
    done = subprocess.run([*command, "photos", "-o", "out", "--weights", tmp_path / "arcnn.safetensors"],
        capture_output=True, text=True, timeout=200, env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 1
    assert len(content("out")) == 6
    assert "7 files on 2 ranks (4 + 3)" in done.stdout
    assert done.stderr.count("error: 1 of 7 files failed") == 1
