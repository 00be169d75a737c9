"""The batch script of docs/multi_node.md, with a stand-in for Slurm: two nodes that are one machine."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SRUN = """#!/bin/sh
SLURM_NODEID=0 "$@" & first=$!
SLURM_NODEID=1 "$@" & second=$!
wait $first || exit 1
wait $second
"""
ACTIVATE = f"export PATH={Path(sys.executable).parent}:$PATH PYTHONPATH="


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_batch_script_trains_on_two_nodes(root: Path, pairs: Path, opt: Path) -> None:
    (script,) = re.findall(r"```bash\n(.*?)```", (root / "docs/multi_node.md").read_text(), re.DOTALL)
    for there, here in (
        ("--nproc_per_node=8", "--nproc_per_node=1"),
        ("OMP_NUM_THREADS=8", "OMP_NUM_THREADS=1"),
        (r"$((20000 + SLURM_JOB_ID % 20000))", str(free_port())),
        ("train.py --opt opts/arcnn.yml --case div2k-qf10", f"{root}/train.py --opt {opt} --case c"),
    ):
        assert there in script
        script = script.replace(there, here)
    executable(pairs / "bin/srun", SRUN)
    executable(pairs / "bin/scontrol", "#!/bin/sh\necho 127.0.0.1\necho 127.0.0.2\n")
    executable(pairs / ".venv/bin/activate", ACTIVATE)
    executable(pairs / "job.sh", script)
    slurm = {"SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "node[0-1]", "SLURM_JOB_ID": "7"}
    path = f"{pairs / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "job.sh"],
        cwd=pairs,
        env={**os.environ, **slurm, "PATH": path},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    log = (pairs / "exp/tiny-c/train.log").read_text()
    assert "2 rank(s)" in log
    assert "finished at iter 8" in log
