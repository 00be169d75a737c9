"""evaluation/verify.py: published and measured figures side by side."""

import json

import pytest
import yaml

from powerqe.evaluation.verify import verify
from powerqe.net import build_network, save_weights
from powerqe.net.weights import Entry, Figure, index
from powerqe.utils.errors import UserError
from powerqe.utils.files import sha256_of


@pytest.fixture
def entry(tree, pairs, monkeypatch) -> Entry:
    """Weights of a tiny network, published with figures of the sets `here` and `gone`."""
    monkeypatch.chdir(pairs)
    data = tree["dataset"].pop("test")
    tree["dataset"]["test"] = {"here": data, "gone": data | {"gt": "nowhere"}}
    tree["test"] = {"criterion": {"PSNR": {}}, "if_save_im": True}
    (pairs / "tiny.yml").write_text(yaml.safe_dump({"defaults": tree, "cases": {"c": {}}}))
    path = pairs / "weights/tiny.safetensors"
    save_weights(build_network(tree["network"]), path, {"network": json.dumps(tree["network"])})
    figures = tuple(Figure(set=name, quality="-", metric="PSNR", unit="dB", after=40.0) for name in ("here", "gone"))
    entry = Entry(
        name="tiny", task="jpeg", color="rgb", method="ARCNN", parameters=1, figures=figures, figures_from="a paper",
        file=path.name, bytes=path.stat().st_size, sha256=sha256_of(path), license="MIT",
    )  # fmt: skip
    index.publish(entry, pairs / "weights")
    return entry


def test_published_and_measured(entry, pairs):
    lines = verify(entry, str(pairs / "tiny.yml"), "c", []).splitlines()
    assert "a paper" in lines[0]
    (row,) = [line.split() for line in lines if line.startswith("here ")]
    assert row[:4] == ["here", "-", "PSNR", "40.000"]
    published, measured, difference = map(float, row[3:])
    assert difference == pytest.approx(measured - published, abs=1e-9)
    assert lines[-1].startswith("gone:")
    assert "nowhere" in lines[-1]
    assert (pairs / "exp/verify-tiny/results.json").is_file()
    assert not (pairs / "exp/verify-tiny/test_im_enhanced").exists()


def test_without_data(entry, pairs):
    with pytest.raises(UserError, match=r"no data.*nowhere"):
        verify(entry, str(pairs / "tiny.yml"), "c", ["dataset.test.here=null"])


def test_nothing_published_was_measured(entry, pairs):
    other = entry.model_copy(update={"figures": (entry.figures[1],)})
    with pytest.raises(UserError, match="nothing was measured"):
        verify(other, str(pairs / "tiny.yml"), "c", ["dataset.test.gone=null"])
