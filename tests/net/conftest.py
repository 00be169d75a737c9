"""What the tests of several networks need: files as the original PowerQE wrote them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

V1File = Callable[[dict[str, Tensor]], Path]


@pytest.fixture
def v1_file(tmp_path: Path) -> V1File:
    """Write a state dict as a PowerQE v1 training checkpoint: DDP names, a NumPy scalar, Adam's state."""

    def write(state: dict[str, Tensor]) -> Path:
        path = tmp_path / "v1.pt"
        adam = {"state": {0: {"step": torch.tensor(6.0), "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]}
        checkpoint = {
            "iter": 6,
            "best_val_perfrm": {"iter_lst": [0], "perfrm": np.float64(31.07)},
            "module_net": {f"module.{name}": tensor for name, tensor in state.items()},
            "optim_net": adam,
        }
        torch.save(checkpoint, path)
        return path

    return write
