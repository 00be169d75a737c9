"""How long a validation of AR-CNN takes, reading and metrics beside the network, against one image after another.

Each side runs in turn over the same images, photographs of the size of LIVE1's (or --images), compressed by JPEG at
quality factor 10. Printed are the medians of the turns and of the ratios of neighboring turns. Scores are compared.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    import run_from_checkout  # noqa: F401

import torch

from powerqe.benchmarks import common
from powerqe.dataset.images import PairedImages
from powerqe.dataset.loader import eval_batches
from powerqe.evaluation.evaluate import Enhance, Metrics, Record, evaluate, judge
from powerqe.inference.tiled import enhancer
from powerqe.net import build_network
from powerqe.utils.codecs import JPEG
from powerqe.utils.errors import command
from powerqe.utils.image.io import write_image
from powerqe.utils.memory import keep_freed_memory
from powerqe.utils.options.components import validate_component
from powerqe.utils.options.tree import ValOptions
from powerqe.utils.ranks import start_ranks
from powerqe.utils.text_table import markdown

CRITERIA = {"PSNR, SSIM": ("PSNR", "SSIM"), "PSNR, SSIM, LPIPS": ("PSNR", "SSIM", "LPIPS")}


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = common.parser(__doc__, peer=False)
    parser.set_defaults(count=29, size=(768, 512), threads=2)
    parser.add_argument("--lpips", metavar="FILE", help="backbone of LPIPS, AlexNet as torchvision has it; \"random\": "
                        "weights that are no judge but take as long (default: without LPIPS)")  # fmt: skip
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    rows = [["metrics", "in turn, s", "beside, s", "ratio: median (smallest to largest)"]]
    with tempfile.TemporaryDirectory() as temporary, start_ranks() as ranks:
        data = _data(Path(temporary), args)
        enhance = enhancer(build_network({"type": "ARCNN"}).to(ranks.device).eval(), ValOptions())
        backbone = args.lpips if args.lpips != "random" else _random_alexnet(Path(temporary))
        for title, names in CRITERIA.items():
            if "LPIPS" in names and backbone is None:
                continue
            specs = {name: {"type": name} | ({"weights": backbone} if name == "LPIPS" else {}) for name in names}
            metrics = Metrics({name: validate_component("metric", spec) for name, spec in specs.items()})
            sides: dict[str, Callable[[], list[Record]]] = {
                "in turn": lambda metrics=metrics: _in_turn(data, metrics, enhance, ranks.device),
                "beside": lambda metrics=metrics: evaluate(
                    data, metrics, ranks, enhance, with_baseline=False, timed=False
                ),
            }
            scores = [[record.result for record in side()] for side in sides.values()]  # a warm-up, too
            assert scores[0] == scores[1]
            turns = [{name: _seconds(side) for name, side in sides.items()} for _ in range(args.rounds)]
            ratios = [turn["in turn"] / turn["beside"] for turn in turns]
            cells = [f"{median(turn[name] for turn in turns):.2f}" for name in sides]
            rows.append([title, *cells, f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"])
        print(f"{common.machine()}.\n{args.threads} threads, {ranks.device.type}, {len(data)} images of "
              f"{args.size[0]}x{args.size[1]}, {args.rounds} turns. All scores are equal.\n")  # fmt: skip
    print(markdown(rows, 1))


@torch.inference_mode()
def _in_turn(data: PairedImages, metrics: Metrics, enhance: Enhance, device: torch.device) -> list[Record]:
    """As it was: the first image warms up, then reading, network and metrics take turns in one thread."""
    records = []
    for number, batch in enumerate(eval_batches(data, device=device)):
        if not number:
            enhance(batch)
        records.append(judge(batch, metrics, enhance(batch), with_baseline=False)[0])
    return records


def _seconds(side: Callable[[], Any]) -> float:
    start = time.perf_counter()
    side()
    return time.perf_counter() - start


def _data(folder: Path, args: Any) -> PairedImages:
    for name, image in common.photographs(args.images, args.count, args.size):
        write_image(folder / "gt" / f"{name}.png", image)
        write_image(folder / "qf10" / f"{name}.png", JPEG().compress(image, common.QF)[0])
    return PairedImages(gt=str(folder / "gt"), lq=str(folder / "qf10"))


def _random_alexnet(folder: Path) -> str:
    from torchvision.models import alexnet

    torch.save(alexnet().state_dict(), folder / "alexnet.pt")
    return str(folder / "alexnet.pt")


if __name__ == "__main__":
    sys.exit(main())
