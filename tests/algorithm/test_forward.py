import pytest
import torch
from torch import nn

from algorithm.forward import Forward, picture
from utils.errors import UserError


class Needy(nn.Module):
    """Needs tables, may be told a qf."""

    def forward(self, x, tables, qf=None):
        return x + tables + (qf or 0), qf


BATCH = {"lq": torch.zeros(1), "tables": torch.ones(1), "qf": 5, "gt": torch.zeros(1)}


def test_required_arguments_come_from_the_batch_and_others_do_not():
    image, qf = Forward(Needy())(BATCH)
    assert image.item() == 1
    assert qf is None


def test_arguments_of_the_options_and_of_the_call():
    assert picture(Forward(Needy(), arguments={"qf": 10})(BATCH)).item() == 11
    assert picture(Forward(Needy(), arguments={"tables": 7})(BATCH)).item() == 7
    assert picture(Forward(Needy())(BATCH, qf=2)).item() == 3


def test_what_is_called_is_the_prepared_network():
    assert Forward(Needy(), lambda x, tables: (x, tables))(BATCH)[1] is BATCH["tables"]


def test_a_batch_without_what_is_needed():
    with pytest.raises(UserError, match=r"Needy needs tables with each image .*DegradedImages has them"):
        Forward(Needy())({"lq": torch.zeros(1)})


def test_an_argument_that_does_not_exist():
    with pytest.raises(UserError, match=r"Needy takes no 'table' \(did you mean 'tables'\?\); .*it takes: tables, qf"):
        Forward(Needy(), arguments={"table": 1})


def test_picture():
    image = torch.zeros(1)
    assert picture(image) is image
    assert picture((image, 3)) is image
