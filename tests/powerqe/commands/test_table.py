"""The command as a user runs it."""

import json
import re
from pathlib import Path

import pytest
import torch

from powerqe.cli import main
from powerqe.net import build_network


@pytest.fixture
def table(capsys):
    """Runs `powerqe table ARGUMENTS`; exit status, and the lines of output and of errors."""

    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        status = main(["table", *arguments])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return run


def cells(lines: list[str]) -> list[list[str]]:
    """Of the lines between the rule and the next empty one."""
    start = next(number for number, line in enumerate(lines) if line and not line.strip("-")) + 1
    return [line.split() for line in lines[start : lines.index("", start)]]


def test_a_table(table) -> None:
    status, out, errors = table(
        "DnCNN", "arcnn-bsds500-gray-qf10", "--size", "24x16", "--repeat", "1", "--device", "cpu"
    )
    assert (status, errors) == (0, [])
    assert out[0].startswith("Images of 24x16, float32, ")
    assert torch.__version__ in out[0]
    found = cells(out)
    assert [row[:3] for row in found] == [["DnCNN", "default", "RGB"], ["ARCNN", "arcnn-bsds500-gray-qf10", "luma"]]
    assert found[0][3:6] == ["40,451", "556.4", "35"]
    assert len(found[0]) == 8
    assert "UNet" not in "\n".join(out)


@pytest.mark.parametrize(
    ("column", "names"),
    [
        ("macs", ["ARCNN", "DCAD", "DnCNN"]),
        ("parameters", ["ARCNN", "DnCNN", "DCAD"]),
        ("field", ["ARCNN", "DCAD", "DnCNN"]),
        ("network", ["ARCNN", "DCAD", "DnCNN"]),
    ],
)
def test_sorted(table, column: str, names: list[str]) -> None:
    _, out, _ = table("DnCNN", "DCAD", "ARCNN", "--no-time", "--sort", column)
    assert [row[0] for row in cells(out)] == names


def test_files(table, tmp_path: Path) -> None:
    page, figures = tmp_path / "out/table.md", tmp_path / "table.json"
    status, _, _ = table("ARCNN", "MFQE", "--no-time", "--markdown", str(page), "--json", str(figures))
    assert status == 0
    text = page.read_text()
    assert re.match(r"# Complexity of the networks\n\n[^\n]*\.\n\nImages of 256x256", text)
    assert "| network | configuration | image | parameters | kMACs/pixel | field | MiB |\n" in text
    assert "| ARCNN | default | RGB | 20,099 | 20.0 | 13 | 24.0 |\n" in text
    assert "`powerqe table ARCNN MFQE --no-time" in text
    data = json.loads(figures.read_text())
    assert data["measured"]["size"] == "256x256"
    assert [row["sight"] for row in data["networks"]] == ["", "motion"]
    assert data["networks"][0]["kmacs"] == 20.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["DNCN"], "did you mean 'DnCNN'?"),
        (["--size", "256"], "--size: found '256', expected WIDTHxHEIGHT"),
        (["--size", "4x256"], "--size: found 4x256"),
        (["--size", "256x99999"], "8 to 16384 pixels"),
        (["--size", "1e9x12"], "--size: found '1e9x12'"),
        (["--repeat", "0"], "--repeat: found '0'"),
        (["--repeat", "few"], "--repeat: found 'few'"),
        (["--device", "cuda"], "device cuda: "),
    ],
)
def test_mistakes_are_one_line(table, monkeypatch, arguments: list[str], message: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status, out, errors = table(*arguments)
    assert (status, out, len(errors)) == (2, [], 1)
    assert errors[0].startswith("error: ")
    assert message in errors[0]


def test_help_has_a_sentence_for_every_flag(table, capsys) -> None:
    with pytest.raises(SystemExit):
        table("--help")
    out = capsys.readouterr().out
    for flag in ("--weights", "--size", "--device", "--repeat", "--no-time", "--sort", "--markdown", "--json"):
        assert f"  {flag}" in out


def test_the_page_in_docs_is_not_of_yesterday(root: Path) -> None:
    """Of the networks that it lists; who adds one need not make it anew."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in _page(root) if line.startswith("| ")]
    header, _, *rows = lines
    found = {row[0]: int(row[header.index("parameters")].replace(",", "")) for row in rows}
    assert len(found) > 10
    with torch.device("meta"):
        networks = {name: build_network({"type": name}) for name in found}
    assert found == {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}


def _page(root: Path) -> list[str]:
    return (root / "docs/complexity.md").read_text().splitlines()
