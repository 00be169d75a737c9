import os
import pickle
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from powerqe.utils.checkpoint import copy_checkpoint, load_checkpoint, newest_sound, numbered, prune, save_checkpoint
from powerqe.utils.errors import UserError


def state(iteration: int) -> dict:
    return {"iter": iteration, "networks": {"net": {"w": torch.full((64,), float(iteration))}}}


def fill(folder: Path, *iterations: int) -> None:
    for iteration in iterations:
        save_checkpoint(state(iteration), folder / f"ckp-{iteration}.pt")
    copy_checkpoint(folder / f"ckp-{iterations[-1]}.pt", folder / "ckp-last.pt")


def test_round_trip(tmp_path):
    save_checkpoint(state(3), tmp_path / "ckp-3.pt")
    loaded = load_checkpoint(tmp_path / "ckp-3.pt")
    assert loaded["iter"] == 3
    assert torch.equal(loaded["networks"]["net"]["w"], torch.full((64,), 3.0))


def test_copy_stays_when_the_original_goes(tmp_path):
    fill(tmp_path, 1)
    (tmp_path / "ckp-1.pt").unlink()
    assert load_checkpoint(tmp_path / "ckp-last.pt")["iter"] == 1


def test_prune_keeps_the_newest_by_number_not_by_name(tmp_path):
    fill(tmp_path, 5, 90, 100)
    prune(tmp_path, 2)
    assert [path.name for path in numbered(tmp_path)] == ["ckp-100.pt", "ckp-90.pt"]
    prune(tmp_path, None)
    assert len(numbered(tmp_path)) == 2


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    position = data.index(torch.full((64,), 9.0).numpy().tobytes()) + 10
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, lambda path: path.write_bytes(b"")])
def test_falls_back_to_the_previous_one(tmp_path, damage):
    fill(tmp_path, 8, 9)
    damage(tmp_path / "ckp-9.pt")  # the same file as ckp-last.pt
    path, found, complaints = newest_sound(tmp_path)
    assert (path.name, found["iter"]) == ("ckp-8.pt", 8)
    assert len(complaints) == 2
    assert all("\n" not in line for line in complaints)


def test_parts_that_must_be_there(tmp_path):
    fill(tmp_path, 8)
    save_checkpoint({"iter": "9"}, tmp_path / "ckp-9.pt")
    parts = {"iter": int, "networks": dict}
    assert newest_sound(tmp_path, parts)[1]["iter"] == 8
    with pytest.raises(UserError, match=r"ckp-9\.pt .*iter, networks"):
        load_checkpoint(tmp_path / "ckp-9.pt", parts)


def test_nothing_to_fall_back_to(tmp_path):
    assert newest_sound(tmp_path) is None
    fill(tmp_path, 9)
    truncate(tmp_path / "ckp-9.pt")
    with pytest.raises(UserError, match="no sound checkpoint"):
        newest_sound(tmp_path)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_pickled_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "iter": Evil()}, "zip.pt")
    with pytest.raises(UserError, match="pickled code"):
        load_checkpoint("zip.pt")
    Path("bare.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="no checkpoint"):
        load_checkpoint("bare.pt")
    assert not Path("executed").exists()


def test_other_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no checkpoint .*ckp-1\.pt"):
        load_checkpoint(tmp_path / "ckp-1.pt")
    torch.save({"w": torch.ones(1)}, tmp_path / "bare.pt")
    with pytest.raises(UserError, match="no training checkpoint"):
        load_checkpoint(tmp_path / "bare.pt")
    torch.save({"format": 99}, tmp_path / "new.pt")
    with pytest.raises(UserError, match="format 99"):
        load_checkpoint(tmp_path / "new.pt")


@pytest.mark.parametrize("number", ["1", None, torch.ones(2)])
def test_a_format_that_is_no_number(number, tmp_path):
    torch.save({"format": number}, tmp_path / "odd.pt")
    with pytest.raises(UserError, match=r"odd\.pt"):
        load_checkpoint(tmp_path / "odd.pt")


def test_names_that_are_no_text(tmp_path):
    """PyTorch fails in other ways than those it means to."""
    torch.save({"format": 1, "wxyz": 3}, tmp_path / "sound.pt")
    with zipfile.ZipFile(tmp_path / "sound.pt") as old, zipfile.ZipFile(tmp_path / "odd.pt", "w") as new:
        for item in old.infolist():
            new.writestr(item, old.read(item).replace(b"wxyz", b"w\xffyz"))
    with pytest.raises(UserError, match=r"odd\.pt is damaged"):
        load_checkpoint(tmp_path / "odd.pt")


FULL_DISK = """
import resource, signal, sys, torch
from powerqe.utils.checkpoint import save_checkpoint
from powerqe.utils.errors import command
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
@command
def main():
    save_checkpoint({"iter": 2, "w": torch.zeros(100_000)}, sys.argv[1])
sys.exit(main())
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file sizes")
def test_a_full_disk_costs_nothing_but_the_new_checkpoint(tmp_path, root):
    save_checkpoint(state(1), tmp_path / "ckp-last.pt")
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "ckp-last.pt")],
        timeout=120,
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: cannot save")
    assert result.stderr.count("\n") == 1
    assert load_checkpoint(tmp_path / "ckp-last.pt")["iter"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["ckp-last.pt"]
