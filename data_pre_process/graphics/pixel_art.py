"""Pixel art: figures, tiles and letters of a few colors, each pixel some pixels large."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from powerqe.data_pre_process.graphics.colors import BLACK, WHITE, Color, any_color, palette, vivid
from powerqe.data_pre_process.graphics.gradient import gradient
from powerqe.data_pre_process.graphics.halftone import bayer
from powerqe.data_pre_process.graphics.scene import Scene, paint_one_of
from powerqe.data_pre_process.graphics.texture import clouds, to_image
from powerqe.data_pre_process.graphics.words import Writer


def paint(scene: Scene) -> Image.Image:
    """Drawn in a small size, and enlarged without smoothing; a few are not enlarged."""
    scale = scene.pick([1, 2, 2, 3, 4, 4, 6, 8])
    small = scene.of_size(-(-scene.width // scale), -(-scene.height // scale))
    image = paint_one_of(small, [_level, _level, _sprites, _dithered])
    if scene.chance(0.6):
        _caption(small, image)
    size = (small.width * scale, small.height * scale)
    return image.resize(size, Image.Resampling.NEAREST).crop((0, 0, scene.width, scene.height))


def _level(scene: Scene) -> Image.Image:
    """A landscape of tiles, seen from the side or from above, with figures."""
    side, colors = scene.pick([8, 16]), palette(scene, 5)
    tiles = [_tile(scene, side, scene.pick(colors)) for _ in range(scene.between(3, 6))]
    rows, columns = -(-scene.height // side), -(-scene.width // side)
    image = Image.new("RGB", (scene.width, scene.height), any_color(scene))
    ground = np.digitize(clouds(scene.of_size(columns, rows), 1.5), [0.0, 0.6, 1.2])
    if scene.chance(0.5):  # from the side: the more, the lower
        heights = rows - 1 - np.abs(np.cumsum(scene.rng.integers(-1, 2, columns))) % max(2, rows // 2)
        ground = np.where(np.arange(rows)[:, None] >= heights[None], 1 + (np.arange(rows)[:, None] > heights[None]), 0)
    for row, column in np.ndindex(rows, columns):
        if ground[row, column]:
            image.paste(tiles[int(ground[row, column]) % len(tiles)], (column * side, row * side))
    for _ in range(scene.between(1, 8)):
        figure = _sprite(scene, side)
        image.paste(figure, (scene.between(0, scene.width - side), scene.between(0, scene.height - side)), figure)
    return image


def _sprites(scene: Scene) -> Image.Image:
    """Figures in rows."""
    side, gap = scene.pick([8, 12, 16]), scene.between(1, 4)
    image = Image.new("RGB", (scene.width, scene.height), scene.pick([BLACK, WHITE, any_color(scene)]))
    for top in range(gap, scene.height, side + gap):
        for left in range(gap, scene.width, side + gap):
            figure = _sprite(scene, side)
            image.paste(figure, (left, top), figure)
    return image


def _dithered(scene: Scene) -> Image.Image:
    """A gradient of a few colors by ordered dithering, as in old games."""
    count = scene.between(3, 6)
    matrix = np.tile(bayer(2), (scene.height // 4 + 1, scene.width // 4 + 1))[: scene.height, : scene.width]
    level = np.asarray(gradient(scene).convert("L"), dtype=float) / 255
    steps = np.clip(np.floor(level * (count - 1) + matrix), 0, count - 1).astype(int)
    return to_image(np.array(palette(scene, count), dtype=float)[steps])


def _tile(scene: Scene, side: int, color: Color) -> Image.Image:
    """A tile with light at its upper left edges and some spots."""
    shade = np.where(scene.rng.random((side, side)) < scene.uniform(0, 0.3), 0.8, 1.0)
    if scene.chance(0.6):
        shade[0], shade[:, 0], shade[-1], shade[:, -1] = 1.25, 1.25, 0.6, 0.6
    return to_image(shade[..., None] * np.array(color))


def _sprite(scene: Scene, side: int) -> Image.Image:
    """A random figure, left and right alike, with a dark outline; transparent outside."""
    half = scene.rng.random((side - 2, side // 2 - 1)) < 0.55
    body = np.pad(np.concatenate([half, half[:, ::-1]], axis=1), 1)
    colors = np.array([vivid(scene), vivid(scene), WHITE])
    chosen = scene.rng.choice(3, half.shape, p=[0.6, 0.3, 0.1])
    pixels = np.zeros((side, side, 4), np.uint8)
    mirrored = np.pad(np.concatenate([chosen, chosen[:, ::-1]], axis=1), 1)
    pixels[..., :3] = np.where(body[..., None], colors[mirrored], 0)
    near = body.copy()
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        near |= np.roll(body, step, axis)
    pixels[..., 3] = 255 * near
    return Image.fromarray(pixels)


def _caption(scene: Scene, image: Image.Image) -> None:
    """Words in a font of pixels."""
    draw, writer = ImageDraw.Draw(image), Writer(scene, size=40)
    draw.fontmode = "1"
    font = ImageFont.load_default_imagefont()
    top = scene.pick([1, scene.height - 13])
    if scene.chance(0.5):
        draw.rectangle((0, top, scene.width, top + 11), BLACK)
    draw.text(
        (2, top),
        f"{writer.title(1, 2).upper()}  {scene.between(0, 99999):06}",
        scene.pick([WHITE, (255, 230, 80)]),
        font,
    )
