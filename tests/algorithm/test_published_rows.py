"""The rows of published tables that need no network, plain JPEG and bicubic, come out of the tester, digit by digit."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml

from algorithm.evaluate import mean
from algorithm.tester import test as run_test
from net import build_network, save_weights
from utils.options import load_options
from utils.ranks import Ranks


class Rows(NamedTuple):
    """Rows of a published table: group -> what is printed, and how it is made."""

    protocol: Any
    folder: str
    data: dict[str, Any]
    printed: dict[str, str]
    form: str
    network: str = "ARCNN"
    metrics: tuple[str, ...] = ("PSNR", "SSIM", "PSNRB")


def jpeg(protocol: str, folder: str, form: str, printed: dict[int, str], **data: Any) -> Rows:
    """Plain JPEG at some quality factors."""
    spec = {"type": "DegradedImages", "quality": list(printed), **data}
    return Rows(protocol, folder, spec, {f"qf{quality}": row for quality, row in printed.items()}, form)


def bicubic(scale: int, psnr: str) -> Rows:
    """B100 made small and large again. SSIM comes out 0.0003 to 0.0006 higher than printed."""
    spec = {"type": "DownSampledImages", "scale": scale, "slice": [0, 100]}
    return Rows(
        {"type": "sr_y", "scale": scale}, "bsds500/val", spec, {f"x{scale}": psnr}, "{:.2f}", "SRCNN", ("PSNR",)
    )


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
    # Li et al., TIP 2020, grey
    "qgcn_gray-live1": jpeg(
        "qgcn_gray", "live1", QGCN,
        {10: "27.77 0.7905 25.33", 20: "30.07 0.8683 27.57", 30: "31.41 0.9000 28.92", 40: "32.35 0.9173 29.96",
         50: "33.16 0.9295 30.86"}, color="y", codec=PILLOW,
    ),
    # Jiang et al., table 2, without PSNR-B: what is printed does not follow from the authors' own formula
    "fbcnn_gray-live1-double": Rows(
        "fbcnn_gray", "live1",
        {"type": "DoubleJPEGImages", "color": "y",
         "qualities": [[30, 10], [50, 10], [50, 30], [10, 10], [30, 30], [50, 50], [10, 30], [10, 50], [30, 50]]},
        {"qf30-10": "27.49 0.762", "qf50-10": "27.65 0.769", "qf50-30": "30.62 0.866", "qf10-10": "26.48 0.715",
         "qf30-30": "29.98 0.847", "qf50-50": "31.58 0.888", "qf10-30": "27.55 0.760", "qf10-50": "27.69 0.768",
         "qf30-50": "30.61 0.865"},
        "{:.2f} {:.3f}", metrics=("PSNR", "SSIM"),
    ),
    # Lim et al., CVPR workshops 2017, table 3
    "sr_y-b100-x2": bicubic(2, "29.56"),
    "sr_y-b100-x3": bicubic(3, "27.21"),
    "sr_y-b100-x4": bicubic(4, "25.96"),
}  # fmt: skip

NETWORKS = {  # whose results do not matter
    "ARCNN": {"type": "ARCNN", "hidden_channels": [1], "kernel_sizes": [1, 1]},
    "SRCNN": {"type": "SRCNN", "num_features": 1, "num_layers": 2},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_rows(name: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = PUBLISHED[name]
    pictures = root / "../shared/data" / rows.folder
    if not pictures.is_dir():
        pytest.skip(f"the pictures are not here ({pictures})")
    monkeypatch.chdir(tmp_path)
    network = dict(NETWORKS[rows.network])
    if rows.data.get("color") == "y":
        network |= {"in_channels": 1, "out_channels": 1}
    if rows.network == "SRCNN":
        network["scale"] = rows.data["scale"]
    save_weights(build_network(network), tmp_path / "w.safetensors", {})
    criterion = {metric: None for metric in ("PSNR", "SSIM", "PSNRB") if metric not in rows.metrics}
    test = {"protocol": rows.protocol, "criterion": criterion, "if_save_im": False, "ckp_load_path": "w.safetensors"}
    tree = {"network": network, "dataset": {"test": {**rows.data, "gt": str(pictures)}}, "test": test}
    (tmp_path / "o.yml").write_text(yaml.safe_dump({"defaults": tree, "cases": {"c": {}}}))

    table = run_test(load_options(tmp_path / "o.yml"), Ranks(0, 0, 1, torch.device("cpu")))

    for group, printed in rows.printed.items():
        scores = [record.baseline for record in table.records["test"] if record.group == group]
        values = [mean([score[metric] for score in scores]) for metric in rows.metrics]  # pyright: ignore
        assert rows.form.format(*values) == printed, group
