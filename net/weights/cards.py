"""Cards of published weights, `weights/NAME.md`: index entries as Markdown with metadata for the Hugging Face Hub."""

from collections.abc import Iterator
from typing import Any

import yaml

from powerqe.net.weights.entry import Entry, Figure, Training
from powerqe.utils.text_table import Grid, digits_of, markdown

_PARTS = {"before": "lq", "after": "enhanced", "gain": "difference"}
"""Of a figure, with its title in a table."""


def card(entry: Entry) -> str:
    """The card: front matter, the facts, the figures of all tests, and how the weights were trained."""
    download = [f"download: <{entry.url}>"] if entry.url else []
    facts = [
        f"{entry.method}, {entry.parameters or 0:,} parameters, {entry.bytes or 0:,} bytes",
        f"license: {entry.license}",
        f"SHA-256 `{entry.sha256}`",
        f"for: {entry}",
        *(f"in {name}: at least {value:g} dB of PSNR to float32" for name, value in entry.precision.items()),
        *download,
    ]
    parts = [
        f"---\n{_yaml(front_matter(entry))}\n---",
        f"# {entry.name}",
        "\n".join(f"- {fact}" for fact in facts),
        f"## Figures\n\n{markdown(figure_table(entry.figures), 3).rstrip()}" if entry.figures else "",
        "\n".join(["## Training", "", *_training_lines(entry.training)]),
        _again(entry.training.arguments),
        f"## Network\n\n```yaml\n{_yaml({'network': entry.network})}\n```" if entry.network else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def front_matter(entry: Entry) -> dict[str, Any]:
    """The metadata of a model card (huggingface.co/docs/hub/model-cards)."""
    task = "video-to-video" if entry.task == "video" else "image-to-image"
    scored = [each for each in entry.main_figures if each.before is not None and each.after is not None]
    sets = dict.fromkeys((each.set, each.quality) for each in scored)
    results = [
        {
            "task": {"type": task, "name": f"quality enhancement ({entry})"},
            "dataset": {"type": name, "name": name if quality == "-" else f"{name}, {quality}", "config": quality},
            "metrics": [
                {"type": each.metric.lower(), "name": _title(each), "value": each.after}
                for each in scored
                if (each.set, each.quality) == (name, quality)
            ],
        }
        for name, quality in sets
    ]
    tags = ["image-restoration", "compression-artifact-reduction", entry.task.replace("_", "-"), entry.method.lower()]
    index = {"model-index": [{"name": entry.name, "results": results}]} if results else {}
    known = {"license": entry.license.lower(), "library_name": "powerqe", "pipeline_tag": task, "tags": tags}
    return known | index


def figure_table(figures: tuple[Figure, ...]) -> Grid:
    """A row for each set and quality; a column for each part of a metric that is known."""
    columns = list(dict.fromkeys(_columns(figures)))
    rows = dict.fromkeys((each.set, each.quality, each.over) for each in figures)
    cells = {
        ((each.set, each.quality, each.over), _title(each), part): _cell(each, part)
        for each in figures
        for part in _PARTS
    }
    counts = {(each.set, each.quality, each.over): str(each.count or "-") for each in figures}
    alone = {title for title, _ in columns} - {title for title, part in columns if part != "after"}
    titles = (title if title in alone else f"{title} {_PARTS[part]}" for title, part in columns)
    header = ["set", "quality", "mean of", "count", *titles]
    return [header, *([*row[:2], row[2] or "images", counts[row],
                       *(cells.get((row, *column), "-") for column in columns)] for row in rows)]  # fmt: skip


def _columns(figures: tuple[Figure, ...]) -> Iterator[tuple[str, str]]:
    for title in dict.fromkeys(map(_title, figures)):
        for part in _PARTS:
            if any(getattr(each, part) is not None for each in figures if _title(each) == title):
                yield title, part


def _title(figure: Figure) -> str:
    unit, convention = f" [{figure.unit}]" * bool(figure.unit), f" ({figure.convention})" * bool(figure.convention)
    return f"{figure.metric}{unit}{convention}"


def _cell(figure: Figure, part: str) -> str:
    value, digits = getattr(figure, part), digits_of(figure.unit)
    if not figure.unit and figure.before is None:
        digits = 5 if figure.after is None else 2  # a small difference alone, or an estimate
    return "-" if value is None else f"{value:{'+' if part == 'gain' else ''}.{digits}f}"


def _training_lines(training: Training) -> Iterator[str]:
    validation = f", validation {training.validation}; the test sets above were not seen" if training.validation else ""
    yield f"- data: {training.data}{validation}"
    if training.iterations:
        parts = [f"{training.iterations:,} of {training.planned or training.iterations:,} iterations"]
        parts[0] += f", {training.samples:,} patches of {training.patch} x {training.patch}" if training.samples else ""
        parts += [f"best validation at iteration {training.best:,}"] if training.best else []
        yield f"- {'; '.join(parts)}"
    if training.start:
        yield f"- starts from `{training.start}`"
    yield from (f"- {note}" for note in training.notes)
    if training.torch:
        yield f"- torch {training.torch}"


def _again(arguments: str | None) -> str:
    if arguments is None:
        return ""
    return f"Again with:\n\n```sh\npowerqe train {arguments}\npowerqe test {arguments}\n```"


def _yaml(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120).rstrip()
