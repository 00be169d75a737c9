"""How networks are applied is checked before anything is loaded."""

from typing import Any

import pytest
import torch

from powerqe.inference.inference_options import InferenceOptions, find_device
from powerqe.inference.tile_option import tile_choice
from powerqe.utils.errors import UserError


def test_words_become_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    found = torch.accelerator.current_accelerator(check_available=True)
    assert find_device("auto").type == (found.type if found else "cpu")
    assert InferenceOptions(device=torch.device("cpu")).torch_device.type == "cpu"


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        ({"device": "gpu"}, "gpu"),
        ({"device": "cuda:77"}, "cuda:77"),
        ({"device": "cpu:1"}, "cpu:1"),
        ({"tile": 0}, "0"),
        ({"tile": "on"}, "'on'"),
        ({"qf": 101}, "101"),
        ({"memory": 0}, "memory"),
        ({"precision": "half"}, "half"),
        ({"device": "cpu", "precision": "fp16"}, "fp16"),
    ],
)
def test_mistakes(options: dict[str, Any], fact: str) -> None:
    with pytest.raises(UserError, match=fact):
        InferenceOptions(**options)


@pytest.mark.parametrize("supported", [True, False])
def test_precisions_of_a_gpu(supported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: supported)
    assert InferenceOptions(precision="fp16").torch_device.type == "cuda"
    if supported:
        assert InferenceOptions(precision="bf16").torch_device.type == "cuda"
    else:
        with pytest.raises(UserError, match="bf16"):
            InferenceOptions(precision="bf16")
    for device in ("cuda:1", "xpu"):
        with pytest.raises(UserError, match=device):
            InferenceOptions(device)


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_other_accelerators(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device(kind))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    assert find_device("auto").type == find_device(kind).type == find_device(f"{kind}:0").type == kind
    assert find_device("cpu").type == "cpu"


@pytest.mark.parametrize(
    ("option", "choice"),
    [("off", None), ("auto", (None, "auto")), (64, (64, "auto")), ("64", (64, "auto")), ("exact", (None, True)),
     ("exact:64", (64, True))],
)  # fmt: skip
def test_tile_options(option, choice):
    assert tile_choice(option) == choice


@pytest.mark.parametrize("option", [0, -1, True, 1.5, "0", "exact:", "exact:0", "exakt", "64 ", "auto:64", ""])
def test_impossible_tile_options(option):
    with pytest.raises(UserError, match="tile: "):
        InferenceOptions("cpu", tile=option)
