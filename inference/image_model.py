"""A model for images as Python programs have them; `powerqe.load` gives it."""

import os
from typing import Any, TypeVar, overload

import numpy as np
from PIL import Image
from torch import Tensor, nn

from powerqe.inference.enhance_image import enhance_photo, enhance_tensor
from powerqe.inference.image_types import apply_to, array_of, photo_of
from powerqe.inference.model import Model
from powerqe.net.weights.entry import Entry
from powerqe.utils.image.photo import Photo

ImageT = TypeVar("ImageT", np.ndarray, Image.Image, Tensor)


class ImageModel:
    """A network with its weights that is called on an image and gives the enhanced one, of the same kind.

    Args:
        model: the network and how it is applied.

    Attributes:
        name: of the weights, such as "fbcnn-bsds500-color".
        method: the network's type, such as "FBCNN".
        scale: by which it enlarges images; 1 if it does not.
        channels: 3, it sees RGB, or 1, luma. It takes gray and color images nevertheless.
        card: the index entry of published weights (task, qualities, scores ...), else None.
        network: the PyTorch module, in evaluation mode.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.name: str = model.name
        self.method: str = model.method
        self.scale: int = model.scale
        self.channels: int = model.channels
        self.card: Entry | None = model.card
        self.network: nn.Module = model.network

    @overload
    def __call__(self, image: ImageT) -> ImageT: ...
    @overload
    def __call__(self, image: str | os.PathLike[str]) -> np.ndarray: ...
    def __call__(self, image: Any) -> Any:
        """The enhanced image, with the pixels that `powerqe enhance` gives.

        Args:
            image: an array (H, W) or (H, W, C), gray or RGB with or without alpha, of uint8, uint16, or floats in
                [0, 1] (these without alpha); one of Pillow's images; a tensor (N, C, H, W) or (C, H, W) of floats in
                [0, 1] on any device; or the path of an image file.

        Returns:
            The same kind of image, (scale H, scale W): type, data type, range, channels and device stay. Floats are
            not rounded, and clamped to [0, 1]. Of a path an array, upright: (H, W), or (H, W, C) with alpha last.

        Raises:
            UserError: it is no such image, or the model is for videos.
        """
        if isinstance(image, str | os.PathLike):
            return array_of(self.enhanced(photo_of(image), str(image), in_place=True))
        return apply_to(image, self.enhanced, lambda tensor: enhance_tensor(tensor, self._model, "the image"))

    def enhanced(self, photo: Photo, name: str = "the image", *, in_place: bool = False) -> Photo:
        """The same of an image file in memory; `name` is used in error messages, and `in_place` allows to overwrite it.

        Raises:
            UserError: see `enhance_photo`.
        """
        return enhance_photo(photo, self._model, name, in_place=in_place).photo

    def __repr__(self) -> str:
        return f"ImageModel({self.name}: {self.method}, {self._model.parameters:,} parameters)"
