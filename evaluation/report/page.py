"""A report as one self-contained HTML page with styles, scripts and images; page.html is its template."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from powerqe.evaluation.report import plots
from powerqe.evaluation.report.examples import best_of, strips
from powerqe.evaluation.report.reader import Comparison
from powerqe.evaluation.report.summary import COMPRESSED, FACTS_CAPTION, blocks, facts
from powerqe.evaluation.results import Metric
from powerqe.evaluation.video_comparison import VideoTable
from powerqe.utils.text_table import Grid, digits_of, number

_HERE = Path(__file__).parent
_HEADINGS = {
    "experiments": "Experiments",
    "tables": "Tables",
    "plots": "Plots",
    "crops": "Crops",
    "videos": "Videos",
    "tested": "Experiments in detail",
    "notes": "Notes",
}


def to_html(title: str, images: Comparison | None, videos: VideoTable | None) -> tuple[str, list[str]]:
    """The page, and its notes: those of the tables, and what could not be shown.

    Args:
        images: tests on images, if there are any.
        videos: tests on videos, if there are any.
    """
    known, notes = _of_images(images) if images else ({}, [])
    contents = {
        "experiments": images,
        "tables": images,
        "plots": known.get("plots"),
        "crops": known.get("strips"),
        "videos": videos,
        "tested": images,
        "notes": notes,
    }
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    templates = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    html = templates.get_template("page.html").render(
        {"summary": [], "method_styles": {}} | known,
        title=title,
        style=style,
        script=script,
        sections={key: heading for key, heading in _HEADINGS.items() if contents[key]},
        videos=videos,
        notes=notes,
        marker_points=plots.marker_points,
        json=json.dumps,
    )
    return html, notes


def _of_images(images: Comparison) -> tuple[dict[str, Any], list[str]]:
    """The template's values for tests on images, and the notes."""
    crops = {name: strips(images, name) for name in images.sets}
    tables = list(blocks(images))
    drawn = [(name, list(plots.plots(images, name))) for name in images.sets]
    return {
        "summary": [_best(images, name) for name in images.sets],
        "experiments": images.experiments,
        "facts": facts(images),
        "facts_caption": FACTS_CAPTION,
        "metrics": _metrics(images.metrics),
        "blocks": [(name, [block for block in tables if block.set == name]) for name in images.sets],
        "plots": [(name, found) for name, found in drawn if found],
        "strips": [(name, found) for name, (found, _) in crops.items() if found],
        "method_styles": plots.method_styles(images.methods),
        "compressed": COMPRESSED,
    }, all_notes(images) + [note for _, lost in crops.values() for note in lost]


class _Best(NamedTuple):
    """The best method on a set, as text; "" where no metric has a value."""

    tested: str
    count: int
    which: str = ""
    method: str = ""
    gain: str = ""


def _best(images: Comparison, set_name: str) -> _Best:
    tests = images.at(set_name, images.common(set_name))
    tested, count, metric = tests[0].title, len(tests[0].items), images.main
    if metric is None or (best := best_of(tests, metric)) is None:
        return _Best(tested, count)
    digits, unit, average = digits_of(metric.unit), f" {metric.unit}" * bool(metric.unit), best.average
    value, gain = number(average.result[metric.name], digits), number(average.gain(metric.name), digits, sign=True)
    which = f"best of {len(tests)} methods is " if len(tests) > 1 else ""
    return _Best(tested, count, which, best.method, f"{metric.name} {value}{unit} ({gain}{unit})")


def _metrics(metrics: list[Metric]) -> Grid:
    better = {True: "higher", False: "lower", None: "unknown"}
    rows = [[metric.title, metric.convention, better[metric.higher_is_better]] for metric in metrics]
    return [["metric", "convention", "better"], *rows]


def all_notes(images: Comparison) -> list[str]:
    """The notes of all experiments, each once."""
    found: dict[str, list[str]] = {}
    for test in images.experiments:
        for note in test.results.notes:
            found.setdefault(note, []).append(test.results.experiment)
    count = len(images.experiments)
    return [note if len(names) == count else f"{', '.join(names)}: {note}" for note, names in found.items()]
