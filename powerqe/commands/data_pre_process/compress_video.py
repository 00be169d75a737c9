"""Compress the raw sequences of a folder; the decoded ones are saved under the same names, with their frame QPs.

HEVC, H.264 and AV1 come from PyAV; hm is the reference encoder of HEVC, a program of yours. It made the data of the
papers, where every eighth (or fourth) frame is coded much better than those between; x265 codes like that with a
pattern: the same idea, other figures.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.types import numbers, positive
from powerqe.utils.errors import UserError

if TYPE_CHECKING:
    from powerqe.utils.codecs.video import SequenceCodec

CODECS = ("hevc", "h264", "av1", "hm")
PATTERNS = ("flat", "ldp-hm16", "ldp-hm18")
EXAMPLES = ("%(prog)s mine/raw hevc 22,27,32,37,42 mine/x265_ldp",)
_PATTERN = {"hevc": "ldp-hm18"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sequences, encoder, qualities and target."""
    add_data_arguments(parser)
    parser.add_argument("source", help="folder of .yuv files, inside the data folder, for example mfqev2/test/raw")
    parser.add_argument(
        "codec",
        choices=CODECS,
        help="encoder: x265 (hevc), x264 (h264), SVT-AV1 (av1) or an HM of yours (hm)",
    )
    parser.add_argument("quality", type=numbers, help="QP; several are separated by commas: 22,27,32,37,42")
    parser.add_argument("target", help="folder, inside the data folder, that gets one folder qp<QP> for each QP")
    parser.add_argument(
        "--pattern",
        choices=PATTERNS,
        help="how QP changes from frame to frame in HEVC: not at all (flat), or as in the HM (default: ldp-hm18 with "
        "hevc, else flat)",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="how long the encoder searches: ultrafast to placebo with x265 and x264, 13 to 0 with SVT-AV1 (default: "
        "the encoder's own)",
    )
    parser.add_argument(
        "--max-frames",
        type=positive,
        metavar="N",
        default=300,
        help="compress the first N frames of each sequence (default: %(default)s)",
    )
    parser.add_argument(
        "--chroma",
        choices=("420", "444"),
        default="420",
        help="sampling of the chroma in all sequences (default: %(default)s)",
    )
    parser.add_argument(
        "--depth", type=int, choices=(8, 10), default=8, help="bits of a sample in all sequences (default: %(default)s)"
    )
    parser.add_argument(
        "--hm-encoder", metavar="PROGRAM", help="encoder program of the HM (default: $HM_ENCODER, or TAppEncoderStatic)"
    )
    parser.add_argument(
        "--hm-config",
        type=Path,
        metavar="FILE",
        help="configuration file for the HM, such as encoder_lowdelay_P_main.cfg",
    )
    parser.add_argument(
        "--keep-stream", action="store_true", help="save also the bit streams, beside the decoded sequences"
    )
    add_nworker(parser, "sequence")


def run(args: argparse.Namespace) -> None:
    """Compress what is missing."""
    from powerqe.data_pre_process import driver
    from powerqe.data_pre_process.compress_video import SequenceCompression

    coding = SequenceCompression(_codec(args), args.max_frames, args.chroma, args.depth, args.keep_stream)
    source, target = args.data_root / args.source, args.data_root / args.target
    driver.make_files([job for qp in args.quality for job in coding.jobs(source, target, qp)], args, "sequence")


def _codec(args: argparse.Namespace) -> "SequenceCodec":
    from powerqe.utils.codecs.hm import HM
    from powerqe.utils.codecs.video import LibraryCodec

    if args.codec == "hm":
        if args.hm_config is None:
            raise UserError("hm needs a configuration file: --hm-config encoder_lowdelay_P_main.cfg")
        if args.pattern or args.preset:
            raise UserError("hm takes --pattern and --preset from its configuration file: change it, not them")
        return HM(args.hm_config, args.hm_encoder)
    if args.hm_config or args.hm_encoder:
        raise UserError(f"--hm-config and --hm-encoder are for hm, not for {args.codec}")
    return LibraryCodec(args.codec, args.preset, args.pattern or _PATTERN.get(args.codec, "flat"))
