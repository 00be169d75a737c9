"""train.py and test.py as a user starts them: launchers, ranks, signals, mistakes."""

import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from powerqe.algorithm.trainer import Trainer
from powerqe.utils.checkpoint import load_checkpoint
from powerqe.utils.file_lock import claimed
from powerqe.utils.options.tree import load_options
from powerqe.utils.ranks import Ranks
from tests.processes import ROOT, Forked, forked_ranks, free_port, in_background

pytestmark = pytest.mark.slow

NEEDS_FORKS = pytest.mark.skipif(not Forked.IS_POSSIBLE, reason="only Linux")
TWO_RANKS = ("-m", "torch.distributed.run", "--nproc_per_node=2")
STOP_AFTER = """
import sys
from powerqe.algorithm import trainer
run, until = trainer.Trainer.run, int(sys.argv.pop(1))
trainer.Trainer.run = lambda self, experiment: run(self, experiment, until)
sys.path.insert(0, sys.argv.pop(1))
import train
from powerqe.utils.launcher import leave
leave(train.main())
"""


@pytest.fixture
def port() -> str:
    return f"--master_port={free_port()}"


def one_error(result: subprocess.CompletedProcess[str]) -> str:
    """The single line `error: ...` of a command that failed as commands should."""
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr.startswith("error: "), result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def log_lines(folder: Path) -> list[str]:
    """Iteration, losses and rate of the log, without times."""
    pattern = re.compile(r"(iter \d+/\d+ \| .*lr [^|]*) \|")
    return [match[1] for line in (folder / "train.log").read_text().splitlines() if (match := pattern.search(line))]


def test_train_test_and_the_table(run, opt, pairs):
    result = run("train.py", "--opt", opt, anew=True)
    assert result.returncode == 0, result.stderr
    result = run("test.py", "--opt", opt, anew=True)
    assert result.returncode == 0, result.stderr
    assert "PSNR lq" in result.stdout
    folder = pairs / "exp/tiny-c"
    produced = {path.name for path in folder.iterdir()}
    assert {"results.csv", "results.json", "results.md", "results.tex", "crops.png", "options.yml"} <= produced
    assert cv2.imread(str(folder / "test_im_enhanced/test/7.png")).shape == (48, 56, 3)
    assert yaml.safe_load((folder / "options.yml").read_text())["defaults"]["train"]["niter"] == 8


def test_print_options_and_dry_run_write_nothing(run, opt, pairs):
    result = run("train.py", "--opt", opt, "--set", "train.niter=1e1", "--print-options")
    assert yaml.safe_load(result.stdout)["defaults"]["train"]["niter"] == 10
    assert run("train.py", "--opt", opt, "--dry-run").returncode == 0
    assert not (pairs / "exp").exists()


def train_whole_and_in_parts(run, opt, pairs, sets) -> tuple[dict, dict]:
    """On two ranks: exp/whole in one go, exp/parts stopped after four iterations and resumed; the last checkpoints."""
    (pairs / "part.py").write_text(STOP_AFTER)
    part, root = str(pairs / "part.py"), str(Path(__file__).resolve().parents[1])
    for result in (
        run("train.py", "--opt", opt, "--set", *sets, "name=whole", ranks=2),
        run(part, "4", root, "--opt", opt, "--set", *sets, "name=parts", ranks=2),
        run("train.py", "--opt", opt, "--resume", "auto", "--set", *sets, "name=parts", ranks=2),
    ):
        assert result.returncode == 0, result.stderr
    assert log_lines(pairs / "exp/whole") == log_lines(pairs / "exp/parts")
    return load_checkpoint(pairs / "exp/whole/ckp-last.pt"), load_checkpoint(pairs / "exp/parts/ckp-last.pt")


