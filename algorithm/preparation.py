"""What comes before a training: PyTorch's switches, and first weights from another network."""

from torch import nn

from powerqe.net import load_weights
from powerqe.net.ops.dcn import force_backend
from powerqe.utils.memory import keep_freed_memory
from powerqe.utils.options.components import Component
from powerqe.utils.options.tree import Options, WarmStart
from powerqe.utils.ranks import Ranks
from powerqe.utils.torch_settings import be_deterministic


def warm_start(network: nn.Module, start: WarmStart) -> str:
    """Load the weights of train.warm_start; returns a line for the log, "" if there are none.

    Raises:
        UserError: the file is missing, damaged or of another network.
    """
    if start.ckp_load_path is None:
        return ""
    random = load_weights(
        network, start.ckp_load_path, start.skip, if_same_network=start.if_same_network, to_gray=start.if_to_gray
    )
    skipped = f"; {len(random)} tensors of {', '.join(start.skip)} are random" if start.skip else ""
    return f"initial weights from {start.ckp_load_path}{skipped}"


def set_up_torch(options: Options, ranks: Ranks) -> None:
    """Set PyTorch's switches as the options say, for this process."""
    if ranks.device.type == "cpu":
        keep_freed_memory()
    force_backend(options.dcn)
    be_deterministic(options.train.deterministic)


def has_one_size(data: Component) -> bool:
    """Whether the samples of a training set are as large as each other, by its option patch or those of its sources."""
    sources = data.arguments.get("sources")
    return all(map(has_one_size, sources.values())) if sources else data.arguments.get("patch", 1) is not None
