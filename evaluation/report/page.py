"""A report as one HTML page with all styles, scripts and pictures inside."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from powerqe.evaluation.report import plots
from powerqe.evaluation.report.examples import Strip, best_of, strips
from powerqe.evaluation.report.reader import Comparison, Experiment
from powerqe.evaluation.report.summary import COMPRESSED, FACTS_CAPTION, Block, Cell, blocks, facts
from powerqe.evaluation.video_comparison import VideoTable
from powerqe.utils.text_table import digits_of, number

_HERE = Path(__file__).parent
# Whatever the page holds, a browser loads nothing for it.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


class Section(NamedTuple):
    """A part of the page: HTML under a heading, and the name that links lead to."""

    key: str
    heading: str
    content: str

    def __str__(self) -> str:
        return f'<section id="{self.key}">\n<h2>{self.heading}</h2>\n{self.content}\n</section>\n'


def to_html(title: str, images: Comparison | None, videos: VideoTable | None) -> tuple[str, list[str]]:
    """The page, and its notes: those of the tables and what could not be shown.

    Args:
        images: tests on images, if there are any.
        videos: tests on videos, if there are any.
    """
    sections: list[Section] = []
    notes: list[str] = []
    if images is not None:
        found = {name: strips(images, name) for name in images.sets}
        notes = all_notes(images) + [note for _, lost in found.values() for note in lost]
        sections += [_experiments(images), _tables(images), _plots(images)]
        sections += [_crops({name: pictures for name, (pictures, _) in found.items() if pictures})]
    if videos is not None:
        sections.append(_videos(videos))
    if images is not None:
        sections.append(_tested(images))
    sections.append(Section("notes", "Notes", _list(map(escape, notes)) if notes else ""))
    sections = [section for section in sections if section.content]
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    return (
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{_summary(images) if images else ""}
{_contents(sections)}
</header>
<main>
{"".join(map(str, sections))}</main>
<footer>Made by PowerQE: <code>powerqe report</code></footer>
<script>
{script}</script>
</body>
</html>
""",
        notes,
    )


def all_notes(images: Comparison) -> list[str]:
    """Of the tables of all experiments; one that several have stands once."""
    found: dict[str, list[str]] = {}
    for experiment in images.experiments:
        for note in experiment.notes:
            found.setdefault(note, []).append(experiment.name)
    count = len(images.experiments)
    return [note if len(names) == count else f"{', '.join(names)}: {note}" for note, names in found.items()]


def _summary(images: Comparison) -> str:
    """In a sentence for each set: which method is best."""
    lines = []
    for name in images.sets:
        group = images.common(name)
        entries = images.at(name, group)
        count = len(entries[0].images)
        text = f"<b>{escape(' '.join(part for part in (name, group) if part))}</b>, {count} images: "
        if images.main is None or (best := best_of(entries, images.main)) is None:
            lines.append(text + "no metric has a value")
            continue
        metric, digits = images.main, digits_of(images.main.unit)
        value, gain = number(best.after[metric.name], digits), number(best.gain(metric.name), digits, sign=True)
        unit = f" {metric.unit}" if metric.unit else ""
        which = f"best of {len(entries)} methods is " if len(entries) > 1 else ""
        text += f"{which}<b>{escape(best.method)}</b> with {escape(metric.name)} {value}{unit} ({gain}{unit})"
        lines.append(text)
    return _list(lines, "summary")


def _contents(sections: Iterable[Section]) -> str:
    links = [f'<a href="#{each.key}">{each.heading}</a>' for each in sections]
    return f"<nav>{''.join(links)}</nav>"


def _experiments(images: Comparison) -> Section:
    rows = [
        ["metric", "how it is computed", "better"],
        *([escape(metric.title), escape(metric.convention), _direction(metric.higher_is_better)]
          for metric in images.metrics),
    ]  # fmt: skip
    return Section(
        "experiments",
        "Experiments",
        f"<h3>Methods</h3>{_legend_table(images)}<p class='caption'>{escape(FACTS_CAPTION)}</p>"
        f"<h3>Metrics</h3>{_table(rows, 3)}",
    )


def _tested(images: Comparison) -> Section:
    """What it takes to repeat the tests, which few readers want to see first."""
    rows = [["experiment", "network", "parameters", "weights", "tested on"], *map(_experiment, images.experiments)]
    return Section("tested", "What was tested", _table(rows, 2, "dense"))


def _direction(higher: bool | None) -> str:
    return {True: "higher", False: "lower", None: "not known"}[higher]


def _experiment(each: Experiment) -> list[str]:
    path, digest = each.weights
    date = each.date.replace("T", " ").replace("+00:00", " UTC")
    options = ", ".join(f"{key}: {json.dumps(value)}" for key, value in each.network.items() if key != "type")
    return [
        f"{escape(each.name)}<small>{escape(str(each.folder))}</small>",
        f"{escape(each.network['type'])}<small>{escape(options)}</small>",
        f"{each.parameters:,}",
        f"{escape(path)}<small title='SHA-256 {escape(digest)}'>sha256 {escape(digest[:16])}…</small>",
        f"{escape(each.device)}<small>torch {escape(each.torch)}</small><small>{escape(date)}</small>",
    ]


def _legend_table(images: Comparison) -> str:
    header, *rows = facts(images)
    rows = [[f"{_swatch(images, row[0])}{escape(row[0])}", *map(escape, row[1:])] for row in rows]
    return _table([header, *rows], 2)


