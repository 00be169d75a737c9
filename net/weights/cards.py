"""What is known of published weights: their card `weights/NAME.md`, which `powerqe publish` writes.

The card is for people, and the one place where all of it stands: the index is read out of the cards. What is read are
the lines at the top, the table of figures, and where the training data were; the rest is free text.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError

from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Section, explain
from powerqe.utils.text_table import NOT_AVAILABLE

_FACTS = re.compile(r"^(?P<method>\w+), (?P<parameters>[\d,]+) parameters, (?P<bytes>[\d,]+) bytes\. "
                    r"License: (?P<license>\S+)\.$", re.MULTILINE)  # fmt: skip
_SHA256 = re.compile(r"^SHA-256 `([0-9a-f]{64})`$", re.MULTILINE)
_PURPOSE = re.compile(
    r"^For: (?P<task>\w+)(?:, (?P<unit>[a-z]+) (?P<values>[\d /]+|\d+ to \d+))?"
    r"(?:, x(?P<scale>\d+))?, (?P<color>rgb|y)$",
    re.MULTILINE,
)
_URL = re.compile(r"^Download: <(\S+)>$", re.MULTILINE)
_TRAINING = re.compile(r"^- data: (.+?), validation ", re.MULTILINE)
# PSNR [dB] (RGB, uint8) difference
_DIFFERENCE = re.compile(r"(?P<all>(?P<metric>\S+)(?: \[(?P<unit>[^]]+)])? \((?P<convention>.*)\)) difference")
# ΔSSIM x1e4, which stands for a number 1e4 times smaller; without a factor it is in decibel
_DELTA = re.compile(r"Δ(?P<metric>\S+)(?: x(?P<factor>1e\d+))?")


class Qualities(Section):
    """The qualities for which a network was trained.

    Args:
        unit: "qf", the quality factor of JPEG, WebP or AVIF, or "qp", the quantization parameter of HEVC or BPG.
        values: all of them, or with `span` the lowest and the highest, with all between.
    """

    unit: str
    values: tuple[NonNegativeInt, ...]
    span: bool = False

    def __str__(self) -> str:
        return f"{self.unit} {(' to ' if self.span else ' / ').join(map(str, self.values))}"


class Figure(Section):
    """The mean of a metric over a test set.

    Args:
        set: name of the test set.
        quality: such as "qf10" or "x2"; "-" where there is none.
        metric: such as "PSNR".
        unit: "dB", or "" of a number without one.
        convention: how the metric was computed, such as "RGB, uint8"; "" where the card does not tell.
        before: of the compressed images; None where the card tells the gain only.
        after: of the enhanced ones.
        gain: after minus before.
    """

    set: str
    quality: str
    metric: str
    unit: str = ""
    convention: str = ""
    before: float | None = None
    after: float | None = None
    gain: float


class Purpose(Section):
    """What a network was trained for.

    Args:
        task: "jpeg", "hevc", "bpg", "webp", "avif": images of that codec; "double_jpeg": images compressed twice;
            "sr": super-resolution; "video": frames of videos; "other".
        color: what the network takes and gives, RGB or luma.
        qualities: with which the training data were compressed; None if not, or if that is not known.
        scale: by which the image becomes larger.
    """

    task: str
    color: Literal["rgb", "y"]
    qualities: Qualities | None = None
    scale: PositiveInt = 1

    def line(self) -> str:
        """As it stands in the card: `For: jpeg, qf 10 / 20, rgb`."""
        scale = f"x{self.scale}" if self.scale > 1 else ""
        parts = (self.task, str(self.qualities or ""), scale, self.color)
        return f"For: {', '.join(part for part in parts if part)}"


class Entry(Purpose):
    """All that the index tells of published weights.

    Args:
        name: under which they are found.
        method: the type of the network.
        parameters: how many numbers it learnt.
        training: where the training data were, in words.
        figures: the means of its tests, those of the first test set first.
        file: its name, in the folder of the index.
        bytes: size of the file.
        sha256: of the file.
        license: its SPDX identifier.
        url: where the file can be downloaded; None: it is shipped.
    """

    name: str
    method: str
    parameters: PositiveInt
    training: str
    figures: tuple[Figure, ...]
    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    bytes: PositiveInt
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    license: str
    url: str | None = None


def facts_lines(entry: Entry) -> list[str]:
    """The lines below a card's title."""
    return [
        f"{entry.method}, {entry.parameters:,} parameters, {entry.bytes:,} bytes. License: {entry.license}.",
        f"SHA-256 `{entry.sha256}`",
        entry.line(),
        *([f"Download: <{entry.url}>"] if entry.url else []),
    ]


