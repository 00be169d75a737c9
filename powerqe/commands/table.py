"""Print parameters, multiply-accumulates, receptive field, time and memory of networks."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from powerqe.arguments.inference import add_device, chosen_device
from powerqe.arguments.types import positive, width_and_height
from powerqe.utils.errors import UserError

if TYPE_CHECKING:
    from powerqe.net.table.configurations import NetworkConfiguration

COLUMNS = ("network", "configuration", "image", "parameters", "macs", "field", "ms", "memory")
_SMALLEST, _LARGEST = 8, 16384
EXAMPLES = (
    "%(prog)s                                 all networks with their default options",
    "%(prog)s --weights --sort macs           all published weights, sorted by operations",
    "%(prog)s FBCNN dcad-bsds500-qf10        network types, and weights by name or path",
    "%(prog)s '{type: EDSR, num_features: 256, num_blocks: 32}'    a network as in an option file",
    "%(prog)s --size 3840x2160 --no-time      a 4K frame; computes no images",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add networks, conditions and output."""
    add = parser.add_argument
    add("networks", nargs="*", metavar="NETWORK", help="network types, weights by name (see `powerqe weights "
        "list`) or path, or networks as in option files (default: all types)")  # fmt: skip
    add("--weights", action="store_true", help="measure all published weights on this machine")
    add("--size", type=width_and_height, default=(256, 256), metavar="WxH", help="width and height of the input image "
        "in pixels (default: 256x256)")  # fmt: skip
    add_device(parser, "device for time measurements; set OMP_NUM_THREADS=1 for a single CPU thread")
    add("--repeat", type=positive, metavar="N", help="number of timed runs per network, after a warm-up (default: as "
        "many as fit into one second)")  # fmt: skip
    add("--no-time", dest="time", action="store_false", help="do not measure time, and compute no images: the result "
        "is the same on every machine, and large sizes need no memory")  # fmt: skip
    add("--sort", choices=COLUMNS, metavar="COLUMN", help=f"sort in ascending order by {', '.join(COLUMNS)} "
        "(default: order of the arguments; all networks by name)")  # fmt: skip
    add("--markdown", type=Path, metavar="FILE", help="also write the table to this Markdown file")
    add("--json", type=Path, metavar="FILE", help="also write the values to this JSON file, in bytes, pixels and "
        "milliseconds")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Measure the networks, print and write the table."""
    width, height = args.size
    if not all(_SMALLEST <= side <= _LARGEST for side in (width, height)):
        raise UserError(f"--size: found {width}x{height}, expected sides of {_SMALLEST} to {_LARGEST} pixels")

    from powerqe.net.table.configurations import every_network, without_defaults
    from powerqe.net.table.layout import ordered, to_json, to_markdown, to_text
    from powerqe.net.table.rows import Conditions, measured
    from powerqe.utils.log import progress_bar

    conditions = Conditions(height, width, chosen_device(args.device), args.time, args.repeat)
    networks = _networks(args.networks, args.weights)
    missing = [] if networks else without_defaults()
    networks, rows = networks or every_network(), []
    with progress_bar(None, None, len(networks), is_main=True, leave=False) as bar:
        for each in networks:
            bar.set_description_str(f"{each.spec['type']} {each.label}")
            rows.append(measured(each, conditions))
            bar.update()
    rows = ordered(rows, args.sort) if args.sort else rows
    print(to_text(rows, conditions, missing))
    _write(args.markdown, to_markdown(rows, conditions, missing, args.command_line))
    _write(args.json, to_json(rows, conditions))


def _networks(names: Sequence[str], all_weights: bool) -> "list[NetworkConfiguration]":
    """The named networks, and all published weights if `all_weights`."""
    from powerqe.inference.load import find_network, parse_source, published_networks
    from powerqe.net.table.configurations import NetworkConfiguration, configuration

    found = [find_network(parse_source(name)) for name in names] + (published_networks() if all_weights else [])
    return [NetworkConfiguration(each.name, each.spec) if each.path else configuration(each.spec) for each in found]


def _write(path: Path | None, text: str) -> None:
    from powerqe.utils.files import write_text

    if path is not None:
        write_text(path, text)
