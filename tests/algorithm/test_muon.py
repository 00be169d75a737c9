import pytest
import torch
import torch.nn.functional as F
from torch import nn

from powerqe.algorithm.muon import Muon, orthogonalized
from powerqe.utils.options.components import build, validate_component


def built(parameters, **options):
    return build(validate_component("optimizer", {"type": "Muon", **options}), parameters)


@pytest.mark.parametrize("shape", [(3, 24, 24), (2, 16, 70), (2, 70, 16)])
def test_singular_values_come_close_to_one(shape):
    torch.manual_seed(1)
    values = torch.linalg.svdvals(orthogonalized(torch.randn(shape) * 1e-4))
    large = values[..., :-2]  # the smallest of a square matrix may have been next to nothing
    assert large.min() > 0.5
    assert values.max() < 1.5


def test_singular_vectors_stay():
    torch.manual_seed(2)
    matrix = torch.randn(1, 20, 50)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert F.cosine_similarity(orthogonalized(matrix).flatten(), (u @ v).flatten(), dim=0) > 0.97


def test_a_matrix_of_zeros_stays_one():
    assert orthogonalized(torch.zeros(1, 16, 16)).abs().max() == 0


def test_steps_are_those_of_pytorch():
    """torch.optim.Muon on the weights as matrices, with the same learning rate for matrices of one size."""
    torch.manual_seed(3)
    ours = [nn.Parameter(torch.randn(32, 16, 3, 3)), nn.Parameter(torch.randn(32, 16, 3, 3))]
    theirs = [nn.Parameter(weight.detach().clone().flatten(1)) for weight in ours]
    mine = built(ours, lr=1e-2, weight_decay=0.1)
    other = torch.optim.Muon(theirs, lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for weight, matrix in zip(ours, theirs, strict=True):
            weight.grad = torch.randn_like(weight)
            matrix.grad = weight.grad.flatten(1)
        mine.step()
        other.step()
    for weight, matrix in zip(ours, theirs, strict=True):
        torch.testing.assert_close(weight.flatten(1), matrix, rtol=0, atol=6e-4)  # a step is 2e-3


def test_the_layout_of_weights_in_memory_changes_nothing():
    torch.manual_seed(4)
    weight = torch.randn(32, 16, 3, 3)
    gradient = torch.randn(32, 16, 3, 3)
    results = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        parameter = nn.Parameter(weight.clone(memory_format=memory_format))
        parameter.grad = gradient.clone(memory_format=memory_format)
        built([parameter]).step()
        results.append(parameter.detach())
    assert torch.equal(*results)


def test_vectors_and_layers_of_the_image_are_as_with_adam():
    torch.manual_seed(5)
    layers = [nn.Conv2d(3, 32, 3), nn.Conv2d(32, 12, 3)]
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    others = [nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    mine = built(parameters, lr=1e-2)
    adam = torch.optim.Adam(others, lr=1e-2, betas=(0.9, 0.99))
    for _ in range(4):
        for parameter, other in zip(parameters, others, strict=True):
            parameter.grad = other.grad = torch.randn_like(parameter)
        mine.step()
        adam.step()
    for parameter, other in zip(parameters, others, strict=True):
        torch.testing.assert_close(parameter, other)


def test_it_goes_on_from_its_state():
    def gradients(step):
        torch.manual_seed(step)
        for parameter in layer.parameters():
            parameter.grad = torch.randn_like(parameter)

    results = []
    for stops in (False, True):
        torch.manual_seed(6)
        layer = nn.Conv2d(16, 16, 3)
        optimizer = built(layer.parameters())
        for step in range(4):
            if stops and step == 2:
                state = optimizer.state_dict()
                optimizer = Muon(layer.parameters())
                optimizer.load_state_dict(state)
            gradients(step)
            optimizer.step()
        results.append([parameter.detach().clone() for parameter in layer.parameters()])
    assert all(map(torch.equal, *results))


def test_a_parameter_without_gradient_stays():
    used, unused = nn.Parameter(torch.ones(16, 16)), nn.Parameter(torch.ones(16, 16))
    used.grad = torch.eye(16)
    built([used, unused]).step()
    assert (unused == 1).all()
    assert (used.diagonal() < 1).all()
