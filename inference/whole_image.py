"""Modules that look at the whole image (net/measure/unbounded_modules.py) in a network that sees tile after tile."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from powerqe.inference.tile_grid import Ratios, Tile
from powerqe.net.blocks import GlobalMean
from powerqe.net.measure.unbounded_modules import Forward, by_longest_path, replaced
from powerqe.utils.memory import is_out_of_memory


class NotLearnedYet(Exception):  # noqa: N818 - a message to the caller, not an error
    """A tile needs what has to be learnt from all tiles first; it has given its share."""


class GlobalResults:
    """What modules make of the whole image, learnt from its tiles, one call after another.

    The network runs on every tile until it comes to a call whose result is not known yet. There the tile's
    core is taken and the run is abandoned; when all tiles have come, the result is known. So a network
    with K such calls runs K + 1 times on every tile, about half of it in the mean. After `estimate`, fewer.

    Args:
        multiple: of the network.
    """

    def __init__(self, modules: Sequence[nn.Module], multiple: int) -> None:
        self._modules, self._multiple = modules, multiple
        self._known: dict[int, _Mean | _Map | _Judgment | _Constant] = {}
        self._frontier: _Mean | _Map | _Judgment | None = None
        self._place = self._shares = self._calls = 0
        self._is_estimated = False

    def estimate(self, run: Callable[[], Any]) -> None:
        """Take means over a sample of the image, on which `run` lets the network run.

        What is no mean, a map or a judgment by which the network may end early, is learnt from the tiles.
        """
        self._is_estimated, self._calls = True, 0
        with replaced(self._modules, self._recorded):
            run()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The modules give what is known; the first that is not raises `NotLearnedYet`."""
        with replaced(self._modules, self._make):
            yield

    def begin_pass(self) -> None:
        """Forget a pass that was not finished."""
        self._frontier, self._shares = None, 0

    def begin(self, tile: Tile) -> None:
        """The network is going to run on this tile."""
        self._tile, self._calls = tile, 0

    def learn(self, tiles: int) -> bool:
        """After all tiles: whether there was a call to learn, and the network must run again."""
        if self._frontier is None:
            return False
        if self._shares != tiles:
            raise RuntimeError(f"{self._shares} of {tiles} tiles came to the same call: the network's path depends on "
                               "the tile; let it depend on modules that see the whole image")  # fmt: skip
        self._frontier.finish()
        self._known[self._place] = self._frontier
        self.begin_pass()
        return True

    def _recorded(self, module: nn.Module) -> Forward:
        original = module.forward

        def forward(*inputs: Any) -> Any:
            call, self._calls = self._calls, self._calls + 1
            if not isinstance(module, GlobalMean):
                return by_longest_path(original(*inputs))
            result = original(*inputs)
            self._known[call] = _Constant(result)
            return result

        return forward

    def _make(self, module: nn.Module) -> Forward:
        original = module.forward

        def forward(*inputs: Any) -> Any:
            call, self._calls = self._calls, self._calls + 1
            if call in self._known:
                return self._known[call].value(self._tile, inputs)
            if self._frontier is None:
                self._frontier, self._place = self._learner(module, original), call
            self._frontier.add(self._tile, inputs)
            self._shares += 1
            raise NotLearnedYet

        return forward

    def _learner(self, module: nn.Module, original: Forward) -> "_Mean | _Map | _Judgment":
        if isinstance(module, GlobalMean):
            return _Mean(self._multiple)
        if self._is_estimated and hasattr(module, "summary"):
            return _Judgment(module, self._multiple)
        return _Map(module, original, self._multiple)


class _Mean:
    """The mean of a map, from the sums over the cores of its tiles."""

    def __init__(self, multiple: int) -> None:
        self._multiple = multiple
        self._ratios: Ratios | None = None
        self._sum: Tensor | float = 0.0
        self._count = 0

    def add(self, tile: Tile, inputs: tuple[Any, ...]) -> None:
        features: Tensor = inputs[0]
        self._ratios = self._ratios or tile.ratios_of(features, self._multiple)
        core = tile.core_of(features, self._ratios)
        self._sum = self._sum + core.double().sum((2, 3), keepdim=True)
        self._count += core.shape[2] * core.shape[3]

    def finish(self) -> None:
        self._mean = self._sum / self._count

    def value(self, tile: Tile, inputs: tuple[Any, ...]) -> Any:
        return torch.as_tensor(self._mean).to(GlobalMean.dtype(inputs[0]))


