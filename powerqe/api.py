"""The public Python interface of PowerQE; docs/api.md has examples.

Images are arrays, PIL images or tensors, and results are of the same kind; see `ImageModel.__call__`.
"""

import os
from collections.abc import Mapping
from dataclasses import fields
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from powerqe.inference.choose import choose, description_of
from powerqe.inference.consistency import Consistency, declined
from powerqe.inference.image_model import ImageModel
from powerqe.inference.image_types import apply_to, array_of, first_of, photo_of
from powerqe.inference.inference_options import InferenceOptions, TileOption
from powerqe.inference.model import Model
from powerqe.inference.precision import Precision
from powerqe.inference.result_names import EnhanceJob, check_sources
from powerqe.net import build_network
from powerqe.net.weights.index import known_weights
from powerqe.utils.codecs import Codec
from powerqe.utils.errors import UserError
from powerqe.utils.image.photo import Photo
from powerqe.utils.image.tensors import to_image, to_tensor
from powerqe.utils.image.write import write_photo
from powerqe.utils.metrics import MetricUnavailable
from powerqe.utils.metrics.image_metric import ImageMetric
from powerqe.utils.options.components import create

__all__ = ["ImageModel", "UserError", "create_metric", "create_network", "degrade", "enhance", "list_weights", "load"]

ImageT = TypeVar("ImageT", np.ndarray, Image.Image, Tensor)
ImagePath = str | os.PathLike[str]
_MODELS = 4
"""Number of models that `enhance` caches."""


def load(
    name_or_path: ImagePath | Mapping[str, Any],
    *,
    network: Mapping[str, Any] | None = None,
    device: str | torch.device = "auto",
    precision: Precision = "auto",
    tile: TileOption = "auto",
    memory: int | None = None,
    qf: float | None = None,
    self_ensemble: bool = False,
    consistency: Consistency = "auto",
    force_enhance: bool = False,
) -> ImageModel:
    """Load a network with its weights.

    Args:
        name_or_path: name of published weights (`list_weights`); path of weights, of a training checkpoint, or of the
            official checkpoint of a method; or an untrained network `{"type": NAME, ...}`.
        network: `{"type": NAME, ...}`, needed if the file does not determine the network.
        device: "auto" (the GPU if there is one), "cpu", "cuda", "mps", "xpu" or another device of PyTorch.
        precision: "fp32", "bf16", "fp16", or "auto": the faster ones if the device computes in them and the weights are
            known to give nearly the same (65 dB) as in fp32.
        tile: "auto", tiles if the whole image would not fit into `memory`; side of the tiles in pixels; "exact" or
            "exact:512", the same with all means over the image exact, whatever they cost; or "off".
        memory: bytes for the feature maps of the network; None: half of the free memory of the device.
        qf: quality factor, 0 to 100, for networks conditioned on it; None: estimated by the network.
        self_ensemble: take the mean over eight flips and transpositions of each image.
        consistency: bring results into agreement with the coefficients of JPEG files: "auto", unless an earlier,
            stronger compression shows; "on"; or "off". It needs the file: a path.
        force_enhance: keep all of the network's change that a JPEG file allows.

    Raises:
        UserError: no such weights, device or precision; weights that do not fit; a network that takes no `qf`.
    """
    return ImageModel(
        Model(
            name_or_path,
            InferenceOptions(device, memory, tile, qf, self_ensemble, precision, consistency, force_enhance),
            network,
        )
    )


@overload
def enhance(image: ImageT, *, weights: ImagePath | None = None, output: ImagePath | None = None,
            **options: Any) -> ImageT: ...  # fmt: skip
@overload
def enhance(image: ImagePath, *, weights: ImagePath | None = None, output: ImagePath | None = None,
            **options: Any) -> np.ndarray: ...  # fmt: skip
