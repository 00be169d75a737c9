"""Text that nobody wrote: words of random syllables in several scripts, numbers, and lines of code."""

from functools import lru_cache

import numpy as np

from powerqe.data_pre_process.graphics.fonts import SCRIPTS
from powerqe.data_pre_process.graphics.scene import Scene

_VOWELS = "a e i o u a e i o ai ea ou ie oo y"
_ONSETS = "b c d f g h j k l m n p r s t v w z br cr dr fl gr pl pr sh st th tr ch sp qu"
_CODAS = "- - - n r s t l m nd st ck rt ng d"
_SYLLABLES = {
    "latin": (_ONSETS, _VOWELS, _CODAS),
    "accented": (_ONSETS, "a e i o u é è ê à á ä ã å æ ó ô ö õ ø ú ü ý", _CODAS),
    "cyrillic": ("б в г д ж з к л м н п р с т ф х ц ч ш щ", "а е и о у ы э ю я", "- й н т"),
    "greek": ("β γ δ ζ θ κ λ μ ν ξ π ρ σ τ φ χ ψ", "α ε η ι ο υ ω", "- ν ρ"),
}
"""What the syllables of a script begin with, their vowels, and what words end in; named more often, more common."""

_SHORT = 40
"""So many of a vocabulary's words, the commonest, have one syllable only."""

Token = tuple[str, str]
"""A piece of code and its role: word, name, number, string, comment or sign."""


class Writer:
    """Writes in an invented language: a vocabulary of its own, the first words of which come often (Zipf's law)."""

    def __init__(self, scene: Scene, script: str = "latin", size: int = 400) -> None:
        self.scene = scene
        self.spaced = script not in ("han", "kana")
        self.vocabulary = [_word(scene, script, short=rank < _SHORT) for rank in range(size)]

    def word(self) -> str:
        """One word in small letters."""
        return self.vocabulary[int(self.scene.rng.choice(len(self.vocabulary), p=_zipf(len(self.vocabulary))))]

    def sentence(self) -> str:
        """Words from a capital letter to a full stop; without spaces in scripts that have none."""
        scene = self.scene
        words = [self.word() if scene.chance(0.95) else number(scene) for _ in range(scene.between(4, 16))]
        words = [f"{word}," if scene.chance(0.08) else word for word in words]
        if not self.spaced:
            return "".join(words).replace(",", "、") + "。"
        text = " ".join(words).rstrip(",")
        return text[0].upper() + text[1:] + scene.pick(".......?!:;")

    def paragraph(self, sentences: int) -> str:
        """Several sentences."""
        return (" " if self.spaced else "").join(self.sentence() for _ in range(sentences))

    def title(self, low: int = 1, high: int = 4) -> str:
        """A heading or a label: words without a stop, written in one of the usual ways."""
        scene = self.scene
        words = [self.word() for _ in range(scene.between(low, high))]
        if not self.spaced:
            return "".join(words)
        text = " ".join(words)
        return scene.pick([text.title(), text.title(), text.capitalize(), text.upper(), text])


def number(scene: Scene) -> str:
    """A number as it is found in texts and tables: plain, decimal, percentage, money, date or time."""
    value = scene.between(0, 10 ** scene.between(1, 5))
    return scene.pick(
        [
            f"{value}",
            f"{value:,}",
            f"{value / 100:.2f}",
            f"{scene.uniform(0, 100):.1f}%",
            f"${value:,}.00",
            f"{scene.between(1980, 2040)}-{scene.between(1, 12):02}-{scene.between(1, 28):02}",
            f"{scene.between(0, 23):02}:{scene.between(0, 59):02}",
        ]
    )


def code(scene: Scene, lines: int) -> list[list[Token]]:
    """Lines that look like those of a program; the first token of a line is its indentation."""
    writer, depth, listing = Writer(scene, size=60), 0, []
    for _ in range(lines):
        kind = scene.pick(["assign", "assign", "call", "call", "block", "close", "comment", "empty", "return"])
        if kind == "close":
            depth = max(0, depth - 1)
        listing.append([("    " * depth, "sign"), *_statement(scene, writer, kind)])
        if kind == "block":
            depth = min(4, depth + 1)
    return listing


def _statement(scene: Scene, writer: Writer, kind: str) -> list[Token]:
    if kind == "empty":
        return []
    if kind == "comment":
        return [(f"# {writer.title(2, 7)}", "comment")]
    if kind == "close":
        return [(scene.pick(["}", ")", "end", "]"]), "sign")]
    if kind == "return":
        return [("return ", "word"), *_value(scene, writer)]
    if kind == "block":
        head = scene.pick(["if ", "for ", "while ", "def ", "class ", "with "])
        return [
            (head, "word"),
            (_identifier(scene, writer), "name"),
            ("(", "sign"),
            *_value(scene, writer),
            ("):", "sign"),
        ]
    if kind == "assign":
        return [
            (_identifier(scene, writer), "name"),
            (scene.pick([" = ", " += ", " := "]), "sign"),
            *_value(scene, writer),
        ]
    arguments = [token for _ in range(scene.between(0, 3)) for token in (*_value(scene, writer), (", ", "sign"))]
    return [(f"{writer.word()}.{_identifier(scene, writer)}", "name"), ("(", "sign"), *arguments[:-1], (")", "sign")]


def _identifier(scene: Scene, writer: Writer) -> str:
    return scene.pick(["_", "", "."]).join(writer.word() for _ in range(scene.between(1, 2)))


def _value(scene: Scene, writer: Writer) -> list[Token]:
    kind = scene.pick(["name", "number", "string", "sum"])
    if kind == "sum":
        return [(writer.word(), "name"), (scene.pick([" + ", " * ", " - ", " == ", " < "]), "sign"), ("1", "number")]
    text = {"name": writer.word(), "number": str(scene.between(0, 4096)), "string": f'"{writer.word()}"'}[kind]
    return [(text, kind)]


@lru_cache(maxsize=8)
def _zipf(size: int) -> np.ndarray:
    """The probabilities of the words of a vocabulary by rank, (size,)."""
    weights = 1 / np.arange(2, size + 2)
    return weights / weights.sum()


def _word(scene: Scene, script: str, short: bool) -> str:
    if script in ("han", "kana", "hangul"):
        return "".join(scene.pick(SCRIPTS[script]) for _ in range(scene.between(1, 2 if short else 4)))
    onsets, vowels, codas = (part.replace("-", "").split(" ") for part in _SYLLABLES[script])
    syllables = 1 if short else scene.between(1, 4)
    word = "".join(scene.pick(onsets) + scene.pick(vowels) for _ in range(syllables)) + scene.pick(codas)
    return word[1:] if short and scene.chance(0.3) and len(word) > 2 else word
