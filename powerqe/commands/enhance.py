"""Enhance compressed images and videos: photo.jpg becomes enhanced/photo.png.

Enhanced videos keep size, frame rate, time stamps, colors, rotation and sound. They are lossless, and therefore large,
unless --crf is given. The container is mp4 for mp4, raw for raw, and mkv for all others, unless -o names another.

Results that exist are skipped, so the same command again finishes the rest. Several machines share the work by --shard,
several GPUs of one by `torchrun --nproc_per_node=N enhance.py ...` (docs/multi_node.md).

Exit status: 0, all files were enhanced, now or before; 1, some files failed, each with an error message; 2, nothing was
done because of an invalid command line.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from powerqe.arguments.inference import add_inference, inference_options
from powerqe.arguments.shard import add_shard
from powerqe.arguments.types import number
from powerqe.inference.tile_option import tile_choice
from powerqe.utils.errors import PartialFailureError, UserError, resumable

if TYPE_CHECKING:
    from powerqe.inference.enhance_files import Result
    from powerqe.inference.file_list import FileList
    from powerqe.inference.result_names import EnhanceJob
    from powerqe.utils.shards import Part

EXAMPLES = (
    "%(prog)s photo.jpg                         enhanced/photo.png, by automatically selected weights",
    "%(prog)s photos 'more/*.jpg' -o out        folders, recursively, and patterns",
    "%(prog)s photo.jpg -o better.jpg --compare name the result, and draw a comparison",
    "%(prog)s photo.png --qf 20                 restore for JPEG quality factor 20",
    "%(prog)s clip.mp4 --crf 18                 enhanced/clip.mp4 with sound, compressed",
    "%(prog)s Foo_416x240_50.yuv                raw video: enhanced/Foo_416x240_50.yuv",
    "%(prog)s photos -o out --shard 0/3         the first third; 1/3 and 2/3 on other machines",
)
LONGEST_PERIOD = 250
"""Frames, which are buffered until the next peak-quality frame."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add files, weights and options of inference."""
    add = parser.add_argument
    add("inputs", nargs="*", metavar="FILE", help="images, videos, folders (searched recursively) or quoted "
        "patterns")  # fmt: skip
    add("--list", metavar="FILE", help="text file with one path a line, in place of a folder of very many files; - "
        "reads the standard input. The results keep these paths below the output folder")  # fmt: skip
    add("-o", "--output", type=Path, metavar="OUT", help="output folder, which keeps the structure of input folders; "
        "for one file, also the name of the result (default: enhanced/)")  # fmt: skip
    add("--weights", metavar="NAME|PATH", help="weights by name (see `powerqe weights list`), path, or "
        "hf://owner/repo/file; weights for images can be applied to videos, too (default: for each file those with the "
        "largest gain in their tests at its quality)")  # fmt: skip
    add("--qf", type=number(0, 100, "a quality factor of 0 to 100"), metavar="Q", help="JPEG quality factor, 0 to 100, "
        "for networks conditioned on it (FBCNN, DRUNet); lower removes more artifacts (default: estimated by the "
        "network)")  # fmt: skip
    add("--tile", type=_tile, default="auto", metavar="auto|N|exact|exact:N|off", help="process images in tiles: auto, "
        "if the feature maps would not fit into --memory; N, always, with this side in pixels, halved if it does not "
        "fit; off, never. The result equals that of the whole image; approximately for networks that follow motion, "
        "and for those with many means over the image (RBQE, RCAN), which are taken over a sample of it. exact, "
        "exact:N: also theirs are exact, in many times the computation (default: auto)")  # fmt: skip
    add("--self-ensemble", action="store_true", help="take the mean over eight flips and "
        "transpositions of each image: slightly better, eight times the computation")  # fmt: skip
    add("--consistency", choices=("auto", "on", "off"), default="auto", help="bring results into agreement with the "
        "coefficients that JPEG files store, as far as the network cannot be trusted; auto: unless an earlier, "
        "stronger compression shows (default: auto)")  # fmt: skip
    add("--force-enhance", action="store_true", help="enhance images that nothing suggests to be compressed, too, and "
        "keep all changes that a JPEG file allows")  # fmt: skip
    add_inference(parser)
    add("--compare", action="store_true", help="also write NAME.compare.png: before | after, with enlarged crops of "
        "the most changed regions; for videos, of the middle frame")  # fmt: skip
    add("--format", choices=("png", "jpeg", "webp", "tiff", "same"), help="format of enhanced images; same: that of "
        "each input. PNG is used if the format does not support transparency or 16 bits (default: png)")  # fmt: skip
    add("--crf", type=number(0, 51, "a constant rate factor of 0 to 51"), metavar="N", help="compress videos by x265 "
        "with this constant rate factor, 0 to 51: 18 is visually lossless, 28 is small (default: lossless, as "
        "required for measurements)")  # fmt: skip
    add("--pqf-period", type=_period, metavar="N", help="for MFQE: every N-th frame, starting with the first, is a "
        "peak-quality frame; typically 4 or 8 for low-delay encoders (default: frames with a lower QP than their "
        "neighbors, from NAME.frames.json in the folder of the video)")  # fmt: skip
    add("--force", action="store_true", help="overwrite existing results; otherwise they are skipped")
    add_shard(parser)