def enhance(image: Any, *, weights: ImagePath | None = None, output: ImagePath | None = None, **options: Any) -> Any:
    """Enhance an image, with `load` and a call of the model.

    Args:
        image: see `ImageModel.__call__`.
        weights: name or path; None: those with the largest gain in their tests at the quality of the image. The
            quality is known of paths and of PIL images opened from JPEG files; for others, weights for JPEG of any
            quality are used.
        output: also write this file, in the format of its suffix, replacing an existing one. It has the metadata of
            `image` if that is a path.
        options: those of `load`: device, precision, tile, memory, qf, self_ensemble, consistency, force_enhance.

    Returns:
        The enhanced image, of the same kind; for a path, an array. The image of a lossless file that nothing suggests
        to have been compressed stays as it is, unless weights are given or `force_enhance`.

    Raises:
        UserError: no such image, weights or option, or an image that the format of `output` does not support.
    """
    known = [field.name for field in fields(InferenceOptions)]
    for name in options:
        if name not in known:
            raise UserError(f"enhance: unknown argument {name!r}; known are {', '.join(known)}")
    chosen = InferenceOptions(**options)
    if isinstance(image, str | os.PathLike):
        if output is not None:
            check_sources([EnhanceJob(Path(image), Path(output))])
        photo = photo_of(image)
        is_declined = weights is None and not chosen.force_enhance and declined(photo)
        enhanced = (
            photo if is_declined else _model_for(photo, weights, chosen).enhanced(photo, str(image), in_place=True)
        )
        if output is not None:
            write_photo(output, enhanced)
        return array_of(enhanced)
    result = _model_for(photo_of(first_of(image)), weights, chosen)(image)
    if output is not None:
        write_photo(output, photo_of(result))
    return result


def list_weights(pattern: str = "*") -> list[str]:
    """The sorted names of published weights that match a pattern such as `"fbcnn*"` or `"*-qf10"`.

    They include weights that are not on this machine; `powerqe weights fetch NAME` downloads them.
    """
    return [name for name in known_weights() if fnmatch(name, pattern)]


def create_network(type: str, **arguments: Any) -> nn.Module:
    """Create an untrained network.

    Args:
        type: such as "ARCNN"; `powerqe table` lists all.
        arguments: of its constructor.

    Raises:
        UserError: no such type or argument, or an invalid value.
    """
    return build_network({"type": type, **arguments})


def create_metric(name: str, **arguments: Any) -> ImageMetric:
    """Create a metric; `metric(result, target)` of tensors (N, C, H, W) in [0, 1] returns one value per image, (N,).

    Args:
        name: such as "PSNR" or "SSIM"; docs/metrics.md lists all.
        arguments: of its constructor, such as channel="y" and border=4.

    Raises:
        UserError: no such metric or argument, or what the metric needs is missing, such as the weights of LPIPS; so
            does the metric of an image that it cannot judge, such as one smaller than its window.
    """
    try:
        return create("metric", {"type": name, **arguments})
    except MetricUnavailable as missing:
        raise UserError(f"metric {name}: {missing}") from None


@overload
def degrade(image: ImageT, codec: str = "JPEG", quality: int = 10, **arguments: Any) -> ImageT: ...
@overload
def degrade(image: ImagePath, codec: str = "JPEG", quality: int = 10, **arguments: Any) -> np.ndarray: ...
def degrade(image: Any, codec: str = "JPEG", quality: int = 10, **arguments: Any) -> Any:
    """Encode and decode an image with a codec. Alpha stays as it is.

    Args:
        image: see `ImageModel.__call__`; 8 bits, floats are rounded to 8 bits first.
        codec: "JPEG", "WebP", "AVIF", "HEVC" or "BPG".
        quality: quality factor of JPEG, WebP and AVIF, quantization parameter of HEVC and BPG.
        arguments: of the codec, such as subsampling="4:4:4" for JPEG.

    Returns:
        The image, of the same kind; for a path, an array.

    Raises:
        UserError: no such codec or quality, a codec that is not installed, or a 16-bit image.
    """
    made: Codec = create("codec", {"type": codec, **arguments})

    def of_photo(photo: Photo) -> Photo:
        if photo.peak != 255:
            raise UserError("degrade: found an image of 16 bits, expected 8 bits; convert it first")
        return photo.with_pixels(made.compress(photo.pixels, quality)[0])

    def of_tensor(tensor: Tensor) -> Tensor:
        return to_tensor(made.compress(to_image(tensor[0]), quality)[0])[None]

    if isinstance(image, str | os.PathLike):
        return array_of(of_photo(photo_of(image).upright()))
    return apply_to(image, of_photo, of_tensor)


def _model_for(photo: Photo, weights: ImagePath | None, options: InferenceOptions) -> ImageModel:
    if weights is None:
        weights = choose(description_of(photo, takes_qf=options.qf is not None))[0].name
    if not isinstance(weights, str | os.PathLike):
        raise UserError("enhance: weights: expected a name or a path; `load` takes a network {type: NAME, ...}, too")
    path = Path(weights)
    changed = path.stat().st_mtime_ns if path.is_file() else None
    return _loaded(os.fspath(weights), changed, options)


@lru_cache(_MODELS)
def _loaded(weights: str, changed: int | None, options: InferenceOptions) -> ImageModel:
    return ImageModel(Model(weights, options))
