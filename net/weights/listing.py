"""Published weights as text: a table of all, and the details of one."""

from pathlib import Path

from powerqe.net.weights.entry import Entry
from powerqe.net.weights.index import FILE, Known
from powerqe.utils.errors import UserError
from powerqe.utils.files import write_between
from powerqe.utils.text_table import aligned, markdown

MARKS = ("<!-- weights -->", "<!-- /weights -->")
"""Lines between which docs/weights.md has the table."""
_MAIN = "PSNR"
_HEADER = ["name", "method", "task", "color", "qualities", "parameters", "size", "file", "gain"]


def listing(known: list[Known]) -> str:
    """A table for the terminal.

    Raises:
        UserError: there is nothing to list.
    """
    if not known:
        raise UserError(f"no weights/{FILE} here or in PowerQE; run this where weights/ is, or give it by --folder")
    return "\n".join(aligned([_HEADER, *map(_row, known)], 5))


def table(known: list[Known]) -> str:
    """The same as Markdown, for docs/weights.md."""
    rows = [_HEADER, *([f"[{name}](../weights/{name}.md)", *cells] for name, *cells in map(_row, known))]
    return markdown([row[:7] + row[8:] for row in rows], 5).rstrip()  # without what is here


def write_table(known: list[Known], path: Path) -> str:
    """Write the table between the marks of a Markdown file; what was done, in a line; raises as `write_between`."""
    write_between(path, *MARKS, table(known))
    return f"{path}: {len(known)} weights"


def description(known: Known) -> str:
    """Everything about some weights, a line each, and the table of their figures."""
    entry, path = known
    facts = {
        "name": entry.name,
        "method": entry.method,
        "for": str(entry),
        "parameters": _count(entry.parameters),
        "trained on": entry.training.data,
        "notes": "; ".join(entry.training.notes),
        "file": f"{path}{'' if path.is_file() else ' (not here)'}",
        "size": f"{entry.bytes:,} bytes" if entry.bytes else "-",
        "SHA-256": _sha256(known),
        "license": entry.license,
        "download": ", ".join(filter(None, (entry.url, *entry.mirrors))) or "-",
        "member": entry.member,
        "by hand": f"{entry.link}, then: powerqe weights add FILE --name {entry.name}" if entry.link else "",
        "figures of": entry.figures_from,
        "card": str(path.with_suffix(".md")) if path.with_suffix(".md").is_file() else "",
    }
    rows = [
        [figure.set, figure.quality, figure.over or "images", figure.metric, figure.convention or "-",
         *(_number(value, figure.unit) for value in (figure.before, figure.after)),
         _number(figure.gain, figure.unit, "+")]
        for figure in entry.figures
    ]  # fmt: skip
    header = ["set", "quality", "mean of", "metric", "convention", "before", "after", "gain"]
    lines = [f"{name:<12}{fact}" for name, fact in facts.items() if fact]
    return "\n".join([*lines, *(["", *aligned([header, *rows], 5)] if rows else [])])


def _row(known: Known) -> list[str]:
    entry = known.entry
    qualities = " ".join([*([f"x{entry.scale}"] if entry.scale > 1 else []), str(entry.qualities or "")]).strip()
    size = f"{entry.bytes / 1e6:.1f} MB" if entry.bytes else "-"
    return [entry.name, entry.method, entry.task, entry.color, qualities or "-", _count(entry.parameters), size,
            known.state, _gain(entry)]  # fmt: skip


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _sha256(known: Known) -> str:
    """The SHA-256 with its source, and that of the file here if it differs."""
    entry = known.entry
    other = "" if known.sha256 == entry.sha256 else f"; the file here has {known.sha256}"
    return f"{entry.sha256 or 'unknown'} ({entry.certainty}){other}"


def _gain(entry: Entry) -> str:
    """Of PSNR, or of the first metric, on the first test set: from the smallest to the largest over its qualities."""
    found = entry.gains(_MAIN) or entry.gains()
    gains = [figure.gain for figure in found if figure.gain is not None]
    if not gains:
        return "-"
    first = found[0]
    ends = dict.fromkeys(_number(end, first.unit, "+", 2) for end in (min(gains), max(gains)))
    return f"{' to '.join(ends)}{' dB' if first.unit else ''} {first.metric} {first.set}"


def _number(value: float | None, unit: str, sign: str = "", digits: int = 3) -> str:
    return "-" if value is None else f"{value:{sign}.{digits if unit else 4}f}"
