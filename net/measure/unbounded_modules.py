"""Modules of a network without a fixed receptive field.

Those that depend on the whole image are `powerqe.net.blocks.GlobalMean` and those whose class has
`sees_whole_image = True`: their tensors of four dimensions are maps of the image, and what they return is either
such a map, of the size of their first input, or the same for every part of the image. Those that sample the image
at no fixed distance have `follows_motion = True`. Code that applies or measures a network replaces their forward
temporarily.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from powerqe.net.blocks import GlobalMean

Forward = Callable[..., Any]


def global_modules(network: nn.Module) -> list[nn.Module]:
    """The modules that depend on the whole image, without the modules inside of them."""
    if isinstance(network, GlobalMean) or getattr(network, "sees_whole_image", False):
        return [network]
    found = {id(module): module for child in network.children() for module in global_modules(child)}
    return list(found.values())


@contextmanager
def replaced(modules: Sequence[nn.Module], make: Callable[[nn.Module], Forward]) -> Iterator[None]:
    """Give each module the forward that `make` makes for it, for a while."""
    own = [vars(module).get("forward") for module in modules]  # beside that of the class
    for module in modules:
        module.forward = make(module)
    try:
        yield
    finally:
        for module, forward in zip(modules, own, strict=True):
            del module.forward
            if forward is not None:
                module.forward = forward


def count_calls(modules: Sequence[nn.Module], run: Callable[[], Any]) -> int:
    """How often a run of the network calls them, on the longest path that it may take."""
    calls = 0

    def counted(module: nn.Module) -> Forward:
        original = module.forward

        def forward(*inputs: Any) -> Any:
            nonlocal calls
            calls += 1
            return by_longest_path(original(*inputs))

        return forward

    with replaced(modules, counted):
        run()
    return calls


def by_longest_path(result: Tensor) -> Tensor:
    """What a module gives, so that the network takes all of its layers: a number for each image is a judgment by which
    it may choose a shorter path, and NaN is never good enough. Maps are without NaN."""
    return result.nan_to_num() if result.ndim == 4 else torch.full_like(result, torch.nan)


def follows_motion(network: nn.Module) -> bool:
    """Whether something in the network samples pixels at no fixed distance."""
    return any(getattr(module, "follows_motion", False) for module in network.modules())
