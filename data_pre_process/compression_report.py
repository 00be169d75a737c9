"""What compression did: PSNR, SSIM and bits per pixel of compressed folders against their source, as a table.

The scores are the baseline of `powerqe test`: PairedImages, and the same metrics with the same options.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch

from powerqe.data_pre_process.compress import SIZES, quality_folders, read_sizes
from powerqe.dataset.images import PairedImages
from powerqe.evaluation.evaluate import Metrics, Record, evaluate, mean
from powerqe.utils.errors import resumable
from powerqe.utils.image.io import SUFFIXES
from powerqe.utils.options.components import validate_component
from powerqe.utils.ranks import Ranks
from powerqe.utils.text_table import digits_of, markdown, number

_ALONE = Ranks(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))


def print_report(args: argparse.Namespace) -> None:
    """Print the table of the folders that the command line names.

    Raises:
        UserError: no such folder or metric, or images without their source.
    """
    metrics = Metrics({name: validate_component("metric", {"type": name}) for name in args.metric})
    source = args.data_root / args.source
    folders = [folder for name in args.compressed for folder in _with_qualities(args.data_root / name)]
    rows, notes = [], []
    with resumable():
        for folder in folders:
            data = PairedImages(gt=str(source), lq=str(folder), color=args.color)
            records = evaluate(data, metrics, _ALONE, None, title=folder.name)
            sizes = read_sizes(folder)
            rows.append([_name(folder, args), str(len(records)), *_means(records, sizes, metrics)])
            notes += _notes(folder, records, sizes, metrics)
    channels = {"rgb": 3, "y": 1}[args.color]
    grid = [["compressed", "images", "bits per pixel", *_titles(metrics, channels)], *rows]
    print(markdown(grid, 1, padded=True), end="")
    notes += metrics.missing()
    print("".join(f"\n{note}\n" for note in notes), end="")


def _with_qualities(folder: Path) -> list[Path]:
    """The folder itself if it has images, else those of the qualities in it."""
    has_images = folder.is_dir() and any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())
    return [folder] if has_images else quality_folders(folder)


def _name(folder: Path, args: argparse.Namespace) -> str:
    return str(folder.relative_to(args.data_root)) if folder.is_relative_to(args.data_root) else str(folder)


def _means(records: list[Record], sizes: dict[str, int], metrics: Metrics) -> list[str]:
    """Bits per pixel, then the metrics; all are means over the images."""
    bits = [8 * sizes[record.name] / (record.height * record.width) for record in records if record.name in sizes]
    scores = [metrics.pool(name, [record.baseline.get(name) for record in records]) for name in metrics.names]
    digits = [3, *(digits_of(metrics.unit(name)) for name in metrics.names)]
    return list(map(number, [mean(bits), *scores], digits))


def _notes(folder: Path, records: list[Record], sizes: dict[str, int], metrics: Metrics) -> Iterator[str]:
    """What the means of a folder leave out."""
    if unknown := sum(record.name not in sizes for record in records):
        yield (
            f"{folder / SIZES} has no size for {unknown} of {len(records)} images; bits per pixel need it: "
            "compress again with --force"
        )
    for name in metrics.names:
        for remark in metrics.remarks(name, [[record.baseline.get(name) for record in records]]):
            yield f"{folder}: {remark}"


def _titles(metrics: Metrics, channels: int) -> list[str]:
    units = {name: f" [{unit}]" if (unit := metrics.unit(name)) else "" for name in metrics.names}
    return [f"{name}{units[name]} ({metrics.convention(name, channels)})" for name in metrics.names]
