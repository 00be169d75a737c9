"""What ranks compare, of ranks whose facts are given."""

from typing import Any

import pytest
import torch

from powerqe.evaluation.agreement import agree_to_train, check_same
from powerqe.utils.errors import UserError
from powerqe.utils.options.tree import load_options
from powerqe.utils.ranks import Ranks


class Recorded(Ranks):
    """A rank that notes what it would send, and gets back what others have noted."""

    sent: list[Any]
    others: list[list[Any]]

    def gather(self, value: Any) -> list[Any]:
        self.sent.append(value)
        return [each[len(self.sent) - 1] for each in self.others] + [value]


def rank(*others: list[Any]) -> Recorded:
    made = Recorded(len(others), 0, len(others) + 1 if others else 2, torch.device("cpu"))
    object.__setattr__(made, "sent", [])
    object.__setattr__(made, "others", others)
    return made


def facts(ranks: Recorded, opt, *overrides: str, resume: str = "never") -> list[Any]:
    """What a rank sends first, and what it would send if asked for details."""
    agree_to_train(load_options(opt, overrides=list(overrides)), ranks, resume=resume)
    return ranks.sent


@pytest.mark.parametrize(
    ("overrides", "differs"),
    [
        (["train.seed=8"], {"option"}),
        (["dataset.train.nworker_pg=3"], set()),
        (["dataset.val=null"], {"option"}),
        (["network={type: DnCNN, depth: 3}"], {"option", "code of"}),
    ],
)
def test_what_differs_is_found(opt, overrides, differs):
    (_, one), (_, other) = facts(rank(), opt), facts(rank(), opt, *overrides)
    assert {key for key in one | other if one.get(key) != other.get(key)} == differs


def test_data_of_other_content_and_other_arguments_differ(opt, pairs):
    _, before = facts(rank(), opt)
    (pairs / "gt/5.png").write_bytes((pairs / "gt/4.png").read_bytes())
    _, after = facts(rank(), opt, resume="auto")
    assert {key for key in before if before[key] != after[key]} == {"argument", f"dataset.train.gt={pairs}/gt:"}


def test_the_line_names_what_differs_where():
    same = {"version of": {"PyTorch": "2.11"}}
    all_facts = [{**same, "option": {"train.seed": seed, "train.ema": 0.9}} for seed in (7, 8, 7)]
    sent: list[list[Any]] = []
    for each in all_facts[:-1]:
        ranks = rank()
        check_same(ranks, each)
        sent.append([*ranks.sent, ("host", {"option": each["option"]})])
    with pytest.raises(UserError, match=r"option train\.seed is 7 on ranks 0, 2.*8 on rank 1") as error:
        check_same(rank(*sent), all_facts[-1])
    assert "ema" not in str(error.value)
    assert "\n" not in str(error.value)
