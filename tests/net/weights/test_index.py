"""net/weights/index.py: the shipped weights, names and paths, and indices that must be refused."""

import json
import re
from pathlib import Path

import pytest
import torch

from powerqe.net import build_network, load_weights, save_weights
from powerqe.net.weights import Entry, Figure, Qualities, Training, entries, find, index, spec
from powerqe.net.weights.index import known_weights, write_cards
from powerqe.utils.checkpoint import save_checkpoint
from powerqe.utils.errors import UserError
from powerqe.utils.files import sha256_of

TINY = {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3]}


def publish(folder: Path, name: str, url: str | None = None) -> Path:
    """Weights, entry and card in a folder, as powerqe.evaluation.publish writes them."""
    path = folder / f"{name}.safetensors"
    save_weights(build_network(TINY), path, {"network": json.dumps(TINY)})
    figure = Figure(set="live1", quality="qf10", metric="PSNR", unit="dB", before=25.693, after=26.652, gain=0.960)
    index.publish(
        Entry(
            task="jpeg", color="rgb", qualities=Qualities(unit="qf", values=(10, 20)), name=name, method="ARCNN",
            parameters=1234, training=Training(data="data/bsds500/train.lmdb 0 to 9"), figures=(figure,),
            file=path.name, bytes=path.stat().st_size, sha256=sha256_of(path), license="MIT", url=url,
        ),
        folder,
    )  # fmt: skip
    return path


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working folder with weights/ that hold tiny-one and tiny-two."""
    monkeypatch.chdir(tmp_path)
    for name in ("tiny-two", "tiny-one"):
        publish(tmp_path / "weights", name)
    return tmp_path


# --------------------------------------------------------------------------- what is shipped


def test_every_file_has_an_entry_with_its_sha256(root):
    found = entries(root / "weights")
    assert {entry.file for entry in found} == {path.name for path in (root / "weights").glob("*.safetensors")}
    assert len(found) >= 13
    for entry in found:
        path = root / "weights" / entry.file
        assert (path.stat().st_size, sha256_of(path)) == (entry.bytes, entry.sha256), entry.name
        network = build_network(spec(path))
        assert (type(network).__name__, sum(p.numel() for p in network.parameters())) == (
            entry.method,
            entry.parameters,
        )
        if "in_channels" in spec(path):
            assert entry.color == {1: "y", 3: "rgb"}[spec(path)["in_channels"]]
        assert entry.scale == spec(path).get("scale", 1)
        assert entry.license == "Apache-2.0"
        assert entry.figures, entry.name


def test_shipped_weights_load_by_name_from_any_folder(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = build_network(spec(find("arcnn-bsds500-qf10")))
    assert load_weights(network, "arcnn-bsds500-qf10") == []
    other = build_network(spec(find("arcnn-bsds500-qf10")))
    load_weights(other, root / "weights/arcnn-bsds500-qf10.safetensors")
    assert all(map(torch.equal, network.state_dict().values(), other.state_dict().values()))


# --------------------------------------------------------------------------- names and paths


def test_a_name_is_a_file_of_the_index(here):
    assert find("tiny-one") == Path("weights/tiny-one.safetensors")
    assert find("tiny-one.safetensors") == Path("weights/tiny-one.safetensors")
    assert find("tiny-one", here / "weights") == here / "weights/tiny-one.safetensors"


def test_a_path_that_exists_counts_before_a_name(here):
    for name in ("tiny-one", "ckp-best.pt", "weights/tiny-two.safetensors"):
        Path(name).touch()
        assert find(name) == Path(name)
    assert find(here / "weights/tiny-one.safetensors") == here / "weights/tiny-one.safetensors"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny-on", "'tiny-on?e?'"),
        ("tiny-tow.safetensors", "'tiny-two'"),
        ("nothing-like-it", "nothing-like-it; powerqe weights list"),
        ("exp/none/ckp-best.pt", r"exp/none/ckp-best\.pt"),
        ("weights/tiny-on.safetensors", r"weights/tiny-on\.safetensors"),
        ("/tiny-one", "/tiny-one"),
    ],
)
def test_unknown(here, name, message):
    with pytest.raises(UserError, match=message):
        find(name)


def test_a_folder_is_no_weights_file(here):
    Path("tiny-one").mkdir()
    assert find("tiny-one") == Path("weights/tiny-one.safetensors")
    with pytest.raises(UserError, match="no weights file"):
        find("./weights/")


def test_the_working_folders_weights_count_before_the_shipped(here):
    for name in ("a-first", "arcnn-bsds500-qf10"):
        publish(here / "weights", name)
    assert find("arcnn-bsds500-qf10") == Path("weights/arcnn-bsds500-qf10.safetensors")
    names = [entry.name for entry in entries()]
    assert names == sorted(set(names))
    assert {"tiny-one", "arcnn-bsds500-qf10", "dcad-bsds500-qf10"} <= set(names)
    assert next(entry for entry in entries() if entry.name == "arcnn-bsds500-qf10").license == "MIT"


@pytest.mark.parametrize(
    ("url", "command"), [("http://host/a", "fetch tiny-one$"), (None, "fetch tiny-one --from FOLD")]
)
def test_weights_that_are_not_here_are_not_downloaded_unasked(here, url, command):
    publish(here / "weights", "tiny-one", url).unlink()
    with pytest.raises(UserError, match=f"tiny-one.*{command}"):
        find("tiny-one")
    with pytest.raises(UserError, match="not here yet"):
        load_weights(build_network(TINY), "tiny-one")


def test_another_file_under_a_name_is_refused(here):
    path = here / "weights/tiny-one.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"tiny-one\.safetensors.*index.*SHA-256"):
        find("tiny-one")
    assert find(path) == path  # who gives a path means that file


def test_no_index_is_no_weights(tmp_path):
    assert entries(tmp_path) == ()
    assert known_weights(tmp_path) == {}


# --------------------------------------------------------------------------- the index


def test_the_index_holds_what_was_published(here):
    one, two = entries("weights")
    assert (one.name, two.name) == ("tiny-one", "tiny-two")
    assert Entry.model_validate(json.loads(Path("weights/index.json").read_text())[0]) == one
    publish(here / "weights", "tiny-one", "http://host/a")
    first, second = entries("weights")
    assert (first.url, second) == ("http://host/a", two)


def test_cards_are_written_anew(here):
    cards = [Path(f"weights/tiny-{name}.md") for name in ("one", "two")]
    before = [path.read_text() for path in cards]
    cards[0].unlink()
    cards[1].write_text("changed by hand")
    Path("weights/tiny-one.safetensors").unlink()  # an entry without its file has a card, too
    assert write_cards("weights") == cards
    assert [path.read_text() for path in cards] == before


def test_a_file_that_is_not_its_entrys_is_refused_and_the_cards_stay(here):
    with Path("weights/tiny-two.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    Path("weights/tiny-one.md").unlink()
    with pytest.raises(UserError, match=r"tiny-two\.safetensors"):
        write_cards("weights")
    assert not Path("weights/tiny-one.md").exists()


@pytest.mark.parametrize("text", ["[{", '[{"name": "a"}]', "[3]", "3", '{"a": 3}'])
def test_a_damaged_index_is_refused(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(UserError, match=rf"{re.escape(str(tmp_path))}/index.json.*damaged"):
        entries(tmp_path)


@pytest.mark.parametrize(("key", "value"), [("file", "../tiny-one.safetensors"), ("sha256", "../../../tiny")])
def test_an_index_leads_nowhere_else(here, key, value):
    data = json.loads(Path("weights/index.json").read_text())
    data[0][key] = value
    Path("weights/index.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match=rf"index.json.*damaged.*{key}"):
        find("tiny-two")


# --------------------------------------------------------------------------- networks


def test_files_determine_their_network(here):
    assert spec(find("tiny-one")) == TINY
    networks = {"net": build_network(TINY).state_dict()}
    save_checkpoint({"format": 1, "networks": networks, "options": {"network": TINY}}, here / "exp/a/ckp-best.pt")
    assert spec(here / "exp/a/ckp-best.pt") == TINY


def test_a_file_of_an_unknown_network(tmp_path):
    save_weights(build_network(TINY), tmp_path / "bare.safetensors")
    with pytest.raises(UserError, match=r"bare\.safetensors.*false.*true"):
        spec(tmp_path / "bare.safetensors")
