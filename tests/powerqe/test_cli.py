"""The command `powerqe`: how it finds commands, how fast it answers, and that what it knows by heart is right."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from powerqe import __version__, cli
from powerqe.commands import export, table
from powerqe.commands.data_pre_process import compress_video, convert_video, down_sample
from powerqe.utils.errors import DEBUG, command

WORDS = [*((name,) for name in cli.COMMANDS if name != "data"), *(("data", name) for name in cli.DATA)]
WITHOUT_TORCH = """
import contextlib, io, json, runpy, sys
sys.modules["torch"] = None
sys.path[:0] = [sys.argv[1], f"{sys.argv[1]}/data_pre_process"]
said = {}

def note(name, run):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = run()
        except SystemExit as stopped:
            status = stopped.code
    said[name] = [status, out.getvalue(), err.getvalue()]

from powerqe import cli
for words in json.loads(sys.argv[2]):
    for last in ("--help", "--version", "--no-such-option"):
        note(" ".join([*words, last]), lambda: cli.main([*words, last]))
for script in json.loads(sys.argv[3]):
    for last in ("--help", "--version", "--no-such-option"):
        sys.argv = [script, last]
        note(f"{script} {last}", lambda: runpy.run_path(script, run_name="__main__"))
print(json.dumps(said))
"""

IN_THE_BACKGROUND = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
from powerqe import cli
sys.exit(cli.main(["table"]))
"""


def test_help_version_and_mistakes_need_no_torch(root: Path) -> None:
    scripts = ["train.py", "test.py", "enhance.py", "demo.py"]
    scripts += [f"data_pre_process/{path.name}" for path in (root / "data_pre_process").glob("main_*.py")]
    words = json.dumps([[], ["data"], *WORDS])
    program = [sys.executable, "-c", WITHOUT_TORCH, str(root), words, json.dumps(scripts)]
    done = subprocess.run(program, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert len(said) == 3 * (2 + len(WORDS) + len(scripts))
    for name, (status, out, err) in said.items():
        if name.endswith("--no-such-option"):
            assert (status, out, err.count("\n")) == (2, "", 1), name
        else:
            assert (status, err) == (0, ""), name
            assert out.startswith("usage: " if name.endswith("--help") else f"powerqe {__version__}\n")


def test_the_scripts_of_data_pre_process_are_the_commands(root: Path) -> None:
    scripts = {path.stem for path in (root / "data_pre_process").glob("main_*.py")}
    assert scripts == {f"main_{name.replace('-', '_')}" for name in cli.DATA}


@pytest.mark.parametrize(("words", "near"), [(["trian"], "'train'"), (["data", "downsample"], "'down-sample'")])
def test_an_unknown_command_names_the_nearest(words, near, capsys) -> None:
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: unknown command {words[-1]} ")
    assert near in error


def test_without_a_command_there_is_help(capsys) -> None:
    for words in ([], ["data"]):
        assert cli.main(words) == 0
        assert capsys.readouterr().out.startswith("usage: powerqe")


@pytest.mark.parametrize("words", [["--debug", "weights", "show", "x"], ["weights", "--debug", "show", "x"],
                                   ["weights", "show", "x", "--debug"], ["weights", "show", "x"]])  # fmt: skip
def test_debug_shows_the_traceback(words, monkeypatch, capsys) -> None:
    monkeypatch.setenv(DEBUG, "0")
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("error: ")
    assert ("Traceback" in error) == ("--debug" in words)


def test_the_environment_variable_shows_what_an_error_came_from(monkeypatch, capsys) -> None:
    monkeypatch.setenv(DEBUG, "1")
    assert cli.main(["export", "x", "--size", "0x0"]) == 2
    error = capsys.readouterr().err
    assert "ArgumentTypeError" in error
    assert error.splitlines()[-1].startswith("error: argument --size")


def test_choices_are_those_of_the_code() -> None:
    from powerqe.data_pre_process.down_sample import METHODS
    from powerqe.net.export.onnx_file import OPSET, TOLERANCE
    from powerqe.net.table.layout import COLUMNS
    from powerqe.utils.codecs.qp_patterns import PATTERNS
    from powerqe.utils.codecs.video import LIBRARIES
    from powerqe.utils.video.container import LOSSLESS

    assert tuple(COLUMNS) == table.COLUMNS
    assert (export.OPSET, export.TOLERANCE) == (OPSET, TOLERANCE)
    assert tuple(METHODS) == down_sample.METHODS
    assert (*LIBRARIES, "hm") == compress_video.CODECS
    assert tuple(PATTERNS) == compress_video.PATTERNS
    assert ("yuv", *(suffix[1:] for suffix in LOSSLESS)) == convert_video.TARGETS


def test_image_codecs_are_those_of_the_registry() -> None:
    from powerqe.utils.codecs import CODECS

    known = {}
    for name in cli.DATA:
        if name.startswith("compress-") and name != "compress-video":
            codec = cli._module(("data", name)).CODEC  # type: ignore[attr-defined]
            known[codec.name] = (codec.quality, (codec.low, codec.high))
            assert {option for option, _ in codec.options} <= set(CODECS.signature(codec.name))
            assert name == f"compress-{codec.name.lower()}"
    ranges = {name: (CODECS[name].quality_name, CODECS[name].quality_range) for name in CODECS.names()}
    del ranges["VideoFrame"]  # of clips of one frame, for training only
    assert known == ranges


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_command_is_getting_ready_is_one_line(number, root: Path, tmp_path: Path) -> None:
    """Started as a shell without job control starts `powerqe ... &`: SIGINT is ignored."""
    (tmp_path / "torch.py").write_text("print('ready', flush=True)\nimport time\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}
    with subprocess.Popen([sys.executable, "-c", IN_THE_BACKGROUND], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        try:
            _, error = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, error) == (128 + number, "interrupted\n")


def test_signals_work_as_before_after_a_command() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    @command
    def main() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    assert main() == 143
    assert {number: signal.getsignal(number) for number in before} == before
