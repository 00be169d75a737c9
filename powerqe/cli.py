"""The command `powerqe`: its commands, and how they are found, parsed and run.

Each command is a module of powerqe/commands. Its docstring is the description in --help, and the optional `EXAMPLES`
are example command lines (%(prog)s is the command); `add_arguments(parser)` declares the arguments and `run(args)` runs
it. The module level imports neither PyTorch nor other slow packages, so that --help, --version and errors are fast.
"""

import importlib
import os
import shlex
import sys
from argparse import PARSER, SUPPRESS, ArgumentParser, _SubParsersAction
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from powerqe import __version__
from powerqe.utils.errors import DEBUG, UserError, command
from powerqe.utils.parser import Parser

COMMANDS = {
    "train": "train the network of an option file",
    "test": "test the network of an option file and print the table of results",
    "merge-results": "merge the results of a test that was shared by several machines",
    "enhance": "enhance image and video files",
    "demo": "enhance images in a web page on this machine",
    "report": "compare tested experiments in an HTML page",
    "weights": "list, describe and download published weights",
    "export": "export a network to ONNX",
    "table": "parameters, operations, receptive field, time and memory of networks",
    "compare-videos": "compare experiments tested on videos, with BD-rates",
    "early-exit": "gain and computation of each exit of a network with early exits",
    "publish": "publish the weights of a tested experiment with a card",
    "options": "print the reference of all options, or their JSON schema",
    "data": "prepare data sets: down-sample, compress, pack in LMDB stores ...",
}
"""Name -> description in `powerqe --help`."""

DATA = {
    "quickstart-data": "save the photographs of the quickstart, from scikit-image",
    "down-sample": "down-sample a data set",
    "compress-jpeg": "compress images with JPEG",
    "compress-bpg": "compress images with BPG (libbpg)",
    "compress-hevc": "compress images with HEVC intra coding",
    "compress-webp": "compress images with WebP",
    "compress-avif": "compress images with AVIF",
    "combine-im": "combine all qualities of a codec in one folder, for blind training",
    "create-graphics": "synthesize images of text and graphics",
    "create-lmdb": "pack a folder of images in an LMDB store",
    "collect-jpeg-tables": "collect the quantization tables of JPEG files, for training",
    "report": "print PSNR, SSIM and bits per pixel of compressed images",
    "convert-video": "convert videos to raw sequences, or back",
    "compress-video": "compress raw sequences with HEVC, H.264, AV1 or the HM",
    "create-video-lmdb": "pack a folder of videos in an LMDB store",
}
"""The same for `powerqe data NAME`, also available as data_pre_process/main_NAME.py."""


class Command(Protocol):
    """A module of powerqe/commands."""

    __doc__: str | None

    def add_arguments(self, parser: Parser) -> None:
        """Add the arguments to the parser."""

    def run(self, args: Any) -> None:
        """Run the command; `args.command_line` is the whole command line."""


class _Group(NamedTuple):
    description: str
    commands: Mapping[str, str]


_GROUPS = {
    (): _Group("Quality enhancement of compressed images and videos.", COMMANDS),
    ("data",): _Group("Prepare data sets for training and tests, inside a data folder.", DATA),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `powerqe` and return its exit status.

    Args:
        argv: arguments; None: those of the process.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    is_module = spec is not None and spec.name == "powerqe.__main__"
    return _run((), "python -m powerqe" if is_module else "powerqe", argv)


def script(*words: str) -> Callable[..., int]:
    """The main function of a script that runs a command: train.py is `powerqe train`.

    Args:
        words: the command, such as "train" or "data", "down-sample".
    """
    stem = "_".join(("main", *words[1:]) if words[1:] else words).replace("-", "_")
    file = f"{stem}.py"

    def main(argv: Sequence[str] | None = None) -> int:
        return _run(words, f"python {file}", argv)

    return main


def parser_of(words: Sequence[str], program: str = "") -> Parser:
    """The parser of a command, or of a group of commands such as `powerqe` and `powerqe data`.

    Args:
        words: the command without `powerqe`.
        program: name of the program in the help.
    """
    program = program or " ".join(["powerqe", *words])
    if group := _GROUPS.get(tuple(words)):
        width = max(map(len, group.commands)) + 3
        lines = [f"{name:{width}}{text}" for name, text in group.commands.items()]
        epilog = "\n  ".join(["commands:", *lines]) + "\n\nUse %(prog)s COMMAND --help for details."
        made = Parser(group.description, prog=program, epilog=epilog)
        made.add_argument("command", nargs=PARSER, metavar="COMMAND", help="one of the commands below")
    else:
        module = _module(words)
        made = Parser(module.__doc__, examples=getattr(module, "EXAMPLES", ()), prog=program)
        module.add_arguments(made)
    for each in _with_subcommands(made):
        version = f"powerqe {__version__}"
        each.add_argument("--version", action="version", version=version, help="print the version of PowerQE and exit")
        debug_help = f"show tracebacks of errors, like the environment variable {DEBUG}=1"
        each.add_argument("--debug", action="store_true", default=SUPPRESS, help=debug_help)
    return made


@command
def _run(words: Sequence[str], program: str, argv: Sequence[str] | None) -> None:
    rest = list(sys.argv[1:] if argv is None else argv)
    while group := _GROUPS.get(tuple(words)):
        parser = parser_of(words, program)
        if not rest:
            parser.print_help()
            return
        args = parser.parse_args(rest)
        _set_debug(args)
        name, *rest = args.command
        if name not in group.commands:
            raise UserError(f"unknown command {name}{_nearest(name, group.commands)}; see {program} --help")
        words, program = (*words, name), f"{program} {name}"
    args = parser_of(words, program).parse_args(rest)
    _set_debug(args)
    args.command_line = shlex.join(["powerqe", *words, *rest])
    _module(words).run(args)


def _set_debug(args: Any) -> None:
    if getattr(args, "debug", False):
        os.environ[DEBUG] = "1"  # inherited by worker processes


def _module(words: Sequence[str]) -> Command:
    *groups, name = (word.replace("-", "_") for word in words)
    path = ".".join([*("data_pre_process" if group == "data" else group for group in groups), name])
    return importlib.import_module(f"powerqe.commands.{path}")  # type: ignore[return-value]


def _nearest(name: str, known: Mapping[str, str]) -> str:
    from powerqe.utils.options.registry import nearest

    return nearest(name, known)


def _with_subcommands(parser: ArgumentParser) -> Iterator[ArgumentParser]:
    """The parser and its subparsers, such as that of `weights list`."""
    yield parser
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for each in action.choices.values():
                yield from _with_subcommands(each)
