"""Enhance compressed images and videos: photo.jpg becomes enhanced/photo.png.

Enhanced videos keep size, frame rate, time stamps, colors, rotation and sound. They are lossless, and therefore large,
unless --crf is given. The container is mp4 for mp4, raw for raw, and mkv for all others, unless -o names another.

Exit status: 0, all files were enhanced; 1, some files failed, each with an error message; 2, nothing was done because
of an invalid command line.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from powerqe.arguments.inference import add_inference, inference_options
from powerqe.arguments.types import number
from powerqe.inference.tile_option import tile_choice
from powerqe.utils.errors import PartialFailureError, UserError, resumable

if TYPE_CHECKING:
    from powerqe.inference.enhance_files import Result

EXAMPLES = (
    "%(prog)s photo.jpg                         enhanced/photo.png, by automatically selected weights",
    "%(prog)s photos 'more/*.jpg' -o out        folders, recursively, and patterns",
    "%(prog)s photo.jpg -o better.jpg --compare name the result, and draw a comparison",
    "%(prog)s photo.png --qf 20                 restore for JPEG quality factor 20",
    "%(prog)s clip.mp4 --crf 18                 enhanced/clip.mp4 with sound, compressed",
    "%(prog)s Foo_416x240_50.yuv                raw video: enhanced/Foo_416x240_50.yuv",
)
LONGEST_PERIOD = 250
"""Frames, which are buffered until the next peak-quality frame."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add files, weights and options of inference."""
    add = parser.add_argument
    add("inputs", nargs="+", metavar="FILE", help="images, videos, folders (searched recursively) or quoted "
        "patterns")  # fmt: skip
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


def run(args: argparse.Namespace) -> None:
    """Enhance all files and report the result of each."""
    from powerqe.inference.input_files import check_crf, find_jobs, make_folder
    from powerqe.utils.log import progress_bar, start_log

    start_log(None, timed=False)
    jobs = find_jobs(args.inputs, args.output, args.format, compare=args.compare)
    check_crf(jobs, args.crf)

    from tqdm import tqdm

    from powerqe.inference.enhance_files import Models, enhance_files
    from powerqe.utils.file_names import printable
    from powerqe.utils.memory import keep_freed_memory

    models = Models(args.weights, inference_options(args), args.pqf_period)
    models.check(jobs)
    make_folder(args.output)
    keep_freed_memory()
    failures = 0
    with resumable("files that were written are complete"), progress_bar(
        None, "files", len(jobs), len(jobs) > 1, leave=False
    ) as bar:  # fmt: skip

        def report(result: "Result") -> None:
            nonlocal failures
            failures += bool(result.error)
            line = printable(f"failed: {result.error}" if result.error else result.summary)
            tqdm.write(line, sys.stderr if result.error else sys.stdout)
            bar.update()

        enhance_files(jobs, models, report, force=args.force, compare=args.compare, crf=args.crf)
    if failures:
        raise PartialFailureError(f"{failures} of {len(jobs)} files failed")


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
