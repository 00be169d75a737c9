"""What the files hold and take; that every network's file gives its images is tested in test_networks.py."""

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from powerqe.net import build_network
from powerqe.net.export import export
from powerqe.net.ops.dcn import backends, forced_backend
from powerqe.utils.errors import UserError

pytestmark = pytest.mark.slow

FBCNN = {"type": "FBCNN", "num_features": (4, 4, 6, 8), "num_blocks": 1, "hidden_features": 8}


def build(spec: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return build_network(spec).eval()


def session_of(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def fbcnn(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, onnxruntime.InferenceSession]:
    network = build(FBCNN)
    nn.init.normal_(network.get_submodule("estimator")[-1].weight)  # so that it estimates 50 for nothing
    path = tmp_path_factory.mktemp("onnx") / "fbcnn.onnx"
    written = export(network, path)
    assert written.inputs == {"x": ["batch", 3, "height", "width"], "qf": ["batch", 1]}
    assert written.optional == ("qf",)
    return network, session_of(path)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.sampled_from([None, 0, 30.5, 100]))
@torch.no_grad()
def test_any_size_and_batch_with_and_without_qf(
    fbcnn: Any, batch: int, height: int, width: int, qf: float | None
) -> None:
    network, session = fbcnn
    x = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height * width))
    fed = {"x": x.numpy()} | ({} if qf is None else {"qf": np.full((batch, 1), qf, np.float32)})
    image, estimated = session.run(["image", "estimated_qf"], fed)
    for found, expected in zip((image, estimated), network(x, qf), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_one_quality_for_all_and_nan_for_the_estimated(fbcnn: Any) -> None:
    _, session = fbcnn
    x = np.random.default_rng(0).random((2, 3, 16, 16), dtype=np.float32)

    def image(*qf: float) -> np.ndarray:
        return session.run(["image"], {"x": x, "qf": np.array(qf, np.float32)[:, None]})[0]

    np.testing.assert_array_equal(image(20), image(20, 20))
    np.testing.assert_array_equal(image(math.nan, 20)[0], session.run(["image"], {"x": x})[0][0])
    assert np.abs(image(0) - image(100)).max() > 1e-4


def test_a_fixed_quality_is_no_input(tmp_path: Path) -> None:
    network = build(FBCNN)
    written = export(network, tmp_path / "net.onnx", arguments={"qf": 20})
    assert list(written.inputs) == ["x"]
    x = torch.rand(1, 3, 11, 9)
    with torch.no_grad():
        expected = network(x, 20)[0]
    np.testing.assert_allclose(session_of(written.path).run(None, {"x": x.numpy()})[0], expected, atol=1e-5)


def test_deformable_convolution_is_one_node_and_its_choice_is_restored(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", minversion="1.25")
    spec = {"type": "STDF", "radius": 1, "fusion_features": 4, "num_features": 4, "enhance_features": 4}
    with forced_backend("reference"):
        written = export(build({**spec, "enhance_layers": 2}), tmp_path / "stdf.onnx")
        assert backends._forced == "reference"
    assert backends._forced is None
    assert [node.op_type for node in onnx.load(written.path).graph.node].count("DeformConv") == 1
    assert written.inputs == {"clip": ["batch", 3, 1, "height", "width"]}


def test_networks_for_one_size(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--size WIDTHxHEIGHT"):
        export(build({"type": "NonLocalDeblock"}), tmp_path / "net.onnx")
    small = build({"type": "VGGDiscriminator", "num_features": 2, "hidden_features": 4, "patch_size": (64, 32)})
    with pytest.raises(UserError, match="32x64"):
        export(small, tmp_path / "net.onnx", size=(64, 64))
    assert not list(tmp_path.iterdir())


@torch.no_grad()
def test_non_local_in_quadrants(tmp_path: Path) -> None:
    """6400 pixels are cut, and distances are those that PyTorch computes without the rounding of a product."""
    network = build({"type": "NonLocalDeblock", "in_channels": 1})
    written = export(network, tmp_path / "net.onnx", size=(64, 100))
    assert written.differences[0].largest["image"] < 1e-5
    assert written.fixed


class _Way(nn.Module):
    """Goes one of two ways, as the image is."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.mean() > 0.5 else 2 * x


class _Wrong(nn.Module):
    """Another network in the file than in PyTorch."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.01 if torch.compiler.is_exporting() else x


class _Small(nn.Module):
    """The file is for images as small as those of the export, which PyTorch does not say."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.linspace(0, 1, 1) if x.shape[-1] < 40 else 2 * x


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (_Way(), r"cannot export _Way"),
        (_Wrong(), r"1x1.*1.0e-02.*PyTorch"),
        (_Small(), r"50x37.*2"),
    ],
)
def test_what_is_not_the_same_is_not_written(network: nn.Module, message: str, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"old")
    with pytest.raises(UserError, match=message):
        export(network, tmp_path / "net.onnx")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_weights_that_are_too_large(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = nn.Conv2d(3, 2**24, 7)
    network.forward = functools.partial(network.forward)
    with pytest.raises(UserError, match=r"9\.2 GiB"):
        export(network, tmp_path / "net.onnx")
