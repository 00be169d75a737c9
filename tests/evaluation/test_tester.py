import csv
import json
import sys

import cv2
import numpy as np
import pytest
import torch

from powerqe.dataset import DATASETS
from powerqe.dataset.store import write_store
from powerqe.evaluation import tester
from powerqe.evaluation.evaluate import Metrics, evaluate, mean
from powerqe.evaluation.results import read_results
from powerqe.inference.forward import Forward
from powerqe.net import build_network, save_weights
from powerqe.net.arcnn import ARCNN
from powerqe.utils.errors import UserError
from powerqe.utils.metrics import METRICS, MetricUnavailable
from powerqe.utils.options.components import build, validate_component
from powerqe.utils.options.tree import Options, load_options
from powerqe.utils.ranks import Ranks

ALONE = Ranks(0, 0, 1, torch.device("cpu"))


@pytest.fixture
def options(opt, pairs, monkeypatch) -> Options:
    """Options whose weights are an AR-CNN that only copies its input: the enhanced image is lq."""
    monkeypatch.chdir(pairs)
    copying = load_options(opt, overrides=["dataset.test.slice=[4, 8]", "test.ckp_load_path=w.safetensors"])
    network = build(copying.network)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    save_weights(network, pairs / "w.safetensors", {})
    return copying


def with_criterion(options: Options, criterion: dict) -> Options:
    tree = options.to_dict()
    tree["test"]["criterion"] = criterion
    return Options.model_validate(tree)


def pair(pairs, index) -> tuple[np.ndarray, np.ndarray]:
    return tuple(cv2.imread(str(pairs / f"{kind}/{index}.png")).astype(np.float64) for kind in ("lq", "gt"))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((a - b) ** 2))