def read_card(path: Path) -> Entry:
    """What a card says.

    Raises:
        UserError: a line that a card has is not there or not as `powerqe publish` writes it.
    """
    text = path.read_text(encoding="utf-8")
    facts = _line(_FACTS, text, path, "METHOD, N parameters, N bytes. License: NAME.")
    purpose = _line(_PURPOSE, text, path, Purpose(task="jpeg", color="rgb", qualities=_qualities("qf", "10")).line())
    url = _URL.search(text)
    try:
        return Entry(
            name=path.stem,
            method=facts["method"],
            task=purpose["task"],
            color="y" if purpose["color"] == "y" else "rgb",
            qualities=_qualities(purpose["unit"], purpose["values"]),
            scale=int(purpose["scale"] or 1),
            parameters=_number(facts["parameters"]),
            training=_line(_TRAINING, text, path, "- data: FOLDER, validation FOLDER")[1].replace("`", ""),
            figures=read_figures(_means(text)),
            file=f"{path.stem}.safetensors",
            bytes=_number(facts["bytes"]),
            sha256=_line(_SHA256, text, path, "SHA-256 `...`")[1],
            license=facts["license"],
            url=url and url[1],
        )
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}") from None


def read_figures(means: Sequence[Mapping[str, str]]) -> tuple[Figure, ...]:
    """The figures of the means of a test, rows of title -> cell, as results.json and report.json have them.

    Of the means over videos those that count each video the same are taken where there are several kinds.
    """
    kinds = dict.fromkeys(row.get("mean of", "") for row in means)
    kind = next(iter(kinds), "") if "all sequences" not in kinds else "all sequences"
    rows = [row for row in means if row.get("mean of", "") == kind]
    return tuple(figure for row in rows for figure in _row_figures(row))


def _row_figures(row: Mapping[str, str]) -> Iterator[Figure]:
    """Of images a metric is `TITLE lq`, `TITLE enhanced`, `TITLE difference`; of videos `ΔNAME`, with the two or alone.

    Metrics that had no value are left out.
    """
    for title, cell in row.items():
        factor = 1.0
        if found := _DIFFERENCE.fullmatch(title):
            metric, unit, convention = found["metric"], found["unit"] or "", found["convention"]
            before, after = row.get(f"{found['all']} lq"), row.get(f"{found['all']} enhanced")
        elif found := _DELTA.fullmatch(title):
            metric, convention = found["metric"], ""
            unit, factor = ("", float(found["factor"])) if found["factor"] else ("dB", factor)
            before, after = row.get(f"{metric} lq"), row.get(metric)
        else:
            continue
        gain = _value(cell)
        if gain is not None:
            yield Figure(
                set=row["set"],
                quality=row.get("quality", "-"),
                metric=metric,
                unit=unit,
                convention=convention,
                before=_value(before),
                after=_value(after),
                gain=round(gain / factor, 8),
            )


def _value(cell: str | None) -> float | None:
    """The number in a cell; None if there is none, or none that is finite."""
    value = float(cell) if cell and cell != NOT_AVAILABLE else math.nan
    return value if math.isfinite(value) else None


def _line(pattern: re.Pattern[str], text: str, path: Path, example: str) -> re.Match[str]:
    found = pattern.search(text)
    if not found:
        raise UserError(f"{path}: found no line like «{example}»; publish the weights again, or write it")
    return found


def _qualities(unit: str | None, values: str | None) -> Qualities | None:
    if not unit or not values:
        return None
    return Qualities(unit=unit, values=tuple(map(int, re.findall(r"\d+", values))), span=" to " in values)


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _means(text: str) -> list[dict[str, str]]:
    """The rows of the card's first table."""
    lines = [line for line in text.partition("## Figures")[2].partition("\n## ")[0].splitlines() if line[:1] == "|"]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines] or [[], []]
    return [dict(zip(header, row, strict=False)) for row in rows]