def test_two_ranks_resume_exactly_and_equal_one_rank_with_twice_the_batch(run, opt, pairs):
    sets = ["train.inter_print=3", "algorithm.optimizer={type: SGD, lr: 0.1}"]
    whole, parts = train_whole_and_in_parts(run, opt, pairs, sets)
    result = run("train.py", "--opt", opt, "--set", *sets, "name=alone", "dataset.train.bs_pg=4")
    assert result.returncode == 0, result.stderr
    alone = load_checkpoint(pairs / "exp/alone/ckp-last.pt")
    for name, tensor in whole["networks"]["net"].items():
        assert torch.equal(tensor, parts["networks"]["net"][name])
        torch.testing.assert_close(tensor, alone["networks"]["net"][name], rtol=1e-5, atol=1e-7)
    assert all(torch.equal(tensor, parts["ema"]["net"][name]) for name, tensor in whole["ema"]["net"].items())
    momenta = [state["optimizers"]["net"]["state"] for state in (whole, parts)]
    assert len(momenta[0]) == 6
    assert all(torch.equal(momenta[0][i]["momentum_buffer"], momenta[1][i]["momentum_buffer"]) for i in momenta[0])
    assert [len(state["rng"]) for state in (whole, parts, alone)] == [2, 2, 1]
    assert len(log_lines(pairs / "exp/whole")) == 2


def test_two_ranks_play_the_game_of_generator_and_discriminator_and_resume_exactly(run, opt, pairs):
    sets = [
        "algorithm={type: RelativisticGAN, niter_warmup: 2, loss: {Charbonnier: {weight: 0.01}}, discriminator: "
        "{type: VGGDiscriminator, num_features: 2, hidden_features: 4, patch_size: [32, 32]}}",
        "dataset.train.patch=32",
        "train.niter=6",
        "train.real_bs_pg=4",  # two batches accumulated
        "train.inter_print=3",
    ]
    whole, parts = train_whole_and_in_parts(run, opt, pairs, sets)
    assert whole["iter"] == parts["iter"] == 6
    for network, state in whole["networks"].items():
        assert all(torch.equal(tensor, parts["networks"][network][name]) for name, tensor in state.items())
    assert "discriminator" in log_lines(pairs / "exp/whole")[-1]


def test_two_ranks_update_after_each_recursion_as_one_with_twice_the_batch(run, opt, pairs):
    coded = "codecs: [{codec: {type: JPEG}, quality: 9}]"
    sets = [
        "network={type: CISRPSI, num_features: 4, num_groups: [1, 1], num_blocks: 1, reduction: 2}",
        "algorithm={type: Unfolding, optimizer: {type: SGD, lr: 0.1}}",
        f"dataset.train={{type: DownSampledImages, gt: gt, scale: 2, patch: 6, nworker_pg: 0, {coded}}}",
        "dataset.val=null",
        "train.niter=2",
    ]
    for name, batch, ranks in (("two", 2, 2), ("alone", 4, 0)):
        more = (f"name={name}", f"dataset.train.bs_pg={batch}")
        result = run("train.py", "--opt", opt, "--set", *sets, *more, ranks=ranks)
        assert result.returncode == 0, result.stderr
    two, alone = (load_checkpoint(pairs / f"exp/{name}/ckp-last.pt") for name in ("two", "alone"))
    for name, tensor in two["networks"]["net"].items():
        torch.testing.assert_close(tensor, alone["networks"]["net"][name], rtol=1e-4, atol=1e-6)
    assert two["iter"] == 2


def test_two_ranks_validate_the_network_that_is_saved(run, opt, pairs):
    """Each rank has seen other images, so has other statistics of BatchNorm, for which gloo has no common ones."""
    network = "network={type: DnCNN, num_features: 4, depth: 4, batch_norm: true}"
    sets = [network, "train.niter=4", "train.ema=null", "dataset.val.slice=[0, 8]", "train.if_test_baseline=false"]
    result = run("train.py", "--opt", opt, "--set", *sets, ranks=2)
    assert result.returncode == 0, result.stderr
    saved = load_checkpoint(pairs / "exp/tiny-c/ckp-last.pt")
    alone = Trainer(load_options(opt, overrides=sets), Ranks(0, 0, 1, torch.device("cpu")))
    alone.load_state(saved | {"rng": [], "progress": []})
    assert alone._validate(alone._validated_network())["PSNR"] == pytest.approx(saved["best"]["value"], abs=1e-5)


