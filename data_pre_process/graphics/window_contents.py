"""What windows show: documents, code, forms, sheets, images, chats, files, pages of the web."""

from collections.abc import Callable

from PIL import Image

from powerqe.data_pre_process.graphics import plot, text
from powerqe.data_pre_process.graphics.colors import WHITE, blend, gray, vivid
from powerqe.data_pre_process.graphics.lettering import fill
from powerqe.data_pre_process.graphics.scene import Scene
from powerqe.data_pre_process.graphics.texture import photo
from powerqe.data_pre_process.graphics.widgets import Theme, box, button, icon, label
from powerqe.data_pre_process.graphics.words import number


def _document(scene: Scene, theme: Theme) -> Image.Image:
    image = Image.new("RGB", (scene.width, scene.height), theme.side)
    margin = scene.pick([0, theme.px(20)])
    width = max(1, scene.width - 2 * margin)
    page = text.page(scene.of_size(width, scene.height), theme.ink, theme.field, theme.pen.size)
    image.paste(page, (margin, scene.pick([0, margin])))
    return image


def _code(scene: Scene, theme: Theme) -> Image.Image:
    return text.listing(scene)


def _plot(scene: Scene, theme: Theme) -> Image.Image:
    return plot.paint(scene) if min(scene.width, scene.height) >= 120 else _image(scene, theme)


def _image(scene: Scene, theme: Theme) -> Image.Image:
    """One image, or small ones in rows with names."""
    image = Image.new("RGB", (scene.width, scene.height), theme.face)
    if scene.chance(0.5):
        edge = theme.px(scene.pick([0, 8, 24]))
        inner = scene.of_size(scene.width - 2 * edge, scene.height - 2 * edge)
        image.paste(photo(inner), (edge, edge))
        return image
    size, gap = theme.px(scene.pick([64, 90])), theme.px(10)
    for top in range(gap, scene.height, size + theme.pen.leading + gap):
        for left in range(gap, scene.width, size + gap):
            image.paste(photo(scene.of_size(size, size)), (left, top))
            label(scene, image, theme, (left, top + size + 2), room=size)
    return image


