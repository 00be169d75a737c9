"""Networks that several ranks train: each has a copy, and the gradients are averaged in the backward pass."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from powerqe.utils.errors import UserError
from powerqe.utils.ranks import Ranks

_ADVICE = (
    "for which several ranks would wait; remove them, or set uses_part = True in its class if it depends on the batch "
    "which it uses (docs/adding_a_network.md)"
)
_IN_MESSAGE = "find_unused_parameters"


def distributed(network: nn.Module, ranks: Ranks) -> nn.Module:
    """What to call for a forward pass of the network, which is on the device of this rank.

    Raises:
        ElsewhereError: another rank has failed before.
    """
    if ranks.world_size == 1:
        return network
    ranks.meet()  # so that none waits here for one that has failed
    some_unused = getattr(network, "uses_part", False)  # the used parameters may differ between batches
    places = None
    if ranks.device.type != "cpu":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network, ranks.group)  # statistics of the batch of all ranks
        places = [ranks.device.index]
    return DistributedDataParallel(network, places, process_group=ranks.group, find_unused_parameters=some_unused)


def without_exchange(network: nn.Module) -> AbstractContextManager[None]:
    """Inside, gradients stay with the rank."""
    return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()


def name_of(network: nn.Module) -> str:
    """The class of a network, whether or not it is distributed."""
    return type(network.module if isinstance(network, DistributedDataParallel) else network).__name__


def check_used(network: nn.Module) -> None:
    """Raise `UserError` if parameters have no gradient after a backward pass, but several ranks would wait for it."""
    if not isinstance(network, DistributedDataParallel) or network.find_unused_parameters:
        return
    unused = [name for name, p in network.module.named_parameters() if p.requires_grad and p.grad is None]
    if unused:
        listed = ", ".join(unused[:4]) + (f" and {len(unused) - 4} more" if len(unused) > 4 else "")
        raise UserError(f"{name_of(network)} does not use all its parameters ({listed}), {_ADVICE}")


@contextmanager
def unused_explained(network: nn.Module) -> Iterator[None]:
    """A batch that has not used all parameters, which is noticed in the next forward pass, becomes one line."""
    try:
        yield
    except RuntimeError as error:
        if _IN_MESSAGE not in str(error):
            raise
        raise UserError(f"{name_of(network)} does not use all its parameters in each batch, {_ADVICE}") from error