def test_table_holds_the_numbers_of_the_files(options, pairs):
    tester.test(options, ALONE)
    with open(pairs / "exp/tiny-c/results.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["4", "5", "6", "7", "mean"]
    expected = [psnr(*pair(pairs, index)) for index in range(4, 8)]
    expected.append(float(np.mean(expected)))
    for row, value in zip(rows, expected, strict=True):
        assert float(row["PSNR [dB] (RGB, uint8) lq"]) == pytest.approx(value, abs=6e-4)
        assert float(row["PSNR [dB] (RGB, uint8) enhanced"]) == pytest.approx(value, abs=6e-4)
        assert float(row["PSNR [dB] (RGB, uint8) difference"]) == 0
    saved = cv2.imread(str(pairs / "exp/tiny-c/test_im_enhanced/test/5.png"))
    assert np.array_equal(saved, pair(pairs, 5)[0])


def test_scores_of_the_saved_file_are_the_scores_of_the_table(options, pairs):
    """Also when the network changes something: rounding is part of the score."""
    torch.manual_seed(0)
    network = build(options.network)
    save_weights(network, pairs / "w.safetensors", {})
    table = tester.test(options, ALONE)
    for record in table.records["test"]:
        saved = cv2.imread(str(pairs / f"exp/tiny-c/test_im_enhanced/test/{record.name}.png"))
        value = psnr(saved.astype(np.float64), pair(pairs, record.name)[1])
        assert record.result["PSNR"] == pytest.approx(value, abs=1e-9)
        assert record.result["PSNR"] != record.baseline["PSNR"]


def test_network_runs_once_per_image_whatever_the_number_of_metrics(options):
    network, calls = build(options.network), []
    network.register_forward_hook(lambda *_: calls.append(1))
    three = with_criterion(options, {"PSNR": {}, "SSIM": {}, "Y": {"type": "PSNR", "channel": "y"}})
    dataset = build(three.dataset.test["test"])
    records = evaluate(dataset, Metrics(three.test.criterion), ALONE, Forward(network))
    assert len(records) == 4
    assert len(calls) == 4 + 1  # and once to warm up
    assert all(set(record.result) == {"PSNR", "SSIM", "Y"} for record in records)
    assert all(record.seconds > 0 for record in records)


def test_conventions_stand_in_every_table(options, pairs):
    tester.test(with_criterion(options, {"PSNR": {}, "Y": {"type": "PSNR", "channel": "y", "border": 2}}), ALONE)
    for suffix in ("csv", "json", "md", "tex"):
        text = (pairs / f"exp/tiny-c/results.{suffix}").read_text()
        assert "RGB, uint8" in text
        assert "Y, uint8, border 2" in text
    assert (pairs / "exp/tiny-c/results.tex").read_text().count(r"\\") == 1 + 1 + 4  # header, mean, images as comments


def test_without_ground_truth_it_just_enhances(options, pairs):
    tree = options.to_dict()
    tree["dataset"]["test"]["test"]["gt"] = None
    table = tester.test(Options.model_validate(tree), ALONE)
    assert len(list((pairs / "exp/tiny-c/test_im_enhanced/test").iterdir())) == 4
    assert all(not record.result and not record.baseline for record in table.records["test"])
    assert "n/a" in table.to_terminal()
    assert not (pairs / "exp/tiny-c/crops.png").exists()


def test_images_are_saved_only_if_set(options, pairs):
    tree = options.to_dict()
    tree["test"]["if_save_im"] = False
    tester.test(Options.model_validate(tree), ALONE)
    assert not (pairs / "exp/tiny-c/test_im_enhanced").exists()
    assert (pairs / "exp/tiny-c/results.csv").exists()


def test_several_sets_and_qualities_are_rows_of_their_own(options, pairs):
    tree = options.to_dict()
    tree["dataset"]["test"] = {
        "coarse": {"type": "DegradedImages", "gt": str(pairs / "gt"), "quality": [10, 40], "slice": [0, 2]},
        "gray": {"type": "DegradedImages", "gt": str(pairs / "gt"), "quality": [20], "slice": [0, 3], "color": "y"},
    }
    tree["network"] |= {"in_channels": 1, "out_channels": 1}
    tree["dataset"]["test"].pop("coarse")
    network = build_network(tree["network"])
    save_weights(network, pairs / "w.safetensors", {})
    gray = tester.test(Options.model_validate(tree), ALONE)
    assert [row[:4] for row in gray.mean_rows()] == [["gray", "qf20", "mean", "3"]]
    assert "(Y, uint8)" in gray.header()[4]


def test_qualities_are_averaged_apart(options, pairs):
    tree = options.to_dict()
    spec = {"type": "DegradedImages", "gt": str(pairs / "gt"), "quality": [10, 40], "slice": [0, 2]}
    tree["dataset"]["test"] = {"coarse": spec}
    table = tester.test(Options.model_validate(tree), ALONE)
    rows = table.mean_rows()
    assert [row[:4] for row in rows] == [["coarse", "qf10", "mean", "2"], ["coarse", "qf40", "mean", "2"]]
    assert float(rows[1][4]) > float(rows[0][4]) + 2
    assert len(list((pairs / "exp/tiny-c/test_im_enhanced/coarse").iterdir())) == 4


class Missing:
    """A metric that needs what is not there."""

    unit, higher_is_better = "", False

    def __init__(self, *, late: bool = False) -> None:
        if not late:
            raise MetricUnavailable("its package is not installed")

    def __call__(self, result, target):
        raise MetricUnavailable("no weights and no network")

    def describe(self, channels: int) -> str:
        return "nothing"


@pytest.mark.parametrize(("late", "why"), [(False, "not installed"), (True, "no weights and no network")])
def test_a_metric_that_is_not_available_is_a_cell_and_a_reason(options, pairs, monkeypatch, late, why):
    monkeypatch.setitem(METRICS._entries, f"Missing{late}", Missing)
    criterion = {"PSNR": {}, "M": {"type": f"Missing{late}", "late": late}}
    table = tester.test(with_criterion(options, criterion), ALONE)
    assert table.mean_rows()[0][7:10] == ["n/a"] * 3
    assert why in table.to_terminal()
    assert json.loads((pairs / "exp/tiny-c/results.json").read_text())["metrics"]["M"]["not_available"].endswith(why)


def test_estimates_are_columns_with_their_mean_error(options, pairs):
    """A network that always says 40, of images of quality 10, 30 and unknown."""
    tree = options.to_dict()
    tree["network"] = {"type": "FBCNN", "num_features": [4] * 4, "num_blocks": 1, "hidden_features": 4}
    data = {"gt": str(pairs / "gt"), "slice": [6, 8]}
    known = {"type": "DegradedImages", "quality": [10, 30], **data}
    unknown = {"type": "PairedImages", "lq": str(pairs / "lq"), **data}
    tree["dataset"]["test"] = {"known": known, "unknown": unknown}
    network = build_network(tree["network"])
    torch.nn.init.constant_(network.estimator[-1].weight, 0)
    torch.nn.init.constant_(network.estimator[-1].bias, float(np.log(0.6 / 0.4)))
    save_weights(network, pairs / "w.safetensors")
    table = tester.test(Options.model_validate(tree), ALONE)

    titles = ["qf", "abs(qf - quality)"]
    assert table.header()[-3:] == [*titles, "images/s"]
    assert [row[-3:-1] for row in table.mean_rows()] == [["40.00", "30.00"], ["40.00", "10.00"], ["40.00", "n/a"]]
    with open(pairs / "exp/tiny-c/results.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["abs(qf - quality)"] for row in rows[:4]] == ["30.00", "10.00"] * 2
    data = json.loads((pairs / "exp/tiny-c/results.json").read_text())
    assert data["images"][1]["estimates"] == {
        "qf": {"of": "quality", "value": pytest.approx(40), "truth": 30, "error": pytest.approx(10)}
    }
    assert data["images"][4]["estimates"] == {
        "qf": {"of": "quality", "value": pytest.approx(40), "truth": None, "error": None}
    }
    assert data["averages"][1]["estimates"]["qf"]["error"] == pytest.approx(10)
    for text in (table.to_terminal(), table.to_markdown(), table.to_latex()):
        assert all(title in text for title in titles)
    assert len({len(line) for line in table.to_terminal().splitlines()[1:4]}) == 1


def test_a_metric_of_sets_is_in_the_mean_rows_only(options, pairs, standin):
    table = tester.test(with_criterion(options, {"FID": {}, "PSNR": {}, "NIQE": {}}), ALONE)
    (mean_row,) = table.mean_rows()
    before, after, difference = mean_row[4:7]
    assert float(before) == float(after) > 0  # this network only copies
    assert float(difference) == 0
    assert all(row[4:7] == ["n/a"] * 3 and float(row[7]) > 0 and float(row[10]) > 0 for row in table.image_rows())
    assert "FID is computed from only 4 images" in table.to_terminal()
    data = json.loads((pairs / "exp/tiny-c/results.json").read_text())
    assert data["images"][0]["result"]["FID"] is None
    assert data["images"][0]["result"]["PSNR"] > 0
    assert data["averages"][0]["baseline"]["FID"] == pytest.approx(float(before), abs=1e-3)
    assert "FID (RGB, uint8, pyiqa 9.9 fid) lq" in (pairs / "exp/tiny-c/results.csv").read_text()


def test_sets_are_judged_by_quality(options, pairs, standin):
    tree = options.to_dict()
    spec = {"type": "DegradedImages", "gt": str(pairs / "gt"), "quality": [5, 60], "slice": [0, 4]}
    tree["dataset"]["test"] = {"coarse": spec}
    table = tester.test(with_criterion(Options.model_validate(tree), {"FID": {}}), ALONE)
    low, high = (float(row[4]) for row in table.mean_rows())
    assert low > 2 * high > 0
    scores = [record.baseline["FID"] for record in table.records["coarse"] if record.group == "qf5"]
    assert len(scores) == 4
    assert low == pytest.approx(table.metrics.pool("FID", scores), abs=6e-5)


def test_without_ground_truth_the_result_is_still_judged_alone(options, pairs, standin):
    tree = options.to_dict()
    tree["dataset"]["test"]["test"]["gt"] = None
    table = tester.test(with_criterion(Options.model_validate(tree), {"PSNR": {}, "MUSIQ": {}}), ALONE)
    (row,) = table.mean_rows()
    assert row[4:7] == ["n/a"] * 3
    assert 0 < float(row[7]) == float(row[8])
    assert table.notes() == []


def test_the_perceptual_table_without_its_package(options, pairs, monkeypatch, root):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    criterion = load_options(root / "opts/esrgan.yml", "div2k-qf10").to_dict()["test"]["criterion"]
    assert list(criterion) == ["PSNR", "SSIM", "LPIPS", "FID", "NIQE", "PI", "MA"]
    criterion["LPIPS"]["weights"] = "nowhere.pth"  # and not over the network
    table = tester.test(with_criterion(options, criterion), ALONE)
    (row,) = table.mean_rows()
    assert "n/a" not in row[4:10]
    assert row[10:25] == ["n/a"] * 15
    notes = [note for note in table.notes() if "powerqe[iqa]" in note]
    assert len(notes) == 1
    assert notes[0].startswith("FID, NIQE, PI, MA are not available: ")


def test_crops_have_titles_whatever_the_first_metric_is(options, pairs, standin, monkeypatch):
    from powerqe.evaluation import crops

    titles = []
    original = crops.Crops._title
    monkeypatch.setattr(crops.Crops, "_title", lambda *args: titles.append(original(*args)) or titles[-1])
    for criterion in ({"FID": {}}, {"PSNR": {}}):
        tester.test(with_criterion(options, criterion), ALONE)
    assert titles[:2] == ["compressed", "enhanced"]
    assert titles[8].startswith("compressed: PSNR 2")


def test_perfect_images_do_not_poison_the_mean(options, pairs):
    cv2.imwrite(str(pairs / "lq/4.png"), cv2.imread(str(pairs / "gt/4.png")))
    table = tester.test(options, ALONE)
    rest = np.mean([psnr(*pair(pairs, index)) for index in (5, 6, 7)])
    assert float(table.mean_rows()[0][5]) == pytest.approx(rest, abs=6e-4)
    assert table.image_rows()[0][4] == "inf"
    assert "2 infinite values of PSNR" in table.to_terminal()
    assert json.loads(table.to_json())["images"][0]["result"]["PSNR"] == "inf"


def test_mean_of_nothing_is_not_a_number():
    assert np.isnan(mean([]))
    assert np.isnan(mean([float("inf"), float("nan")]))
    assert mean([1.0, float("inf"), 2.0]) == 1.5


def test_crops_show_the_damaged_place(options, pairs):
    tester.test(options, ALONE)
    image = cv2.imread(str(pairs / "exp/tiny-c/crops.png"))
    assert image.shape[0] > 400
    assert image.std() > 30


def test_testing_needs_a_test_set(options):
    tree = options.to_dict()
    tree["dataset"]["test"] = {}
    with pytest.raises(UserError, match=r"dataset\.test"):
        tester.test(Options.model_validate(tree), ALONE)


def test_records_of_several_ranks_come_in_order(options, monkeypatch):
    dataset = build(validate_component("dataset", {**options.dataset.test["test"].arguments, "type": "PairedImages"}))
    assert "PairedImages" in DATASETS
    metrics = Metrics(options.test.criterion)
    parts = [evaluate(dataset, metrics, Ranks(rank, rank, 1, ALONE.device), None) for rank in (0,)]
    names = [record.name for record in parts[0]]
    three = [names[rank::3] for rank in range(3)]
    from powerqe.evaluation.evaluate import _in_order

    assert _in_order(three) == names


def test_weights_are_tested_with_the_network_of_their_file(opt, options):
    """What the option file says of its own network does not count."""
    network = {"type": "ARCNN", "hidden_channels": [3], "kernel_sizes": [5, 1]}
    save_weights(build_network(network), "other weights.safetensors", {"network": json.dumps(network)})
    tested = load_options(opt, overrides=tester.tested_as("other weights.safetensors"))
    assert tested.to_dict()["network"] == {"in_channels": 3, "out_channels": 3, "residual": False, **network}
    tester.test(tested, ALONE)


def test_arguments_of_forward_are_checked(options):
    tree = options.to_dict()
    tree["test"]["forward"] = {"exit": 2}
    with pytest.raises(UserError, match=r"ARCNN.*'exit'"):
        tester.test(Options.model_validate(tree), ALONE)


@pytest.mark.parametrize("applied", [{"tile": {"size": 16}}, {"self_ensemble": True}])
def test_tiles_and_self_ensemble(options, pairs, monkeypatch, applied):
    """Tiles change nothing; eight orientations change what this network makes."""
    torch.manual_seed(0)
    save_weights(build(options.network), pairs / "w.safetensors", {})
    whole = tester.test(options, ALONE)
    tree, seen = options.to_dict(), []
    tree["test"] |= applied
    forward = ARCNN.forward
    monkeypatch.setattr(ARCNN, "forward", lambda self, x: seen.append(tuple(x.shape[-2:])) or forward(self, x))
    table = tester.test(Options.model_validate(tree), ALONE)
    assert set(seen) >= ({(18, 16)} if "tile" in applied else {(48, 56), (56, 48)})
    scores = [[record.result["PSNR"] for record in part.records["test"]] for part in (whole, table)]
    if "tile" in applied:
        assert (48, 56) not in seen
        assert scores[1] == pytest.approx(scores[0], abs=1e-3)
    else:
        assert scores[1] != pytest.approx(scores[0], abs=1e-3)


ODD = ["cash$$", "b$\\frac$", "caf\udce9", "中文", "x" * 240, "new\nline"]


def test_images_of_any_name(options, pairs):
    """Their names are in every table, and nothing in them is taken for mathematics."""
    for kind in ("gt", "lq"):
        paths = sorted((pairs / kind).iterdir())
        for path, name in zip(paths, ODD, strict=False):
            path.rename(path.with_name(f"{name}.png"))
        for path in paths[len(ODD) :]:
            path.unlink()
    tree = options.to_dict()
    tree["dataset"]["test"]["test"]["slice"] = None
    tester.test(Options.model_validate(tree), ALONE)
    (results,) = read_results(pairs / "exp/tiny-c")
    assert sorted(image.name for image in results.images) == sorted(ODD)
    saved = {pairs / "exp/tiny-c" / (image.enhanced or "") for image in results.images}
    assert saved == set((pairs / "exp/tiny-c/test_im_enhanced/test").iterdir())
    assert len(saved) == len(ODD)
    assert cv2.imread(str(pairs / "exp/tiny-c/crops.png")) is not None
    for suffix in ("csv", "md", "tex"):
        assert "cash" in (pairs / f"exp/tiny-c/results.{suffix}").read_text(encoding="utf-8")


def test_names_of_sets_and_of_records_in_stores_are_no_paths(options, pairs):
    images = [(f"../../../../{key}", np.full((16, 16, 3), number, np.uint8)) for number, key in enumerate("ab")]
    write_store(pairs / "set.lmdb", images)
    store = {"type": "PairedImages", "gt": str(pairs / "set.lmdb"), "lq": str(pairs / "set.lmdb")}
    before = {path for path in pairs.parent.rglob("*") if "exp" not in path.parts}
    tree = options.to_dict()
    tree["dataset"]["test"] = {"../../../x": store}
    tester.test(Options.model_validate(tree), ALONE)
    assert {path for path in pairs.parent.rglob("*") if "exp" not in path.parts} == before
    assert len(list((pairs / "exp/tiny-c/test_im_enhanced/..%2F..%2F..%2Fx").iterdir())) == 2


def test_images_of_one_label_are_both_saved(options, pairs):
    """At QF 10, the images a and a-qf10."""
    for kind in ("gt", "qf10"):
        (pairs / "s" / kind).mkdir(parents=True)
        for name in ("a", "a-qf10"):
            cv2.imwrite(str(pairs / f"s/{kind}/{name}.png"), np.full((16, 16, 3), len(name), np.uint8))
    tree = options.to_dict()
    tree["dataset"]["test"] = {"s": {"type": "PairedImages", "gt": str(pairs / "s/gt"), "lq": str(pairs / "s/qf10")}}
    tester.test(Options.model_validate(tree), ALONE)
    values = {int(cv2.imread(str(path)).mean()) for path in (pairs / "exp/tiny-c/test_im_enhanced/s").iterdir()}
    assert values == {1, 6}


@pytest.mark.parametrize("metric", [{"type": "SSIM"}, {"type": "PSNR", "border": 4}, {"type": "PSNRB", "border": 8}])
def test_an_image_too_small_for_a_metric(options, pairs, metric):
    """It has no score, which the table says with its name; all others have theirs."""
    for kind in ("gt", "lq"):
        cv2.imwrite(str(pairs / f"{kind}/tiny.png"), np.full((7, 7, 3), 50, np.uint8))
    tree = options.to_dict()
    tree["dataset"]["test"]["test"]["slice"] = [6, 9]
    table = tester.test(with_criterion(Options.model_validate(tree), {"M": metric, "P": {"type": "PSNR"}}), ALONE)
    (results,) = read_results(pairs / "exp/tiny-c")
    assert [bool(np.isfinite(image.result["M"])) for image in results.images] == [True, True, False]
    assert [list(image.not_available) for image in results.images] == [[], [], ["M"]]
    assert np.isfinite(results.averages[0].result["M"])
    assert any("M is not available for test/tiny: " in note and "7x7" in note for note in results.notes)
    assert all(np.isfinite(image.result["P"]) or image.name == "tiny" for image in results.images)
    assert "n/a" in table.image_rows()[2]
    assert (pairs / "exp/tiny-c/test_im_enhanced/test/tiny.png").is_file()