def test_test_on_two_ranks_gives_the_table_of_one(run, opt, pairs, root):
    assert run("train.py", "--opt", opt, "--set", "train.niter=2").returncode == 0
    tables = []
    sets = ("dataset.test.slice=[1, 6]", "test.criterion={PSNR: {}, FID: {}, NIQE: {}}")
    packages = f"{root}{os.pathsep}{root / 'tests/data/standin'}"
    for ranks in (0, 2):
        result = run("test.py", "--opt", opt, "--set", *sets, ranks=ranks, PYTHONPATH=packages)
        assert result.returncode == 0, result.stderr
        rows = (pairs / "exp/tiny-c/results.csv").read_text().splitlines()
        tables.append([row.rsplit(",", 1)[0] for row in rows])  # all but the speed
    assert tables[0] == tables[1]
    assert len(tables[0]) == 1 + 5 + 1
    mean = tables[0][-1].split(",")
    assert "n/a" not in mean


def test_the_usual_command_line(run, pairs, root, port):
    """`python -m torch.distributed.launch ... train.py --opt opts/arcnn.yml --case div2k-qf10`, on small images."""
    generator = np.random.default_rng(0)
    for folder in ("raw_ds_2", "jpeg_ds_2/qf10"):
        (pairs / "data/div2k" / folder).mkdir(parents=True)
    noise = cv2.imencode(".png", generator.integers(0, 256, (128, 130, 3), dtype=np.uint8))[1].tobytes()
    for number in range(1, 901):
        for folder in ("raw_ds_2", "jpeg_ds_2/qf10"):
            (pairs / f"data/div2k/{folder}/{number:04}.png").write_bytes(noise)
    launcher = ("-m", "torch.distributed.launch", "--nproc_per_node=1", port)
    sets = ("train.niter=1", "dataset.train.nworker_pg=1", "train.if_test_baseline=false")
    known = ("--opt", root / "opts/arcnn.yml", "--case", "div2k-qf10")
    result = run("train.py", *known, "--set", *sets, launcher=launcher)
    assert result.returncode == 0, result.stderr
    assert (pairs / "exp/arcnn-div2k-qf10/ckp-best.pt").exists()


@pytest.mark.parametrize("argument", ["--local-rank=0", "--local_rank=0"])
def test_old_launchers_pass_the_local_rank(run, opt, argument):
    assert run("train.py", "--opt", opt, "--print-options", argument).returncode == 0


@pytest.mark.parametrize(
    ("number", "whole_group"),
    [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True), (signal.SIGHUP, False)],
)
def test_a_signal_saves_and_the_training_can_go_on(run, opt, pairs, root, number, whole_group):
    """Started in the background, where SIGINT is ignored; a terminal sends signals to loader processes, too."""
    endless = ["--set", "train.niter=1e6", "train.inter_print=1", "train.inter_val=1e6", "dataset.train.nworker_pg=2"]
    command = [sys.executable, root / "train.py", "--opt", opt, *endless]
    with in_background(command, pairs) as process:
        assert process.stdout is not None
        while "iter 3/" not in (line := process.stdout.readline()):
            assert line
        for _ in range(2):  # a batch system sends it to all, and a launcher passes it on
            (os.killpg if whole_group else os.kill)(process.pid, number)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "stopped by a signal" in rest
    step = load_checkpoint(pairs / "exp/tiny-c/ckp-last.pt")["iter"]
    assert 3 <= step < 100_000
    again = run("train.py", "--opt", opt, "--resume", "auto", "--set", f"train.niter={step + 2}",
                "train.load_state.if_allow_change=true", "train.inter_val=1e6")  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert f"resuming from exp/tiny-c/ckp-last.pt at iter {step}" in again.stdout
    assert load_checkpoint(pairs / "exp/tiny-c/ckp-last.pt")["iter"] == step + 2


