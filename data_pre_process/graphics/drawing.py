"""Drawings: cartoons of flat regions with outlines, abstract shapes, and pen strokes."""

import numpy as np
from PIL import Image

from powerqe.data_pre_process.graphics.canvas import Canvas, Point, blob, curve, smoothing
from powerqe.data_pre_process.graphics.colors import (
    BLACK,
    WHITE,
    Color,
    blend,
    deep,
    gray,
    hsv,
    ink_and_paper,
    pale,
    palette,
    vivid,
)
from powerqe.data_pre_process.graphics.lettering import a_pen, fill, writer_for
from powerqe.data_pre_process.graphics.scene import Scene, paint_one_of


def paint(scene: Scene) -> Image.Image:
    """A drawing by hand or by a program for drawing."""
    return paint_one_of(scene, [landscape, landscape, face, face, _comic, _shapes, _strokes])


def landscape(scene: Scene) -> Image.Image:
    """Hills, sun, clouds, houses and trees in flat colors with outlines."""
    width, height = scene.width, scene.height
    colors, line = palette(scene, 6), _line(scene)
    canvas = Canvas(
        width, height, hsv(scene.uniform(0.5, 0.65), scene.uniform(0.1, 0.6), scene.uniform(0.6, 1)), smoothing(scene)
    )
    canvas.ellipse(
        (scene.uniform(0, width), scene.uniform(0, height / 3)), (height / 10, height / 10), vivid(scene), *line
    )
    for _ in range(scene.between(0, 4)):
        center = (scene.uniform(0, width), scene.uniform(0, height / 3))
        canvas.polygon(blob(scene, center, height / 12, 0.8), blend(WHITE, colors[0], 0.1), *line)
    for layer in range(scene.between(2, 4)):
        base = height * (0.45 + 0.16 * layer)
        green = blend(colors[layer % 6], hsv(scene.uniform(0.2, 0.4), 0.6, 0.7), 0.5)
        canvas.polygon(_hill(scene, base), green, *line)
        for _ in range(scene.between(1, 4)):
            x, size = scene.uniform(0, width), height * (0.06 + 0.05 * layer) * scene.uniform(0.7, 1.4)
            scene.pick([_house, _tree])(scene, canvas, (x, base + size * 0.3), size, line)
    return canvas.image()


def face(scene: Scene) -> Image.Image:
    """One to three figures with eyes and mouths before a flat background."""
    canvas = Canvas(scene.width, scene.height, scene.pick([WHITE, vivid(scene), pale(scene)]), smoothing(scene))
    count, line = scene.between(1, 3), _line(scene)
    for number in range(count):
        size = scene.width / count * scene.uniform(0.25, 0.42)
        _figure(
            scene, canvas, ((number + 0.5) * scene.width / count, scene.height * scene.uniform(0.35, 0.55)), size, line
        )
    return canvas.image()


