"""Dithering and print: images made of few colors, by thresholds, by diffused errors, and by rotated screens."""

import numpy as np
from PIL import Image

from powerqe.data_pre_process.graphics import drawing, gradient
from powerqe.data_pre_process.graphics.colors import ink_and_paper
from powerqe.data_pre_process.graphics.scene import Scene
from powerqe.data_pre_process.graphics.texture import photo, to_image

_ANGLES = (15, 75, 0, 45)
"""Angles of the screens of cyan, magenta, yellow and black in degrees, as in offset print."""


def paint(scene: Scene) -> Image.Image:
    """An image in few colors; a third of them enlarged, so that each dot is some pixels large."""
    scale = scene.pick([1, 1, 1, 1, 2, 3])
    part = scene.of_size(-(-scene.width // scale), -(-scene.height // scale))
    image = scene.pick([photo, photo, gradient.gradient, drawing.face])(part)
    dithered = scene.pick([_ordered, _diffused, _newspaper, _offset])(part, image)
    size = (part.width * scale, part.height * scale)
    return dithered.resize(size, Image.Resampling.NEAREST).crop((0, 0, scene.width, scene.height))


def bayer(order: int) -> np.ndarray:
    """The thresholds of ordered dithering (Bayer 1973), float (2^order, 2^order) from 0 to below 1."""
    matrix = np.zeros((1, 1))
    for _ in range(order):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return (matrix + 0.5) / matrix.size


def _ordered(scene: Scene, image: Image.Image) -> Image.Image:
    matrix, levels = bayer(scene.pick([1, 2, 3])), scene.pick([2, 2, 3, 4])
    rows, columns = -(-scene.height // len(matrix)), -(-scene.width // len(matrix))
    threshold = np.tile(matrix, (rows, columns))[: scene.height, : scene.width, None]
    pixels = np.asarray(image.convert(scene.pick(["L", "RGB"])), dtype=float).reshape(scene.height, scene.width, -1)
    steps = np.clip(np.floor(pixels / 255 * (levels - 1) + threshold), 0, levels - 1) * (255 / (levels - 1))
    return to_image(np.broadcast_to(steps, (scene.height, scene.width, 3)))


def _diffused(scene: Scene, image: Image.Image) -> Image.Image:
    """Floyd and Steinberg 1976, in black and white, in two colors or in the image's commonest colors."""
    if scene.chance(0.5):
        colors = image.quantize(scene.pick([4, 8, 16, 64]), dither=Image.Dither.NONE)
        return image.quantize(palette=colors, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")
    white = np.asarray(image.convert("1", dither=Image.Dither.FLOYDSTEINBERG))
    return _two_colors(scene, white)


def _newspaper(scene: Scene, image: Image.Image) -> Image.Image:
    """One screen of dots, sharp or with smooth edges."""
    level = np.asarray(image.convert("L"), dtype=float) / 255
    screen = _screen(scene, scene.pick([45, 45, 0, 30]), scene.uniform(3, 7))
    if scene.chance(0.5):
        return _two_colors(scene, level > screen)
    return to_image(255 * np.clip((level - screen) * scene.uniform(2, 6) + 0.5, 0, 1))


def _offset(scene: Scene, image: Image.Image) -> Image.Image:
    """Screens of cyan, magenta, yellow and black over each other."""
    rgb = np.asarray(image, dtype=float) / 255
    black = (1 - rgb.max(axis=-1)) ** 1.5
    amounts = [*np.moveaxis(1 - rgb - black[..., None], -1, 0), black]
    period, hardness = scene.uniform(3, 8), scene.pick([2.0, 4.0, 50.0])
    paper = np.ones((scene.height, scene.width, 3))
    for ink, (amount, angle) in enumerate(zip(amounts, _ANGLES, strict=True)):
        dots = np.clip((amount - _screen(scene, angle, period)) * hardness + 0.5, 0, 1)
        covered = range(3) if ink == 3 else [ink]
        for channel in covered:
            paper[..., channel] *= 1 - 0.95 * dots
    return to_image(255 * paper)


def _screen(scene: Scene, angle: float, period: float) -> np.ndarray:
    """Thresholds 0 ... 1 of round dots at this angle in degrees and this distance in pixels, (H, W)."""
    y, x = np.mgrid[0 : scene.height, 0 : scene.width] * (2 * np.pi / period)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return 0.5 + 0.25 * (np.cos(x * cos + y * sin) + np.cos(y * cos - x * sin))


def _two_colors(scene: Scene, white: np.ndarray) -> Image.Image:
    ink, paper = ink_and_paper(scene)
    return to_image(np.where(white[..., None], np.array(paper), np.array(ink)).astype(float))
