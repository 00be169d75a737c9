"""Apply a network to an image in tiles, if it does not fit into memory: the result equals that of the whole image.

A network declares `multiple` (default 1): its total stride in pixels of the image. The receptive field is measured
(net/measure/receptive.py), the scale of the result follows from that of a tile, and modules that depend on the whole
image still get it (inference/whole_image.py), or what they make of a sample of the image. Video networks take a clip
instead of an image. Tiles are approximate, not exact, for networks with modules of unbounded motion
(`follows_motion = True`), with `tiling = "near"`, or with "exact if possible" and a receptive field that is too large;
with "whole" there are tiles only on request.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from powerqe.inference.consistent_forward import ConsistentForward
from powerqe.inference.forward import Forward
from powerqe.inference.lazy_image import LazyImage
from powerqe.inference.self_ensemble import SelfEnsemble
from powerqe.inference.tile_grid import FORWARDS, Order, Tile, bands_of, box_of, core_size, divide, patches
from powerqe.inference.tile_option import Exactness
from powerqe.inference.tile_results import together
from powerqe.inference.whole_image import GlobalResults, NotLearnedYet
from powerqe.net.forward_inputs import ForwardInputs, joined, rebuilt, results
from powerqe.net.measure.receptive import FURTHEST, reach
from powerqe.net.measure.unbounded_modules import count_calls, follows_motion, global_modules
from powerqe.utils.errors import UserError
from powerqe.utils.log import logger, progress_bar
from powerqe.utils.memory import is_out_of_memory

if TYPE_CHECKING:
    from tqdm import tqdm

    from powerqe.utils.options.tree import ForwardOptions

Call = Callable[..., Any]
Cut = Callable[[Tile], ForwardInputs]
SMALLEST = 32
"""Smallest side of a core in pixels."""
_PATIENCE = 3
"""Seconds without a progress bar."""
NEAR = 64
"""Default overlap in pixels of tiles that do not give exactly what the whole image gives."""
SAMPLED_DB = 50
"""Least PSNR of what networks with sampled means give to what they give for whole images: of `RBQE` 76 and more."""
FEW = 2
"""Calls of modules of the whole image in a row that are worth their passes: exact tiles cost twice the work then."""


class Band(NamedTuple):
    """What a network makes of an image from edge to edge: some rows of the result, or some columns.

    start: how many came before. output: what the network returns, its image (1, C, rows, W) or (1, C, H, columns).
    free: rows or columns of the image, counted alike, that no later band sees, with smaller tiles neither.
    """

    start: int
    output: Any
    free: int

    def length(self, order: Order) -> int:
        """Its rows, or columns."""
        return results(self.output)[0].shape[order.axis]

    def behind(self, done: int, order: Order) -> "Band | None":
        """What of it does not belong to the first `done` rows or columns; None if nothing does."""
        image, *others = results(self.output)
        rest = self.start + image.shape[order.axis] - done
        if rest <= 0 or done <= self.start:
            return None if rest <= 0 else self
        image = image.narrow(order.axis, 0 if order.backwards else image.shape[order.axis] - rest, rest)
        return Band(done, rebuilt(self.output, iter([image, *others])), self.free)


class Tiled(threading.local):
    """A network, called as itself, that sees the image in overlapping tiles.

    The image stays where it is (on the CPU, if it is large) and the result is put together there; tiles go
    to the network's device, one after another. A tile that does not fit into memory halves their size, also
    for the images that follow.

    The work grows with the overlap: a core of size s with a receptive field of radius r costs (s + 2r)^2 / s^2
    times the image's share. Where s + 2r covers the image it is computed as a whole. Modules that see the
    whole image, K of them in a row, cost another factor of about K / 2 + 1 (RCAN has 200, RBQE with five exits 45),
    because the tiles start again after each of them.

    Each thread has its own size of tiles, and may call it while others do if they see whole images.

    Args:
        network: in evaluation mode. Its results may be a tuple; images among them are put together,
            other things are the same for all tiles, or those of the last one.
        tile: largest side of a core in pixels of the input; rounded to `network.multiple`.
        overlap: pixels around the core that the network sees, too. None: as many as it takes for the result to be
            that of the whole image, or `NEAR`. Fewer cost less and leave seams.
        exact: take global means and the like over the whole image. If false, each tile is to them an image of its
            own, which costs no more work than a network without them; tiles then differ in tone. "auto": if there are
            more than `FEW` of them in a row, take them over a sample of the image, of the size of a tile, for one
            pass of tiles that overlap by `NEAR`; true or, if the network cannot be exact, false otherwise.

    Attributes:
        size: largest side of a core. sampled: whether means of the last image were taken over a sample of it.

    Raises:
        UserError: exact, and the network follows motion.
    """

    def __init__(self, network: nn.Module, tile: int, overlap: int | None = None, *, exact: Exactness = True) -> None:
        self.multiple: int = getattr(network, "multiple", 1)
        self.size = core_size(tile, self.multiple)
        near = not can_be_exact(network)
        if exact is True and near:
            raise UserError(
                f"{type(network).__name__} has no fixed receptive field, so tiles cannot give exactly what "
                f"the whole image gives: do without tiles, or set {_tile_option(network)}"
            )
        self.overlap = NEAR if overlap is None and near else overlap
        self._learns = exact is not False and not near
        self._modules = global_modules(network)
        self._samples, self.sampled = exact == "auto", False
        self._network = network
        self._reaches: dict[Any, tuple[int, int]] = {}
        self._counts: dict[Any, int] = {}

    @torch.no_grad()
    def __call__(self, image: Tensor, *others: Any, **named: Any) -> Any:
        """What the network returns for an image (N, C, H, W) or a clip (N, T, C, H, W); tensors of its height and
        width are cut with it.

        Raises:
            UserError: the smallest tile does not fit into memory, or the network sees further than tiles can.
        """
        arguments = ForwardInputs((image, *others), named)
        return next(self._within_memory(arguments, lambda tile: arguments.changed(tile.cut), None)).output

    @torch.no_grad()
    def bands(
        self, image: LazyImage, order: Order = FORWARDS, title: str | None = None, **named: Any
    ) -> Iterator[Band]:
        """The same of an image of which no more than a band of tiles is ever there as floats; on the CPU.

        Args:
            order: of the bands; that of their starts, also if these count from the other end.
            title: of a progress bar, if that takes longer than a few seconds.

        Raises:
            UserError: as above.
        """
        arguments = ForwardInputs((image.form,), named)

        def cut(tile: Tile) -> ForwardInputs:
            return arguments.changed(tile.cut)._replace(positional=(image.cut(tile),))

        return self._within_memory(arguments, cut, order, title)

    def tiles(self, image: Tensor, *others: Any, **named: Any) -> list[Tile]:
        """The tiles in which the network would see this image."""
        arguments = ForwardInputs((image, *others), named)
        height, width = image.shape[-2:]
        if max(height, width) <= self.size:
            return divide(height, width, self.size, (0, 0), self.multiple)
        return divide(height, width, self.size, self._overlap(arguments), self.multiple)

    @property
    def exact(self) -> bool:
        """Whether the tiles of the last image gave what the whole image gives."""
        return self._learns and not self.sampled

    @property
    def is_local(self) -> bool:
        """Whether nothing but the tiles around it decides what becomes of a tile, so that each is seen once."""
        return not (self._modules and self._learns)

    def overlaps(self, image: Tensor, **named: Any) -> tuple[int, int]:
        """Pixels that a tile of such an image sees around its core, above and below, left and right."""
        return self._overlap(ForwardInputs((image,), named))

    def _within_memory(
        self, arguments: ForwardInputs, cut: Cut, order: Order | None, title: str | None = None
    ) -> Iterator[Band]:
        """Band after band, or all in one; with smaller tiles from where one does not fit."""
        if self._network.training:
            raise ValueError("tiles are for a network in evaluation mode")
        done = 0
        while True:
            try:
                for band in self._bands(arguments, cut, order, title):
                    if order is None:
                        yield band
                    elif (rest := band.behind(done, order)) is not None:
                        done = rest.start + rest.length(order)
                        yield rest
                    band = rest = None  # not beside the next one
                return
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            self._halve()  # after the except clause, which holds the tensors of the frames that failed

    def _bands(self, arguments: ForwardInputs, cut: Cut, order: Order | None, title: str | None) -> Iterator[Band]:
        tiles = self.tiles(*arguments.positional, **arguments.named)
        groups = [tiles] if order is None else bands_of(tiles, order)
        outputs = self._outputs(arguments, cut, [tile for group in groups for tile in group], title)
        start = 0
        for group in groups:
            box = box_of(group)
            output = together(islice(outputs, len(group)), box, arguments.image.device)
            if group is groups[-1]:
                next(outputs, None)  # to its end
            band = Band(start, output, self._free(arguments, box, order) if order else 0)
            start += band.length(order) if order else 0
            yield band
            output = band = None  # not beside the next one

    def _free(self, arguments: ForwardInputs, box: Tile, order: Order) -> int:
        length, span = arguments.image.shape[order.axis], box[order.axis]
        passed = length - span.core_start if order.backwards else span.core_stop
        around = self.size + max(self._overlap(arguments)) + 2 * self.multiple
        return length if passed == length else max(passed - around, 0)

    def _outputs(
        self, arguments: ForwardInputs, cut: Cut, tiles: list[Tile], title: str | None
    ) -> Iterator[tuple[Tile, Any]]:
        """What the network returns for each tile."""
        if len(tiles) == 1:
            yield tiles[0], self._run(cut(tiles[0]))
            return
        self.sampled = self._is_sampled(arguments)
        whole = GlobalResults(self._modules if self._learns else [], self.multiple)
        passes = 1 if title is None else self._calls(arguments) + 1
        if self.sampled:
            passes = 1  # and one for each judgment
            height, width = arguments.image.shape[-2:]
            sample = patches(height, width, max(tile.pixels for tile in tiles), self.multiple)
            whole.estimate(lambda: self._run(joined([[cut(patch) for patch in row] for row in sample])))
        with whole.installed(), _tile_bar(title, len(tiles) * (passes + 1) // 2) as bar:
            for number in count(1):
                whole.begin_pass()
                for tile in tiles:
                    whole.begin(tile)
                    with suppress(NotLearnedYet):
                        yield tile, self._run(cut(tile))
                    bar.update(min(number / passes, 1))
                if not whole.learn(len(tiles)):
                    return

    def _is_sampled(self, arguments: ForwardInputs) -> bool:
        """Whether exact tiles would take too many passes."""
        return self._samples and self._learns and self._calls(arguments) > FEW

    def _calls(self, arguments: ForwardInputs) -> int:
        """How many modules of the whole image the network calls, one after another."""
        key = arguments.key()
        if self._modules and key not in self._counts:
            side = -(-SMALLEST // self.multiple) * 2 * self.multiple
            small = arguments.changed(lambda like: like.new_zeros((*like.shape[:-2], side, side)))
            self._counts[key] = count_calls(self._modules, lambda: self._run(small))
        return self._counts.get(key, 0)

    def _eager(self) -> AbstractContextManager[None]:
        """torch.compile cannot follow modules that are replaced for a while; it costs seconds to ask it not to try."""
        is_compiled = self._network._compiled_call_impl is not None
        return torch.compiler.set_stance("force_eager") if is_compiled else nullcontext()

    def _overlap(self, arguments: ForwardInputs) -> tuple[int, int]:
        if self.overlap is not None:
            return self.overlap, self.overlap
        if self._is_sampled(arguments):
            return NEAR, NEAR
        image = arguments.image
        key = (image.shape[-2] % self.multiple, image.shape[-1] % self.multiple, arguments.key())
        if key not in self._reaches:
            device = device_of(self._network, image)
            with self._eager():
                found = reach(self._network, self._modules, arguments, self.multiple, device)
            if found is None and tiling_of(self._network) == "exact if possible":
                self.overlap, self._learns = NEAR, False
                return NEAR, NEAR
            if found is None:
                raise UserError(
                    f"{type(self._network).__name__} sees further than {FURTHEST} pixels, so tiles cannot give what "
                    "the whole image gives: set how many pixels tiles overlap (tile.overlap), or do without tiles. "
                    "Means over the image are found if the network takes them through powerqe.net.blocks.GlobalMean; "
                    "weights that hold NaN look the same"
                )
            self._reaches[key] = found
        return self._reaches[key]

    def _run(self, arguments: ForwardInputs) -> Any:
        there = arguments.to(device_of(self._network, arguments.image))
        with self._eager():
            return self._network(*there.positional, **there.named)

    def _halve(self) -> None:
        if torch.accelerator.is_available():
            torch.accelerator.empty_cache()
        smaller = core_size(self.size // 2, self.multiple)
        if smaller < SMALLEST or smaller == self.size:
            raise UserError(
                f"{type(self._network).__name__}: tiles of {self.size} x {self.size} pixels and what it sees around "
                "them do not fit into memory; free some, use device: cpu, or set tile.overlap (fewer pixels around)"
            )
        logger.info(f"tiles of {self.size} x {self.size} pixels do not fit into memory, halving them")
        self.size = smaller


class WholeImage:
    """A network that sees images as a whole, on its device.

    Args:
        advice: what to do where that does not fit into memory.
    """

    def __init__(self, network: nn.Module, advice: str) -> None:
        self._network, self._advice = network, advice

    def __call__(self, image: Tensor, **named: Any) -> Any:
        """What the network returns for (N, C, H, W) or a clip (N, T, C, H, W).

        Raises:
            UserError: it does not fit into memory.
        """
        inputs = ForwardInputs((image,), named).to(device_of(self._network, image))
        try:
            return self._network(*inputs.positional, **inputs.named)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        height, width = image.shape[-2:]
        raise UserError(
            f"{type(self._network).__name__}: an image of {width} x {height} pixels does not fit into memory as a "
            f"whole; {self._advice}"
        )


def enhancer(network: nn.Module, options: "ForwardOptions") -> Forward:
    """A network as the options want it applied: whole or in tiles, once or in eight orientations.

    Raises:
        UserError: the options set an argument that the network's forward does not take.
    """
    tile = options.tile
    whole = WholeImage(network, f"set {_tile_option(network)} (test.tile, val.tile)")
    call = whole if tile is None else Tiled(network, tile.size, tile.overlap, exact=tile.exact)
    ensemble = SelfEnsemble(call) if options.self_ensemble else call
    kind = Forward if options.consistency == "off" else partial(ConsistentForward, options.consistency)
    return kind(network, ensemble, options.forward, on_cpu=tile is not None)


def can_be_exact(network: nn.Module) -> bool:
    """Whether tiles can give what the whole image gives."""
    return not follows_motion(network) and tiling_of(network) not in ("near", "whole")


def tiling_of(network: nn.Module) -> str:
    """The network's `tiling`, see above; "exact" by default."""
    return getattr(network, "tiling", "exact")


def device_of(network: nn.Module, image: Tensor) -> torch.device:
    """Of its parameters; of the image if it has none."""
    first = next(network.parameters(), None)
    return image.device if first is None else first.device


def _tile_option(network: nn.Module) -> str:
    """Tiles that the network can take."""
    return "tile: {size: 512}" if can_be_exact(network) else f"tile: {{size: 512, overlap: {NEAR}, exact: false}}"


def _tile_bar(title: str | None, total: int) -> "tqdm[Any]":
    """Of an image that takes longer than a few seconds."""
    return progress_bar(
        None, title, total, title is not None, leave=False, delay=_PATIENCE,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
    )  # fmt: skip
