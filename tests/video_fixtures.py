"""Small videos to test on, and a network that looks at several frames."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from powerqe.net.networks import NETWORKS
from powerqe.utils.video.frame_records import FrameInfo, frames_path, write_record
from powerqe.utils.video.yuv import Frame, Geometry, YUVWriter

VIDEOS = {"Alpha_48x32": 9, "Beta_32x24": 6}
"""Name to number of frames."""
QPS = (36, 40, 39, 40, 38)
"""Of the first five frames, then again; the lower, the better."""


class WeightedFrames(nn.Module):
    """The middle frame of a window plus a multiple of its difference from the mean of all."""

    def __init__(self, *, frames: int = 3) -> None:
        super().__init__()
        self.frames = frames
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C, H, W) -> (N, C, H, W)."""
        assert x.shape[1] == self.frames
        middle = x[:, self.frames // 2]
        return middle + self.strength * (x.mean(dim=1) - middle)


@pytest.fixture
def weighted_frames(monkeypatch: pytest.MonkeyPatch) -> type[WeightedFrames]:
    """The network as one that option files know."""
    NETWORKS.names()
    monkeypatch.setitem(NETWORKS._entries, "WeightedFrames", WeightedFrames)
    return WeightedFrames


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with gt/ and qp37/, in each raw 4:2:0 files of `VIDEOS`, and what is known of each coded frame."""
    for name, count in VIDEOS.items():
        write_video(tmp_path, name, count)
    return tmp_path


def write_video(root: Path, name: str, count: int) -> None:
    """A moving texture in gt/, and it with noise that is weaker where QP is lower in qp37/."""
    width, height = map(int, name.rpartition("_")[2].split("x"))
    geometry = Geometry(width, height)
    random = np.random.default_rng(len(name))
    texture = random.integers(40, 200, (height + 2 * count, width + 2 * count)).astype(float)
    texture = (texture + np.roll(texture, 1, 0) + np.roll(texture, 1, 1) + np.roll(texture, 2, 0)) / 4
    paths = [root / f"{folder}/{name}_{count}.yuv" for folder in ("gt", "qp37")]
    coded = []
    with YUVWriter(paths[0], geometry) as clean, YUVWriter(paths[1], geometry) as damaged:
        for t in range(count):
            y = texture[t : t + height, 2 * t : 2 * t + width]
            chroma = [
                random.integers(0, 256, shape, np.uint8) for shape in (*geometry.shapes[1:], *geometry.shapes[1:])
            ]
            clean.write(Frame(_bytes(y), *chroma[:2]))
            noise = random.normal(0, QPS[t % 5] - 32, y.shape)
            damaged.write(Frame(_bytes(y + noise), *chroma[2:]))
            coded.append(FrameInfo(t, "P" if t else "I", QPS[t % 5], 1000 * (50 - QPS[t % 5]) + t, 30.0))
    write_record(frames_path(paths[1]), {"codec": "x265", "pattern": "test"}, coded)


def _bytes(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)


@pytest.fixture
def video_tree(videos: Path) -> dict[str, Any]:
    """Options that test a small DnCNN on `videos`."""
    data = {"type": "VideoClips", "gt": str(videos / "gt"), "lq": str(videos / "qp37")}
    return {
        "name": "tiny-qp37",
        "network": {"type": "DnCNN", "in_channels": 1, "out_channels": 1, "num_features": 4, "depth": 3},
        "dataset": {"test": {"clips": data}},
        "test": {"ckp_load_path": "w.safetensors", "protocol": "mfqe_y"},
        "device": "cpu",
    }
