"""Sequences to decoded sequences and descriptions: what is written, gone on with, and left after mistakes."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from powerqe.data_pre_process.main_compress_video import main
from powerqe.utils.video.frame_records import frames_path, read_frames, read_record
from powerqe.utils.video.yuv import Geometry, YUVReader

pytestmark = pytest.mark.slow


def compress(data: Path, *arguments: str) -> int:
    return main(["raw", *arguments, "--data-root", str(data), "--nworker", "2"])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_sequences_and_their_descriptions(sequence, tmp_path, capsys):
    first, second = sequence("one"), sequence("two", width=128, height=64, count=5)
    assert compress(tmp_path, "hevc", "37,22", "hevc") == 0
    assert "4 sequences written, 0 existed already" in capsys.readouterr().out
    for qp, qps in ((37, [36, 45, 44]), (22, [21, 27, 26])):
        folder = tmp_path / f"hevc/qp{qp}"
        assert set(contents(folder)) == {
            f"{path.stem}{end}" for path in (first, second) for end in (".yuv", ".frames.json")
        }
        for path in (first, second):
            decoded = YUVReader(folder / path.name)
            record, frames = read_record(frames_path(decoded.path))
            assert len(decoded) == len(frames) == len(YUVReader(path))
            assert [frame.qp for frame in frames[:3]] == qps
            assert (record["codec"], record["pattern"], record["qp"]) == ("hevc", "ldp-hm18", qp)
            assert record["encoder"].startswith("x265 (build ")
            assert record["parameters"].startswith(
                "-c:v libx265 -pix_fmt yuv420p -r 30 -preset medium -x265-params qp="
            )
            assert record["source_sha256"] == sha256(path)
            assert record["sha256"] == sha256(decoded.path)


@pytest.mark.parametrize(("codec", "suffix"), [("hevc", ".hevc"), ("h264", ".h264"), ("av1", ".obu")])
def test_the_stream_is_kept_if_wanted(sequence, tmp_path, codec, suffix):
    path = sequence(width=128, height=64)
    assert compress(tmp_path, codec, "40", "made", "--keep-stream") == 0
    folder = tmp_path / "made/qp40"
    stream = folder / f"{path.stem}{suffix}"
    record, frames = read_record(folder / f"{path.stem}.frames.json")
    assert record["stream_sha256"] == sha256(stream)
    assert 8 * stream.stat().st_size == sum(frame.bits for frame in frames)
    with av.open(str(stream)) as container:
        decoded = [frame.to_ndarray()[:64] for frame in container.decode(video=0)]
    for index, luma in enumerate(decoded):
        assert (luma == YUVReader(folder / path.name).luma(index)).all()
    assert compress(tmp_path, codec, "40", "made", "--force") == 0
    assert not stream.exists()  # it would be of an older run


def test_the_same_again_is_the_same(sequence, tmp_path):
    sequence()
    made = []
    for target in ("first", "second"):
        assert compress(tmp_path, "hevc", "37", target) == 0
        made.append(contents(tmp_path / target / "qp37"))
    assert made[0] == made[1]


def test_frames_samples_preset_and_pattern(sequence, tmp_path):
    path = sequence(width=64, height=48, chroma="444", depth=10)
    options = ["--chroma", "444", "--depth", "10", "--max-frames", "6", "--preset", "fast", "--pattern", "ldp-hm16"]
    assert compress(tmp_path, "hevc", "32", "made", *options) == 0
    target = tmp_path / "made/qp32/clip_64x48_6_444_10bit.yuv"
    reader = YUVReader(target)
    assert (reader.geometry, len(reader)) == (Geometry(64, 48, "444", 10), 6)
    path.rename(path.with_name("clip_64x48_10_444_10bit.yuv"))  # then its name says it
    assert compress(tmp_path, "hevc", "32", "made", *options[4:]) == 0
    assert sorted(contents(target.parent)) == sorted([target.name, frames_path(target).name])
    record, frames = read_record(frames_path(target))
    assert [frame.qp for frame in frames] == [32, 35, 34, 35, 33, 35]
    assert "-pix_fmt yuv444p10le -r 30 -preset fast " in record["parameters"]


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_only_what_is_missing_is_made(sequence, tmp_path, capsys):
    names = [sequence(name).name for name in "abcdef"]
    assert compress(tmp_path, "hevc", "37", "made") == 0
    folder = tmp_path / "made/qp37"
    before, whole = times(folder), contents(folder)
    (folder / names[0]).unlink()  # a sequence is missing,
    frames_path(folder / names[1]).unlink()  # a description,
    data = (folder / names[2]).read_bytes()
    (folder / names[2]).write_bytes(data[: len(data) // 2])  # frames,
    frames_path(folder / names[3]).write_text("{")  # and the rest of a description
    os.utime(tmp_path / "raw" / names[4], ns=(0, max(before.values()) + 10**9))  # there is a new original
    capsys.readouterr()
    assert compress(tmp_path, "hevc", "37", "made") == 0
    assert "5 sequences written, 1 existed already" in capsys.readouterr().out
    assert contents(folder) == whole
    assert times(folder)[names[5]] == before[names[5]]


def test_what_was_made_otherwise_is_made_again(sequence, tmp_path, capsys):
    path = sequence()
    for options in ([], ["--preset", "fast"], ["--max-frames", "4"], ["--pattern", "flat"]):
        assert compress(tmp_path, "hevc", "37", "made", *options) == 0
        assert "1 sequences written" in capsys.readouterr().out
        assert compress(tmp_path, "hevc", "37", "made", *options) == 0
        assert "0 sequences written, 1 existed already" in capsys.readouterr().out
    assert {frame.qp for frame in read_frames(frames_path(tmp_path / "made/qp37" / path.name))} == {37}


def test_bad_sequences_are_named_and_hinder_no_other(sequence, tmp_path, capsys):
    good, cut = sequence("good"), sequence("cut")
    cut.write_bytes(cut.read_bytes()[:-1])
    sequence("odd", width=64, height=48).rename(tmp_path / "raw/odd_63x48_10.yuv")
    sequence("noname").rename(tmp_path / "raw/noname.yuv")
    sequence("small", width=16, height=16)
    assert compress(tmp_path, "hevc", "37", "made") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: 4 of 5 sequences failed: ")
    assert error.count("\n") == 1
    assert "cut_64x48_10.yuv has 46,079 bytes" in error
    assert "geometry" in error
    assert "63x48" in error
    assert set(contents(tmp_path / "made/qp37")) == {good.name, frames_path(good).name}


def test_without_x265(sequence, tmp_path, monkeypatch, capsys):
    sequence()
    monkeypatch.setattr(av, "codecs_available", {"hevc", "libx264"})
    assert compress(tmp_path, "hevc", "37", "made") == 2
    assert capsys.readouterr().err.startswith("error: hevc coding needs x265, which this build of PyAV lacks")
    assert not (tmp_path / "made").exists()


def test_an_older_description_does_not_outlive_its_sequence(sequence, tmp_path, monkeypatch):
    """If the run ends between the two, the sequence is made again."""
    from powerqe.data_pre_process import compress_video

    path = sequence()
    assert compress(tmp_path, "hevc", "37", "made") == 0
    target = tmp_path / "made/qp37" / path.name
    old = target.read_bytes()
    monkeypatch.setattr(compress_video, "write_record", lambda *_: os._exit(1))
    assert compress(tmp_path, "hevc", "37", "made", "--pattern", "flat") == 2
    assert target.read_bytes() != old
    assert not frames_path(target).exists()


HM = """#!{python}
import sys, time
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
open("{started}", "a").write("x")
if "{slow}":
    time.sleep(60)