def _tables(images: Comparison) -> Section:
    parts: dict[str, list[str]] = {name: [] for name in images.sets}
    for block in blocks(images):
        kind = "wide" if len(block.groups) > 2 else ""
        parts[block.set].append(f"<div class='{kind}'><h3>{escape(block.title)}</h3>{_block(images, block)}</div>")
    return Section("tables", "Tables", "".join(f"<div class='tables'>{''.join(part)}</div>" for part in parts.values()))


def _block(images: Comparison, block: Block) -> str:
    header = ["method", *(escape(group or "all") for group in block.groups)]
    rows = [
        [escape(name) if place == 0 else f"{_swatch(images, name)}{escape(name)}", *map(_cell, cells)]
        for place, (name, cells) in enumerate(block.rows)
    ]
    rank = " Best in bold, second best underlined." if block.is_ranked else ""
    return f"{_table([header, *rows], 1, 'scores')}<p class='caption'>{escape(block.caption)}.{rank}</p>"


def _cell(cell: Cell) -> str:
    value = {"best": f"<b>{cell.value}</b>", "second": f"<u>{cell.value}</u>"}.get(cell.mark, cell.value)
    return f"{value}<small>{cell.delta}</small>"


def _plots(images: Comparison) -> Section:
    parts = []
    for name in images.sets:
        figures = "".join(
            f"<figure><h4>{escape(plot.title)}</h4>{plot.svg}<figcaption>{escape(plot.caption)}</figcaption></figure>"
            for plot in plots.plots(images, name)
        )
        if figures:
            parts.append(f"<h3>{escape(name)}</h3><div class='plots'>{figures}</div>")
    return Section("plots", "Plots", _legend(images) + "".join(parts) if parts else "")


def _legend(images: Comparison) -> str:
    line = "<svg viewBox='-12 -6 24 12'><path d='M-11 0H11' class='dashed'/></svg>"
    entries = [f"{_swatch(images, method)}{escape(method)}" for method in images.methods]
    return _list([f"{line}{COMPRESSED}", *entries], "legend")


def _swatch(images: Comparison, method: str) -> str:
    look = plots.looks(images.methods)[method]
    return (
        f"<svg viewBox='-12 -6 24 12' style='color:var(--m{look.number})'><path d='M-11 0H11'/>"
        f"<polygon points='{plots.marker_points(look.marker, 8)}'/></svg>"
    )


def _crops(pictures: dict[str, list[Strip]]) -> Section:
    parts = [
        "<p>The best, the median and the worst image, by what the best method gains. Pixels are not smoothed. "
        "<span class='scripted'>Point at a crop to look closer, at the same place in all of them; click, or tap, to "
        "keep that place and once more to let it go.</span></p>"
    ]
    for name, found in pictures.items():
        parts.append(f"<h3>{escape(name)}</h3>{''.join(map(_strip, found))}")
    return Section("crops", "Crops", "".join(parts) if pictures else "")


def _strip(strip: Strip) -> str:
    place = ";".join(f"{key}:{value:.2f}%" for key, value in strip.window._asdict().items())
    tiles = "".join(
        f"<figure><div class='lens'><img alt='crop, {escape(tile.name)}' src='{tile.picture}'></div>"
        f"<figcaption><b>{escape(tile.name)}</b><small>{escape(tile.scores)}</small></figcaption></figure>"
        for tile in strip.tiles
    )
    return (
        f"<div class='strip'><h4>{escape(strip.title)}</h4><div class='pictures'>"
        f"<figure class='overview'><div><img alt='whole picture' src='{strip.overview}'>"
        f"<span class='window' style='{place}'><span class='focus'></span></span></div>"
        f"<figcaption>original, reduced; the crops have {strip.side} pixels a side</figcaption></figure>"
        f"<div class='tiles'>{tiles}</div></div></div>"
    )


def _videos(videos: VideoTable) -> Section:
    parts = []
    for title, grid in videos.blocks():
        parts.append(f"<h3>{escape(title)}</h3>{_table(_escaped(grid), 2)}")
    for title, grid, notes in videos.bd_rates():
        parts.append(f"<h3>{escape(title)}</h3>{_table(_escaped(grid), 1)}{_list(map(escape, notes))}")
    return Section("videos", "Videos", "".join(parts))


def _escaped(grid: list[list[str]]) -> list[list[str]]:
    return [[escape(cell) for cell in row] for row in grid]


def _table(rows: Sequence[Sequence[str]], texts: int, kind: str = "") -> str:
    """Cells of HTML, the first row is the header; numbers begin after `texts` columns."""

    def row(cells: Sequence[str], tag: str) -> str:
        tags = ["th scope='row'" if place == 0 and tag == "td" else tag for place in range(len(cells))]
        return "<tr>" + "".join(
            f"<{each}{'' if place < texts else ' class=number'}>{cell}</{each.split()[0]}>"
            for place, (each, cell) in enumerate(zip(tags, cells, strict=True))
        ) + "</tr>\n"  # fmt: skip

    header, *rest = rows
    body = "".join(row(cells, "td") for cells in rest)
    return (
        f"<div class='scroll {kind}'><table>\n<thead>{row(header, 'th')}</thead>\n<tbody>{body}</tbody></table></div>"
    )


def _list(items: Iterable[str], kind: str = "") -> str:
    return f"<ul class='{kind}'>{''.join(f'<li>{item}</li>' for item in items)}</ul>"
