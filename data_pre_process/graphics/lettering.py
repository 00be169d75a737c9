"""Text on an image: how letters are rendered, and how lines fill a box."""

from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from powerqe.data_pre_process.graphics.canvas import Box
from powerqe.data_pre_process.graphics.colors import Color
from powerqe.data_pre_process.graphics.fonts import Face, font
from powerqe.data_pre_process.graphics.scene import Scene
from powerqe.data_pre_process.graphics.words import Writer

RENDERINGS = ("gray", "gray", "gray", "subpixel", "binary", "stretched")
"""Ways to draw letters: anti-aliased on the grid of pixels, as LCD screens do with red, green and blue apart, without
anti-aliasing, and anti-aliased off the grid with another width, as in print and enlarged images."""


@dataclass(frozen=True)
class Pen:
    """A font, a size in pixels, a color and a rendering.

    stretch: width of the letters in relation to the font's (for the rendering "stretched").
    """

    face: Face
    size: int
    color: Color
    rendering: str = "gray"
    stretch: float = 1.0

    @property
    def leading(self) -> int:
        """The usual distance of two lines in pixels."""
        return max(2, round(self.size * 1.3))

    def in_color(self, color: Color) -> "Pen":
        """The same pen with another ink."""
        return replace(self, color=color)

    def of_size(self, size: float) -> "Pen":
        """The same pen in another size, at least 5 pixels."""
        return replace(self, size=max(5, round(size)))

    def width(self, text: str) -> float:
        """How wide a line of text is in pixels."""
        return self._font().getlength(text) * self.stretch

    def write(self, image: Image.Image, x: float, y: float, text: str) -> float:
        """Write a line from its upper left corner (ascender); what is outside the image is lost. Returns its width."""
        x, y = round(x), round(y)
        if text.strip() and x < image.width and y < image.height and y + 2 * self.size > 0:
            if self.rendering in ("subpixel", "stretched"):
                self._write_fine(image, x, y, text)
            else:
                draw = ImageDraw.Draw(image)
                draw.fontmode = "1" if self.rendering == "binary" else "L"
                draw.text((x, y), text, self.color, self._font())
        return self.width(text)

    def _font(self) -> ImageFont.FreeTypeFont:
        return font(self.face.path, self.size)

    def _write_fine(self, image: Image.Image, x: int, y: int, text: str) -> None:
        """Draw three times as large, and average down: all three channels alike, or each a third of a pixel further."""
        large = font(self.face.path, 3 * self.size)
        width = min(round(self.width(text)) + self.size, image.width - x + self.size)
        drawn = Image.new("L", (max(3, round(3 * width / self.stretch)), 6 * self.size))
        ImageDraw.Draw(drawn).text((3, 0), text, 255, large)
        cover = np.asarray(drawn.resize((3 * width, 2 * self.size), Image.Resampling.BOX), dtype=np.float32) / 255
        kernel = np.array([1, 2, 3, 2, 1]) / 9 if self.rendering == "subpixel" else np.array([1, 1, 1]) / 3
        cover = np.apply_along_axis(np.convolve, 1, cover, kernel, "same")
        shift = (0, 1, 2) if self.rendering == "subpixel" else (1, 1, 1)
        alpha = np.stack([cover[:, channel::3][:, :width] for channel in shift], axis=-1)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, image.width), min(y + len(alpha), image.height)
        if right <= left or bottom <= top:
            return
        alpha = alpha[top - y : bottom - y, left - x : right - x]
        below = np.asarray(image.crop((left, top, right, bottom)), dtype=np.float32)
        mixed = below + alpha * (np.array(self.color, dtype=np.float32) - below)
        image.paste(Image.fromarray(np.rint(mixed).astype(np.uint8)), (left, top))


def a_pen(scene: Scene, size: int, color: Color, *, mono: bool = False) -> Pen:
    """A pen with any font (of one width of letters if `mono`) and rendering."""
    faces = [face for face in scene.faces if face.mono] if mono else scene.faces
    rendering = scene.pick(RENDERINGS)
    stretch = scene.pick([1.0, scene.uniform(0.75, 1.3)]) if rendering == "stretched" else 1.0
    return Pen(scene.pick(faces or scene.faces), size, color, rendering, stretch)


def writer_for(scene: Scene, pen: Pen) -> Writer:
    """A writer in one of the scripts that the pen's font has; every second one Latin."""
    return Writer(scene, "latin" if scene.chance(0.5) else scene.pick(pen.face.scripts))


def wrap(text: str, pen: Pen, width: float) -> list[str]:
    """The lines of a text that fit a width; scripts without spaces, and words too long, break anywhere."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if pen.width(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while pen.width(line) > width and len(line) > 1:
            fits = max(1, bisect_right(range(len(line)), width, key=lambda count: pen.width(line[:count])) - 1)
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line]


def fill(image: Image.Image, box: Box, text: str, pen: Pen, *, align: str = "left", spacing: float = 1.0) -> float:
    """Set a paragraph into a box.

    Args:
        image: to write on.
        box: lines that would not fit into it any more are left out.
        text: a paragraph.
        pen: to write with.
        align: left, right, center or justify.
        spacing: distance of the lines in relation to the usual one.

    Returns:
        y below the last line.
    """
    left, top, right, bottom = box
    lines = wrap(text, pen, max(1.0, right - left))
    for number, line in enumerate(lines):
        if top + pen.leading > bottom:
            break
        room = right - left - pen.width(line)
        if align == "justify" and number < len(lines) - 1 and " " in line:
            _spread(image, left, top, line, pen, room)
        else:
            pen.write(image, left + room * {"right": 1.0, "center": 0.5}.get(align, 0.0), top, line)
        top += pen.leading * spacing
    return top


def _spread(image: Image.Image, x: float, y: float, line: str, pen: Pen, room: float) -> None:
    """Write a line with wider spaces, so that it ends `room` pixels further right."""
    words = line.split(" ")
    for word in words:
        pen.write(image, x, y, word)
        x += pen.width(f"{word} ") + room / (len(words) - 1)
