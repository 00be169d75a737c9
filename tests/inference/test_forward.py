import numpy as np
import pytest
import skimage
import torch
from torch import nn

from powerqe.inference.forward import Forward, image_of
from powerqe.utils.codecs import JPEG
from powerqe.utils.errors import UserError


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
    assert image_of(Forward(Needy(), arguments={"qf": 10})(BATCH)).item() == 11
    assert image_of(Forward(Needy(), arguments={"tables": 7})(BATCH)).item() == 7
    assert image_of(Forward(Needy())(BATCH, qf=2)).item() == 3


def test_what_is_called_is_the_prepared_network():
    assert Forward(Needy(), lambda x, tables: (x, tables))(BATCH)[1] is BATCH["tables"]


def test_a_batch_without_what_is_needed():
    with pytest.raises(UserError, match="DegradedImages"):
        Forward(Needy())({"lq": torch.zeros(1)})


def test_an_argument_that_does_not_exist():
    with pytest.raises(UserError, match=r"'table'.*'tables'"):
        Forward(Needy(), arguments={"table": 1})


def test_arguments_that_the_options_take_from_the_sample():
    assert image_of(Forward(Needy(), arguments={"qf": {"from": "qf"}})(BATCH)).item() == 6
    assert Forward(Needy(), arguments={"tables": {"from": "lq"}})(BATCH)[0].item() == 0
    with pytest.raises(UserError, match=r"forward: qf.*'tabels'.*'tables'"):
        Forward(Needy(), arguments={"qf": {"from": "tabels"}})(BATCH)
    with pytest.raises(UserError, match="Needy takes no 'q'"):
        Forward(Needy(), arguments={"q": {"from": "qf"}})


class Told(Needy):
    """Should be told the qf that a sample has."""

    conditioning = {"qf": "quality"}  # noqa: RUF012


def test_conditioning_comes_from_the_batch_if_it_is_there():
    known = {**BATCH, "quality": 30}
    assert Forward(Told())(known)[1] == 30
    assert Forward(Told())(BATCH)[1] is None
    assert Forward(Told(), arguments={"qf": 10})(known)[1] == 10
    assert Forward(Told(), arguments={"qf": {"from": "qf"}})(known)[1] == 5
    assert Forward(Told())(known, qf=2)[1] == 2


def test_the_dominant_quality_is_found_in_each_damaged_image():
    """Two compressions with shifted blocks, one compression, none."""
    gray = skimage.data.camera()[100:260, 100:292, None]
    codec = JPEG()
    twice = codec.compress(np.ascontiguousarray(codec.compress(gray, 10)[0][4:, 4:]), 50)[0]
    once = codec.compress(np.ascontiguousarray(gray[4:, 4:]), 50)[0]
    images = np.stack([twice, once, np.ascontiguousarray(gray[4:, 4:])])
    lq = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    found = []

    class Network(nn.Module):
        def forward(self, x, qf=None):
            found.append(qf)
            return x

    Forward(Network(), arguments={"qf": {"from": "dominant"}})({"lq": lq})
    assert found[0].shape == (3, 1)
    assert found[0][:2].flatten().tolist() == pytest.approx([10, 50], abs=1)
    assert found[0][2].isnan()


def test_image():
    image = torch.zeros(1)
    assert image_of(image) is image
    assert image_of((image, 3)) is image
