"""How many training steps a second: PowerQE's trainer against BasicSR's train_pipeline.

Both train the AR-CNN of PowerQE v1 (20,099 parameters), or the FBCNN of fbcnn-bsds500-color, with Adam and MSE on
random patches of the same images, each from the LMDB that it would use, in one process, in float32. PowerQE's
bf16 + channels_last is a line of its own. A step is everything: reading the batch, forward, backward, update, log.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

if not __package__:
    import run_from_checkout  # noqa: F401

import torch

from powerqe.algorithm.trainer import Trainer
from powerqe.benchmarks import common
from powerqe.utils.errors import UserError, command
from powerqe.utils.options.tree import Options
from powerqe.utils.ranks import Ranks

THEIRS = "BasicSR, PNG LMDB, float32"
OURS = {
    "PowerQE, raw LMDB, float32": {},
    "PowerQE, raw LMDB, bf16 + channels_last": {"amp": "bf16", "channels_last": True},
}


_REGRESSION = {"type": "Regression", "loss": {"MSE": {}}, "optimizer": {"type": "Adam", "lr": 1e-4}}
_FBCNN = {"num_features": [32, 48, 64, 96], "num_blocks": 2, "hidden_features": 96, "residual": True}
NETWORKS: dict[str, dict[str, Any]] = {
    "ARCNN": {"network": {"type": "ARCNN"}, "algorithm": _REGRESSION},
    "FBCNN": {"network": {"type": "FBCNN", **_FBCNN}, "algorithm": {**_REGRESSION, "type": "QualityFactor"}},
}


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = common.parser(__doc__)
    parser.add_argument(
        "--setting", type=common.pair, nargs="+", default=[(16, 48), (4, 48), (8, 128)], metavar="BATCHxPATCH",
        help="batch sizes and sides of the patches (default: 16x48 4x48 8x128)",
    )  # fmt: skip
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=["ARCNN"], metavar="NETWORK",
                        help=f"networks, of {', '.join(NETWORKS)} (default: ARCNN)")  # fmt: skip
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of both (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU; leave it out to measure the CPU")
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as temporary:
        data = common.make_data(Path(temporary), args)
        print(common.describe(args, data.peer))
        for network, (batch, patch) in product(args.network, args.setting):
            print(f"\n{network}, {batch} patches of {patch}x{patch}\n", flush=True)
            print(_compare(data, network, batch, patch, args, Path(temporary)), flush=True)


def _compare(data: common.Data, network: str, batch: int, patch: int, args: argparse.Namespace, folder: Path) -> str:
    """Measure one setting; returns its table."""
    trainers = {
        name: make_trainer(make_options(data.ours, network, batch, patch, args.device, train))
        for name, train in OURS.items()
    }
    sides = {name: common.timed(_steps(trainer)) for name, trainer in trainers.items()}
    if data.theirs is None:
        return common.table("steps", common.take_turns(sides, args.rounds, args.seconds), None)
    options = {"stores": data.theirs, "patch": patch, "batch": batch, "enlarge": common.ENLARGE}
    options |= {"network": NETWORKS[network]["network"], "gpus": int(args.device == "cuda")}
    with common.start_peer(args, folder, "train", options) as peer:
        for trainer in trainers.values():
            parameters = trainer.algorithm.networks["net"].parameters()
            assert peer.about["parameters"] == sum(p.numel() for p in parameters)
        sides[THEIRS] = peer.side("steps")
        return common.table("steps", common.take_turns(sides, args.rounds, args.seconds), THEIRS)


def make_options(
    stores: common.Stores, network: str, batch: int, patch: int, device: str, train: dict[str, Any]
) -> Options:
    """To train one of `NETWORKS`; `train` are more options of that name."""
    pairs = {"type": "PairedImages", "gt": stores.gt, "lq": stores.lq, "patch": patch, "flip": True, "rotate": True}
    options = {
        "name": "benchmark",
        "device": device,
        **NETWORKS[network],
        "dataset": {"train": {**pairs, "bs_pg": batch, "nworker_pg": 0, "enlarge_ratio": common.ENLARGE}},
        "train": {"niter": 10**9, "inter_print": 100, "inter_val": 10**9, **train},
    }
    return Options.model_validate(options)


def make_trainer(options: Options) -> Trainer:
    """One that is alone."""
    return Trainer(options, Ranks(0, 0, 1, torch.device(options.device)))


def _steps(trainer: Trainer) -> Callable[[int], None]:
    """The trainer's own loop for some steps. Nothing is written."""

    def run(count: int) -> None:
        trainer.load_state(trainer.state())  # go on with the next samples, as a resumed training does
        trainer.run(None, until=trainer.step + count)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return run


if __name__ == "__main__":
    sys.exit(main())
