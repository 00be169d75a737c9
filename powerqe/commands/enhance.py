"""Enhance images and videos that a codec damaged: photo.jpg becomes enhanced/photo.png.

Of a video every frame is enhanced. Size, frame rate, time stamps, colors, rotation and sound stay; the result is
lossless, that is large, unless --crf is given: mp4 of an mp4, raw of a raw one, mkv of any other, or as -o says.

Exit status: 0, all files are enhanced; 1, some are not, each with a line that says why; 2, nothing was done, because
of a mistake on the command line.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from powerqe.arguments.inference import add_inference, inference_options
from powerqe.arguments.types import number
from powerqe.utils.errors import PartialFailureError, resumable

if TYPE_CHECKING:
    from powerqe.inference.enhance_files import Result

EXAMPLES = (
    "%(prog)s photo.jpg                         enhanced/photo.png, by weights that suit the file",
    "%(prog)s photos 'more/*.jpg' -o out        whole folders with their tree, and patterns",
    "%(prog)s photo.jpg -o better.jpg --compare a file by name, and a comparison of before | after",
    "%(prog)s photo.png --qf 20                 remove what JPEG of quality 20 would have done",
    "%(prog)s clip.mp4 --crf 18                 enhanced/clip.mp4 with its sound, small enough for watching",
    "%(prog)s Foo_416x240_50.yuv                raw video: enhanced/Foo_416x240_50.yuv",
)
LONGEST_PERIOD = 250
"""Frames; so many have to be kept in memory until the next of peak quality comes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files, weights, and how they are applied."""
    add = parser.add_argument
    add("inputs", nargs="+", metavar="FILE", help="images, videos, folders (searched recursively) or patterns in "
        "quotes")  # fmt: skip
    add("-o", "--output", type=Path, metavar="OUT", help="folder of the results, which keep the tree of a folder; for "
        "one file also the name of its result (default: enhanced/)")  # fmt: skip
    add("--weights", metavar="NAME|PATH", help="weights by name (`powerqe weights list` lists them) or by path "
        "(default: for each file those with the largest gain in their tests at its quality). Videos take those for "
        "images, too, frame by frame")  # fmt: skip
    add("--qf", type=number(0, 100, "a quality factor of 0 to 100"), metavar="Q", help="the quality factor, 0 to 100, "
        "to restore for, of networks that take one (FBCNN); lower removes more (default: as the network estimates "
        "it)")  # fmt: skip
    add("--tile", type=_tile, default="auto", metavar="auto|N|off", help="process large images in tiles: auto, if the "
        "feature maps would not fit into --memory; N, always with this side in pixels, halved if that does not fit; "
        "off, never. The result is that of the whole image; networks that follow motion come near it (default: "
        "auto)")  # fmt: skip
    add("--self-ensemble", action="store_true", help="take the mean over eight flips and transpositions of each "
        "image: a little better, eight times the work")  # fmt: skip
    add_inference(parser)
    add("--compare", action="store_true", help="draw a comparison beside each result, NAME.compare.png: before | after "
        "with enlarged crops where most has changed; of a video, of the frame in the middle")  # fmt: skip
    add("--format", choices=("png", "jpeg", "webp", "tiff", "same"), help="of the images; same is that of each file. "
        "What a format cannot hold (transparency, 16 bits) becomes PNG (default: png)")  # fmt: skip
    add("--crf", type=number(0, 51, "a constant rate factor of 0 to 51"), metavar="N", help="compress videos, by x265 "
        "with this constant rate factor, 0 to 51: small files for watching. 18 looks as good as lossless, 28 is small. "
        "For measuring leave it out: only without it the pixels are exactly the network's")  # fmt: skip
    add("--pqf-period", type=_period, metavar="N", help="every N-th frame of the videos, from the first on, is one of "
        "peak quality, which MFQE has to know. Encoders with low delay make it every 4th or 8th (default: of weights "
        "that need it, the frames with a lower QP than their neighbors, by NAME.frames.json beside the "
        "video)")  # fmt: skip
    add("--force", action="store_true", help="overwrite results that exist already; without it they are skipped")


def run(args: argparse.Namespace) -> None:
    """Find the files, enhance one after another, say what became of each."""
    from powerqe.inference.input_files import check_crf, find_jobs, make_folder

    jobs = find_jobs(args.inputs, args.output, args.format)
    check_crf(jobs, args.crf)

    from tqdm import tqdm

    from powerqe.inference.enhance_files import Models, enhance_files
    from powerqe.utils.log import progress_bar, start_log
    from powerqe.utils.memory import keep_freed_memory

    models = Models(args.weights, inference_options(args), args.pqf_period)
    models.check(jobs)
    make_folder(args.output)
    start_log(None, timed=False)
    keep_freed_memory()
    failures = 0
    with resumable("files that were written are whole"), progress_bar(
        None, "files", len(jobs), len(jobs) > 1, leave=False
    ) as bar:  # fmt: skip

        def tell(result: "Result") -> None:
            nonlocal failures
            failures += bool(result.error)
            tqdm.write(f"failed: {result.error}" if result.error else result.summary,
                       sys.stderr if result.error else sys.stdout)  # fmt: skip
            bar.update()

        enhance_files(jobs, models, tell, force=args.force, compare=args.compare, crf=args.crf)
    if failures:
        raise PartialFailureError(f"{failures} of {len(jobs)} files failed")


def _period(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LONGEST_PERIOD:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of frames, 1 to {LONGEST_PERIOD}")
    return int(text)


def _tile(text: str) -> int | Literal["auto", "off"]:
    if text == "auto" or text == "off":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected auto, off or a side in pixels")
    return int(text)
