"""Text and graphics next to photographs: magazines, slides, collages, captions and watermarks."""

from PIL import Image

from powerqe.data_pre_process.graphics import (
    diagram,
    drawing,
    gradient,
    halftone,
    pattern,
    pixel_art,
    plot,
    scan,
    screen,
    text,
)
from powerqe.data_pre_process.graphics.canvas import Canvas
from powerqe.data_pre_process.graphics.colors import BLACK, WHITE, any_color, ink_and_paper, vivid
from powerqe.data_pre_process.graphics.lettering import a_pen, fill, writer_for
from powerqe.data_pre_process.graphics.scene import Scene, paint_one_of
from powerqe.data_pre_process.graphics.texture import photo

_PARTS = (
    photo, photo, text.paint, text.paint, plot.paint, diagram.paint, drawing.paint, gradient.paint, screen.paint,
    scan.paint, halftone.paint, pattern.paint, pixel_art.paint,
)  # fmt: skip


def paint(scene: Scene) -> Image.Image:
    """Several kinds of contents in one image."""
    return paint_one_of(scene, [_magazine, _magazine, _slide, _collage, _captioned, _captioned])


def _magazine(scene: Scene) -> Image.Image:
    """A page of text with images and colored boxes set into it."""
    ink, paper = ink_and_paper(scene)
    page = text.page(scene, ink, paper, scene.pick([8, 9, 10, 11, 13, 16]))
    for _ in range(scene.between(1, 3)):
        width, height = scene.width * scene.uniform(0.25, 0.6), scene.height * scene.uniform(0.2, 0.5)
        part = scene.of_size(width, height)
        image = scene.pick([photo, photo, photo, drawing.paint, gradient.paint])(part)
        left, top = scene.between(0, scene.width - part.width), scene.between(0, scene.height - part.height)
        edge = scene.pick([0, 4, 8])
        pen = a_pen(scene, 9, ink)
        page.paste(paper, (left - edge, top - edge, left + part.width + edge, top + part.height + edge + pen.leading))
        page.paste(image, (left, top))
        pen.write(page, left, top + part.height + 1, writer_for(scene, pen).title(2, 5))
    return page


def _slide(scene: Scene) -> Image.Image:
    """A title, points, and an image or a plot."""
    ink, paper = ink_and_paper(scene)
    image = gradient.gradient(scene) if scene.chance(0.2) else Image.new("RGB", (scene.width, scene.height), paper)
    pen = a_pen(scene, max(8, scene.width // 26), ink)
    writer, pad = writer_for(scene, pen), scene.width // 20
    if scene.chance(0.5):
        image.paste(vivid(scene), (0, 0, scene.width, pad * 3))
    y = (
        fill(
            image,
            (pad, pad * 0.7, scene.width - pad, scene.height / 3),
            writer.title(2, 5),
            pen.of_size(pen.size * 1.6),
        )
        + pad
    )
    middle = scene.width * scene.uniform(0.4, 0.6)
    while y < scene.height - pad:
        image.paste(
            pen.color, (pad, round(y + pen.size / 2), pad + pen.size // 3, round(y + pen.size / 2) + pen.size // 3)
        )
        y = fill(image, (2 * pad, y, middle, scene.height + 99), writer.sentence(), pen) + pen.size / 2
    part = scene.of_size(scene.width - middle - pad, scene.height * scene.uniform(0.4, 0.6))
    kinds = [photo, plot.paint, diagram.paint, drawing.paint] if part.width > 100 else [photo, drawing.paint]
    image.paste(scene.pick(kinds)(part), (round(middle), round(scene.height * 0.3)))
    return image


def _collage(scene: Scene) -> Image.Image:
    """Any kinds side by side."""
    columns, rows = scene.pick([(2, 1), (1, 2), (2, 2)])
    gap = scene.pick([0, 0, 4, 10])
    image = Image.new("RGB", (scene.width, scene.height), scene.pick([WHITE, BLACK, any_color(scene)]))
    for row in range(rows):
        for column in range(columns):
            left, top = column * scene.width // columns + gap, row * scene.height // rows + gap
            part = scene.of_size(scene.width // columns - gap, scene.height // rows - gap)
            kinds = [paint for paint in _PARTS if paint is not plot.paint or min(part.width, part.height) >= 120]
            image.paste(scene.pick(kinds)(part), (left, top))
    return image


def _captioned(scene: Scene) -> Image.Image:
    """A photograph with words on it, with an outline or on a box, and a frame, an arrow or a logo."""
    image = photo(scene)
    for _ in range(scene.between(1, 3)):
        pen = a_pen(
            scene, scene.between(9, max(12, scene.width // 10)), scene.pick([WHITE, WHITE, BLACK, vivid(scene)])
        )
        said, y = writer_for(scene, pen).title(2, 5), scene.between(0, scene.height - pen.leading)
        x = max(2.0, (scene.width - pen.width(said)) / 2)
        if scene.chance(0.4):
            image.paste(BLACK if pen.color != BLACK else WHITE, (0, y, scene.width, y + pen.leading))
        elif scene.chance(0.7):
            reach = max(1, pen.size // 14)
            for dx in (-reach, 0, reach):
                for dy in (-reach, 0, reach):
                    pen.in_color(BLACK if pen.color != BLACK else WHITE).write(image, x + dx, y + dy, said)
        pen.write(image, x, y, said)
    if scene.chance(0.4):
        part = scene.of_size(scene.width * scene.uniform(0.15, 0.35), scene.width * scene.uniform(0.15, 0.35))
        image.paste(
            scene.pick([drawing.paint, pixel_art.paint, pattern.paint])(part),
            (scene.between(0, scene.width - part.width), 4),
        )
    if scene.chance(0.4):
        marks = Canvas(scene.width, scene.height, BLACK)
        x, y, size = scene.uniform(0.1, 0.7) * scene.width, scene.uniform(0.1, 0.7) * scene.height, scene.width * 0.25
        marks.box((x, y, x + size, y + size * 0.8), None, WHITE, 2)
        image.paste(vivid(scene), (0, 0), marks.image().convert("L"))
    return image
