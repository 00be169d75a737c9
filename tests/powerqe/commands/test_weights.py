"""powerqe weights as a user runs it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from powerqe import cli
from powerqe.net.weights import Entry, Figure, Qualities, Training
from powerqe.net.weights.entry import Purpose
from powerqe.net.weights.index import publish
from powerqe.utils.files import sha256_of

IMAGES = tuple(
    Figure(set=name, quality=quality, metric=metric, unit=unit, convention="Y", before=before, after=after, gain=gain)
    for name, quality, (before, after, gain) in (
        ("live1", "qf10", (27.0, 28.1, 1.1)), ("live1", "qf20", (30.0, 30.95, 0.95)), ("other", "qf10", (30, 39, 9)),
    )
    for metric, unit, before, after, gain in (("SSIM", "", 0.7, 0.75, 0.05), ("PSNR", "dB", before, after, gain))
)  # fmt: skip
CONTENTS = {"one": b"first" * 1000, "two": b"second" * 1000}
PURPOSES = {
    "one": Purpose(task="jpeg", color="y", qualities=Qualities(unit="qf", values=(10, 20))),
    "two": Purpose(task="sr", color="rgb", scale=2),
}


def published(folder: Path, name: str, figures: tuple[Figure, ...] = IMAGES, url: str | None = None) -> Entry:
    """A file that is no network, its entry and card."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.safetensors"
    path.write_bytes(CONTENTS[name])
    entry = Entry(
        **PURPOSES[name].model_dump(), name=name, method="ARCNN" if name == "one" else "EDSR", parameters=1234,
        training=Training(data="data/bsds500/train.lmdb"), figures=figures, file=path.name, bytes=len(CONTENTS[name]),
        sha256=sha256_of(path), license="MIT", url=url,
    )  # fmt: skip
    publish(entry, folder)
    return entry


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    published(tmp_path / "weights", "one")
    published(tmp_path / "weights", "two", ())
    return tmp_path / "weights"


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys) -> Command:
    """Run the command in this process; exit status, output, errors."""

    def command(*arguments: str) -> tuple[int, str, str]:
        return (cli.main(["weights", *arguments]), *capsys.readouterr())

    return command


def published_at(url: str, folder: Path) -> Path:
    """Weights `one` that only the server has; where the file will be."""
    published(folder, "one", url=f"{url}/one.safetensors")
    (folder / "one.safetensors").rename(folder.parent / "there/one.safetensors")
    return folder / "one.safetensors"


def test_list_is_an_aligned_table(folder, command):
    (folder / "two.safetensors").unlink()
    status, output, errors = command("list", "--folder", str(folder))
    assert (status, errors) == (0, "")
    title, rule, one, two = output.splitlines()
    assert one.split() == [
        "one",
        "ARCNN",
        "jpeg",
        "y",
        "qf",
        "10",
        "/",
        "20",
        "1,234",
        "0.0",
        "MB",
        "here",
        "+0.95",
        "to",
        "+1.10",
        "dB",
        "PSNR",
        "live1",
    ]
    assert two.split() == ["two", "EDSR", "sr", "rgb", "x2", "1,234", "0.0", "MB", "by", "hand", "-"]
    assert len(title) == len(rule) == len(one) == len(two)
    assert title.index("method") == one.index("ARCNN") == two.index("EDSR")


def test_list_as_markdown_goes_between_the_marks(folder, command, tmp_path):
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- weights -->\nold\n<!-- /weights -->\nafter\n")
    assert command("list", "--folder", str(folder), "--markdown", str(path))[0] == 0
    lines = path.read_text().splitlines()
    assert [*lines[:2], *lines[-2:]] == ["before", "<!-- weights -->", "<!-- /weights -->", "after"]
    assert lines[2].startswith("| name | method |")
    assert {line.count("|") for line in lines[2:-2]} == {9}
    assert any(line.startswith("| [one](../weights/one.md) |") for line in lines[4:-2])
    path.write_text("without marks")
    assert "lacks the lines <!-- weights -->" in command("list", "--folder", str(folder), "--markdown", str(path))[2]


def test_list_without_a_folder_shows_the_shipped_weights_too(folder, command):
    _, output, _ = command("list")
    names = [line.split()[0] for line in output.splitlines()[2:]]
    assert {"one", "two", "dncnn-bsds500-qf10"} <= set(names)
    assert names == sorted(names)


def test_nothing_to_list(tmp_path, command):
    status, output, errors = command("list", "--folder", str(tmp_path))
    assert (status, output) == (2, "")
    assert errors.startswith("error: no weights/index.json")