def test_sigterm_to_the_launcher_saves(opt, pairs, root, port):
    """Which passes it to the process groups of the ranks, loader processes and all."""
    endless = ["train.niter=1e6", "train.inter_print=1", "train.inter_val=1e6", "dataset.train.nworker_pg=3"]
    command = [sys.executable, *TWO_RANKS, port, root / "train.py", "--opt", opt, "--set", *endless]
    with in_background(command, pairs) as process:
        assert process.stdout is not None
        while "iter 3/" not in (line := process.stdout.readline()):
            assert line
        os.kill(process.pid, signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert "stopped by a signal" in rest
    assert 3 <= load_checkpoint(pairs / "exp/tiny-c/ckp-last.pt")["iter"] < 100_000


def test_one_experiment_has_one_training_and_one_test_at_a_time(run, opt, pairs, root):
    sets = ["train.niter=1e6", "train.inter_print=1", "train.inter_val=2", "dataset.train.nworker_pg=1"]
    command = [sys.executable, root / "train.py", "--opt", opt, "--set", *sets]
    with in_background(command, pairs) as process:
        assert process.stdout is not None
        while "iter 5/" not in (line := process.stdout.readline()):
            assert line
        for arguments in ((), ("--resume", "auto")):
            refused = one_error(run("train.py", "--opt", opt, *arguments))
            assert re.search(rf"exp/tiny-c .*\b{process.pid}\b.*{re.escape(platform.node())}", refused)
        assert run("test.py", "--opt", opt).returncode == 0
        process.kill()  # its loader lives a little longer
        process.wait(20)
        step = load_checkpoint(pairs / "exp/tiny-c/ckp-last.pt")["iter"]
        again = run("train.py", "--opt", opt, "--resume", "auto", "--set", f"train.niter={step + 1}",
                    "train.load_state.if_allow_change=true")  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert {path.name for path in (pairs / "exp").iterdir()} == {"tiny-c"}
    with claimed(pairs / "exp/tiny-c", "tested", ""):
        assert str(os.getpid()) in one_error(run("test.py", "--opt", opt))
        assert str(os.getpid()) in one_error(run("train.py", "--opt", opt))  # which would rename the folder


def test_an_earlier_experiment_is_kept(run, opt, pairs):
    for _ in range(2):
        assert run("train.py", "--opt", opt, "--set", "train.niter=1").returncode == 0
    assert {path.name for path in (pairs / "exp").iterdir()} == {"tiny-c", "tiny-c-v1"}


def test_of_killed_savings_nothing_is_left_after_the_next_start(run, opt, pairs, root):
    (pairs / "killed.py").write_text(f"""
import os, sys
sys.path.insert(0, {str(root)!r})
import train
from powerqe.utils import files
replace = os.replace
files.os.replace = lambda old, new: os.kill(os.getpid(), 9) if "ckp-4" in str(new) else replace(old, new)
train.main()
""")
    assert run(str(pairs / "killed.py"), "--opt", opt).returncode == -9
    folder = pairs / "exp/tiny-c"
    assert [path.suffix for path in folder.iterdir() if ".tmp" in path.name] == [".pt"]
    assert run("train.py", "--opt", opt, "--resume", "auto").returncode == 0
    assert not [path.name for path in (*folder.iterdir(), *folder.parent.iterdir()) if path.name.startswith(".")]


def test_kill_9_while_saving_leaves_a_checkpoint_to_go_on_from(run, opt, pairs, root):
    often = ["--set", "train.niter=1e6", "train.inter_print=1e6", "train.inter_val=1", "train.if_test_baseline=false"]
    command = [sys.executable, str(root / "train.py"), "--opt", str(opt), *often]
    process = subprocess.Popen(
        command, cwd=pairs, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    end = time.monotonic() + 120
    try:
        while not (pairs / "exp/tiny-c/ckp-5.pt").exists():
            time.sleep(0.01)
            assert process.poll() is None
            assert time.monotonic() < end
    finally:
        process.kill()
        process.wait(60)
    step = load_checkpoint(pairs / "exp/tiny-c/ckp-last.pt")["iter"]
    goal = ["--set", f"train.niter={step + 2}", "train.inter_val=1", "train.load_state.if_allow_change=true"]
    result = run("train.py", "--opt", opt, "--resume", "auto", *goal)
    assert result.returncode == 0, result.stderr
    assert step >= 4
    assert load_checkpoint(pairs / "exp/tiny-c/ckp-last.pt")["iter"] == step + 2


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["train.niterr=3"], r"tiny\.yml, case c: train: unknown key 'niterr' \(did you mean 'niter'\?\)"),
        (["network.kernel_size=3"], r"unknown key 'kernel_size' \(did you mean 'kernel_sizes'\?\)"),
        (["train.real_bs_pg=3"], r"found 3, expected a multiple of dataset\.train\.bs_pg = 2"),
        (["dataset.train.gt=nowhere"], r"dataset\.train: .*nowhere"),
        (["dataset.train.patch=500"], "56x48 pixels, less than patch: 500"),
        (["dataset.train.enlarge_ratio=1", "dataset.train.bs_pg=64"], "smaller than a batch"),
        (["device=cuda"], "GPU"),
    ],
)
def test_mistakes_are_one_line(run, opt, pairs, overrides, words):
    if overrides == ["device=cuda"] and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert re.search(words, one_error(run("train.py", "--opt", opt, "--set", *overrides)))


