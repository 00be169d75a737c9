"""The weights that a wheel carries."""

import pytest

from powerqe.inference.packaged import FILE, in_wheel
from powerqe.net.weights import entries


def test_the_list_is_up_to_date_and_a_wheel_of_it_small(root):
    published = entries(root / "weights")
    names = in_wheel(published)
    advice = "write it anew: python -m powerqe.inference.packaged"
    assert (root / "weights" / FILE).read_text().split() == names, advice
    assert sum(entry.bytes for entry in published if entry.name in names) < 29_500_000


def test_what_is_chosen_is_in_it(root):
    """What every user meets: a JPEG in color, a gray one, a video."""
    assert {"restore-color", "fbcnn-bsds500-gray", "stdf-sample-qp37"} <= set(in_wheel(entries(root / "weights")))


@pytest.mark.parametrize("name", ["srcnn-bsds500-x2", "arcnn-bsds500-qf10"])
def test_what_is_never_chosen_is_not(root, name):
    assert name not in in_wheel(entries(root / "weights"))


def test_large_files_are_replaced_by_the_next_best(root):
    published = entries(root / "weights")
    larger = [entry.model_copy(update={"bytes": 10**8}) if "restore" in entry.name else entry for entry in published]
    assert "restore-color" not in in_wheel(larger)
    assert "dcad-bsds500-qf10" in in_wheel(larger)