frames = open(arguments["-i"], "rb").read(int(arguments["-f"]) * 64 * 48 * 3 // 2)
open(arguments["-o"], "wb").write(frames)
open(arguments["-b"], "wb").write(b"stream")
for poc in range(int(arguments["-f"])):
    print(f"POC {{poc}} TId: 0 ( P-SLICE, QP {{int(arguments['-q']) + poc}} ) 8 bits [Y inf dB U inf dB V inf dB]")
"""


def write_hm(folder: Path, slow: str = "") -> list[str]:
    program = folder / "hm"
    program.write_text(HM.format(python=sys.executable, started=folder / "started", slow=slow))
    program.chmod(0o755)
    (folder / "ldp.cfg").write_text("GOPSize : 8\n")
    return ["--hm-encoder", str(program), "--hm-config", str(folder / "ldp.cfg")]


def test_hm(sequence, tmp_path, capsys):
    path, options = sequence(), write_hm(tmp_path)
    assert compress(tmp_path, "hm", "37", "hm_ldp", *options) == 0
    target = tmp_path / "hm_ldp/qp37" / path.name
    record, frames = read_record(frames_path(target))
    assert (record["codec"], record["pattern"], record["encoder"]) == ("hm", "configured", "HM")
    assert record["parameters"].startswith("-c ldp.cfg (SHA-256 ")
    assert [frame.qp for frame in frames] == list(range(37, 47))
    assert target.read_bytes() == path.read_bytes()
    assert compress(tmp_path, "hm", "37", "hm_ldp", *options) == 0
    assert "0 sequences written, 1 existed already" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interruption_gives_up_what_takes_long(sequence, tmp_path, root, number, status):
    """At once, and without a trace; also of the encoder, and when only the main process is told."""
    sequence("a"), sequence("b"), sequence("c")
    options = write_hm(tmp_path, slow="yes")
    script = root / "data_pre_process/main_compress_video.py"
    command = [sys.executable, str(script), "raw", "hm", "37", "made", "--nworker", "2", *options]
    start = time.monotonic()
    process = subprocess.Popen(
        [*command, "--data-root", str(tmp_path)], text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        while not (tmp_path / "started").exists() or len((tmp_path / "started").read_text()) < 2:
            assert time.monotonic() < start + 40
            time.sleep(0.02)
        process.send_signal(number)
        _, error = process.communicate(timeout=20)
        assert process.returncode == status
        assert error == ("" if status == -9 else "interrupted: run the same command again to go on\n")
        while group_exists(process.pid):  # workers and encoders
            assert time.monotonic() < start + 60
            time.sleep(0.02)
    finally:
        if group_exists(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
    assert list((tmp_path / "made").rglob("*")) in ([], [tmp_path / "made/qp37"])
    assert (tmp_path / "started").read_text() == "xx"  # the third was not begun
    assert time.monotonic() < start + 55  # the encoders take a minute


def group_exists(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True