def test_weights_of_another_network_are_one_line(run, opt, pairs):
    assert run("train.py", "--opt", opt, "--set", "train.niter=1").returncode == 0
    result = run("test.py", "--opt", opt, "--set", "network.hidden_channels=[4, 8]")
    assert re.search(r"ckp-best\.pt .*\[4, 4\].* \[4, 8\]", one_error(result))
    (pairs / "exp/tiny-c/ckp-best.pt").write_bytes(b"PK garbage")
    assert "ckp-best.pt" in one_error(run("test.py", "--opt", opt))
    assert "no weights file" in one_error(run("test.py", "--opt", opt, "--set", "name=never-trained"))
    assert not (pairs / "exp/never-trained").exists()


def test_port_in_use_is_one_line(run, opt):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(taken.getsockname()[1]), "RANK": "0", "WORLD_SIZE": "1"}
        result = run("train.py", "--opt", opt, "--dry-run", **where)
    assert result.returncode == 2
    assert "--master_port" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def two_nodes(opt: Path, pairs: Path, *sets: str, second: str) -> list[Forked]:
    """train.py on two ranks without a launcher, the second with an option of its own."""
    command = [str(ROOT / "train.py"), "--opt", str(opt), "--set", *sets]
    return forked_ranks([command, [*command, second]], pairs, pairs / "said")


def ends(nodes: list[Forked]) -> list[str]:
    """The one line of each error; no node is left."""
    try:
        done = [node.result(60) for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    for node in done:
        assert (node.returncode, node.stderr.count("\n")) in ((2, 1), (-signal.SIGKILL, 0)), node.stderr
    return [node.stderr for node in done]


@NEEDS_FORKS
def test_nodes_with_other_options_say_what_differs(opt, pairs):
    for line in ends(two_nodes(opt, pairs, "train.niter=8", second="train.seed=8")):
        assert re.search(r"train\.seed is 7 on rank 0, 8 on rank 1", line)
    assert not (pairs / "exp").exists()


@NEEDS_FORKS
def test_a_lost_node_ends_the_other_which_names_the_last_checkpoint(opt, pairs):
    often = ("train.niter=1e6", "train.inter_val=10", "train.if_test_baseline=false")
    nodes = two_nodes(opt, pairs, *often, second="dataset.train.nworker_pg=0")
    end = time.monotonic() + 60
    while not list((pairs / "exp").glob("*/ckp-20.pt")) and time.monotonic() < end:
        time.sleep(0.05)
    nodes[1].kill()
    line, _ = ends(nodes)
    step = re.search(r"iter (\d+) in exp/tiny-c", line)
    assert step is not None, line
    assert (pairs / f"exp/tiny-c/ckp-{step[1]}.pt").exists()


def test_several_ranks_report_a_mistake_once(run, opt, port):
    result = run("train.py", "--opt", opt, "--set", "dataset.train.gt=nowhere", launcher=(*TWO_RANKS, port))
    assert result.returncode != 0
    assert result.stderr.count("error: dataset.train: cannot read the image folder nowhere") == 1
