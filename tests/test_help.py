"""Every command and script: it has a --help in which each option has a sentence, and says a mistake in one line.

Commands are those of powerqe/cli.py; scripts are found by their last lines, so a new one is tested as soon as it is
there. All run in this process: to start fifty programs would take minutes.
"""

import argparse
import runpy
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from powerqe import cli

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_OPTIONS = {
    "powerqe.benchmarks.peer_basicsr",  # started by the benchmarks only
    "powerqe.inference.packaged",
    "powerqe.net.ops.dcn.build",
    "powerqe.net.ops.dcn.simple_check",
}
"""Programs that take none."""
COMMANDS = [(), *((name,) for name in cli.COMMANDS), *(("data", name) for name in cli.DATA)]


def _scripts() -> Iterator[str]:
    """train.py and the like, and modules for `python -m`."""
    for folder in sorted(ROOT.iterdir()):
        if folder.name not in ("tests", "data", "exp", "build", "dist") and not folder.name.startswith("."):
            for path in sorted(folder.rglob("*.py") if folder.is_dir() else [folder]):
                if path.suffix == ".py" and '\nif __name__ == "__main__":' in path.read_text(encoding="utf-8"):
                    parts = path.relative_to(ROOT).with_suffix("").parts
                    name = ".".join(parts).removesuffix(".__main__")
                    yield f"{name}.py" if len(parts) == 1 else f"powerqe.{name.removeprefix('powerqe.')}"


SCRIPTS = [name for name in _scripts() if name not in WITHOUT_OPTIONS]
Run = Callable[..., tuple[object, list[argparse.ArgumentParser]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command, or a script as `python` would; its status and the parsers that it used."""
    used: list[argparse.ArgumentParser] = []
    parse = argparse.ArgumentParser.parse_args

    def parse_args(parser: argparse.ArgumentParser, *arguments, **named):
        used.append(parser)
        return parse(parser, *arguments, **named)

    def run(name: str | tuple[str, ...], *arguments: str) -> tuple[object, list[argparse.ArgumentParser]]:
        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        if isinstance(name, tuple):
            start = partial(cli.main, [*name, *arguments])
        else:
            monkeypatch.setattr(sys, "argv", [name, *arguments])
            for copy in (name, f"{name}.__main__"):
                monkeypatch.delitem(sys.modules, copy, raising=False)  # or runpy warns of a second copy
            is_file = name.endswith(".py")
            place = str(ROOT / name) if is_file else name
            call = runpy.run_path if is_file else partial(runpy.run_module, alter_sys=True)
            start = partial(call, place, run_name="__main__")
        try:
            return start(), used
        except SystemExit as stopped:
            return stopped.code, used

    return run


def _with_subcommands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            assert {choice.dest for choice in action._choices_actions if choice.help} == set(action.choices)
            for each in action.choices.values():
                yield from _with_subcommands(each)


def test_all_are_found() -> None:
    assert {"train.py", "test.py", "enhance.py", "demo.py", "powerqe.benchmarks.bench_data",
            "powerqe.data_pre_process.main_compress_bpg"} <= set(SCRIPTS)  # fmt: skip
    assert "powerqe.utils.parser" not in SCRIPTS
    assert set(_scripts()) > WITHOUT_OPTIONS


def test_commands_are_the_modules_of_their_folders() -> None:
    for folder, listed in (
        (ROOT / "powerqe/commands", cli.COMMANDS),
        (ROOT / "powerqe/commands/data_pre_process", cli.DATA),
    ):
        modules = {path.stem for path in folder.glob("[a-z]*.py")}
        assert modules == {name.replace("-", "_") for name in listed if name != "data"}


@pytest.mark.parametrize("name", [*COMMANDS, *SCRIPTS], ids=str)
def test_every_option_has_a_sentence(name, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    status, parsers = run(name, "--help")
    assert status == 0
    said = capsys.readouterr().out
    if isinstance(name, tuple):
        assert said.startswith(f"usage: {' '.join(['powerqe', *name])} ")
    assert max(map(len, said.splitlines())) <= 120
    for each in _with_subcommands(parsers[-1]):
        assert len((each.description or "").split()) >= 4, each.prog
        each.format_help()  # where a stray % fails
        for action in each._actions:
            if action.help != argparse.SUPPRESS and not isinstance(action, argparse._SubParsersAction):
                assert len((action.help or "").split()) >= 4, f"{each.prog}: {action.dest}: {action.help}"


@pytest.mark.parametrize("name", [*COMMANDS, *SCRIPTS], ids=str)
def test_a_mistake_is_one_line(name, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = run(name, "--no-such-option", "1")
    output, errors = capsys.readouterr()
    assert (status, output) == (2, "")
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert "--help" in errors
