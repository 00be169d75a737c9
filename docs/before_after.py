"""Draw the image at the top of the README: a photograph as a poor JPEG, and what `powerqe enhance` makes of it.

The photograph is `coffee` out of scikit-image (Rachel Michetti, CC0).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from powerqe.arguments.inference import inference_options
from powerqe.cli import parser_of
from powerqe.inference.enhance_files import Models
from powerqe.inference.enhance_image import enhance_photo
from powerqe.utils.errors import command
from powerqe.utils.files import atomic_path
from powerqe.utils.image.photo import decode_photo
from powerqe.utils.parser import Parser

TARGET = Path(__file__).with_suffix(".png")
QUALITY = 10
CROPS = ((264, 330), (18, 174), (238, 196))
"""Upper left corners of the enlarged parts: the spoon, the rim of the cup, its handle."""
CROP, SCALE, GAP = 72, 1.18, 8
"""Side of a crop in pixels of the photograph; enlargement of the whole; space between, in pixels."""


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Compress, enhance and draw; print the figures of the caption."""
    from skimage.data import coffee

    parser = Parser(__doc__, examples=["python -m docs.before_after"])
    parser.add_argument("--output", type=Path, metavar="FILE", default=TARGET,
                        help="output image (default: docs/before_after.png)")  # fmt: skip
    args = parser.parse_args(argv)
    clean = coffee()
    jpeg = cv2.imencode(".jpg", clean[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    photo = decode_photo(jpeg, "coffee.jpg")
    arguments = parser_of(["enhance"]).parse_args(["coffee.jpg", "--device", "cpu"])
    model, _ = Models(None, inference_options(arguments)).of(photo)
    before, after = photo.pixels, enhance_photo(photo, model, "coffee.jpg").photo.pixels
    image = draw(before, after, (f"JPEG of quality {QUALITY}", "enhanced by PowerQE"))
    with atomic_path(args.output) as path:
        image.save(path, optimize=True)
    gains = " -> ".join(f"{_psnr(image, clean):.2f}" for image in (before, after))
    print(f"{args.output.name}: {model.name}, PSNR {gains} dB, {args.output.stat().st_size:,} bytes")


def draw(before: np.ndarray, after: np.ndarray, titles: tuple[str, str]) -> Image.Image:
    """The whole, its left half as before and its right half as after; next to it pairs of crops."""
    height, width = (round(SCALE * side) for side in before.shape[:2])
    side = round((height - GAP * (len(CROPS) - 1)) / len(CROPS))
    canvas = Image.new("RGB", (width + 2 * (side + GAP), height), "white")
    halves = [_enlarged(image, (width, height)) for image in (before, after)]
    canvas.paste(halves[0], (0, 0))
    canvas.paste(halves[1].crop((width // 2, 0, width, height)), (width // 2, 0))
    pen = ImageDraw.Draw(canvas)
    pen.line([(width // 2, 0), (width // 2, height)], "white", 4)
    for place, (row, column) in enumerate(CROPS):
        for number, image in enumerate((before, after)):
            crop = _enlarged(image[row : row + CROP, column : column + CROP], (side, side))
            canvas.paste(crop, (width + GAP + number * (side + GAP), place * (side + GAP)))
    for left, title in ((0, titles[0]), (width // 2, titles[1])):
        _label(pen, (left + 14, 12), title, 20)
    for number, title in enumerate(("before", "after")):
        _label(pen, (width + GAP + number * (side + GAP) + 9, 8), title, 15)
    return canvas


def _enlarged(image: np.ndarray, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)


def _label(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int) -> None:
    from matplotlib.font_manager import findfont

    font = ImageFont.truetype(findfont("DejaVu Sans"), size)
    left, top, right, bottom = pen.textbbox(place, text, font)
    pen.rounded_rectangle((left - 8, top - 6, right + 8, bottom + 6), 6, fill=(20, 20, 20))
    pen.text(place, text, "white", font)


def _psnr(image: np.ndarray, clean: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((image.astype(float) - clean) ** 2)))


if __name__ == "__main__":
    sys.exit(main())