def run(args: argparse.Namespace) -> None:
    """Enhance all files and report the result of each."""
    from powerqe.inference.file_list import FileList
    from powerqe.inference.input_files import check_crf, find_jobs
    from powerqe.utils.launcher import told_by_all
    from powerqe.utils.log import start_log
    from powerqe.utils.shards import part_here

    part = part_here(args.shard)
    start_log(None, is_main=not part.place.rank, timed=False)
    listed = FileList(args.list) if args.list is not None else None
    if not args.inputs and not listed:
        raise UserError("no file to enhance; name files, folders or patterns, or a list of them by --list")
    jobs = find_jobs(args.inputs, args.output, args.format, listed=listed, part=part, compare=args.compare)
    check_crf(jobs, args.crf)
    told = told_by_all([len(jobs), *_enhance(jobs, args, listed, part)])
    total, enhanced, failures = (sum(numbers) for numbers in zip(*told, strict=True)) if told else (0, 0, 0)
    if told and not part.is_whole:
        ranks = f" on {len(told)} ranks ({' + '.join(str(count) for count, *_ in told)})" if len(told) > 1 else ""
        shard = f"shard {part.shard}: " if part.shard.count > 1 else ""
        existed = total - enhanced - failures
        print(f"{shard}{total} files{ranks}, {enhanced} enhanced, {existed} existed, {failures} failed")
    if failures:
        raise PartialFailureError(f"{failures} of {total} files failed")


def _enhance(
    jobs: "list[EnhanceJob]", args: argparse.Namespace, listed: "FileList | None", part: "Part"
) -> tuple[int, int]:
    """Returns how many files were enhanced, and how many failed."""
    from powerqe.utils.launcher import quick_imports

    with quick_imports():
        from tqdm import tqdm

        from powerqe.inference.enhance_files import Models, enhance_files
        from powerqe.inference.input_files import is_finished, make_folder, unfinished
        from powerqe.utils.file_names import printable
        from powerqe.utils.log import progress_bar
        from powerqe.utils.memory import keep_freed_memory

    models = Models(args.weights, inference_options(args), args.pqf_period)
    if jobs:  # a shard may have none
        models.check(jobs)
    make_folder(args.output)
    jobs = jobs if args.force else unfinished(jobs, compare=args.compare)
    keep_freed_memory()
    enhanced, failures, place = 0, 0, part.place
    prefix = f"rank {place.rank}: " if place.world_size > 1 else ""
    with resumable("files that were written are complete; run the same command again to go on"), progress_bar(
        None, "files", len(jobs), not place.rank and len(jobs) > 1, leave=False
    ) as bar:  # fmt: skip

        def report(result: "Result") -> None:
            nonlocal enhanced, failures
            is_there = result.exists and (not args.compare or is_finished(result.job, compare=True))
            error = "" if is_there else result.error
            failures += bool(error)
            enhanced += not result.error
            if error and listed:
                error = listed.explained(result.job.source, error)
            line = f"failed: {error}" if error else f"skipped: {result.error}" if is_there else result.summary
            tqdm.write(printable(prefix + line), sys.stderr if error else sys.stdout)
            bar.update()

        enhance_files(jobs, models, report, force=args.force, compare=args.compare, crf=args.crf)
    return enhanced, failures


def _period(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LONGEST_PERIOD:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of frames, 1 to {LONGEST_PERIOD}")
    return int(text)


def _tile(text: str) -> str:
    try:
        tile_choice(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("tile: ")) from None
    return text
