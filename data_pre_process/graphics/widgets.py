"""The parts of user interfaces: themes, boxes, labels, buttons, icons."""

from dataclasses import dataclass

from PIL import Image

from powerqe.data_pre_process.graphics.canvas import Canvas, blob
from powerqe.data_pre_process.graphics.colors import (
    BLACK,
    WHITE,
    Color,
    any_color,
    blend,
    brightness,
    contrasting,
    gray,
    vivid,
)
from powerqe.data_pre_process.graphics.lettering import Pen, a_pen, writer_for
from powerqe.data_pre_process.graphics.scene import Scene
from powerqe.data_pre_process.graphics.words import Writer


@dataclass(frozen=True)
class Theme:
    """How a user interface looks.

    scale: pixels of the image for one of the design. pen, writer: its font in the usual size, and its language. face,
    side, field: colors of windows, of sidebars, of input fields. ink: of text on them. accent: of what is
    chosen. radius: of corners, in pixels of the image. shaded: title bars and buttons with gradients.
    """

    scale: float
    pen: Pen
    writer: Writer
    face: Color
    side: Color
    field: Color
    ink: Color
    border: Color
    accent: Color
    accent_ink: Color
    title: Color
    title_ink: Color
    radius: int
    shaded: bool
    round_buttons: bool

    def px(self, length: float) -> int:
        """A length of the design in pixels of the image, at least 1."""
        return max(1, round(length * self.scale))

    def line(self, image: Image.Image, place: tuple[int, int, int, int]) -> None:
        """A line between parts."""
        image.paste(self.border, place)


def a_theme(scene: Scene) -> Theme:
    """Dark or bright, flat or shaded, with any font and accent."""
    dark, scale = scene.chance(0.35), scene.pick([1, 1, 1, 1.25, 1.5, 2, 2])
    base = scene.between(20, 50) if dark else scene.pick([255, 248, 240, 240, 212])
    face = blend(gray(base), any_color(scene), scene.pick([0, 0, 0.08]))
    ink, accent = gray(scene.between(215, 250) if dark else scene.between(0, 50)), vivid(scene)
    title = scene.pick([accent, blend(face, BLACK, 0.1), blend(face, WHITE, 0.15), WHITE, gray(40)])
    pen = a_pen(scene, round(scene.pick([10, 11, 12, 13]) * scale), ink)
    return Theme(
        scale=scale,
        pen=pen,
        writer=writer_for(scene, pen),
        face=face,
        side=blend(face, BLACK if scene.chance(0.7) else accent, 0.07),
        field=gray(base - 10) if dark else WHITE,
        ink=ink,
        border=blend(face, ink, 0.25),
        accent=accent,
        accent_ink=WHITE if brightness(accent) < 150 else BLACK,
        title=title,
        title_ink=WHITE if brightness(title) < 128 else gray(30),
        radius=round(scene.pick([0, 0, 4, 8, 12]) * scale),
        shaded=scene.chance(0.25),
        round_buttons=scene.chance(0.35),
    )


def box(size: tuple[int, int], fill: Color, outline: Color | None = None, radius: float = 0) -> Image.Image:
    """A rectangle with rounded corners, RGBA, transparent outside of them."""
    width, height = max(1, size[0]), max(1, size[1])
    if not radius:
        shape = Image.new("RGBA", (width, height), outline or fill)
        if outline:
            shape.paste(fill, (1, 1, max(1, width - 1), max(1, height - 1)))
        return shape
    canvas, mask = Canvas(width, height, fill), Canvas(width, height, BLACK)
    canvas.box((0, 0, width, height), fill, outline, radius=radius)
    mask.box((0, 0, width, height), WHITE, radius=radius)
    shape = canvas.image()
    shape.putalpha(mask.image().convert("L"))
    return shape


def label(
    scene: Scene,
    image: Image.Image,
    theme: Theme,
    at: tuple[int, int],
    *,
    color: Color | None = None,
    words: int = 2,
    room: float = 1e9,
) -> float:
    """One or more words; cut off where there is no room. Returns the width in pixels."""
    text = theme.writer.title(1, words)
    while len(text) > 1 and theme.pen.width(text) > room:
        text = text[:-1]
    return theme.pen.in_color(color or theme.ink).write(image, *at, text)


def button(scene: Scene, image: Image.Image, theme: Theme, at: tuple[int, int]) -> int:
    """A button with one word. Returns its width in pixels."""
    text, chosen = theme.writer.title(1, 1), scene.chance(0.3)
    width, height = round(theme.pen.width(text)) + theme.px(20), theme.pen.leading + theme.px(8)
    shape = box((width, height), theme.accent if chosen else theme.field, theme.border, theme.radius / 2)
    if theme.shaded:
        shine = Image.linear_gradient("L").resize(shape.size).point(lambda level: 40 - level * 0.15)
        shape.paste(gray(128), (0, 0), shine)
    image.paste(shape, at, shape)
    pen = theme.pen.in_color(theme.accent_ink if chosen else theme.ink)
    pen.write(image, at[0] + theme.px(10), at[1] + theme.px(3), text)
    return width


def icon(scene: Scene, image: Image.Image, at: tuple[int, int], size: int) -> None:
    """A small image of one or two shapes on the background that is there, or on a tile."""
    if size < 4:
        return
    left, top = at
    canvas = Canvas(size, size, BLACK)
    mask = Canvas(size, size, BLACK)
    color, second, thick = vivid(scene), scene.pick([WHITE, BLACK, vivid(scene)]), max(1.0, size / 12)
    middle, kind = (size / 2, size / 2), scene.between(0, 5)
    if kind <= 1:  # a tile with a sign
        for each, ink in ((canvas, color), (mask, WHITE)):
            each.box((0, 0, size, size), ink, radius=size / 5)
        canvas.polygon(blob(scene, middle, size * 0.3, 0.6, 9), second)
    elif kind == 2:  # a disc
        for each, ink in ((canvas, color), (mask, WHITE)):
            each.ellipse(middle, (size * 0.48, size * 0.48), ink)
        canvas.line([(size * 0.3, size * 0.5), (size * 0.45, size * 0.68), (size * 0.72, size * 0.32)], second, thick)
    elif kind == 3:  # a sheet or a folder
        for each, ink in ((canvas, color), (mask, WHITE)):
            each.box((size * 0.12, size * 0.05, size * 0.88, size * 0.95), ink)
        for row in range(3):
            y = size * (0.28 + 0.2 * row)
            canvas.line([(size * 0.25, y), (size * 0.75, y)], second, thick)
    else:  # lines only
        under = image.crop((left, top, left + 1, top + 1)).getpixel((0, 0)) if _inside(image, at) else WHITE
        ink = contrasting(scene, (under[0], under[1], under[2])) if isinstance(under, tuple) else BLACK
        points = [(size * scene.uniform(0.1, 0.9), size * scene.uniform(0.1, 0.9)) for _ in range(scene.between(3, 5))]
        for each, stroke in ((canvas, ink), (mask, WHITE)):
            each.box((0, 0, size, size), ink if each is canvas else BLACK)
            each.line(points, stroke, thick)
            each.ellipse(middle, (size * 0.42, size * 0.42), None, stroke, thick)
    image.paste(canvas.image(), at, mask.image().convert("L"))


def _inside(image: Image.Image, at: tuple[int, int]) -> bool:
    return 0 <= at[0] < image.width and 0 <= at[1] < image.height
