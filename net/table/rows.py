"""The measurements of a network: a row of the table."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from powerqe.net.example import example_inputs
from powerqe.net.forward_inputs import ForwardInputs, is_image, results
from powerqe.net.measure.clock import timed
from powerqe.net.measure.live_memory import LiveMemory
from powerqe.net.measure.macs import counter, macs
from powerqe.net.measure.receptive import reach
from powerqe.net.measure.unbounded_modules import follows_motion, global_modules
from powerqe.net.networks import build_network
from powerqe.net.table.configurations import NetworkConfiguration
from powerqe.utils.errors import UserError
from powerqe.utils.memory import available_memory, is_out_of_memory

WHOLE, MOTION = "whole", "motion"


@dataclass
class NetworkRow:
    """The measurements of a network; None where unknown.

    Attributes:
        network: its type. configuration: the name of weights, or the arguments that differ from the defaults.
        image: its input and output as text.
        parameters: number of parameters, shared ones counted once.
        kmacs: thousand multiply-accumulates per pixel of the input image, or of the enhanced frame.
        field: receptive field in pixels, without what `sight` names.
        sight: "whole", it depends on the whole image, too; "motion", it follows the motion.
        milliseconds: the median of `runs` calls.
        memory: peak bytes of its feature maps.
        problem: why a value is missing.
    """

    network: str
    configuration: str
    image: str = ""
    parameters: int | None = None
    kmacs: float | None = None
    field: int | None = None
    sight: str = ""
    milliseconds: float | None = None
    runs: int | None = None
    memory: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class Conditions:
    """How networks are measured: image size, device, and whether and how often they are timed."""

    height: int
    width: int
    device: torch.device
    timing: bool = True
    runs: int | None = None


@torch.no_grad()
def measured(configuration: NetworkConfiguration, conditions: Conditions) -> NetworkRow:
    """The row of a network. If memory is short, or no example input is known, `problem` has the reason."""
    row = NetworkRow(configuration.spec["type"], configuration.label)
    try:
        _count(row, configuration.spec, conditions)
        network = build_network(configuration.spec).eval()
        _look(row, network, conditions)
        if conditions.timing:
            _time(row, network, conditions)
    except UserError as error:
        row.problem = str(error)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        row.problem = "out of memory"
    return row


def _count(row: NetworkRow, spec: dict[str, Any], conditions: Conditions) -> None:
    """Parameters, operations and memory, by fake tensors, which have a size and no content."""
    with FakeTensorMode():
        network = build_network(spec).eval()
        row.parameters = sum(parameter.numel() for parameter in network.parameters())
        positional, named = example_inputs(network, conditions.height, conditions.width)
        with counter(network) as counted, LiveMemory() as live:
            output = network(*positional, **named)
    height, width = positional[0].shape[-2:]
    row.image = _in_words(positional[0], results(output)[0], (conditions.height, conditions.width))
    row.kmacs, row.memory = macs(counted) / (height * width) / 1e3, live.peak


def _look(row: NetworkRow, network: nn.Module, conditions: Conditions) -> None:
    """The receptive field."""
    if follows_motion(network):
        row.sight = MOTION
        return
    modules = global_modules(network)
    if modules or NUMBER in row.image:
        row.sight = WHOLE
    if modules == [network] or NUMBER in row.image:
        return
    arguments = ForwardInputs(*example_inputs(network, conditions.height, conditions.width))
    multiple: int = getattr(network, "multiple", 1)
    found = reach(network, modules, arguments, multiple, torch.device("cpu"))
    row.sight = row.sight if found else WHOLE
    row.field = 2 * max(found) + multiple if found else None


def _time(row: NetworkRow, network: nn.Module, conditions: Conditions) -> None:
    """Milliseconds, and on a GPU the peak memory of its allocator."""
    device = conditions.device
    is_gpu, free = device.type == "cuda", available_memory()
    if not is_gpu and row.memory is not None and row.memory > free:
        raise UserError(f"not timed: feature maps need {row.memory / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free")
    network = network.to(device)
    positional, named = example_inputs(network, conditions.height, conditions.width)
    if is_gpu:
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    timing = timed(lambda: network(*positional, **named), device, conditions.runs)
    row.milliseconds, row.runs = timing
    if is_gpu:
        row.memory = torch.cuda.max_memory_allocated(device) - before


NUMBER = "a number"


def _in_words(taken: Tensor, given: Tensor, size: tuple[int, int]) -> str:
    """Input and output of a network: "RGB, x2", "7 frames of luma", "RGB, 5 results", "RGB 128x128, a number"."""
    channels, height, width = taken.shape[-3:]
    words = {1: "luma", 3: "RGB"}.get(channels, f"{channels} channels")
    words = f"{taken.shape[1]} frames of {words}" if taken.ndim == 5 else words
    words += "" if (height, width) == size else f" {width}x{height}"
    if not is_image(given, height, width):
        return f"{words}, {NUMBER}"
    times = given.shape[-1] // width
    words += f", x{times}" * (times > 1)
    return f"{words}, {len(given)} results" if given.ndim > 4 else words
