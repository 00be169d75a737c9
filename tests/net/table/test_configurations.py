"""What the table calls networks."""

from powerqe.net import NETWORKS
from powerqe.net.table.configurations import configuration, every_network, without_defaults


def test_all_that_can_be_built_without_arguments() -> None:
    assert without_defaults() == ["Spandrel", "UNet"]
    assert sorted([*(each.spec["type"] for each in every_network()), *without_defaults()]) == sorted(NETWORKS.names())
    assert {each.label for each in every_network()} == {"default"}


def test_labels_list_what_differs_from_the_defaults() -> None:
    assert configuration({"type": "EDSR", "scale": 3, "res_scale": 0.1}).label == "scale 3, res_scale 0.1"
