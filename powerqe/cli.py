"""The command `powerqe`: which commands there are, and how one is found, parsed and run.

Each is a module of powerqe/commands. Its docstring is the description in --help and `EXAMPLES`, if there are any, the
command lines there (%(prog)s is the command itself); `add_arguments(parser)` declares the arguments and `run(args)`
does the work. At its top a module imports nothing heavy, above all not PyTorch: --help, --version and mistakes answer
at once.
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
    "enhance": "enhance image and video files",
    "demo": "enhance images in a web page on this machine",
    "report": "compare tested experiments in one HTML page",
    "weights": "list, describe and download published weights",
    "export": "write a network as an ONNX file",
    "table": "what networks cost: parameters, operations, receptive field, time, memory",
    "compare-videos": "tests on videos in one table, with BD-rates",
    "early-exit": "what a network with early exits gains and costs",
    "publish": "turn a tested experiment into weights with a card",
    "options": "the reference of all option keys, or their JSON schema",
    "data": "make the data: down-sample, compress, pack in LMDB stores ...",
}
"""Name -> what it does, as `powerqe --help` lists it."""

DATA = {
    "quickstart-data": "the photographs of the quickstart, taken from scikit-image",
    "down-sample": "down-sample a data set",
    "compress-jpeg": "compress images with JPEG",
    "compress-bpg": "compress images with BPG, by the programs of libbpg",
    "compress-hevc": "compress images with HEVC intra coding",
    "compress-webp": "compress images with WebP",
    "compress-avif": "compress images with AVIF",
    "combine-im": "gather all qualities of a codec in one folder, for blind training",
    "create-graphics": "make images of text and graphics, which photographs lack",
    "create-lmdb": "pack a folder of images in an LMDB store",
    "collect-jpeg-tables": "collect the quantization tables of JPEG files, for training on them",
    "report": "PSNR, SSIM and bits per pixel of compressed images",
    "convert-video": "convert videos to raw sequences, or back",
    "compress-video": "compress raw sequences with HEVC, H.264, AV1 or the HM",
    "create-video-lmdb": "pack a folder of videos in an LMDB store",
}
"""The same of `powerqe data NAME`; data_pre_process/main_NAME.py are these commands, too."""


class Command(Protocol):
    """A module of powerqe/commands."""

    __doc__: str | None

    def add_arguments(self, parser: Parser) -> None:
        """Declare the arguments."""

    def run(self, args: Any) -> None:
        """Do the work. `args.command_line` is the command as it was called."""


class _Group(NamedTuple):
    description: str
    commands: Mapping[str, str]


_GROUPS = {
    (): _Group("Quality enhancement of compressed images and videos.", COMMANDS),
    ("data",): _Group("Make the data that trainings and tests read, inside a data folder.", DATA),
}


def main(argv: Sequence[str] | None = None) -> int:
    """The command `powerqe`; its exit status.

    Args:
        argv: its arguments; None: those of the process.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    is_module = spec is not None and spec.name == "powerqe.__main__"
    return _run((), "python -m powerqe" if is_module else "powerqe", argv)


def script(*words: str) -> Callable[..., int]:
    """The main function of a script that is a command under another name: train.py is `powerqe train`.

    Args:
        words: of the command, such as "train" or "data", "down-sample".
    """
    stem = "_".join(("main", *words[1:]) if words[1:] else words).replace("-", "_")
    file = f"{stem}.py"

    def main(argv: Sequence[str] | None = None) -> int:
        return _run(words, f"python {file}", argv)

    return main


def parser_of(words: Sequence[str], program: str = "") -> Parser:
    """The parser of a command, or of a group of them such as `powerqe` and `powerqe data`.

    Args:
        words: of the command, without `powerqe`.
        program: as it was called.
    """
    program = program or " ".join(["powerqe", *words])
    if group := _GROUPS.get(tuple(words)):
        width = max(map(len, group.commands)) + 3
        lines = [f"{name:{width}}{text}" for name, text in group.commands.items()]
        epilog = "\n  ".join(["commands:", *lines]) + "\n\n%(prog)s COMMAND --help says more of each."
        made = Parser(group.description, prog=program, epilog=epilog)
        made.add_argument("command", nargs=PARSER, metavar="COMMAND", help="what to do, one of the commands below")
    else:
        module = _module(words)
        made = Parser(module.__doc__, examples=getattr(module, "EXAMPLES", ()), prog=program)
        module.add_arguments(made)
    for each in _with_subcommands(made):
        version = f"powerqe {__version__}"
        each.add_argument("--version", action="version", version=version, help="print the version of PowerQE and stop")
        debug_help = f"show the traceback behind an error; so does the environment variable {DEBUG}=1"
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
            raise UserError(f"no command {name}{_nearest(name, group.commands)}; {program} --help lists all")
        words, program = (*words, name), f"{program} {name}"
    args = parser_of(words, program).parse_args(rest)
    _set_debug(args)
    args.command_line = shlex.join(["powerqe", *words, *rest])
    _module(words).run(args)


def _set_debug(args: Any) -> None:
    if getattr(args, "debug", False):
        os.environ[DEBUG] = "1"  # which worker processes inherit


def _module(words: Sequence[str]) -> Command:
    *groups, name = (word.replace("-", "_") for word in words)
    path = ".".join([*("data_pre_process" if group == "data" else group for group in groups), name])
    return importlib.import_module(f"powerqe.commands.{path}")  # type: ignore[return-value]


def _nearest(name: str, known: Mapping[str, str]) -> str:
    from powerqe.utils.options.registry import nearest

    return nearest(name, known)


def _with_subcommands(parser: ArgumentParser) -> Iterator[ArgumentParser]:
    """The parser, and those of `weights list` and the like."""
    yield parser
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for each in action.choices.values():
                yield from _with_subcommands(each)
