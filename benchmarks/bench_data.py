"""How many training samples a second one core reads from an LMDB: PowerQE's raw store against BasicSR's.

A sample is a random patch of a pair of images, flipped and rotated. Two lines per program:
`__getitem__` alone (PowerQE: uint8, ready to collate; BasicSR: its PairedImageDataset, float32 tensors),
and whole batches as the training step takes them (sampler, samples, collate, float32 in [0, 1], NCHW).
"""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count as count_up
from pathlib import Path

if not __package__:
    import run_from_checkout  # noqa: F401

import torch

from powerqe.benchmarks import common
from powerqe.dataset import Draw
from powerqe.dataset.augment import mix
from powerqe.dataset.loader import train_batches
from powerqe.utils.errors import command
from powerqe.utils.options.components import build, validate_component
from powerqe.utils.options.tree import TrainData

OURS, THEIRS = "PowerQE, raw LMDB", "BasicSR, PNG LMDB"


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--patch", type=common.positive, metavar="N", default=64, help="side of the patches in pixels "
                        "(default: %(default)s)")  # fmt: skip
    parser.add_argument("--batch", type=common.positive, metavar="N", default=16, help="samples in a batch "
                        "(default: %(default)s)")  # fmt: skip
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        data = common.make_data(folder, args)
        sides = {task: {OURS: side} for task, side in _our_sides(data.ours, args.patch, args.batch).items()}
        if data.theirs:
            options = {"stores": data.theirs, "patch": args.patch, "batch": args.batch, "enlarge": common.ENLARGE}
            peer = stack.enter_context(common.start_peer(args, folder, "data", options))
            for task, programs in sides.items():
                programs[THEIRS] = peer.side(task)
        print(common.describe(args, data.peer))
        for task, size in (("samples", 1), ("batches", args.batch)):
            print(f"\n{task.capitalize()}: patch {args.patch}, {size} at once\n", flush=True)
            turns = common.take_turns(sides[task], args.rounds, args.seconds)
            samples = {name: [turn._replace(count=turn.count * size) for turn in own] for name, own in turns.items()}
            print(common.table("samples", samples, THEIRS if data.theirs else None), flush=True)


def _our_sides(stores: common.Stores, patch: int, batch: int) -> dict[str, common.Side]:
    """The samples and the batches of PowerQE, read as a training does."""
    spec = {"type": "PairedImages", "gt": stores.gt, "lq": stores.lq, "patch": patch, "flip": True, "rotate": True}
    loading = {"bs_pg": batch, "nworker_pg": 0, "enlarge_ratio": common.ENLARGE}
    options = validate_component("dataset", {**spec, **loading}, TrainData)
    dataset = build(options)
    numbers = count_up()
    batches = train_batches(dataset, options, seed=7, device=torch.device("cpu"))

    def read_samples(count: int) -> None:
        for _ in range(count):
            seed = mix(next(numbers))
            dataset[Draw(seed % len(dataset), seed)]

    def read_batches(count: int) -> None:
        for _ in range(count):
            next(batches)

    return {"samples": common.timed(read_samples), "batches": common.timed(read_batches)}


if __name__ == "__main__":
    sys.exit(main())