def test_show_prints_all_figures(folder, command):
    status, output, _ = command("show", "one")
    lines = output.splitlines()
    assert status == 0
    assert f"SHA-256     {sha256_of(folder / 'one.safetensors')} (computed)" in lines
    assert "for         jpeg, qf 10 / 20, y" in lines
    assert "file        weights/one.safetensors" in lines
    assert [line.split() for line in lines if line.startswith("live1")] == [
        ["live1", "qf10", "images", "SSIM", "Y", "0.7000", "0.7500", "+0.0500"],
        ["live1", "qf10", "images", "PSNR", "Y", "27.000", "28.100", "+1.100"],
        ["live1", "qf20", "images", "SSIM", "Y", "0.7000", "0.7500", "+0.0500"],
        ["live1", "qf20", "images", "PSNR", "Y", "30.000", "30.950", "+0.950"],
    ]


@pytest.mark.parametrize("name", ["show", "fetch"])
def test_an_unknown_name_is_one_line_with_the_nearest(folder, command, name):
    status, output, errors = command(name, "dncnn-bsds500-qf1")
    assert (status, output) == (2, "")
    assert errors.count("\n") == 1
    assert "'dncnn-bsds500-qf10'" in errors


def test_the_beginning_of_a_name_suggests_the_three_nearest(root, command, monkeypatch):
    monkeypatch.chdir(root)
    status, _, errors = command("show", "fbcn")
    assert status == 2
    assert re.search(r"did you mean '(fbcnn-[a-z0-9-]+)', '(fbcnn-[a-z0-9-]+)' or '(fbcnn-[a-z0-9-]+)'\?", errors)


def test_fetch_of_what_is_here_does_nothing(folder, command):
    before = (folder / "one.safetensors").stat().st_mtime_ns
    status, output, _ = command("fetch", "one")
    assert status == 0
    assert "is here, and its SHA-256 is right" in output
    assert (folder / "one.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_fetch_from_a_server(folder, url, command, content):
    path = published_at(url, folder)
    if content:
        path.write_bytes(content)
    status, output, errors = command("fetch", "one")
    assert (status, errors) == (0, "")
    assert path.read_bytes() == CONTENTS["one"]
    assert f"5,000 bytes from {url}/one.safetensors, SHA-256 is right" in output


def test_fetch_of_another_file(folder, url, command):
    path = published_at(url, folder)
    (folder.parent / "there/one.safetensors").write_bytes(b"other" * 1000)
    status, output, errors = command("fetch", "one")
    assert (status, output) == (2, "")
    assert errors.startswith(f"error: {url}/one.safetensors is another file: its SHA-256 is")
    assert errors.count("\n") == 1
    assert not path.exists()


def test_fetch_of_a_file_that_is_gone(folder, url, command):
    published_at(url, folder)
    (folder.parent / "there/one.safetensors").unlink()
    status, _, errors = command("fetch", "one")
    assert status == 2
    assert "404" in errors
    assert errors.count("\n") == 1


def test_fetch_from_a_folder(folder, tmp_path, command):
    (tmp_path / "usb stick").mkdir()
    (folder / "one.safetensors").rename(tmp_path / "usb stick/one.safetensors")
    status, output, errors = command("fetch", "one", "--from", "usb stick")
    assert (status, errors) == (0, "")
    assert "from usb stick" in output
    assert (folder / "one.safetensors").read_bytes() == CONTENTS["one"]
    status, _, errors = command("fetch", "one", "--from", "elsewhere")
    assert status == 0  # it is here already
    (folder / "one.safetensors").unlink()
    status, _, errors = command("fetch", "one", "--from", "elsewhere")
    assert (status, "no file elsewhere/one.safetensors" in errors) == (2, True)


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_fetch_from_nowhere(folder, command, content):
    (folder / "one.safetensors").unlink()
    if content:
        (folder / "one.safetensors").write_bytes(content)
    status, _, errors = command("fetch", "one")
    assert status == 2
    assert re.search(r"weights/one\.safetensors .*--from", errors)


def test_cards_are_made_anew(folder, command):
    (folder / "one.md").unlink()
    status, _, errors = command("cards")
    assert (status, errors) == (0, "")
    assert sha256_of(folder / "one.safetensors") in (folder / "one.md").read_text()


@pytest.mark.slow
def test_in_a_checkout_without_an_installation(folder, root):
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "powerqe", "weights", "cards"]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "weights/index.json: 2 cards\n", "")