def _form(scene: Scene, theme: Theme) -> Image.Image:
    """Labels with fields, boxes to tick, sliders and buttons."""
    image = Image.new("RGB", (scene.width, scene.height), theme.face)
    left, y, step = theme.px(12), theme.px(10), theme.pen.leading + theme.px(14)
    while y < scene.height:
        kind, middle = scene.between(0, 4), max(left + theme.px(90), scene.width // 3)
        if kind <= 1:
            label(scene, image, theme, (left, y + theme.px(3)), room=middle - left)
            field = box(
                (max(theme.px(30), scene.width - middle - left), step - theme.px(6)),
                theme.field,
                theme.border,
                theme.radius / 2,
            )
            image.paste(field, (middle, y), field)
            if scene.chance(0.7):
                label(scene, image, theme, (middle + theme.px(6), y + theme.px(3)), room=field.width - theme.px(12))
        elif kind == 2:
            ticked, side = scene.chance(0.5), theme.px(13)
            tick = box((side, side), theme.accent if ticked else theme.field, theme.border, theme.radius / 3)
            image.paste(tick, (left, y + 2), tick)
            label(scene, image, theme, (left + theme.px(20), y), words=6)
        elif kind == 3:
            length, share = scene.width - 2 * left, scene.uniform(0.1, 0.9)
            bar, done = (
                box((round(length * part), theme.px(6)), color, radius=theme.px(3))
                for part, color in ((1, theme.border), (share, theme.accent))
            )
            image.paste(bar, (left, y + theme.px(6)), bar)
            image.paste(done, (left, y + theme.px(6)), done)
        else:
            x = left
            for _ in range(scene.between(1, 4)):
                x += button(scene, image, theme, (x, y)) + theme.px(8)
        y += step
    return image


def _sheet(scene: Scene, theme: Theme) -> Image.Image:
    """A spreadsheet or a list with columns."""
    image = Image.new("RGB", (scene.width, scene.height), theme.field)
    step, x, striped, ruled = theme.pen.leading + theme.px(5), 0, scene.chance(0.5), scene.chance(0.6)
    rows = scene.height // step + 1
    for row in range(0, rows, 2):
        if striped:
            image.paste(blend(theme.field, theme.accent, 0.1), (0, row * step, scene.width, (row + 1) * step))
    image.paste(theme.side, (0, 0, scene.width, step))
    while x < scene.width:
        width, numeric = theme.px(scene.between(45, 130)), scene.chance(0.6)
        for row in range(rows):
            y = row * step + theme.px(2)
            if row and numeric:
                value = number(scene)
                theme.pen.write(image, x + width - theme.px(5) - theme.pen.width(value), y, value)
            elif scene.chance(0.9):
                label(scene, image, theme, (x + theme.px(4), y), room=width - theme.px(8))
        x += width
        if ruled:
            theme.line(image, (x - 1, 0, x, scene.height))
    for row in range(rows * ruled):
        theme.line(image, (0, (row + 1) * step - 1, scene.width, (row + 1) * step))
    return image


def _chat(scene: Scene, theme: Theme) -> Image.Image:
    image, y = Image.new("RGB", (scene.width, scene.height), theme.side), theme.px(8)
    while y < scene.height:
        own, width = scene.chance(0.5), round(scene.width * scene.uniform(0.4, 0.75))
        color, ink = (theme.accent, theme.accent_ink) if own else (theme.field, theme.ink)
        pad, pen = theme.px(8), theme.pen.in_color(ink)
        said = Image.new("RGB", (width, scene.height), color)
        height = round(fill(said, (pad, pad, width - pad, scene.height), theme.writer.sentence(), pen)) + pad
        shape = box((width, height), color, radius=theme.px(10))
        said = said.crop((0, 0, width, height))
        image.paste(said, (scene.width - width - pad if own else pad, y), shape.getchannel("A"))
        y += height + theme.px(8)
    return image


def _files(scene: Scene, theme: Theme) -> Image.Image:
    image, cell, size = (
        Image.new("RGB", (scene.width, scene.height), theme.field),
        theme.px(76),
        theme.px(scene.pick([32, 40])),
    )
    for top in range(0, scene.height, cell):
        for left in range(0, scene.width, cell):
            icon(scene, image, (left + (cell - size) // 2, top + theme.px(8)), size)
            label(scene, image, theme, (left + theme.px(6), top + size + theme.px(13)), room=cell - theme.px(10))
    return image


def _web(scene: Scene, theme: Theme) -> Image.Image:
    """A page with a banner, and cards of images and texts."""
    image = Image.new("RGB", (scene.width, scene.height), theme.field)
    banner, pad = min(scene.height, theme.px(scene.between(50, 120))), theme.px(10)
    if scene.chance(0.5):
        image.paste(photo(scene.of_size(scene.width, banner)), (0, 0))
    else:
        image.paste(scene.pick([theme.accent, vivid(scene), gray(40)]), (0, 0, scene.width, banner))
    theme.pen.of_size(theme.pen.size * 2).in_color(WHITE).write(image, 2 * pad, banner // 3, theme.writer.title(1, 4))
    columns = max(1, scene.width // theme.px(scene.between(120, 240)))
    width = max(theme.px(30), (scene.width - pad) // columns - pad)
    for column in range(columns):
        left, y = pad + column * (width + pad), banner + pad
        while y < scene.height:
            if scene.chance(0.6):
                height = round(width * scene.uniform(0.4, 0.8))
                image.paste(photo(scene.of_size(width, height)), (left, y))
                y += height + pad // 2
            y = round(
                fill(
                    image,
                    (left, y, left + width, scene.height + 99),
                    theme.writer.title(2, 5),
                    theme.pen.of_size(theme.pen.size * 1.3),
                )
            )
            y = round(
                fill(
                    image,
                    (left, y, left + width, scene.height + 99),
                    theme.writer.paragraph(scene.between(1, 4)),
                    theme.pen,
                )
            )
            y += pad
    return image


CONTENTS: tuple[Callable[[Scene, Theme], Image.Image], ...] = (
    _document, _document, _code, _code, _image, _form, _form, _sheet, _chat, _files, _web, _web, _plot,
)  # fmt: skip
"""Painters of contents, which fill the scene."""
