"""Rows of published tables come out digit by digit: plain JPEG, bicubic, and a network with its author's weights."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from powerqe.evaluation.evaluate import Metrics, evaluate, mean
from powerqe.evaluation.tester import trained_network
from powerqe.inference.tiled import enhancer
from powerqe.utils.options import tree as option_classes
from powerqe.utils.options.components import build, validate_component
from powerqe.utils.ranks import Ranks

pytestmark = pytest.mark.slow


class Rows(NamedTuple):
    """Rows of a published table: group -> what is printed, and how it is made."""

    protocol: Any
    folder: str
    data: dict[str, Any]
    printed: dict[str, str]
    form: str
    metrics: tuple[str, ...] = ("PSNR", "SSIM", "PSNRB")


def jpeg(protocol: str, folder: str, form: str, printed: dict[int, str], **data: Any) -> Rows:
    """Plain JPEG at some quality factors."""
    spec = {"type": "DegradedImages", "quality": list(printed), **data}
    return Rows(protocol, folder, spec, {f"qf{quality}": row for quality, row in printed.items()}, form)


def bicubic(scale: int, psnr: str) -> Rows:
    """B100 made small and large again. SSIM comes out 0.0003 to 0.0006 higher than printed: that row is older."""
    spec = {"type": "DownSampledImages", "scale": scale}
    return Rows({"type": "sr_y", "scale": scale}, "bsds500/val", spec, {f"x{scale}": psnr}, "{:.2f}", ("PSNR",))


PILLOW = {"type": "JPEG", "encoder": "pillow"}
FBCNN, QGCN = "{:.2f} {:.3f} {:.2f}", "{:.2f} {:.4f} {:.2f}"
PUBLISHED = {
    # Jiang et al., ICCV 2021, table 1
    "fbcnn_gray-classic5": jpeg(
        "fbcnn_gray", "classic5", FBCNN,
        {10: "27.82 0.760 25.21", 20: "30.12 0.834 27.50", 30: "31.48 0.867 28.94", 40: "32.43 0.885 29.92"}, color="y",
    ),
    "fbcnn_gray-live1": jpeg(
        "fbcnn_gray", "live1", FBCNN,
        {10: "27.77 0.773 25.33", 20: "30.07 0.851 27.57", 30: "31.41 0.885 28.92", 40: "32.35 0.904 29.96"}, color="y",
    ),
    # the same, table 3; the other qualities could not be compared with the paper
    "fbcnn_color-live1": jpeg("fbcnn_color", "live1", FBCNN, {10: "25.69 0.743 24.20"}),
    # Li et al., TIP 2020, gray
    "qgcn_gray-live1": jpeg(
        "qgcn_gray", "live1", QGCN,
        {10: "27.77 0.7905 25.33", 30: "31.41 0.9000 28.92", 50: "33.16 0.9295 30.86"}, color="y", codec=PILLOW,
    ),
    # Jiang et al., table 2, without PSNR-B: what is printed does not follow from the authors' own formula
    "fbcnn_gray-live1-double": Rows(
        "fbcnn_gray", "live1",
        {"type": "DoubleJPEGImages", "color": "y", "qualities": [[30, 10], [50, 50], [10, 30]]},
        {"qf30-10": "27.49 0.762", "qf50-50": "31.58 0.888", "qf10-30": "27.55 0.760"},
        "{:.2f} {:.3f}", metrics=("PSNR", "SSIM"),
    ),
    # Lim et al., CVPR workshops 2017, table 3
    "sr_y-b100-x2": bicubic(2, "29.56"),
    "sr_y-b100-x3": bicubic(3, "27.21"),
    "sr_y-b100-x4": bicubic(4, "25.96"),
}  # fmt: skip


@pytest.mark.needs_data("classic5", "dncnn3.pth")
def test_published_row_of_a_network(root: Path, data_folder: Path) -> None:
    """DnCNN-3 on Classic5, JPEG of QF 10 (Jiang et al., ICCV 2021, table 1); docs/results.md has all rows."""
    override = f"test.ckp_load_path={data_folder / 'dncnn3.pth'}"
    options = option_classes.load_options(root / "opts/dncnn.yml", "dncnn3", [override])
    spec = {"type": "DegradedImages", "gt": str(data_folder / "classic5"), "color": "y", "quality": [10]}
    dataset, network = build(validate_component("dataset", spec)), trained_network(options, torch.device("cpu"))

    ranks, metrics = Ranks(0, 0, 1, torch.device("cpu")), Metrics(options.test.criterion)
    records = evaluate(dataset, metrics, ranks, enhancer(network, options.test))

    means = [mean([float(record.result[metric]) for record in records]) for metric in ("PSNR", "SSIM", "PSNRB")]
    assert "{:.3f} {:.4f} {:.3f}".format(*means) == "29.405 0.8026 29.130"


@pytest.mark.parametrize(
    "rows", [pytest.param(rows, marks=pytest.mark.needs_data(rows.folder), id=name) for name, rows in PUBLISHED.items()]
)
def test_published_rows(rows: Rows, data_folder: Path) -> None:
    options = option_classes.TestOptions(protocol=rows.protocol)  # pyright: ignore[reportCallIssue]
    metrics = Metrics({metric: options.criterion[metric] for metric in rows.metrics})
    dataset = build(validate_component("dataset", {**rows.data, "gt": str(data_folder / rows.folder)}))

    records = evaluate(dataset, metrics, Ranks(0, 0, 1, torch.device("cpu")), None)

    for group, printed in rows.printed.items():
        scores = [record.baseline for record in records if record.group == group]
        means = [mean([float(score[metric]) for score in scores]) for metric in rows.metrics]
        assert rows.form.format(*means) == printed, group
