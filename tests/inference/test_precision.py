"""In which type and memory format networks compute: what auto takes, and that nothing but the speed changes much."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from powerqe.inference import precision
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.load import find_network
from powerqe.inference.model import Model
from powerqe.inference.precision import NEAR, choose_precision, computes_in, prepared
from powerqe.inference.within_memory import WithinMemory
from powerqe.net import build_network
from powerqe.net.blocks import GlobalMean
from powerqe.net.example import example_inputs
from powerqe.net.forward_inputs import results
from powerqe.net.measure.unbounded_modules import replaced
from powerqe.net.weights.entry import Entry
from powerqe.net.weights.index import entries
from powerqe.utils.errors import UserError
from powerqe.utils.places import WEIGHTS

CPU = torch.device("cpu")
SMALL: dict[str, dict[str, Any]] = {
    "FBCNN": {"num_features": [4, 4, 4, 4], "num_blocks": 1, "hidden_features": 4, "residual": True},
    "RCAN": {"num_features": 8, "num_blocks": 1, "num_groups": 1, "reduction": 4},
    "RBQE": {"num_features": 4, "num_levels": 2},
    "EDSR": {"num_features": 4, "num_blocks": 1},
}


def entry(**measured: float) -> Entry:
    return Entry(name="a", task="jpeg", color="rgb", method="ARCNN", file="a", sha256="", license="x",
                 precision=measured)  # fmt: skip


def small(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_network({"type": name, **SMALL[name]}).eval()


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * (a.double() - b.double()).square().mean().log10())


@pytest.mark.parametrize(
    ("limit", "units", "expected"),
    [("", True, True), ("AVX2", True, True), ("AVX512_CORE", True, False), ("avx512_core_bf16", True, True),
     ("AVX512_CORE_AMX", True, True), ("", False, False)],
)  # fmt: skip
def test_a_processor_that_emulates_does_not_compute(
    limit: str, units: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what oneDNN and PyTorch say; of AVX2, oneDNN itself says that it has no bf16."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    has = {"AVX2": False}.get(limit, True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: units)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: units)
    assert computes_in("bf16", CPU) == (expected and has)
    assert computes_in("fp32", CPU)


@pytest.mark.parametrize(
    ("measured", "native", "expected"),
    [({"bf16": 66.0}, True, "bf16"), ({"bf16": 64.9}, True, "fp32"), ({}, True, "fp32"),
     ({"bf16": 66.0}, False, "fp32"), ({"bf16": 60.0, "fp16": 80.0}, True, "fp16")],
)  # fmt: skip
def test_auto_takes_what_is_measured_and_computed(
    measured: dict[str, float], native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "computes_in", lambda name, device: native or name == "fp32")
    assert choose_precision("auto", CPU, entry(**measured)) == expected
    assert choose_precision("auto", CPU, None) == "fp32"
    assert choose_precision("fp32", CPU, entry(**measured)) == "fp32"
    if native:
        assert choose_precision("fp16", CPU, None) == "fp16"
    else:
        assert choose_precision("bf16", CPU, None) == "bf16"  # every CPU can
        with pytest.raises(UserError, match="fp16"):
            choose_precision("fp16", CPU, None)


@pytest.mark.parametrize("name", SMALL)
@torch.inference_mode()
def test_a_prepared_network_is_near_itself(name: str) -> None:
    inputs, named = example_inputs(small(name), 32, 24)
    plain, exact, low = small(name), prepared(small(name), "fp32"), prepared(small(name), "bf16")
    signature = inspect.signature(plain.forward)
    expected, other, rough = (results(network(*inputs, **named)) for network in (plain, exact, low))
    assert inspect.signature(low.forward) == signature
    torch.testing.assert_close(other[0], expected[0], rtol=1e-4, atol=1e-5)
    assert 55 < psnr(rough[0], expected[0]) < 120
    for value, wanted in zip(rough[1:], expected[1:], strict=True):
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, wanted, rtol=1e-3, atol=1e-3)
    with replaced([low], lambda module: lambda *_: None):
        assert low(*inputs) is None
    torch.testing.assert_close(results(low(*inputs, **named))[0], rough[0], rtol=0, atol=0)


@torch.inference_mode()
def test_means_are_float32() -> None:
    x = torch.rand(1, 3, 64, 64).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        mean = GlobalMean()(x)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean, x.double().mean((2, 3), keepdim=True).float(), rtol=1e-6, atol=0)
    assert GlobalMean()(x).dtype == torch.bfloat16  # as the weights of a network of that type


@pytest.mark.parametrize("name", ["FBCNN", "RCAN"])
@torch.inference_mode()
def test_tiles_and_memory(name: str) -> None:
    """Tiles are as near as roundings let them be, and less memory is planned for."""
    x = torch.rand(1, 3, 80, 72)
    networks = [prepared(small(name), kind) for kind in ("fp32", "bf16")]
    exact, low, again = (WithinMemory(network, 1 << 23) for network in (*networks, networks[0]))
    tiled = WithinMemory(prepared(small(name), "bf16"), 1 << 23, 48)
    exact(x), again(x)
    whole, parts = results(low(x))[0], results(tiled(x))[0]
    assert (low.size, tiled.size) == (None, 48)
    assert psnr(parts, whole) > 60
    assert low.needs(1 << 20) < 0.9 * exact.needs(1 << 20)
    assert exact.needs(1 << 20) == again.needs(1 << 20), "what only the first call takes is not counted"


@pytest.mark.parametrize("name", [each.name for each in entries(WEIGHTS) if each.precision.get("bf16", 0) >= NEAR])
@torch.inference_mode()
def test_what_auto_takes_is_near_float32(name: str) -> None:
    """Of faint noise, which is harder than images: benchmarks/precision.py measures those."""
    source = find_network(name)
    inputs, named = example_inputs(source.build(), 48, 48)
    named |= getattr(source.build(), "applied", {})
    exact, low = (results(prepared(source.build(), kind)(*inputs, **named))[0] for kind in ("fp32", "bf16"))
    assert 60 < psnr(low, exact) < 120


def test_every_weight_is_measured() -> None:
    assert [each.name for each in entries(WEIGHTS) if not each.precision] == []


def test_models_say_in_what_they_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_in", lambda name, device: True)
    assert Model("arcnn-bsds500-qf10", InferenceOptions("cpu")).precision == "bf16"
    assert Model({"type": "ARCNN"}, InferenceOptions("cpu")).precision == "fp32"
    assert Model("arcnn-bsds500-qf10", InferenceOptions("cpu", precision="fp32")).precision == "fp32"


def test_test_and_enhance_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With test.precision: auto as with fp32, and results.json names it."""
    import cv2

    from powerqe.evaluation.tester import test
    from powerqe.utils.options.tree import load_options
    from powerqe.utils.ranks import Ranks

    monkeypatch.chdir(tmp_path)
    Path("gt").mkdir()
    cv2.imwrite("gt/a.png", np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))
    Path("a.yml").write_text(
        "defaults:\n  network: {type: ARCNN, residual: true}\n  dataset: {test: {type: PairedImages, lq: gt, gt: gt}}\n"
        "  test: {ckp_load_path: arcnn-bsds500-qf10}\ncases: {c: {}}\n"
    )
    found = {}
    for wanted in ("fp32", "bf16"):
        monkeypatch.setattr(precision, "computes_in", lambda name, device, wanted=wanted: wanted == "bf16")
        options = load_options("a.yml", "c", ["test.precision=auto"])
        table = test(options, Ranks(0, 0, 1, CPU))
        saved = cv2.imread("exp/a-c/test_im_enhanced/test/a.png")[..., ::-1]
        options = InferenceOptions("cpu", consistency="off", force_enhance=True)
        batch = {"lq": torch.from_numpy(cv2.imread("gt/a.png")[..., ::-1] / np.float32(255)).movedim(-1, 0)[None]}
        image = Model("arcnn-bsds500-qf10", options)(batch)[0]
        found[wanted] = (255 * image.clamp(0, 1)).round()[0].movedim(0, -1).numpy().astype(np.uint8)
        np.testing.assert_array_equal(found[wanted], saved)
        assert table.results.precision == wanted
        assert table.results.machine.endswith(wanted)
        assert f"{wanted} by PyTorch {torch.__version__}, cpu" in table.to_markdown()
    assert (found["fp32"] != found["bf16"]).mean() > 0.001
