"""Many images at once: resuming, bad images, interruption."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from powerqe.data_pre_process import driver
from powerqe.data_pre_process.main_compress_jpeg import main as compress
from powerqe.data_pre_process.main_down_sample import main
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import read_image, write_image

REPOSITORY = Path(__file__).resolve().parents[2]


def down_sample(data: Path, *more: str) -> int:
    return main(["div2k", "2", "--data-root", str(data), *more])


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_only_missing_and_outdated_files_are_made(data, capsys):
    small = data / "div2k/raw_ds_2"
    assert down_sample(data) == 0
    before = times(small)
    assert "3 images written, 0 existed already" in capsys.readouterr().out

    (small / "0002.png").unlink()
    renewed = data / "div2k/raw/0003.png"
    os.utime(renewed, ns=(0, before["0003.png"] + 10**9))
    assert down_sample(data) == 0
    assert "2 images written, 1 existed already" in capsys.readouterr().out
    after = times(small)
    assert after["0001.png"] == before["0001.png"]
    assert set(after) == set(before)

    assert down_sample(data, "--force", "--quiet") == 0
    assert times(small)["0001.png"] > before["0001.png"]
    assert capsys.readouterr().out == ""


def test_bad_images_are_named_and_hinder_no_other(data, capsys):
    raw, small = data / "div2k/raw", data / "div2k/raw_ds_2"
    whole = (raw / "0001.png").read_bytes()
    (raw / "cut.png").write_bytes(whole[: len(whole) // 2])
    write_image(raw / "tiny.png", np.zeros((1, 9, 3), np.uint8))
    assert down_sample(data, "--nworker", "2") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: 2 of 5 images failed: ")
    assert error.count("\n") == 1
    assert error.count(str(raw / "cut.png")) == error.count(str(raw / "tiny.png")) == 1
    assert {path.name for path in small.iterdir()} == {"0001.png", "0002.png", "0003.png"}


def test_many_bad_images_stay_one_readable_line(data, capsys):
    for number in range(6):
        (data / f"div2k/raw/bad{number}.png").write_bytes(b"no image")
    assert down_sample(data) == 1
    error = capsys.readouterr().err
    assert "bad2.png" in error
    assert "bad3.png" not in error
    assert error.endswith("; and 3 more\n")


SLOW = """
    import os, sys, time
    from argparse import Namespace
    sys.path.insert(0, {repository!r})
    from pathlib import Path
    from powerqe.data_pre_process import driver
    from powerqe.utils.errors import command
    from powerqe.utils.files import atomic_path
    from powerqe.utils.image.io import encode_image

    def change(image):
        if {deadly}:
            os.kill(os.getpid(), 9)
        return image

    def write_slowly(path, image):
        data = encode_image(image)
        with atomic_path(path) as temporary, open(temporary, "wb", buffering=0) as file:
            file.write(data[:40])
            time.sleep({seconds})
            file.write(data[40:])

    driver.write_image = write_slowly

    @command
    def main():
        args = Namespace(nworker=2, force=False, quiet=False, shard=None)
        driver.convert(driver.folder_jobs(Path("raw"), Path("copy"), change), args)

    if __name__ == "__main__":
        sys.exit(main())
