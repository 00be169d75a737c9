"""Pages of text: columns, posters, specimens of sizes, colored blocks, listings."""

from PIL import Image

from powerqe.data_pre_process.graphics.colors import (
    BLACK,
    WHITE,
    Color,
    any_color,
    contrasting,
    gray,
    ink_and_paper,
    vivid,
)
from powerqe.data_pre_process.graphics.lettering import Pen, a_pen, fill, writer_for
from powerqe.data_pre_process.graphics.scene import Scene, paint_one_of
from powerqe.data_pre_process.graphics.words import code


def paint(scene: Scene) -> Image.Image:
    """Text as it stands on pages, signs, slides and screens."""
    return paint_one_of(scene, [_one_page, _one_page, _specimen, _poster, _blocks, listing])


def page(scene: Scene, ink: Color, paper: Color, size: int) -> Image.Image:
    """A page in one to three columns with headings, paragraphs and lists; `size` of the letters in pixels."""
    image = Image.new("RGB", (scene.width, scene.height), paper)
    pen, head = a_pen(scene, size, ink), a_pen(scene, round(size * scene.uniform(1.2, 2.2)), ink)
    head = head.in_color(ink if scene.chance(0.7) else contrasting(scene, paper))
    columns = scene.between(1, max(1, min(3, scene.width // (size * 12))))
    margin, gap = scene.between(size // 2, 3 * size), 2 * size
    width = (scene.width - 2 * margin - (columns - 1) * gap) / columns
    align, spacing = scene.pick(["left", "justify", "justify", "center"]), scene.uniform(0.9, 1.3)
    for column in range(columns):
        left = margin + column * (width + gap)
        _column(scene, image, (left, width), (pen, head), align, spacing)
        if column and scene.chance(0.2):
            image.paste(
                ink, (round(left - gap / 2), margin, round(left - gap / 2) + 1, max(margin, scene.height - margin))
            )
    return image


def _column(
    scene: Scene, image: Image.Image, place: tuple[float, float], pens: tuple[Pen, Pen], align: str, spacing: float
) -> None:
    """Fill a column, from the upper end of the image (or from above it) to the lower one."""
    (left, width), (pen, head), writer = place, pens, writer_for(scene, pens[0])
    head_writer = writer_for(scene, head)
    y, bottom = float(scene.between(-pen.size, 2 * pen.size)), image.height + pen.size
    indent, gap = scene.pick([0, 0, 1.5 * pen.size]), scene.uniform(0, 1) * pen.size
    while y < bottom:
        kind = scene.rng.random()
        if kind < 0.2:
            y = fill(image, (left, y, left + width, bottom), head_writer.title(2, 6), head) + gap
        elif kind < 0.32:
            for number in range(scene.between(2, 5)):
                mark = scene.pick(["-", f"{number + 1}."])
                pen.write(image, left + pen.size, y, mark)
                y = fill(
                    image, (left + 2.5 * pen.size, y, left + width, bottom), writer.sentence(), pen, spacing=spacing
                )
        else:
            text = writer.paragraph(scene.between(2, 7))
            y = fill(
                image,
                (left + indent * scene.chance(0.5), y, left + width, bottom),
                text,
                pen,
                align=align,
                spacing=spacing,
            )
        y += gap + 0.2 * pen.leading


def listing(scene: Scene) -> Image.Image:
    """Lines of a program in a dark or bright editor with its colors."""
    dark = scene.chance(0.6)
    paper = scene.pick(
        [gray(scene.between(15, 45)), (40, 44, 52), (0, 43, 54), BLACK] if dark else [WHITE, (253, 246, 227)]
    )
    colors = {role: contrasting(scene, paper) for role in ("word", "number", "string", "comment")}
    colors |= {role: gray(215 if dark else 30) for role in ("name", "sign")}
    image = Image.new("RGB", (scene.width, scene.height), paper)
    pen = a_pen(scene, scene.pick([9, 11, 12, 13, 14, 16, 20, 26]), colors["name"], mono=True)
    gutter = 3 * pen.size if scene.chance(0.6) else pen.size // 2
    step = round(pen.leading * scene.uniform(0.9, 1.2))
    for number, line in enumerate(code(scene, scene.height // step + 1)):
        x, y = float(gutter), number * step + 3
        if gutter > pen.size:
            label = str(number + 1)
            pen.in_color(gray(120)).write(image, gutter - pen.size - pen.width(label), y, label)
        for text, role in line:
            x += pen.in_color(colors[role]).write(image, x, y, text)
    return image


def _one_page(scene: Scene) -> Image.Image:
    ink, paper = ink_and_paper(scene)
    return page(scene, ink, paper, scene.pick([8, 9, 10, 11, 12, 13, 14, 16, 18, 22, 28, 36]))


def _specimen(scene: Scene) -> Image.Image:
    """Lines of growing size, each of another font or of the same."""
    ink, paper = ink_and_paper(scene)
    image = Image.new("RGB", (scene.width, scene.height), paper)
    y, size, pen, varied = 4.0, scene.uniform(6, 10), a_pen(scene, 8, ink), scene.chance(0.6)
    while y < scene.height:
        pen = (a_pen(scene, 8, ink) if varied else pen).of_size(size)
        pen.write(image, scene.between(2, 10), y, writer_for(scene, pen).paragraph(3))
        y += pen.leading
        size *= scene.uniform(1.03, 1.2)
    return image


def _poster(scene: Scene) -> Image.Image:
    """A few large words, some with an outline or a shadow."""
    ink, paper = ink_and_paper(scene)
    image = Image.new("RGB", (scene.width, scene.height), paper)
    y = scene.uniform(-10, 20)
    while y < scene.height:
        pen = a_pen(
            scene,
            scene.between(24, max(30, scene.height // 3)),
            ink if scene.chance(0.6) else contrasting(scene, paper),
        )
        text, x = writer_for(scene, pen).title(1, 2), scene.uniform(-0.1, 0.3) * scene.width
        if scene.chance(0.3):  # a shadow
            shift = max(1, pen.size // 14)
            pen.in_color(any_color(scene)).write(image, x + shift, y + shift, text)
        pen.write(image, x, y, text)
        y += pen.leading * scene.uniform(0.8, 1.1)
    return image


def _blocks(scene: Scene) -> Image.Image:
    """Blocks of several backgrounds, each with text in its own size, font and color."""
    image = Image.new("RGB", (scene.width, scene.height), WHITE)
    columns, rows = scene.between(1, 3), scene.between(2, 6)
    for row in range(rows):
        for column in range(columns):
            left, top = column * scene.width // columns, row * scene.height // rows
            right, bottom = (column + 1) * scene.width // columns, (row + 1) * scene.height // rows
            ink, paper = ink_and_paper(scene) if scene.chance(0.5) else (contrasting(scene, p := vivid(scene)), p)
            part = Image.new("RGB", (right - left, bottom - top), paper)
            pen = a_pen(scene, scene.between(8, 30), ink)
            text = writer_for(scene, pen).paragraph(6)
            fill(
                part,
                (5, 3, part.width - 5, part.height + pen.size),
                text,
                pen,
                align=scene.pick(["left", "center", "right"]),
            )
            image.paste(part, (left, top))
    return image
