"""How a process ends, alone and as a rank."""

import os
import subprocess
import sys

import pytest
import torch.distributed as dist

from powerqe.utils.launcher import is_launched

LAUNCHER = ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "WORLD_SIZE")


@pytest.mark.parametrize(("launched", "said"), [(True, "work done\n"), (False, "work done\nshutdown\n")])
@pytest.mark.parametrize("code", [0, 2, None])
def test_ranks_end_with_their_status_and_without_shutdown(root, launched, said, code):
    script = (
        "import atexit; from powerqe.utils.launcher import leave; atexit.register(print, 'shutdown');"
        f"print('work done'); leave({code})"
    )
    environment = {name: value for name, value in os.environ.items() if name not in LAUNCHER}
    environment |= {"PYTHONPATH": str(root)} | ({"MASTER_PORT": "1"} if launched else {})
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (code or 0, said), result.stderr


def test_torchrun_is_known_by_what_pytorch_looks_for(monkeypatch):
    for name in LAUNCHER:
        monkeypatch.delenv(name, raising=False)
    assert not is_launched()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert is_launched()
    assert dist.is_torchelastic_launched()
