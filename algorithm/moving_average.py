"""The exponential moving average of a network's weights."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class MovingAverage(AveragedModel):
    """PyTorch's average of parameters and buffers, without what lets the host wait for the device in each update.

    Args:
        network: of which a copy is made.
        decay: share of the old average in the new one; the first update copies the network.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._average = get_ema_multi_avg_fn(decay)
        super().__init__(network, multi_avg_fn=self._average, use_buffers=True)
        self._has_begun = False

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """As in `AveragedModel`, but the counter, which this average does not need, stays on the host."""
        self._has_begun = self._has_begun or bool(self.n_averaged)
        mine, others = ([*network.parameters(), *network.buffers()] for network in (self.module, model))
        for dtype in {tensor.dtype for tensor in mine}:
            pairs = [pair for pair in zip(mine, others, strict=True) if pair[0].dtype == dtype]
            averages, values = ([pair[side] for pair in pairs] for side in (0, 1))
            if self._has_begun:
                self._average(averages, values, self.n_averaged)
            else:
                torch._foreach_copy_(averages, values)  # pyright: ignore[reportPrivateImportUsage]
        self.n_averaged += 1
