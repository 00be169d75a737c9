"""What a user can name, and what is said of what nobody knows."""

import re

import pytest

from powerqe.net import NETWORKS, save_weights
from powerqe.net.arcnn import ARCNN
from powerqe.net.table.asked import Asked, asked, every_network, every_weights, without_defaults
from powerqe.utils.errors import UserError


def test_all_that_can_be_built_without_arguments() -> None:
    assert without_defaults() == ["UNet"]
    assert sorted([*(each.spec["type"] for each in every_network()), "UNet"]) == sorted(NETWORKS.names())


def test_types_weights_paths_and_what_stands_in_option_files(tmp_path, root, monkeypatch) -> None:
    path = tmp_path / "mine.safetensors"
    save_weights(ARCNN(), path, {"network": '{"type": "ARCNN", "residual": true}'})
    found = asked(["DnCNN", "arcnn-bsds500-qf10", str(path), "{type: EDSR, scale: 3}", "{type: EDSR}"])
    assert found[0] == Asked("default", {"type": "DnCNN"})
    assert found[1].configuration == "arcnn-bsds500-qf10"
    assert found[1].spec["type"] == "ARCNN"
    assert found[2:] == [
        Asked("mine", {"type": "ARCNN", "residual": True}),
        Asked("scale 3", {"type": "EDSR", "scale": 3}),
        Asked("default", {"type": "EDSR"}),
    ]


def test_all_weights() -> None:
    found = {each.configuration: each.spec["type"] for each in every_weights()}
    assert found["fbcnn-bsds500-color"] == "FBCNN"
    assert len(found) > 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("DNCN", "no network, and no weights file or name DNCN (did you mean 'DnCNN'?)"),
        ("dncnn-bsds500-qf20", "(did you mean 'dncnn-bsds500-qf10'?)"),
        ("nowhere/mine.safetensors", "no weights file or name nowhere/mine.safetensors"),
        ("UNet", "missing; it has no default"),
        ("{type: EDSR, scale: 5}", "scale: found 5"),
        ("{type: EDSRR}", "did you mean 'EDSR'?"),
        ("{type: EDSR", "expected a network such as '{type: EDSR, num_features: 256}'"),
    ],
)
def test_mistakes(name: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        asked([name])
