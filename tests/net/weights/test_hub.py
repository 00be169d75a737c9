"""hf://: the hub's own library on a cache that is made here, without network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from powerqe.net import build_network, save_weights
from powerqe.net.weights import find
from powerqe.utils.errors import UserError

TINY = {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3]}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LINES = """
import json, numpy, powerqe
from powerqe.inference.load import find_network, parse_source
from powerqe.net.weights import find
from powerqe.utils.errors import UserError

def answer(address):
    try:
        return str(find(address))
    except UserError as error:
        return f"error: {error}"

address = "hf://some one/nets/sub/tiny.safetensors".replace("some one", "someone")
image = numpy.zeros((8, 9, 3), "uint8")
print(json.dumps({
    "newest": answer(address), "revision": answer(address + "@v1"), "no file": answer(address + "x"),
    "no revision": answer(address + "@v2"), "no repository": answer("hf://someone/others/tiny.safetensors"),
    "network": find_network(parse_source(address)).spec["type"], "shape": powerqe.load(address)(image).shape,
}))
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of the hub with someone/nets, of which v1 and main are the same commit."""
    pytest.importorskip("huggingface_hub")
    repository = tmp_path / "hub/models--someone--nets"
    save_weights(build_network(TINY), repository / f"snapshots/{COMMIT}/sub/tiny.safetensors",
                 {"network": json.dumps(TINY)})  # fmt: skip
    (repository / "refs").mkdir()
    for name in ("main", "v1"):
        (repository / "refs" / name).write_text(COMMIT)
    return tmp_path


@pytest.mark.slow
def test_files_of_the_local_cache(cache, root):
    environment = os.environ | {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(root)}
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        environment.pop(variable, None)
    done = subprocess.run([sys.executable, "-c", LINES], cwd=cache, env=environment, capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    path = str(cache / f"hub/models--someone--nets/snapshots/{COMMIT}/sub/tiny.safetensors")
    assert (found["newest"], found["revision"]) == (path, path)
    assert (found["network"], found["shape"]) == ("ARCNN", [8, 9, 3])
    for name in ("no file", "no revision", "no repository"):
        assert found[name].startswith("error: hf://someone/"), name
        assert "\n" not in found[name]


@pytest.mark.parametrize("address", ["hf://", "hf://owner/repo", "hf://owner/repo/file@", "hf:owner/repo/file"])
def test_no_address(address):
    with pytest.raises(UserError, match=r"expected hf://owner/repo/file"):
        find(address)


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="pip install huggingface_hub"):
        find("hf://owner/repo/file.pth")
    with pytest.raises(UserError, match="pip install huggingface_hub"):
        find(Path("hf://owner/repo/file.pth"))  # which has one slash
