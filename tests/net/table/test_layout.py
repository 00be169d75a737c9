"""The order of rows, and how figures are written."""

import torch

from powerqe.net.table.layout import ordered, to_text
from powerqe.net.table.rows import Conditions, NetworkRow

CPU = torch.device("cpu")


def test_what_is_not_known_comes_last() -> None:
    rows = [NetworkRow("a", ""), NetworkRow("b", "", milliseconds=2.0), NetworkRow("c", "", milliseconds=1.0)]
    assert [row.network for row in ordered(rows, "ms")] == ["c", "b", "a"]


def test_global_networks_have_the_largest_field() -> None:
    rows = [
        NetworkRow("a", "", sight="whole", field=9),
        NetworkRow("b", "", field=99),
        NetworkRow("c", "", sight="motion"),
        NetworkRow("d", ""),
    ]
    assert [row.network for row in ordered(rows, "field")] == ["b", "a", "c", "d"]


def test_figures_and_problems() -> None:
    rows = [
        NetworkRow("A", "some", "RGB", 1234, 5678.94, 9, "whole", 1234.5, 3, 3 << 19),
        NetworkRow("B", "other", problem="out of memory"),
    ]
    lines = to_text(rows, Conditions(8, 16, CPU), ["C"]).splitlines()
    assert lines[4].split() == ["A", "some", "RGB", "1,234", "5,678.9", "whole", "(9)", "1,234", "1.5"]
    assert lines[5].split() == ["B", "other", *"------"]
    assert lines[-2:] == ["B (other): out of memory", "C has required arguments: give them as '{type: C, ...}'"]
    assert max(map(len, lines[6:])) <= 110
