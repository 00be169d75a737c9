"""Where images lie: a folder or a store, behind one small interface."""

import os
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from powerqe.dataset.store import DATA_FILE, open_store
from powerqe.utils.codecs.pillow import orientation
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import in_color, list_images, read_image
from powerqe.utils.image.jpeg_stream import is_jpeg
from powerqe.utils.leftovers import restored


class Images(Protocol):
    """Images by stem, as they were stored: a folder or one of the stores."""

    def stems(self) -> list[str]: ...

    def where(self, stem: str, /) -> str: ...

    def __getitem__(self, stem: str, /) -> np.ndarray: ...


class ImageFolder:
    """The image files of a folder; each is opened at access.

    Raises:
        UserError: see `powerqe.utils.image.io.list_images`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._paths = list_images(path)

    def stems(self) -> list[str]:
        """All stems, sorted."""
        return list(self._paths)

    def where(self, stem: str) -> str:
        """The name of an image in messages."""
        return str(self._paths[stem])

    def content(self, stem: str) -> bytes:
        """The bytes of the file; raises `UserError` when it cannot be read."""
        try:
            return self._paths[stem].read_bytes()
        except OSError as error:
            raise UserError(f"cannot read the image {self._paths[stem]}: {error.strerror}") from None

    def __getitem__(self, stem: str) -> np.ndarray:
        """The image as stored, uint8 (H, W, 1 or 3)."""
        return read_image(self._paths[stem], "any")


class ImageSource:
    """The images of one folder or store in one color format.

    Args:
        path: a folder of image files, a store of ours or one in BasicSR's layout.
        color: "rgb" or "y", see `powerqe.utils.image.io.read_image`.

    Raises:
        UserError: nothing to read there.
    """

    def __init__(self, path: str | os.PathLike[str], color: Literal["rgb", "y"] = "rgb") -> None:
        self.path = restored(Path(path))
        self._color: Literal["rgb", "y"] = color
        self._channels = {"rgb": 3, "y": 1}[color]
        self._images: Images = open_store(path) if (self.path / DATA_FILE).is_file() else ImageFolder(path)

    def stems(self) -> list[str]:
        """All stems, sorted."""
        return self._images.stems()

    def where(self, stem: str) -> str:
        """The name of an image in messages."""
        return self._images.where(stem)

    @property
    def is_store(self) -> bool:
        """Whether the images are in a store, which keeps their pixels only."""
        return not isinstance(self._images, ImageFolder)

    def content(self, stem: str) -> bytes:
        """The bytes of an image's file, which only folders have."""
        assert isinstance(self._images, ImageFolder)
        return self._images.content(stem)

    def jpeg_file(self, stem: str) -> bytes | None:
        """The bytes of an image's JPEG file; None where there is none, or the image was turned since."""
        if not isinstance(self._images, ImageFolder):
            return None
        data = self._images.content(stem)
        return data if is_jpeg(data) and orientation(data) == 1 else None

    def stored(self, stem: str) -> np.ndarray:
        """The image as it is stored, to crop first and convert with `converted` then."""
        return self._images[stem]

    def converted(self, image: np.ndarray, stem: str) -> np.ndarray:
        """A stored image, or a part of it, in the color format; raises `UserError` if it has no color."""
        if image.shape[2] == self._channels:
            return image
        return in_color(image, self._color, self.where(stem))

    def __getitem__(self, stem: str) -> np.ndarray:
        """The whole image, uint8 (H, W, 3) or (H, W, 1), perhaps a read-only view."""
        return self.converted(self.stored(stem), stem)
