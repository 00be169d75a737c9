"""evaluation/early_exit.py: its table, its points and its image tell what the network does."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from powerqe.cli import script
from powerqe.dataset import build_dataset
from powerqe.dataset.loader import eval_batches
from powerqe.evaluation import early_exit
from powerqe.evaluation.early_exit import ExitScores
from powerqe.net import build_network, load_weights, save_weights
from powerqe.net.rbqe import RBQE
from powerqe.utils.options.tree import load_options

QUALITIES = (10, 60)
main = script("early-exit")


@pytest.fixture
def opt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An option file of a tiny RBQE whose exits differ, with weights, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("gt").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        ramp = np.linspace(0, 255, 48)[None, :, None] + rng.normal(0, 20 * number, (40, 48, 3))
        Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).save(f"gt/{number}.png")
    data = {"type": "DegradedImages", "gt": "gt", "quality": list(QUALITIES)}
    network = {"type": "RBQE", "num_features": 2, "num_levels": 3}
    tree = {
        "dataset": {"train": {**data, "patch": 16}, "test": {"ramps": data}},
        "algorithm": {"type": "MultiExit", "exit_weights": {10: [1, 1, 1]}},
        "test": {"criterion": {"PSNR": {}, "SSIM": {}}},
    }
    without_truth = {"type": "PairedImages", "gt": None, "lq": "gt"}
    cases = {
        "a": {"network": network},
        "b": {"network": network},
        "other": {"network": {"type": "ARCNN"}},
        "blind": {"network": network, "dataset": {"test": {"ramps": without_truth}}},
    }
    Path("rbqe.yml").write_text(yaml.safe_dump({"defaults": tree, "cases": cases}))
    torch.manual_seed(0)
    save_weights(build_network(network), Path("w.safetensors"), {})
    return Path("rbqe.yml")


def run(opt: Path, *more: str, cases: tuple[str, ...] = ("a",)) -> int:
    weights = ["--weights", *["w.safetensors"] * len(cases)]
    return main(["--opt", str(opt), "--case", *cases, *weights, *more])


def table(path: str) -> dict[str, list[str]]:
    lines = [line for line in Path(path).read_text().splitlines() if line.startswith("|")]
    return {(cells := [cell.strip() for cell in line.strip("|").split("|")])[0]: cells[1:] for line in lines}


def psnr(result: torch.Tensor, target: torch.Tensor) -> float:
    error = (result.clamp(0, 1) * 255).round().double() - target * 255
    return float(10 * torch.log10(255**2 / error.square().mean()))


def middle_threshold(opt: Path) -> float:
    """A threshold that sends the images to different exits."""
    report = early_exit.evaluate_exits(load_options(str(opt), "a", ["test.ckp_load_path=w.safetensors"]))
    scores = sorted(each.qualities[0] for each in report.images)
    return (scores[2] + scores[3]) / 2


def test_the_table_matches_the_network(opt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threshold = middle_threshold(opt)
    assert run(opt, "--set", f"network.threshold={threshold}") == 0
    found = table("exp/rbqe-a/exits.md")
    options = load_options(str(opt), "a", [f"network.threshold={threshold}"])
    network = build_network(options.to_dict()["network"])
    assert isinstance(network, RBQE)
    load_weights(network, Path("w.safetensors"))
    network.eval()
    scores: dict[str, dict[str, list[float]]] = {f"ramps qf{q}": {} for q in QUALITIES}
    exits: dict[str, list[int]] = {group: [] for group in scores}
    work = []
    with torch.inference_mode():
        for batch in eval_batches(build_dataset(options.dataset.test["ramps"], "ramps")):
            group = f"ramps {batch['group'][0]}"
            enhanced, chosen = network.enhance(batch["lq"])
            exits[group].append(int(chosen))
            work.append(network.macs_per_pixel(judged=True)[int(chosen)] / 1000)
            rows = {"compressed": batch["lq"], f"automatic (threshold {threshold:g})": enhanced}
            rows |= {f"exit {number}": network(batch["lq"], exit=number) for number in range(3)}
            for row, image in rows.items():
                scores[group].setdefault(row, []).append(psnr(image, batch["gt"]))
    assert found[""] == [*scores, "thousand MACs per pixel"]
    for column, group in enumerate(scores):
        for row, values in scores[group].items():
            assert float(found[row][column].split(" / ")[0]) == pytest.approx(np.mean(values), abs=0.0051)
        assert found["images per exit 0/1/2"][column] == "/".join(str(exits[group].count(n)) for n in range(3))
    assert len({number for group in exits.values() for number in group}) > 1, "a test of one exit shows little"
    assert float(found[f"automatic (threshold {threshold:g})"][-1]) == pytest.approx(np.mean(work), abs=0.051)
    assert [float(found[f"exit {n}"][-1]) for n in range(3)] == pytest.approx(
        [macs / 1000 for macs in network.macs_per_pixel()], abs=0.051
    )
    assert "PSNR / SSIM, mean over images" in capsys.readouterr().out


def test_image_and_points_of_several_cases(opt: Path) -> None:
    assert run(opt, cases=("a", "b")) == 0
    with Image.open("exp/trade_off.png") as image:
        assert image.width > image.height
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 10
    with open("exp/trade_off.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == ["rbqe-a"] * 201 + ["rbqe-b"] * 201
    work = [float(row[3]) for row in rows[:201]]
    judged = [macs / 1000 for macs in RBQE(num_features=2, num_levels=3).macs_per_pixel(judged=True)]
    assert work == sorted(work), "a higher threshold never costs less"
    assert work[0] == pytest.approx(judged[0], abs=0.051), "threshold 0: all leave at the first exit"
    assert judged[0] < work[-1] <= judged[-1] + 0.051


@pytest.mark.parametrize(("threshold", "expected"), [(0.0, 0), (0.5, 0), (0.51, 1), (0.8, 1), (0.81, 2), (1.0, 2)])
def test_an_image_takes_the_first_exit_that_reaches_the_threshold(threshold: float, expected: int) -> None:
    assert ExitScores("", {}, [{}, {}, {}], [0.5, 0.8]).exit_at(threshold) == expected
    assert ExitScores("", {}, [{}, {}, {}], [0.8, 0.5]).exit_at(0.6) == 0


def test_mistakes_are_one_line(opt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_weights(build_network({"type": "ARCNN"}), Path("arcnn.safetensors"), {})
    line = ["--opt", str(opt), "--case"]
    for arguments, message in (
        ([*line, "other", "--weights", "arcnn.safetensors"], "ARCNN has no early exits"),
        ([*line, "a", "b", "--weights", "w.safetensors"], "found 1 for 2 cases"),
        ([*line, "blind", "--weights", "w.safetensors"], "dataset.test.ramps has no ground truth"),
        ([*line, "a"], "ckp-best.pt"),
    ):  # fmt: skip
        assert main(arguments) != 0
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not Path("exp").exists()
