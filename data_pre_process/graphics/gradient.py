"""Gradients and smooth shading: linear, radial, around a point, meshes, shaded balls, with and without noise."""

import numpy as np
from PIL import Image

from powerqe.data_pre_process.graphics.colors import BLACK, WHITE, any_color, contrasting, palette
from powerqe.data_pre_process.graphics.scene import Scene, paint_one_of
from powerqe.data_pre_process.graphics.texture import to_image


def paint(scene: Scene) -> Image.Image:
    """Smooth changes of color, alone or some side by side."""
    if scene.chance(0.25) and scene.width > 128:
        image = Image.new("RGB", (scene.width, scene.height))
        for left in (0, scene.width // 2):
            for top in (0, scene.height // 2):
                image.paste(
                    gradient(scene.of_size(scene.width - scene.width // 2, scene.height - scene.height // 2)),
                    (left, top),
                )
        return image
    return paint_one_of(scene, [gradient, gradient, gradient, _mesh, _balls])


def gradient(scene: Scene) -> Image.Image:
    """Colors along a line, around a center or by angle."""
    y, x = np.mgrid[0 : scene.height, 0 : scene.width] + 0.5
    extent = max(scene.width, scene.height)
    dx, dy = (x - scene.width * scene.uniform(0.1, 0.9)) / extent, (y - scene.height * scene.uniform(0.1, 0.9)) / extent
    kind = scene.pick(["linear", "linear", "radial", "angle", "wave"])
    turn = scene.pick([0, np.pi / 2, scene.uniform(0, 7)])
    along = dx * np.cos(turn) + dy * np.sin(turn)
    level = {
        "linear": along * scene.uniform(0.5, 1.2) + 0.5,
        "radial": np.hypot(dx, dy * scene.uniform(0.5, 2)) * scene.uniform(0.7, 1.6),
        "angle": np.abs(np.arctan2(dy, dx) / np.pi),
        "wave": 0.5 + 0.5 * np.sin(along * scene.uniform(6, 25)),
    }[kind]
    count = scene.pick([2, 2, 2, 3, 5])
    first = scene.pick([BLACK, WHITE, any_color(scene)])
    others = [any_color(scene) for _ in range(count - 2)]
    far = [first, *others, contrasting(scene, first)]
    colors = np.array(far if scene.chance(0.6) else palette(scene, count), dtype=float)
    stops = np.sort([0, *scene.rng.uniform(0.1, 0.9, count - 2), 1])
    return finished(scene, np.stack([np.interp(level, stops, colors[:, c]) for c in range(3)], axis=-1))


def finished(scene: Scene, pixels: np.ndarray) -> Image.Image:
    """Levels 0 to 255 as an image: rounded, with a little noise, or in few steps as screens with few colors show it."""
    kind = scene.rng.random()
    if kind < 0.3:
        noise = scene.rng.normal(0, scene.uniform(0.3, 4), (*pixels.shape[:2], scene.pick([1, 3])))
        pixels = pixels + noise
    elif kind < 0.42:
        step = 255 / scene.pick([7, 15, 31, 63])
        pixels = np.rint(pixels / step) * step
    return to_image(pixels)


def _mesh(scene: Scene) -> Image.Image:
    """A few colors on a coarse grid, joined smoothly."""
    rows, columns = scene.between(2, 5), scene.between(2, 5)
    colors = palette(scene, rows * columns)
    grid = np.array([scene.pick(colors) for _ in range(rows * columns)], dtype=np.float32).reshape(rows, columns, 3)
    size = (scene.width, scene.height)
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(grid[..., c])).resize(size, Image.Resampling.BICUBIC))
        for c in range(3)
    ]
    return finished(scene, np.stack(channels, axis=-1))


def _balls(scene: Scene) -> Image.Image:
    """Balls lit from one side (Lambert's law, and a highlight) before a gradient."""
    pixels = np.asarray(gradient(scene), dtype=np.float64).copy()
    y, x = np.mgrid[0 : scene.height, 0 : scene.width] + 0.5
    light = np.array([scene.uniform(-0.7, 0.7), -0.6, 0.6])
    light /= np.linalg.norm(light)
    for _ in range(scene.between(1, 5)):
        radius = scene.width * scene.uniform(0.08, 0.3)
        dx, dy = (x - scene.uniform(0, scene.width)) / radius, (y - scene.uniform(0, scene.height)) / radius
        depth = np.sqrt(np.clip(1 - dx**2 - dy**2, 0, 1))
        lit = np.clip(dx * light[0] + dy * light[1] + depth * light[2], 0, 1)[..., None]
        shaded = np.array(any_color(scene)) * (0.15 + 0.85 * lit) + 160 * lit ** scene.pick([20, 60])
        cover = np.clip((1 - np.hypot(dx, dy)) * radius, 0, 1)[..., None]
        pixels += cover * (shaded - pixels)
    return finished(scene, pixels)
