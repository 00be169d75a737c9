"""Tables, flow charts and maps."""

from itertools import pairwise

import numpy as np
from PIL import Image

from powerqe.data_pre_process.graphics.canvas import Canvas, Point, curve, smoothing
from powerqe.data_pre_process.graphics.colors import (
    BLACK,
    WHITE,
    Color,
    blend,
    contrasting,
    gray,
    hsv,
    ink_and_paper,
    pale,
    palette,
    vivid,
)
from powerqe.data_pre_process.graphics.lettering import a_pen, writer_for
from powerqe.data_pre_process.graphics.scene import Scene, paint_one_of
from powerqe.data_pre_process.graphics.texture import clouds, to_image
from powerqe.data_pre_process.graphics.words import number


def paint(scene: Scene) -> Image.Image:
    """Lines, boxes and labels that explain something."""
    return paint_one_of(scene, [_any_table, _flow, _flow, _regions, _streets, _streets])


def _any_table(scene: Scene) -> Image.Image:
    return table(scene, *ink_and_paper(scene))


def table(scene: Scene, ink: Color, paper: Color) -> Image.Image:
    """Columns of words and numbers, with rules, stripes and a head or without."""
    image = Image.new("RGB", (scene.width, scene.height), paper)
    pen = a_pen(scene, scene.pick([8, 9, 10, 11, 12, 14, 18]), ink)
    writer, step = writer_for(scene, pen), round(pen.leading * scene.uniform(1.05, 1.7))
    across, down, thick = scene.chance(0.7), scene.chance(0.5), scene.pick([1, 1, 2])
    head = scene.pick([None, ink, vivid(scene)])
    if head:
        image.paste(head, (0, 0, scene.width, step))
    if scene.chance(0.4):
        for row in range(1, scene.height // step + 1, 2):
            image.paste(blend(paper, ink, 0.08), (0, row * step, scene.width, (row + 1) * step))
    x, rows = 0, scene.height // step + 1
    while x < scene.width:
        numeric, width = scene.chance(0.6), round(pen.size * scene.uniform(4, 12))
        for row in range(rows):
            value = number(scene) if numeric and row else writer.title(1, 2)
            while pen.width(value) > width - pen.size / 2 and len(value) > 1:
                value = value[:-1]
            shift = width - pen.size / 3 - pen.width(value) if numeric else pen.size / 3
            own = pen.in_color(contrasting(scene, head)) if head and not row else pen
            own.write(image, x + shift, row * step + (step - pen.leading) / 2, value)
        x += width
        if down:
            image.paste(ink, (x, 0, x + thick, scene.height))
    for row in range(1, rows * across):
        image.paste(ink, (0, row * step, scene.width, row * step + thick))
    return image


def _flow(scene: Scene) -> Image.Image:
    """Boxes on a loose grid with labels, joined by arrows."""
    ink, paper = (BLACK, WHITE) if scene.chance(0.7) else ink_and_paper(scene)
    columns, rows = scene.between(2, 4), scene.between(2, 5)
    wide, high = scene.width / columns, scene.height / rows
    canvas, colors = Canvas(scene.width, scene.height, paper, smoothing(scene)), [pale(scene), vivid(scene), paper]
    centers: list[Point] = [
        ((column + scene.uniform(0.45, 0.55)) * wide, (row + scene.uniform(0.45, 0.55)) * high)
        for row in range(rows) for column in range(columns) if scene.chance(0.85)
    ] or [(scene.width / 2, scene.height / 2)]  # fmt: skip
    thick = scene.pick([1, 1, 1.5, 2, 3])
    for first, second in pairwise(centers):
        _arrow(canvas, first, second, ink, thick, straight=scene.chance(0.5))
    fills = []
    for x, y in centers:
        half_width, half_height, kind = wide * 0.34, high * 0.24, scene.between(0, 3)
        fills.append(scene.pick(colors))
        if kind == 0:
            canvas.ellipse((x, y), (half_width, half_height), fills[-1], ink, thick)
        elif kind == 1:
            corners = [(x - half_width, y), (x, y - 1.5 * half_height), (x + half_width, y), (x, y + 1.5 * half_height)]
            canvas.polygon(corners, fills[-1], ink, thick)
        else:
            box = (x - half_width, y - half_height, x + half_width, y + half_height)
            canvas.box(box, fills[-1], ink, thick, radius=scene.pick([0, half_height / 2]))
    image = canvas.image()
    pen = a_pen(scene, max(7, round(scene.width / columns / scene.uniform(8, 12))), ink)
    writer = writer_for(scene, pen)
    for (x, y), under in zip(centers, fills, strict=True):
        text = writer.title(1, 1)
        pen.in_color(ink if under == paper else contrasting(scene, under)).write(
            image, x - pen.width(text) / 2, y - pen.leading / 2, text
        )
    return image


def _arrow(canvas: Canvas, start: Point, end: Point, color: Color, thick: float, *, straight: bool) -> None:
    """From center to center, directly or along the axes, with a head half way."""
    corner = end if straight else (end[0], start[1])
    canvas.line([start, corner, end], color, thick)
    first = np.array(start if straight else corner)
    along = np.array(end) - first
    length = float(np.linalg.norm(along))
    if length > 1:
        along, tip = along / length, first + 0.55 * along
        side, size = np.array([-along[1], along[0]]), 3 + 2.5 * thick
        head = [tip + size * along, tip - size * along + size * side, tip - size * along - size * side]
        canvas.polygon([(float(x), float(y)) for x, y in head], color)


def _regions(scene: Scene) -> Image.Image:
    """A map of heights or countries in flat colors, with borders, rivers, points and names."""
    field = clouds(scene, scene.uniform(1.8, 2.4))
    count = scene.between(3, 9)
    steps = np.digitize(field, np.quantile(field, np.linspace(0, 1, count + 1)[1:-1]))
    first = hsv(scene.uniform(0.5, 0.62), scene.uniform(0.2, 0.6), 0.9)
    colors = np.array([first, *[blend(color, WHITE, scene.pick([0.1, 0.5])) for color in palette(scene, count - 1)]])
    pixels = colors[steps]
    if scene.chance(0.7):
        edges = np.zeros(steps.shape, bool)
        edges[:, 1:] |= steps[:, 1:] != steps[:, :-1]
        edges[1:] |= steps[1:] != steps[:-1]
        pixels[edges] = gray(scene.between(0, 120))
    image = to_image(pixels.astype(float))
    _names(scene, image, scene.between(5, 25))
    return image


def _streets(scene: Scene) -> Image.Image:
    """Streets with casings, parks, water and names."""
    canvas = Canvas(scene.width, scene.height, scene.pick([(242, 239, 233), (232, 232, 232), gray(38)]), 4)
    for color in [(200, 230, 190), (170, 211, 223), (217, 208, 201)]:
        for _ in range(scene.between(0, 3)):
            x, y, size = (
                scene.uniform(0, scene.width),
                scene.uniform(0, scene.height),
                scene.uniform(0.05, 0.25) * scene.width,
            )
            canvas.polygon(
                [(x - size, y), (x, y - size * 0.7), (x + size, y + 0.2 * size), (x + 0.2 * size, y + size)], color
            )
    turn, roads = scene.uniform(0, np.pi), []
    gap = scene.width * scene.uniform(0.06, 0.18)
    for side in (0, np.pi / 2):
        along = np.array([np.cos(turn + side), np.sin(turn + side)])
        across = np.array([-along[1], along[0]])
        for offset in np.arange(-scene.width, scene.width, gap):
            middle = np.array([scene.width / 2, scene.height / 2]) + (offset + scene.uniform(0, gap / 2)) * across
            ends = [middle + sign * scene.width * scene.uniform(0.3, 1) * along for sign in (-1, 1)]
            roads.append(([(float(x), float(y)) for x, y in ends], scene.pick([2, 3, 3, 5])))
    for _ in range(scene.between(0, 2)):
        points = [(scene.width * share, scene.uniform(0, scene.height)) for share in np.linspace(-0.1, 1.1, 5)]
        roads.append((curve(points), scene.pick([7, 10])))
    ink = {width: scene.pick([WHITE, (255, 240, 160), (250, 180, 110)]) for width in (2, 3, 5, 7, 10)}
    for points, width in roads:
        canvas.line(points, gray(160), width + 2)
    for points, width in sorted(roads, key=lambda road: road[1]):
        canvas.line(points, ink[width], width)
    image = canvas.image()
    _names(scene, image, scene.between(8, 30))
    return image


def _names(scene: Scene, image: Image.Image, count: int) -> None:
    """Names with a halo, and points, all over a map."""
    pen = a_pen(scene, 10, BLACK)
    writer = writer_for(scene, pen)
    for _ in range(count):
        x, y = scene.between(-20, image.width - 20), scene.between(0, image.height - 10)
        text, sized = writer.title(1, 2), pen.of_size(scene.pick([8, 9, 10, 11, 13, 18]))
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            sized.in_color(WHITE).write(image, x + dx, y + dy, text)
        sized.in_color(scene.pick([BLACK, gray(70), (120, 0, 60)])).write(image, x, y, text)
        if scene.chance(0.3):
            image.paste(scene.pick([BLACK, (200, 30, 30)]), (x - 6, y + 3, x - 2, y + 7))
