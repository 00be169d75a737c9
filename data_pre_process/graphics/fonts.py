"""Fonts: those that come with Matplotlib and Pillow, the same everywhere, and those of a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

SCRIPTS = {
    "latin": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?()-",
    "accented": "éèêàáâäãåæçñóòôöõøúùûüýßčšžřğłąęő",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщыьэюя",
    "greek": "αβγδεζηθικλμνξοπρστυφχψω",
    "han": "一人大小上下中国日本年生会学出分时地道家子你我的是不了在有个这来",
    "kana": "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもらりるれろアイウエオカキクケコ",
    "hangul": "가나다라마바사아자차카타파하고노도로모보소오조호구누",
}
"""Letters without which a font does not have the script."""

_WITHOUT_LETTERS = ("LastResort", "NonUni", "Siz", "Display", "cmex", "cmsy", "cmmi")
"""Parts of the names of Matplotlib's fonts that hold only signs."""


@dataclass(frozen=True)
class Face:
    """A font that text can be set in.

    path: its file, or None for Pillow's own. scripts: what it can write, of `SCRIPTS`. mono: all letters as wide.
    """

    path: Path | None
    scripts: tuple[str, ...]
    mono: bool


@lru_cache(maxsize=256)
def font(path: Path | None, size: int) -> ImageFont.FreeTypeFont:
    """A font in a size in pixels. The basic layout is the one that every Pillow has."""
    if path is None:
        own = ImageFont.load_default(size)
        assert isinstance(own, ImageFont.FreeTypeFont)
        return own
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def bundled_faces() -> tuple[Face, ...]:
    """The fonts that come with Matplotlib (DejaVu, STIX, Computer Modern) and with Pillow."""
    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    paths = [path for path in sorted(folder.glob("*.ttf")) if not any(part in path.name for part in _WITHOUT_LETTERS)]
    own = Face(None, ("latin",), mono=False)
    return (*(face for path in paths if (face := _face(path))), own)


def faces_of(folder: Path) -> tuple[Face, ...]:
    """The fonts of a folder and its sub-folders (TrueType, OpenType) that can write at least Latin letters."""
    paths: Sequence[Path] = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in (".ttf", ".otf", ".ttc")
    )
    return tuple(face for path in paths if (face := _face(path)))


def _face(path: Path) -> Face | None:
    """The font of a file, or None where it has no Latin letters or cannot be read."""
    try:
        has = FT2Font(str(path)).get_charmap()
        narrow, wide = (font(path, 20).getlength(letter) for letter in "im")
    except (OSError, RuntimeError):
        return None
    scripts = tuple(name for name, letters in SCRIPTS.items() if all(ord(letter) in has for letter in letters))
    return Face(path, scripts, mono=narrow == wide) if "latin" in scripts else None
