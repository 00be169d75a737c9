"""A stand-in for the package pyiqa: what PowerQE uses of it, with scores that a test can compute by hand."""

import random
import sys
import urllib.error
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

__version__ = "9.9"

# name: judges against a reference (FR) or alone (NR), lower is better
MODELS = {
    "dists": ("FR", True),
    "fid": ("NR", True),
    "gmsd": ("FR", True),
    "inception_score": ("NR", False),
    "musiq": ("NR", False),
    "niqe": ("NR", True),
    "nrqm": ("NR", False),
    "offline": ("NR", False),
    "pi": ("NR", True),
    "psnr": ("FR", False),
    "random": ("NR", False),
    "talkative": ("NR", False),
    "vector": ("NR", False),
}


def list_models():
    return sorted(MODELS)


def create_metric(metric_name, device=None, pretrained_model_path=None, offset=0.0):
    print("metric created")
    if metric_name == "offline":
        sys.stderr.write('Downloading: "https://hub.invalid/model.mat" to /cache/pyiqa/model.mat\n')
        raise urllib.error.URLError("Name or service\nnot known")
    if pretrained_model_path is not None:
        offset = float(Path(pretrained_model_path).read_text())
    metric = Metric(metric_name, offset) if metric_name != "fid" else Sets()
    return metric.to(device)


class Metric(nn.Module):
    """NR: mean of the image, plus offset. FR: mean of target - 2 reference, plus offset."""

    def __init__(self, name, offset):
        super().__init__()
        self.name, self.offset = name, offset
        self.metric_mode, self.lower_better = MODELS[name]
        self.weight = nn.Parameter(torch.rand(1))

    def forward(self, target, reference=None):
        assert not self.training
        assert target.shape[1] == 3
        assert (reference is not None) == (self.metric_mode == "FR")
        if min(target.shape[-2:]) < 8:
            raise AssertionError("The image\nis too small")
        score = target.mean(dim=(1, 2, 3)) + self.offset
        if self.metric_mode == "FR":
            score = score - 2 * reference.mean(dim=(1, 2, 3))
        if self.name == "random":
            score = torch.rand(1) + random.random() + np.random.rand()  # noqa: NPY002
        if self.name == "talkative":
            print("judging")
            warnings.warn("loudly", stacklevel=1)
        if self.name == "vector":
            score = torch.zeros(len(target), 2)
        return score.squeeze() if self.name == "niqe" else score[:, None]


class Sets(nn.Module):
    """Has, like pyiqa's fid, the network that FID needs: 12 features of an image of 299x299 in [-1, 1]."""

    def __init__(self):
        super().__init__()
        self.net = nn.Module()
        self.net.model = Features()


class Features(nn.Module):
    def forward(self, images, resize_input=False, normalize_input=False):
        assert images.shape[1:] == (3, 299, 299)
        assert -1 <= images.min() <= images.max() <= 1
        coarse = nn.functional.adaptive_avg_pool2d(images, 2)
        return [coarse.flatten(1)[..., None, None]]
