"""How networks are applied is checked before anything is loaded."""

from typing import Any

import pytest
import torch

from powerqe.inference.inference_options import InferenceOptions, find_device
from powerqe.utils.errors import UserError


def test_words_become_devices_and_types() -> None:
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    found = {word: InferenceOptions(device="cpu", precision=word).autocast for word in ("auto", "fp32", "bf16")}
    assert found == {"auto": None, "fp32": None, "bf16": torch.bfloat16}
    assert InferenceOptions(device=torch.device("cpu")).torch_device.type == "cpu"


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        ({"device": "gpu"}, "gpu"),
        ({"device": "cuda:77"}, "cuda:77"),
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
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    assert InferenceOptions(precision="fp16").autocast == torch.float16
    if supported:
        assert InferenceOptions(precision="bf16").torch_device.type == "cuda"
    else:
        with pytest.raises(UserError, match="bf16"):
            InferenceOptions(precision="bf16")
