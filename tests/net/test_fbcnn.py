"""net/fbcnn.py against recorded outputs, and against a computation straight from the tensors of an official file."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from powerqe.net import build_network, load_weights
from powerqe.utils.errors import UserError

FEATURES, HIDDEN, BLOCKS = (4, 6, 8, 10), 7, 2
SMALL = {"type": "FBCNN", "num_features": FEATURES, "num_blocks": BLOCKS, "hidden_features": HIDDEN}


def official_state() -> dict[str, Tensor]:
    """The tensors of an official file, in which every layer has its own place in one sequence."""
    generator, state = torch.Generator().manual_seed(1), {}

    def layer(name: str, *shape: int, outputs: int) -> None:
        fan_in = int(np.prod(shape)) // outputs
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) / fan_in**0.5
        state[f"{name}.bias"] = torch.randn(outputs, generator=generator) / 5

    def blocks(stage: str, width: int, first: int = 0) -> None:
        for block in range(first, first + BLOCKS):
            for number in (0, 2):
                layer(f"{stage}.{block}.res.{number}", width, width, 3, 3, outputs=width)

    def linear(name: str, before: int, after: int) -> None:
        layer(name, after, before, outputs=after)

    layer("m_head", FEATURES[0], 3, 3, 3, outputs=FEATURES[0])
    layer("m_tail", 3, FEATURES[0], 3, 3, outputs=3)
    for level, (fine, coarse) in enumerate(pairwise(FEATURES), 1):
        blocks(f"m_down{level}", fine)
        layer(f"m_down{level}.{BLOCKS}", coarse, fine, 2, 2, outputs=coarse)
        layer(f"m_up{level}.0", coarse, fine, 2, 2, outputs=fine)
        blocks(f"m_up{level}", fine, 1)
        linear(f"to_gamma_{level}.0", HIDDEN, fine)
        linear(f"to_beta_{level}.0", HIDDEN, fine)
    for stage in ("m_body_encoder", "m_body_decoder", "qf_pred"):
        blocks(stage, FEATURES[-1])
    widths = (FEATURES[-1], HIDDEN, HIDDEN, 1)
    for number, (before, after) in enumerate(pairwise(widths)):
        linear(f"qf_pred.{BLOCKS + 2 + 2 * number}", before, after)
    for number, (before, after) in enumerate(pairwise((1, HIDDEN, HIDDEN, HIDDEN))):
        linear(f"qf_embed.{2 * number}", before, after)
    return state


def reference(x: Tensor, state: dict[str, Tensor], given: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """x (N, 3, H, W), sides multiples of 8, and the severity 1 - QF / 100 -> image and severity."""

    def of(name: str) -> tuple[Tensor, Tensor]:
        return state[f"{name}.weight"], state[f"{name}.bias"]

    def blocks(f: Tensor, stage: str, first: int = 0, gamma: Any = 1, beta: Any = 0) -> Tensor:
        for number in range(first, first + BLOCKS):
            inner = F.conv2d(f, *of(f"{stage}.{number}.res.0"), padding=1).clamp(min=0)
            f = f + gamma * F.conv2d(inner, *of(f"{stage}.{number}.res.2"), padding=1) + beta
        return f

    def dense(f: Tensor, stage: str, numbers: tuple[int, ...]) -> Tensor:
        for number in numbers:
            f = F.linear(f, *of(f"{stage}.{number}")).clamp(min=0)
        return f

    skips = [F.conv2d(x, *of("m_head"), padding=1)]
    for level in (1, 2, 3):
        skips.append(F.conv2d(blocks(skips[-1], f"m_down{level}"), *of(f"m_down{level}.{BLOCKS}"), stride=2))
    encoded = blocks(skips[3], "m_body_encoder")
    pooled = dense(blocks(encoded, "qf_pred").mean((2, 3)), "qf_pred", (BLOCKS + 2, BLOCKS + 4))
    severity = F.linear(pooled, *of(f"qf_pred.{BLOCKS + 6}")).sigmoid()
    control = dense(severity if given is None else given, "qf_embed", (0, 2, 4))
    f = blocks(encoded, "m_body_decoder") + skips[3]
    for level in (3, 2, 1):
        gamma = F.linear(control, *of(f"to_gamma_{level}.0")).sigmoid()[..., None, None]
        beta = F.linear(control, *of(f"to_beta_{level}.0")).tanh()[..., None, None]
        f = F.conv_transpose2d(f, *of(f"m_up{level}.0"), stride=2)
        f = blocks(f, f"m_up{level}", 1, gamma, beta) + skips[level - 1]
    return F.conv2d(f, *of("m_tail"), padding=1), severity


@pytest.fixture
def network(tmp_path: Path) -> Any:
    """With the weights of `official_state`."""
    torch.save(official_state(), tmp_path / "fbcnn_color.pth")
    network = build_network(SMALL)
    load_weights(network, tmp_path / "fbcnn_color.pth")
    return network.eval()


def images() -> Tensor:
    return torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_blind(network: Any) -> None:
    y, qf = network(images())
    expected, severity = reference(images(), official_state())
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(qf, 100 * (1 - severity), rtol=1e-4, atol=1e-4)
    assert (qf[0] - qf[1]).abs() > 1e-3
    assert ((qf > 0) & (qf < 100)).all()


@pytest.mark.parametrize("qf", [20, 20.0, torch.tensor([[20.0]]), torch.tensor([[20.0], [90.0]]), torch.tensor([5, 7])])
@torch.no_grad()
def test_given_quality_factor_steers_and_the_estimate_is_returned_all_the_same(network: Any, qf: Any) -> None:
    y, estimate = network(images(), qf)
    given = torch.as_tensor(qf).float().reshape(-1, 1).expand(2, 1)
    expected, severity = reference(images(), official_state(), 1 - given / 100)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(estimate, 100 * (1 - severity), rtol=1e-4, atol=1e-4)
    assert (y - network(images())[0]).abs().max() > 1e-3


@torch.no_grad()
def test_the_estimate_given_back_changes_nothing(network: Any) -> None:
    y, qf = network(images())
    torch.testing.assert_close(network(images(), qf)[0], y, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_nan_stands_for_the_estimate(network: Any) -> None:
    y, _ = network(images(), torch.tensor([[float("nan")], [10.0]]))
    torch.testing.assert_close(y[0], network(images())[0][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(y[1], network(images(), 10)[0][1], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_other_sizes_are_padded_with_their_last_rows_and_columns(network: Any) -> None:
    x = images()[..., :11, :17]
    padded = torch.cat([x, x[..., -1:].expand(-1, -1, -1, 7)], dim=-1)
    padded = torch.cat([padded, padded[..., -1:, :].expand(-1, -1, 5, -1)], dim=-2)
    expected, severity = reference(padded, official_state())
    y, qf = network(x)
    torch.testing.assert_close(y, expected[..., :11, :17], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(qf, 100 * (1 - severity), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("qf", "message"),
    [
        (101, r"\[101\.0\].*0 to 100"),
        (-1.5, r"\[-1\.5\].*0 to 100"),
        (torch.tensor([[10], [float("inf")]]), r"found qf \[10\.0, inf\], expected"),
        ("low", r"'low'.*0 to 100"),
        (torch.ones(3, 1), r"3 values.*2 images"),
    ],
)
def test_quality_factors_that_do_not_exist(network: Any, qf: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        network(images(), qf)


@torch.no_grad()
def test_the_estimate_is_not_rounded_to_bfloat16() -> None:
    """A quality factor rounded to bfloat16 would be off by up to 0.25."""
    with torch.autocast("cpu", torch.bfloat16):
        qf = build_network(SMALL).eval()(images())[1]
    assert qf.dtype == torch.float32


def test_names_of_the_official_file(root: Path) -> None:
    names = json.loads((root / "tests/data/fbcnn_color_keys.json").read_text())
    with torch.device("meta"):
        network = build_network({"type": "FBCNN"})
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    assert len(names) == 184
    assert {network.upstream_name(name): shape for name, shape in names.items()} == shapes  # pyright: ignore
    assert {name.partition(".")[0] for name in official_state()} == {name.partition(".")[0] for name in names}


@torch.no_grad()
def test_recorded_outputs(tmp_path: Path, root: Path) -> None:
    data = {name: torch.from_numpy(array) for name, array in np.load(root / "tests/data/fbcnn_color.npz").items()
            if array.dtype == np.float32}  # fmt: skip
    weights = {name.removeprefix("sd/"): tensor for name, tensor in data.items() if name.startswith("sd/")}
    torch.save({"params": weights}, tmp_path / "recorded.pth")
    network = build_network({**SMALL, "num_features": (8, 12, 16, 24), "hidden_features": 24}).eval()
    load_weights(network, tmp_path / "recorded.pth")
    y, qf = network(data["x"])
    torch.testing.assert_close(y, data["y"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(qf, 100 * (1 - data["qf"]), rtol=1e-4, atol=1e-4)
    y, qf = network(data["x"], 100 * (1 - data["qf_input"]))
    torch.testing.assert_close(y, data["y_manual"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(qf, 100 * (1 - data["qf_manual"]), rtol=1e-4, atol=1e-4)
