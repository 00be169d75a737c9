"""The command line of every command: one line for a mistake, descriptions and examples as they were written."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from powerqe.utils.errors import UserError


class Parser(argparse.ArgumentParser):
    """An argument parser that reports a mistake as every command does: one line, by `UserError`.

    Args:
        description: what the command does; its lines stay as they are.
        examples: command lines, each of which may have a remark behind it.
        named: other arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, description: str | None = None, *, examples: Sequence[str] = (), **named: Any) -> None:
        if examples:
            named["epilog"] = "\n  ".join([f"example{'s' * (len(examples) > 1)}:", *examples])
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(**{"prog": _program(), "description": description, "formatter_class": formatter} | named)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def _program() -> str:
    """As it was called: script.py, or python -m package.module."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        return Path(sys.argv[0]).name
    return f"python -m {spec.name.removesuffix('.__main__')}"
