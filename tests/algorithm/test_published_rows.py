"""The plain-JPEG rows of the FBCNN paper's table 1 (Jiang et al., ICCV 2021) come out of the tester, digit by digit."""

import pytest
import torch

from algorithm.evaluate import mean
from algorithm.tester import test as run_test
from net import build_network, save_weights
from utils.options import load_options
from utils.ranks import Ranks

PUBLISHED = {  # set -> quality -> PSNR, SSIM, PSNR-B, grey
    "classic5": {10: "27.82 0.760 25.21", 20: "30.12 0.834 27.50", 30: "31.48 0.867 28.94", 40: "32.43 0.885 29.92"},
    "live1": {10: "27.77 0.773 25.33", 20: "30.07 0.851 27.57", 30: "31.41 0.885 28.92", 40: "32.35 0.904 29.96"},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_plain_jpeg(name, root, tmp_path, monkeypatch):
    pictures = root / "../shared/data" / name
    if not pictures.is_dir():
        pytest.skip(f"the pictures of {name} are not here ({pictures})")
    monkeypatch.chdir(tmp_path)
    network = {"type": "ARCNN", "in_channels": 1, "out_channels": 1, "hidden_channels": [1], "kernel_sizes": [1, 1]}
    save_weights(build_network(network), tmp_path / "w.safetensors", {})
    spec = f"{{{name}: {{type: DegradedImages, gt: {pictures}, quality: [10, 20, 30, 40], color: y}}}}"
    options = load_options(
        root / "opts/arcnn.yml",
        "bsds500-gray-qf10",
        [
            "network.hidden_channels=[1]",
            "network.kernel_sizes=[1, 1]",
            "dataset.test={div2k: null, live1: null, classic5: null}",
            f"dataset.test={spec}",
            "test.ckp_load_path=w.safetensors",
            "test.if_save_im=false",
        ],
    )
    table = run_test(options, Ranks(0, 0, 1, torch.device("cpu")))
    for quality, printed in PUBLISHED[name].items():
        scores = [record.baseline for record in table.records[name] if record.group == f"qf{quality}"]
        psnr, ssim, psnrb = (mean([score[metric] for score in scores]) for metric in ("PSNR", "SSIM", "PSNRB"))
        assert f"{psnr:.2f} {ssim:.3f} {psnrb:.2f}" == printed