def _comic(scene: Scene) -> Image.Image:
    """Panels with drawings and balloons."""
    image = Image.new("RGB", (scene.width, scene.height), WHITE)
    columns, rows, gutter = scene.between(1, 2), scene.between(1, 2), max(4, scene.width // 60)
    for row in range(rows):
        for column in range(columns):
            width, height = (scene.width - gutter) // columns - gutter, (scene.height - gutter) // rows - gutter
            panel = scene.pick([landscape, face])(scene.of_size(width, height))
            _balloon(scene, panel)
            left, top = gutter + column * (width + gutter), gutter + row * (height + gutter)
            image.paste(BLACK, (left - 2, top - 2, left + width + 2, top + height + 2))
            image.paste(panel, (left, top))
    return image


def _shapes(scene: Scene) -> Image.Image:
    """Flat shapes over each other: an abstract image or a logo."""
    colors = [*palette(scene, 6), BLACK, WHITE]
    canvas = Canvas(scene.width, scene.height, scene.pick(colors), smoothing(scene))
    outlined, extent = scene.chance(0.6), min(scene.width, scene.height)
    for _ in range(scene.between(6, 40)):
        line = _line(scene) if outlined else (None, 1.0)
        center, size = (
            (scene.uniform(0, scene.width), scene.uniform(0, scene.height)),
            extent * scene.uniform(0.03, 0.3),
        )
        kind, fill_color = scene.between(0, 3), scene.pick(colors)
        if kind == 0:
            canvas.polygon(blob(scene, center, size), fill_color, *line)
        elif kind == 1:
            canvas.ellipse(center, (size, size), fill_color, *line)
        elif kind == 2:
            canvas.polygon(_regular(scene, center, size, scene.between(3, 8)), fill_color, *line)
        else:
            x, y = center
            box = (x - size, y - size * scene.uniform(0.2, 1), x + size, y + size * scene.uniform(0.2, 1))
            canvas.box(box, fill_color, *line, radius=scene.pick([0, 0, size / 4]))
    return canvas.image()


def _strokes(scene: Scene) -> Image.Image:
    """Pen and ink: curves, hatching and outlines on paper."""
    ink, paper = ink_and_paper(scene)
    canvas = Canvas(scene.width, scene.height, paper, smoothing(scene))
    for _ in range(scene.between(8, 40)):
        center, extent = (
            (scene.uniform(0, scene.width), scene.uniform(0, scene.height)),
            scene.width * scene.uniform(0.05, 0.4),
        )
        thick = scene.pick([1, 1, 1.5, 2, 3, 5])
        kind = scene.between(0, 2)
        if kind == 0:
            points = [
                (center[0] + extent * scene.uniform(-1, 1), center[1] + extent * scene.uniform(-1, 1)) for _ in range(6)
            ]
            canvas.line(curve(points), ink, thick)
        elif kind == 1:
            canvas.polygon(blob(scene, center, extent / 2, 0.5), paper, ink, thick)
        else:
            _hatch(scene, canvas, center, extent / 2, ink)
    return canvas.image()


def _line(scene: Scene) -> tuple[Color | None, float]:
    """Color and width of the outlines of a drawing; one in six has none."""
    color = scene.pick([BLACK, BLACK, BLACK, gray(40), deep(scene), None])
    return color, max(1.0, scene.width * scene.uniform(0.002, 0.01))


def _hill(scene: Scene, base: float) -> list[Point]:
    x = np.linspace(-10, scene.width + 10, 60)
    y = base + sum(
        scene.height * scene.uniform(0.01, 0.05) * np.sin(x / scene.width * scene.uniform(3, 12) + scene.uniform(0, 7))
        for _ in range(3)
    )
    below = scene.height + 20.0
    return [(-10.0, below), *zip(x.tolist(), np.asarray(y).tolist(), strict=True), (scene.width + 10.0, below)]


def _house(scene: Scene, canvas: Canvas, foot: Point, size: float, line: tuple[Color | None, float]) -> None:
    (x, y), wall, pane = foot, scene.pick([pale(scene), vivid(scene)]), pale(scene)
    canvas.box((x - size / 2, y - size, x + size / 2, y), wall, *line)
    canvas.polygon([(x - 0.65 * size, y - size), (x, y - 1.6 * size), (x + 0.65 * size, y - size)], vivid(scene), *line)
    canvas.box((x - 0.12 * size, y - 0.5 * size, x + 0.12 * size, y), deep(scene), *line)
    for side in (-0.4, 0.2):
        canvas.box((x + side * size, y - 0.8 * size, x + (side + 0.2) * size, y - 0.55 * size), pane, *line)


def _tree(scene: Scene, canvas: Canvas, foot: Point, size: float, line: tuple[Color | None, float]) -> None:
    (x, y), leaves = foot, hsv(scene.uniform(0.15, 0.45), scene.uniform(0.4, 0.9), scene.uniform(0.3, 0.8))
    canvas.box((x - 0.1 * size, y - size, x + 0.1 * size, y), hsv(0.08, 0.6, scene.uniform(0.2, 0.5)), *line)
    if scene.chance(0.5):
        canvas.polygon(blob(scene, (x, y - 1.3 * size), 0.6 * size, 0.5), leaves, *line)
    else:
        for step in range(3):
            top, half = y - (1.0 + 0.4 * step) * size, (0.6 - 0.13 * step) * size
            canvas.polygon(
                [(x - half, top + 0.4 * size), (x, top - 0.4 * size), (x + half, top + 0.4 * size)], leaves, *line
            )


def _figure(scene: Scene, canvas: Canvas, center: Point, size: float, line: tuple[Color | None, float]) -> None:
    (x, y), skin = (
        center,
        scene.pick([vivid(scene), pale(scene), hsv(0.07, scene.uniform(0.2, 0.6), scene.uniform(0.4, 1))]),
    )
    canvas.polygon(blob(scene, (x, y + 1.6 * size), size, 0.2), vivid(scene), *line)
    if scene.chance(0.6):
        canvas.polygon(blob(scene, (x, y - 0.4 * size), 0.95 * size, 0.4), deep(scene), *line)
    canvas.polygon(blob(scene, (x, y), 0.8 * size, 0.12), skin, *line)
    apart, eye = scene.uniform(0.22, 0.35) * size, scene.uniform(0.08, 0.2) * size
    for side in (-1, 1):
        canvas.ellipse((x + side * apart, y - 0.15 * size), (eye, 1.3 * eye), WHITE, *line)
        canvas.ellipse(
            (x + side * apart + eye * 0.2, y - 0.1 * size), (eye / 2, eye / 2), scene.pick([BLACK, deep(scene)])
        )
    smile = scene.uniform(-0.2, 0.3) * size
    mouth = curve([(x - 0.3 * size, y + 0.35 * size), (x, y + 0.35 * size + smile), (x + 0.3 * size, y + 0.35 * size)])
    canvas.line(mouth, line[0] or BLACK, line[1])


def _balloon(scene: Scene, panel: Image.Image) -> None:
    pen = a_pen(scene, max(8, panel.width // scene.between(12, 20)), BLACK)
    writer = writer_for(scene, pen)
    width, height = round(panel.width * scene.uniform(0.4, 0.7)), round(pen.leading * scene.uniform(2.2, 4.2))
    if height >= panel.height or pen.size * 3 > width:
        return
    left = scene.between(4, panel.width - width - 4)
    balloon = Canvas(width, height, WHITE, 3)
    balloon.box((0, 0, width, height), WHITE, BLACK, max(1.0, pen.size / 10), radius=height / 3)
    image = balloon.image()
    fill(
        image, (pen.size * 0.7, pen.size * 0.4, width - pen.size * 0.7, height), writer.sentence(), pen, align="center"
    )
    mask = Canvas(width, height, BLACK, 3)
    mask.box((0, 0, width, height), WHITE, radius=height / 3)
    panel.paste(image, (left, scene.between(4, panel.height // 6)), mask.image().convert("L"))


def _regular(scene: Scene, center: Point, size: float, corners: int) -> list[Point]:
    """A regular polygon, or a star with as many points."""
    inner, turn = scene.pick([1.0, 1.0, 0.45]), scene.uniform(0, 7)
    return [
        (
            center[0] + size * (1 if number % 2 else inner) * float(np.cos(turn + np.pi * number / corners)),
            center[1] + size * (1 if number % 2 else inner) * float(np.sin(turn + np.pi * number / corners)),
        )
        for number in range(2 * corners)
    ]


def _hatch(scene: Scene, canvas: Canvas, center: Point, extent: float, ink: Color) -> None:
    angle, gap = scene.uniform(0, np.pi), scene.uniform(3, 9)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    for offset in np.arange(-extent, extent, gap):
        half = np.sqrt(extent**2 - offset**2) * scene.uniform(0.8, 1)
        ends = [np.array(center) + offset * across + sign * half * along for sign in (-1, 1)]
        canvas.line([(float(x), float(y)) for x, y in ends], ink, 1)
