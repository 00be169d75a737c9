"""evaluation/computing_code.py: what computes changes the hash, nothing else does."""

from pathlib import Path

import pytest

from powerqe.evaluation import computing_code
from powerqe.evaluation.computing_code import code_hash
from powerqe.utils.options.components import validate_component

STDF = validate_component("network", {"type": "STDF"})
DATA = validate_component(
    "dataset", {"type": "VideoClips", "gt": None, "lq": "a", "window": {"type": "Sliding", "radius": 1}}
)
CRITERION = {"PSNR": validate_component("metric", {"type": "PSNR"})}
BEGINNING = ("powerqe.evaluation.evaluate",)


@pytest.mark.parametrize(
    ("module", "computes"),
    [
        ("powerqe.net.stdf", True),  # the network
        ("powerqe.net.blocks", True),  # of which it is made
        ("powerqe.net.ops.dcn.modules", True),  # which a package gives on
        ("powerqe.utils.metrics.psnr", True),
        ("powerqe.dataset.windows", True),  # a component of a component
        ("powerqe.evaluation.evaluate", True),
        ("powerqe.net.arcnn", False),
        ("powerqe.net.weights.index", False),
        ("powerqe.utils.metrics.lpips", False),
        ("powerqe.evaluation.video_results", False),
        ("powerqe.utils.log", False),
    ],
)
def test_what_computes_changes_the_hash(module, computes, tmp_path, monkeypatch):
    before = code_hash(BEGINNING, STDF, DATA, CRITERION)
    file = computing_code._file
    changed = tmp_path / "changed.py"
    changed.write_text(file(module).read_text() + "\n# changed")
    monkeypatch.setattr(computing_code, "_file", lambda name: changed if name == module else file(name))
    assert (code_hash(BEGINNING, STDF, DATA, CRITERION) != before) == computes


def test_sources_of_the_compiled_operator_count(monkeypatch):
    read, names = Path.read_bytes, []
    monkeypatch.setattr(Path, "read_bytes", lambda path: names.append(path.name) or read(path))
    code_hash((), STDF)
    assert {"operators.cpp", "stdf.py"} <= set(names)
    names.clear()
    code_hash((), validate_component("network", {"type": "ARCNN"}))
    assert "operators.cpp" not in names


def test_the_same_each_time():
    assert code_hash(BEGINNING, STDF) == code_hash(BEGINNING, STDF) != code_hash(BEGINNING, DATA)