"""


@pytest.fixture
def slow(tmp_path: Path):
    """Start a script of many slow conversions in a process group of its own."""
    for number in range(24):
        write_image(tmp_path / f"raw/{number:02}.png", np.full((16, 16, 3), number, np.uint8))
    started = []

    def start(deadly: bool = False, seconds: float = 0.15) -> subprocess.Popen[str]:
        script = tmp_path / "slow.py"
        code = textwrap.dedent(SLOW).format(repository=str(REPOSITORY), deadly=deadly, seconds=seconds)
        script.write_text(code)
        process = subprocess.Popen(
            [sys.executable, script.name], cwd=tmp_path, text=True, stderr=subprocess.PIPE, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait(60)


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("number", "whole_group", "status"),
    [(signal.SIGINT, True, 130), (signal.SIGTERM, True, 143), (signal.SIGKILL, False, -9)],
    ids=["ctrl-c", "sigterm", "sigkill"],
)
@pytest.mark.slow
def test_an_interruption_leaves_whole_files_only(slow, tmp_path, number, whole_group, status):
    copies = tmp_path / "copy"
    process = slow()
    wait_for(lambda: copies.is_dir() and len(list(copies.glob("[0-9]*.png"))) >= 3)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in error
    wait_for(lambda: not has_members(process.pid), 10)  # no worker outlives the command
    made = sorted(copies.iterdir())
    assert 3 <= len(made) < 24
    for path in made:  # a temporary file would be no number
        assert (read_image(path) == int(path.stem)).all()


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM)],
)
def test_a_second_signal_hinders_no_clean_up(slow, tmp_path, first, second):
    """As of a launcher that passes on what the terminal has sent to all."""
    copies = tmp_path / "copy"
    process = slow()
    wait_for(lambda: copies.is_dir() and len(list(copies.glob("[0-9]*.png"))) >= 3)
    for number in (first, second):
        os.killpg(process.pid, number)
        time.sleep(0.05)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 128 + first
    assert error.count("\n") == 1
    wait_for(lambda: not has_members(process.pid), 10)
    assert all(path.stem.isdecimal() for path in copies.iterdir())


@pytest.mark.slow
def test_a_user_who_insists_need_not_wait_for_the_clean_up(slow, tmp_path):
    copies = tmp_path / "copy"
    process = slow(seconds=3)
    wait_for(lambda: copies.is_dir() and any(copies.iterdir()))
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1.2)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(2)
    assert process.returncode == 130
    wait_for(lambda: not has_members(process.pid), 10)


def test_a_worker_is_killed_before_all_work_was_handed_out():
    def go_on() -> None:
        with driver._pool(1) as pool:
            pool.submit(os._exit, 1).exception()
            pool.submit(int)

    with pytest.raises(UserError, match="a worker process was killed"):
        go_on()


def test_a_killed_worker_ends_the_command_with_a_reason(slow):
    process = slow(deadly=True)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert re.fullmatch(r"error: .*--nworker\n", error)


def test_names_are_looked_at_before_any_work(tmp_path):
    """Two of one name, and one of a source's name, also through links."""
    (tmp_path / "b").symlink_to(".")
    a, b = tmp_path / "a.png", tmp_path / "b.png"

    def job(source: Path, target: Path) -> driver.ImageJob:
        return driver.ImageJob(source, target, np.copy)

    driver.check_names([job(a, tmp_path / "x.png"), job(b, tmp_path / "y.png")])
    for jobs in (
        [job(a, tmp_path / "x.png"), job(b, tmp_path / "b/x.png")],
        [job(a, b), job(b, tmp_path / "x.png")],
        [job(a, tmp_path / "b/a.png")],
    ):
        with pytest.raises(UserError, match=r"a\.png"):
            driver.check_names(jobs)


def test_no_source_is_replaced_by_its_result(data, capsys):
    folder = data / "div2k/c/qf10"
    write_image(folder / "a.png", np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    before = (folder / "a.png").read_bytes()
    assert compress(["div2k/c/qf10", "10", "div2k/c", "--data-root", str(data), "--force"]) == 2
    assert "a.png" in capsys.readouterr().err
    assert (folder / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (OSError(36, "File name too long", "x"), "File name too long"),
        (ZeroDivisionError("by\nzero"), "ZeroDivisionError: by zero"),
    ],
)
def test_whatever_one_file_does_hinders_no_other(data, error, said):
    def make() -> None:
        raise error

    source = data / "div2k/raw/0001.png"
    message = driver._do(driver.FileJob(source, data / "out.png", make, done=False))
    assert message is not None
    assert message.startswith(str(source))
    assert said in message
    assert "\n" not in message
