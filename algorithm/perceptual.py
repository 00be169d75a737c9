"""The perceptual loss: distance of VGG-19 features."""

from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from powerqe.algorithm.registries import LOSSES
from powerqe.utils.backbones import backbone
from powerqe.utils.errors import UserError

_CONVS = (2, 2, 4, 4, 4)  # VGG-19, convolutions per block (Simonyan and Zisserman, ICLR 2015, table 1, column E)
_EPS = 1e-6
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, RGB in [0, 1]


@LOSSES.register()
class Perceptual(nn.Module):
    """Sum over layers of weight x distance of VGG-19 features before the ReLU (ESRGAN, ECCVW 2018, section 3.3).

    Args:
        layers: "convB_C" (block 1 to 5, convolution within it) -> weight.
        distance: "charbonnier", mean of sqrt(d^2 + 1e-6), as PowerQE 1; "l1" as ESRGAN; "mse" as EDSR's code, whose
            VGG54 is the layer conv5_4.
        style_weight: factor of the same distance between Gram matrices / (C H W).
        weights: file with the state dict of torchvision's vgg19; null: torchvision's cache or download.
    """

    def __init__(
        self,
        *,
        layers: dict[str, float] = {"conv5_4": 1.0},  # noqa: B006 - read only
        distance: Literal["charbonnier", "l1", "mse"] = "charbonnier",
        style_weight: NonNegativeFloat = 0.0,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        self._layers = {_index(name): weight for name, weight in layers.items()}
        self._distance = {"charbonnier": _charbonnier, "l1": F.l1_loss, "mse": F.mse_loss}[distance]
        self._style_weight = style_weight
        self.features = _vgg19(weights)[: max(self._layers) + 1].eval().requires_grad_(False)
        self.mean, self.std = (nn.Buffer(torch.tensor(values).view(1, 3, 1, 1)) for values in (_MEAN, _STD))

    def forward(self, result: Tensor, target: Tensor) -> Tensor:
        """Loss between (N, 3, H, W) images in [0, 1]; H, W at least 16."""
        with torch.no_grad():
            wanted = self._features_of(target)
        found = self._features_of(result)
        loss = result.new_zeros(())
        for index, weight in self._layers.items():
            loss = loss + weight * self._distance(found[index], wanted[index])
            if self._style_weight:
                styles = _gram(found[index]), _gram(wanted[index])
                loss = loss + weight * self._style_weight * self._distance(*styles)
        return loss

    def _features_of(self, x: Tensor) -> dict[int, Tensor]:
        x, found = (x - self.mean) / self.std, {}
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._layers:
                found[index] = x
        return found


def _index(name: str) -> int:
    """Place of a convolution in torchvision's `features`: each is followed by a ReLU, each block by a pooling."""
    known = {
        f"conv{block}_{conv}": sum(2 * count + 1 for count in _CONVS[: block - 1]) + 2 * (conv - 1)
        for block, count in enumerate(_CONVS, 1)
        for conv in range(1, count + 1)
    }
    if name not in known:
        raise UserError(f"Perceptual: unknown layer {name!r}; known: {', '.join(known)}")
    return known[name]


def _vgg19(weights: str | None) -> nn.Sequential:
    try:
        from torchvision.models import vgg19
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        raise UserError(
            f"the Perceptual loss needs a torchvision that fits torch {torch.__version__}: {error}"
        ) from None
    network = vgg19(init_weights=False)
    network.load_state_dict(_downloaded() if weights is None else _read(weights), strict=False)
    return _without_inplace(network.features)


def _downloaded() -> dict[str, Any]:
    try:
        return backbone("vgg19")
    except UserError as error:
        raise UserError(
            f"Perceptual: the weights of VGG-19 cannot be downloaded ({error}); give a file with "
            "algorithm.loss.Perceptual.weights"
        ) from None


def _read(path: str) -> dict[str, Any]:
    if not Path(path).is_file():
        raise UserError(f"Perceptual: no weights file {path}; give torchvision's state dict of vgg19")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if "features.34.weight" in state:
            return state
    except Exception as error:
        raise UserError(f"Perceptual: {path} is no state dict ({str(error).splitlines()[0]})") from None
    raise UserError(f"Perceptual: {path} is not torchvision's state dict of vgg19 (no features.34.weight)")


def _without_inplace(features: Any) -> nn.Sequential:
    """An in-place ReLU would change the features that are compared before it."""
    return nn.Sequential(*(nn.ReLU() if isinstance(layer, nn.ReLU) else layer for layer in features))


def _charbonnier(a: Tensor, b: Tensor) -> Tensor:
    return torch.sqrt((a - b).square() + _EPS).mean()


def _gram(features: Tensor) -> Tensor:
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / (features.shape[1] * flat.shape[2])
