"""From a name to a ready network."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from powerqe.inference.load import find_network, parse_source, published_networks
from powerqe.net import build_network, save_weights
from powerqe.net.arcnn import ARCNN
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import validate_component

TINY = {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3]}


@pytest.fixture
def tiny(tmp_path: Path) -> torch.nn.Module:
    """Its weights are tiny.safetensors, which tells its network, and official.safetensors, which does not."""
    network = build_network(TINY)
    save_weights(network, tmp_path / "tiny.safetensors", {"network": json.dumps(TINY)})
    save_file(network.state_dict(), tmp_path / "official.safetensors")
    return network


def is_equal(network: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


def test_published_weights_by_name() -> None:
    found = find_network("arcnn-bsds500-qf10")
    assert (found.name, found.method) == ("arcnn-bsds500-qf10", "ARCNN")
    assert found.card is not None
    assert found.card.name == found.name
    network = found.build("cpu")
    assert isinstance(network, ARCNN)
    assert not network.training
    assert found.path is not None
    assert find_network(found.path).card == found.card


def test_a_path(tiny: torch.nn.Module, tmp_path: Path) -> None:
    found = find_network(tmp_path / "tiny.safetensors")
    assert (found.name, found.spec, found.card) == ("tiny", TINY, None)
    assert is_equal(found.build(), tiny)


def test_a_training_checkpoint(run_training: Path) -> None:
    found = find_network(run_training)
    assert (found.method, found.name) == ("ARCNN", "ckp-last")
    found.build()


@pytest.fixture
def run_training(tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a training of one step."""
    from powerqe.algorithm.experiment import Experiment
    from powerqe.algorithm.trainer import Trainer
    from powerqe.utils.options.tree import Options
    from powerqe.utils.ranks import Ranks

    monkeypatch.chdir(tmp_path)
    tree["train"] |= {"niter": 1}
    options = Options.model_validate({"name": "t", **tree})
    trainer = Trainer(options, Ranks(0, 0, 1, torch.device("cpu")))
    trainer.run(Experiment(options, trainer.step, True))
    return options.folder / "ckp-last.pt"


@pytest.mark.parametrize("as_options", [False, True])
def test_weights_with_a_network_that_the_user_names(as_options: bool, tiny: torch.nn.Module, tmp_path: Path) -> None:
    network = validate_component("network", TINY) if as_options else TINY
    found = find_network(tmp_path / "official.safetensors", network)
    assert found.method == "ARCNN"
    assert is_equal(found.build(), tiny)


def test_a_network_that_has_learnt_nothing() -> None:
    found = find_network(TINY)
    assert (found.name, found.path, found.card) == ("ARCNN", None, None)
    assert not found.build().training


def test_all_published_networks() -> None:
    found = {each.name: each.method for each in published_networks()}
    assert found["fbcnn-bsds500-color"] == "FBCNN"
    assert len(found) > 10


def test_what_a_command_line_names(tmp_path: Path, tiny: torch.nn.Module) -> None:
    path = str(tmp_path / "tiny.safetensors")
    texts = ["DnCNN", "arcnn-bsds500-qf10", path, "{type: EDSR, scale: 3}"]
    found = [find_network(parse_source(text)) for text in texts]
    assert [(each.name, each.spec["type"]) for each in found] == [
        ("DnCNN", "DnCNN"), ("arcnn-bsds500-qf10", "ARCNN"), ("tiny", "ARCNN"), ("EDSR", "EDSR"),
    ]  # fmt: skip
    assert found[3].spec == {"type": "EDSR", "scale": 3}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("DNCN", "DNCN (did you mean 'DnCNN'?)"),
        ("dncnn-bsds500-qf20", "(did you mean 'dncnn-bsds500-qf10'?)"),
        ("nowhere/mine.safetensors", "nowhere/mine.safetensors"),
        ("UNet", "missing; it has no default"),
        ("{type: EDSR, scale: 5}", "scale: found 5"),
        ("{type: EDSRR}", "did you mean 'EDSR'?"),
        ("{type: EDSR", "{type: EDSR, num_features: 256}"),
    ],
)
def test_mistakes_on_a_command_line(name: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        find_network(parse_source(name))


def test_weights_of_an_unknown_network(tiny: torch.nn.Module, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"official\.safetensors.*\{type: NAME"):
        find_network(tmp_path / "official.safetensors")
    with pytest.raises(UserError, match="hidden"):
        find_network(tmp_path / "official.safetensors", {"type": "ARCNN", "hidden": 1}).build()
