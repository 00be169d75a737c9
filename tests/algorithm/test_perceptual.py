import urllib.request

import pytest
import torch
import torch.nn.functional as F

from powerqe.algorithm.perceptual import Perceptual
from powerqe.utils.errors import UserError
from powerqe.utils.places import WEIGHTS_VARIABLE

torchvision = pytest.importorskip("torchvision", exc_type=(ImportError, RuntimeError))


@pytest.fixture(scope="module")
def vgg(tmp_path_factory) -> str:
    """A VGG-19 with random weights, its classifier left out to be small."""
    torch.manual_seed(0)
    features = torchvision.models.vgg19().features
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save({f"features.{name}": tensor for name, tensor in features.state_dict().items()}, path)
    return str(path)


def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    a, b = torch.rand(2, 1, 3, 40, 37, generator=generator)
    return a, b


@pytest.mark.slow
def test_is_the_distance_of_the_last_convolutions_output(vgg):
    a, b = images()
    state = torch.load(vgg, weights_only=True)

    def features(x: torch.Tensor) -> torch.Tensor:
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        x = (x - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
        index = 0
        for block in (2, 2, 4, 4, 4):
            for _ in range(block):
                x = F.conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], padding=1)
                if index == 34:
                    return x
                x, index = F.relu(x), index + 2
            x, index = F.max_pool2d(x, 2), index + 1
        raise AssertionError

    difference = features(a) - features(b)
    charbonnier, l1 = (difference**2 + 1e-6).sqrt().mean().item(), difference.abs().mean().item()
    assert Perceptual(weights=vgg)(a, b).item() == pytest.approx(charbonnier, rel=1e-4)
    assert Perceptual(weights=vgg, distance="l1")(a, b).item() == pytest.approx(l1, rel=1e-4)
    squared = difference.square().mean().item()
    assert Perceptual(weights=vgg, distance="mse")(a, b).item() == pytest.approx(squared, rel=1e-4)


@pytest.mark.slow
def test_layers_and_style_add_up(vgg):
    a, b = images()
    one, two = (Perceptual(weights=vgg, layers={name: 1.0})(a, b) for name in ("conv1_2", "conv3_4"))
    both = Perceptual(weights=vgg, layers={"conv1_2": 2.0, "conv3_4": 0.5})(a, b)
    assert both.item() == pytest.approx(2 * one.item() + 0.5 * two.item(), rel=1e-5)
    assert Perceptual(weights=vgg, layers={"conv1_2": 1.0}, style_weight=3.0)(a, b) > one


def test_gradient_reaches_the_image_but_no_weight(vgg):
    a, b = images()
    a.requires_grad_()
    loss = Perceptual(weights=vgg)
    loss(a, b).backward()
    assert a.grad is not None
    assert a.grad.abs().sum() > 0
    assert all(not parameter.requires_grad for parameter in loss.parameters())


def test_mistakes(vgg, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="unknown layer 'conv6_1'"):
        Perceptual(weights=vgg, layers={"conv6_1": 1.0})
    with pytest.raises(UserError, match="no weights file"):
        Perceptual(weights=str(tmp_path / "none.pth"))
    torch.save({"w": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"no features\.34\.weight"):
        Perceptual(weights=str(tmp_path / "other.pth"))


def test_no_network_is_one_clear_error(monkeypatch, tmp_path):
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nonexistent")
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match="cannot be downloaded"):
        Perceptual()
