"""How a process starts and ends, alone and as a rank."""

import gc
import os
import subprocess
import sys

import pytest
import torch.distributed as dist

from powerqe.utils.launcher import is_launched, quick_imports

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


def test_what_is_left_open_is_cleaned_up_at_the_end(root, tmp_path):
    script = (
        "import tempfile; from powerqe.utils.launcher import leave; folder = tempfile.TemporaryDirectory();"
        "circle = [folder]; circle.append(circle); file = open('text', 'w'); file.write('written');"
        "print(folder.name); leave(0)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in LAUNCHER}
    environment |= {"PYTHONPATH": str(root), "TMPDIR": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert result.stdout.startswith(str(tmp_path)), result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
    assert (tmp_path / "text").read_text() == "written"


def test_imports_pause_the_collector_and_what_they_make_is_left_alone(monkeypatch):
    with quick_imports():
        assert gc.isenabled()  # PyTorch is there already
    monkeypatch.delitem(sys.modules, "torch")
    try:
        with quick_imports():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        with pytest.raises(ImportError), quick_imports():
            raise ImportError
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_torchrun_is_known_by_what_pytorch_looks_for(monkeypatch):
    for name in LAUNCHER:
        monkeypatch.delenv(name, raising=False)
    assert not is_launched()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert is_launched()
    assert dist.is_torchelastic_launched()
