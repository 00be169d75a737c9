"""Compress the raw sequences of a folder; the decoded sequences are saved under the same names, with QPs of all frames.

The number of frames in a name is that of the frames that were coded.

HEVC (x265), H.264 (x264) and AV1 (SVT-AV1) are encoded by PyAV; hm runs your build of the HEVC reference encoder HM,
which papers use. The patterns of --pattern imitate the QP hierarchy of HM, in which every fourth or eighth frame has a
much higher quality; the results differ from those of HM.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.shard import add_shard
from powerqe.arguments.types import numbers, positive
from powerqe.utils.errors import UserError

if TYPE_CHECKING:
    from powerqe.utils.codecs.video import SequenceCodec

CODECS = ("hevc", "h264", "av1", "hm")
PATTERNS = ("flat", "ldp-hm16", "ldp-hm18")
EXAMPLES = ("%(prog)s mine/raw hevc 22,27,32,37,42 mine/x265_ldp",)
_PATTERN = {"hevc": "ldp-hm18"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add sequences, encoder, qualities and target."""
    add_data_arguments(parser)
    parser.add_argument("source", help="folder of .yuv files, inside the data folder, for example mfqev2/test/raw")
    parser.add_argument(
        "codec",
        choices=CODECS,
        help="encoder: x265 (hevc), x264 (h264), SVT-AV1 (av1) or HM (hm)",
    )
    parser.add_argument("quality", type=numbers, help="QP, or several separated by commas, for example 22,27,32,37,42")
    parser.add_argument("target", help="folder, inside the data folder, for the results; each QP has its subfolder "
        "qp<QP>")  # fmt: skip
    parser.add_argument(
        "--pattern",
        choices=PATTERNS,
        help="QP hierarchy for hevc: constant (flat), or that of the low-delay P configuration of HM 16 or 18 "
        "(default: ldp-hm18 for hevc, otherwise flat)",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="speed preset of the encoder: ultrafast to placebo for x265 and x264, 13 to 0 for SVT-AV1 (default: that "
        "of the encoder)",
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
        choices=("400", "420", "422", "444"),
        help="chroma subsampling of the sequences whose names do not say it (default: 420)",
    )
    parser.add_argument(
        "--depth", type=int, choices=(8, 10), help="bit depth of the sequences whose names do not say it (default: 8)"
    )
    parser.add_argument(
        "--hm-encoder", metavar="PROGRAM", help="HM encoder (default: $HM_ENCODER, or TAppEncoderStatic)"
    )
    parser.add_argument(
        "--hm-config",
        type=Path,
        metavar="FILE",
        help="HM configuration file, such as encoder_lowdelay_P_main.cfg",
    )
    parser.add_argument("--keep-stream", action="store_true", help="also save the bit streams, in the same folder")
    add_nworker(parser, "sequence")
    add_shard(parser, "sequence")


def run(args: argparse.Namespace) -> None:
    """Compress sequences that have no result yet."""
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
            raise UserError("hm needs --hm-config, for example encoder_lowdelay_P_main.cfg")
        if args.pattern or args.preset:
            raise UserError("--pattern and --preset are not for hm; change its configuration file")
        return HM(args.hm_config, args.hm_encoder)
    if args.hm_config or args.hm_encoder:
        raise UserError(f"--hm-config and --hm-encoder are for hm, not for {args.codec}")
    return LibraryCodec(args.codec, args.preset, args.pattern or _PATTERN.get(args.codec, "flat"))
