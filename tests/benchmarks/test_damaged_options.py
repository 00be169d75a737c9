"""Damaged option files are read, or refused in one line."""

from pathlib import Path

import pytest

from powerqe.benchmarks.attacks.options import mutations, refusal


def test_damaged_option_files(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = [_refusal(name, content) for name, content in mutations(root / "opts", 100)]
    assert 50 < sum(map(bool, refused)) < 97
    assert not any("\n" in line or len(line) > 4000 for line in refused)


def _refusal(name: str, content: bytes) -> str:
    path = Path(name)
    path.write_bytes(content)
    return refusal(path)


def test_they_are_the_same_every_time(root: Path) -> None:
    assert list(mutations(root / "opts", 20, 1)) == list(mutations(root / "opts", 20, 1))
    assert list(mutations(root / "opts", 20, 1)) != list(mutations(root / "opts", 20, 2))
