"""The table of docs/consistency.md: networks with and without the quantization constraint, over JPEG qualities.

For each network: mean and worst gain over the JPEG in PSNR of the 8-bit result, with what `powerqe enhance` does by
default (+ QCS) and without. Images are cut to their middle. For example:

    python benchmarks/consistency.py data/live1/raw --size 160
    python benchmarks/consistency.py data/live1/raw --size 256 --qualities 90 --shift 4 4
"""

import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

if not __package__:
    import run_from_checkout  # noqa: F401

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from powerqe.inference.enhance_image import enhance_photo
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.model import Model
from powerqe.utils.errors import command
from powerqe.utils.image.io import list_images, read_image
from powerqe.utils.image.photo import Photo, decode_photo
from powerqe.utils.parser import Parser
from powerqe.utils.text_table import markdown

QUALITIES = (5, 10, 30, 50, 80, 90, 95, 98, 100)
NETWORKS = (
    "fbcnn-bsds500-gray", "arcnn-bsds500-gray-qf10", "fbcnn-bsds500-color", "qgcn-bsds500-color",
    "rbqe-bsds500-jpeg", "cbdnet-bsds500-jpeg", "arcnn-bsds500-qf10", "dcad-bsds500-qf10", "dncnn-bsds500-qf10",
)  # fmt: skip


class OnceAModel:
    """A model that is applied twice to each image and computes once."""

    def __init__(self, name: str) -> None:
        self._model, self._last = Model(name, InferenceOptions(device="cpu", precision="fp32")), None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, batch: dict[str, Tensor]) -> Any:
        if self._last is None or not torch.equal(self._last[0], batch["lq"]):
            self._last = batch["lq"], self._model(batch)
        return self._last[1]

    def gains(self, photo: Photo, clean: np.ndarray) -> list[float]:
        """In dB, without and with the constraint."""
        found = []
        for mode in ("off", "auto"):
            self._model.options = replace(self._model.options, consistency=mode)
            result = enhance_photo(photo, self, "the image").photo.pixels  # type: ignore[arg-type]
            found.append(_error(photo.pixels, clean) - _error(result, clean))
        return found


def _error(image: np.ndarray, clean: np.ndarray) -> float:
    """In dB, of 255."""
    return 10 * np.log10(max(1e-4, np.square(image.astype(np.float64) - clean).mean()) / 255**2)


def _compressed(image: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _middle(image: np.ndarray, size: int) -> np.ndarray:
    top, left = (max(0, side - size) // 2 for side in image.shape[:2])
    return np.ascontiguousarray(image[top : top + size, left : left + size])


def _gray(image: np.ndarray) -> np.ndarray:
    return image if image.shape[2] == 1 else np.array(Image.fromarray(image).convert("L"))[..., None]


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = Parser(__doc__)
    add = parser.add_argument
    add("folders", nargs="+", type=Path, help="folders of clean images, in gray or color")
    add("--networks", nargs="+", default=NETWORKS, metavar="NAME", help="weights (default: all published for JPEG)")
    add(
        "--qualities",
        nargs="+",
        type=int,
        default=QUALITIES,
        metavar="QF",
        help="quality factors to compress with (default: 5 to 100)",
    )
    add("--size", type=int, default=160, metavar="PIXELS", help="height and width of the crops (default: %(default)s)")
    add("--shift", nargs=2, type=int, metavar=("ROWS", "COLUMNS"), help="compress at quality factor 10 before, and "
        "drop so many rows and columns then")  # fmt: skip
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    images = [
        _middle(read_image(path, "any"), args.size) for each in args.folders for path in list_images(each).values()
    ]
    rows = [["network", *(f"QF {quality}" for quality in args.qualities)]]
    for name in args.networks:
        model = OnceAModel(name)
        cells = [[name], [f"{name} + QCS"]]
        for quality in args.qualities:
            gains = []
            for image in images:
                clean = _gray(image) if model.channels == 1 else image
                source = clean
                if args.shift:
                    first = decode_photo(_compressed(clean, 10), "first").pixels
                    source, clean = (each[args.shift[0] :, args.shift[1] :] for each in (first, clean))
                photo = decode_photo(_compressed(np.ascontiguousarray(source), quality), "second")
                gains.append(model.gains(photo, clean))
            for row, values in zip(cells, np.array(gains).T, strict=True):
                row.append(f"{values.mean():.2f} ({values.min():.2f})")
        rows += cells
        print(*(" | ".join(row) for row in cells), sep="\n", file=sys.stderr, flush=True)
    print(markdown(rows, 1))


if __name__ == "__main__":
    sys.exit(main())
