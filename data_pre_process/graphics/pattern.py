"""Fine patterns: checkerboards, stripes, gratings, grids, dots, codes, as test charts and fabrics show them."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from powerqe.data_pre_process.graphics.colors import any_color, ink_and_paper
from powerqe.data_pre_process.graphics.scene import Scene
from powerqe.data_pre_process.graphics.texture import to_image


def paint(scene: Scene) -> Image.Image:
    """One pattern, or patches of several."""
    columns, rows = scene.pick([(1, 1), (1, 1), (2, 1), (2, 2), (3, 3)])
    image = Image.new("RGB", (scene.width, scene.height))
    for row in range(rows):
        for column in range(columns):
            left, top = column * scene.width // columns, row * scene.height // rows
            right, bottom = (column + 1) * scene.width // columns, (row + 1) * scene.height // rows
            image.paste(_patch(scene.of_size(right - left, bottom - top)), (left, top))
    return image


def _patch(scene: Scene) -> Image.Image:
    """A pattern in two colors, or of two patterns in three."""
    level = scene.pick(_PATTERNS)(scene)
    ink, paper = (np.array(color, dtype=float) for color in ink_and_paper(scene))
    pixels = paper + level[..., None] * (ink - paper)
    if scene.chance(0.25):
        other = scene.pick(_PATTERNS)(scene)[..., None] * scene.uniform(0.3, 1)
        pixels += other * (np.array(any_color(scene)) - pixels)
    return to_image(pixels)


def _grid(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the pixels, along axes that are turned in half of the cases."""
    y, x = np.mgrid[0 : scene.height, 0 : scene.width].astype(float)
    turn = scene.pick([0.0, 0.0, np.pi / 4, scene.uniform(0, np.pi)])
    return x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)


def _edge(scene: Scene, wave: np.ndarray) -> np.ndarray:
    """A wave in pixels around 0 as a pattern of 0 and 1, with stepped or smooth edges."""
    return (wave > 0).astype(float) if scene.chance(0.5) else np.clip(wave + 0.5, 0, 1)


def _triangle(along: np.ndarray, period: float) -> np.ndarray:
    """A wave of slope 1 with this period, from -period / 4 to period / 4."""
    return np.abs((along % period) - period / 2) - period / 4


def _checker(scene: Scene) -> np.ndarray:
    x, y = _grid(scene)
    size = scene.pick([1, 2, 3, 4, 8, 8, 16, scene.uniform(1, 40)])
    return (np.floor(x / size + 1e-6) + np.floor(y / size + 1e-6)) % 2


def _stripes(scene: Scene) -> np.ndarray:
    x, _ = _grid(scene)
    return _edge(scene, _triangle(x, scene.pick([2, 3, 4, 6, 8, 12, scene.uniform(2, 40)])))


def _sine(scene: Scene) -> np.ndarray:
    x, y = _grid(scene)
    period = scene.uniform(2.2, 30)
    wave = np.sin(2 * np.pi * x / period)
    return 0.5 + 0.5 * (wave * np.sin(2 * np.pi * y / period) if scene.chance(0.3) else wave)


def _zone_plate(scene: Scene) -> np.ndarray:
    """Rings that grow finer outwards, up to the finest that pixels can show."""
    y, x = np.mgrid[0 : scene.height, 0 : scene.width]
    square = (x - scene.width * scene.uniform(0, 1)) ** 2 + (y - scene.height * scene.uniform(0, 1)) ** 2
    wave = np.cos(np.pi / 2 * square / max(scene.width, scene.height) * scene.uniform(0.3, 1))
    return 0.5 + 0.5 * (np.sign(wave) if scene.chance(0.3) else wave)


def _star(scene: Scene) -> np.ndarray:
    """Rays from one point."""
    y, x = np.mgrid[0 : scene.height, 0 : scene.width]
    angle = np.arctan2(y - scene.height * scene.uniform(0.3, 0.7), x - scene.width * scene.uniform(0.3, 0.7))
    return (np.sin(angle * scene.between(6, 60)) > 0).astype(float)


def _lines(scene: Scene) -> np.ndarray:
    """A grid of thin lines."""
    x, y = _grid(scene)
    period, width = scene.uniform(4, 40), scene.pick([1, 1, 2])
    return ((x % period < width) | (y % period < width)).astype(float)


def _dots(scene: Scene) -> np.ndarray:
    x, y = _grid(scene)
    period = scene.uniform(3, 30)
    shifted = x + (np.floor(y / period) % 2) * period / 2 * scene.between(0, 1)
    distance = np.hypot(shifted % period - period / 2, y % period - period / 2)
    return _edge(scene, period * scene.uniform(0.15, 0.45) - distance)


def _bricks(scene: Scene) -> np.ndarray:
    x, y = _grid(scene)
    high, joint = scene.uniform(5, 24), scene.pick([1, 1, 2])
    shifted = x + (np.floor(y / high) % 2) * high
    return ((y % high < joint) | (shifted % (2 * high) < joint)).astype(float)


def _plaid(scene: Scene) -> np.ndarray:
    x, y = _grid(scene)
    widths = np.cumsum([scene.between(1, 14) for _ in range(scene.between(3, 8))])
    bands = [np.searchsorted(widths, axis % widths[-1], side="right") % 2 for axis in (x, y)]
    twill = (np.floor(x) + np.floor(y)) % 4 < 2
    return np.where(twill, bands[0], bands[1]).astype(float) if scene.chance(0.6) else (bands[0] + bands[1]) / 2


def _matrix_code(scene: Scene) -> np.ndarray:
    """Random squares, as in a two-dimensional code, with marks in three corners."""
    size, count = scene.between(2, 9), scene.between(21, 45)
    cells = (scene.rng.random((count, count)) < 0.5).astype(float)
    mark = np.pad(np.pad(np.pad(np.ones((3, 3)), 1), 1, constant_values=1), ((0, 1), (0, 1)))
    cells[:8, :8], cells[:8, -8:], cells[-8:, :8] = mark, mark[:, ::-1], mark[::-1]
    return _tiled(scene, np.kron(np.pad(cells, 4), np.ones((size, size))))


def _bar_code(scene: Scene) -> np.ndarray:
    widths = [scene.between(1, 4) * scene.between(1, 2) for _ in range(scene.width)]
    bars = np.repeat(np.arange(len(widths)) % 2, widths)[: scene.width].astype(float)
    return np.broadcast_to(bars, (scene.height, scene.width)).copy()


def _random_bits(scene: Scene) -> np.ndarray:
    size = scene.pick([1, 2, 3, 5])
    cells = scene.rng.random((scene.height // size + 1, scene.width // size + 1)) < scene.uniform(0.1, 0.9)
    return np.kron(cells, np.ones((size, size)))[: scene.height, : scene.width]


def _tiled(scene: Scene, cells: np.ndarray) -> np.ndarray:
    rows, columns = -(-scene.height // len(cells)), -(-scene.width // cells.shape[1])
    return np.tile(cells, (rows, columns))[: scene.height, : scene.width]


_PATTERNS: tuple[Callable[[Scene], np.ndarray], ...] = (
    _checker, _checker, _stripes, _stripes, _sine, _zone_plate, _star, _lines, _dots, _bricks, _plaid, _matrix_code,
    _bar_code, _random_bits,
)  # fmt: skip
"""Each makes levels 0 ... 1 of paper and ink, float (H, W)."""