class _Constant:
    """What a module made of a sample."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def value(self, tile: Tile, inputs: tuple[Any, ...]) -> Any:
        return self._result


class _Judgment:
    """A judgment from what adds up over the cores, but for what lies across their edges."""

    def __init__(self, module: nn.Module, multiple: int) -> None:
        self._module: Any = module
        self._multiple = multiple
        self._sum: Tensor | float = 0.0

    def add(self, tile: Tile, inputs: tuple[Any, ...]) -> None:
        features: Tensor = inputs[0]
        core = tile.core_of(features, tile.ratios_of(features, self._multiple))
        self._sum = self._sum + self._module.summary(core).double()

    def finish(self) -> None:
        self._result = self._module.score(torch.as_tensor(self._sum).float())

    def value(self, tile: Tile, inputs: tuple[Any, ...]) -> Any:
        return self._result


class _Map:
    """What a module makes of whole maps, which are put together on the CPU."""

    def __init__(self, module: nn.Module, forward: Forward, multiple: int) -> None:
        self._module, self._forward, self._multiple = module, forward, multiple
        self._ratios: list[Ratios] = []
        self._cores: list[dict[int, list[Tensor]]] = []
        """For each map the cores of each row of tiles."""

    def add(self, tile: Tile, inputs: tuple[Any, ...]) -> None:
        maps = [value for value in inputs if _is_map(value)]
        if not self._ratios:
            self._ratios = [tile.ratios_of(value, self._multiple) for value in maps]
            self._cores = [{} for _ in maps]
            self._inputs, self._device = inputs, maps[0].device
        for value, ratios, cores in zip(maps, self._ratios, self._cores, strict=True):
            cores.setdefault(tile.rows.core_start, []).append(tile.core_of(value, ratios).to("cpu", copy=True))

    def finish(self) -> None:
        maps = [torch.cat([torch.cat(row, -1) for row in cores.values()], -2) for cores in self._cores]
        size = maps[0].shape[-2:]
        self._result = self._run(maps)
        self._is_map = _is_map(self._result) and self._result.shape[-2:] == size and self._follows(maps)
        if isinstance(self._result, Tensor):
            self._result = self._result.to("cpu" if self._is_map else self._device)
        self._cores, self._inputs = [], ()

    def value(self, tile: Tile, inputs: tuple[Any, ...]) -> Any:
        if not self._is_map:
            return self._result
        reference: Tensor = next(filter(_is_map, inputs))
        top, left = (int(span.start * ratio) for span, ratio in zip(tile, self._ratios[0], strict=True))
        height, width = reference.shape[-2:]
        return self._result[..., top : top + height, left : left + width].to(reference.device)

    def _run(self, maps: list[Tensor]) -> Any:
        try:
            return self._forward(*self._with(maps, self._device))
        except RuntimeError as error:
            if self._device.type == "cpu" or not is_out_of_memory(error):
                raise
        result = copy.deepcopy(self._module).cpu()
        return type(result).forward(result, *self._with(maps, torch.device("cpu")))

    def _follows(self, maps: list[Tensor]) -> bool:
        """Whether the size of the result is that of the maps by more than accident: it is so in a corner, too."""
        side = -(-16 // self._multiple) * self._multiple
        small = [
            value[..., : int(side * ratios[0]), : int(side * ratios[1])]
            for value, ratios in zip(maps, self._ratios, strict=True)
        ]
        return self._run(small).shape[-2:] == small[0].shape[-2:]

    def _with(self, maps: list[Tensor], device: torch.device) -> list[Any]:
        """The module's inputs with whole maps in the place of the tile's."""
        whole = iter(maps)
        return [next(whole).to(device) if _is_map(value) else value for value in self._inputs]


def _is_map(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 4
