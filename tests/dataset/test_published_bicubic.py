"""The bicubic rows of the super-resolution papers come out of data set, baseline and metrics, digit by digit.

B100 is the 100 pictures of BSDS500's val folder. As quoted by Lim et al., CVPR Workshops 2017 (EDSR), and many others:
PSNR and SSIM of Y, `scale` border pixels left out. Their PSNR is reproduced. The SSIM of that row is older and belongs
to another way, where Y alone is shrunk and enlarged, and not rounded in between; it lies up to 0.0006 lower.
"""

import pytest
import torch

from algorithm.evaluate import Metrics, evaluate, mean
from dataset.down_sample import DownSampledImages
from utils.components import validate_component
from utils.ranks import Ranks

PUBLISHED = {2: ("29.56", 0.8431), 3: ("27.21", 0.7385), 4: ("25.96", 0.6675)}


@pytest.mark.parametrize("scale", PUBLISHED)
def test_b100(scale, root):
    pictures = root / "../shared/data/bsds500/val"
    if not pictures.is_dir():
        pytest.skip(f"the pictures of B100 are not here ({pictures})")
    names = ["PSNR", "SSIM"] if scale == 4 else ["PSNR"]  # SSIM takes as long as all the rest
    options = {"channel": "y", "border": scale}
    metrics = Metrics({name: validate_component("metric", {"type": name, **options}) for name in names})
    dataset = DownSampledImages(gt=str(pictures), scale=scale)
    records = evaluate(dataset, metrics, Ranks(0, 0, 1, torch.device("cpu")), None)
    assert len(records) == 100
    psnr, ssim = PUBLISHED[scale]
    assert f"{mean([record.baseline['PSNR'] for record in records]):.2f}" == psnr
    if "SSIM" in names:
        assert mean([record.baseline["SSIM"] for record in records]) == pytest.approx(ssim, abs=7e-4)
