"""The folder of an earlier training, when another one of its name begins."""

from pathlib import Path

from powerqe.algorithm.experiment import archive


def test_it_is_renamed_without_what_a_killed_process_left(tmp_path: Path) -> None:
    folder, dead = tmp_path / "exp", 2**22 + 1  # above any process on Linux
    for name in ("ckp-2.pt", f".ckp-4.{dead}.tmp.pt"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    archive(folder)
    assert [path.name for path in (tmp_path / "exp-v1").iterdir()] == ["ckp-2.pt"]
    assert not folder.exists()
