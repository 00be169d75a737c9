"""Published weights: which there are, what they gain, and how to get them.

list and show tell what there is. fetch gets a file that is not here, from its URL or from a folder, and checks its
SHA-256. index makes index.json anew out of the cards. Where weights are asked for, test.ckp_load_path for one, a name
from the list does as well as a file.
"""

import sys
from pathlib import Path

from powerqe.net.weights.cards import Entry
from powerqe.net.weights.index import FILE, Known, known_weights, lookup, write_index
from powerqe.utils.download import download
from powerqe.utils.errors import UserError, command
from powerqe.utils.files import sha256_of, write_between
from powerqe.utils.parser import Parser
from powerqe.utils.text_table import aligned, markdown

MARKS = ("<!-- weights -->", "<!-- /weights -->")
"""Lines between which docs/weights.md has the table."""
_MAIN = "PSNR"
_HEADER = ["name", "method", "task", "color", "qualities", "parameters", "size", "", "gain"]


@command
def main() -> None:
    """Do what the arguments say."""
    arguments = _parser().parse_args()
    if arguments.command == "list":
        known = list(known_weights(arguments.folder).values())
        print(listing(known) if arguments.markdown is None else write_table(known, arguments.markdown))
    elif arguments.command == "show":
        print(description(lookup(arguments.name, arguments.folder)))
    elif arguments.command == "fetch":
        print(fetch(lookup(arguments.name, arguments.folder), arguments.source))
    else:
        folder = Path(arguments.folder or "weights")
        print(f"{folder / FILE}: {len(write_index(folder))} weights")


def listing(known: list[Known]) -> str:
    """A table for the terminal.

    Raises:
        UserError: there is nothing to list.
    """
    if not known:
        raise UserError(f"no weights/{FILE} here and beside PowerQE; run this where weights/ is, or name it: --folder")
    return "\n".join(aligned([_HEADER, *map(_row, known)], 5))


def table(known: list[Known]) -> str:
    """The same as Markdown, for docs/weights.md."""
    rows = [_HEADER, *([f"[{name}](../weights/{name}.md)", *cells] for name, *cells in map(_row, known))]
    return markdown([row[:7] + row[8:] for row in rows], 5).rstrip()  # without «not here»


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
        "for": entry.line().removeprefix("For: "),
        "parameters": f"{entry.parameters:,}",
        "trained on": entry.training,
        "file": f"{path}{'' if path.is_file() else ' (not here)'}",
        "size": f"{entry.bytes:,} bytes",
        "SHA-256": entry.sha256,
        "license": entry.license,
        "download": entry.url or "-",
        "card": str(path.with_suffix(".md")),
    }
    rows = [
        [figure.set, figure.quality, figure.metric, figure.convention or "-", _number(figure.before, figure.unit),
         _number(figure.after, figure.unit), _number(figure.gain, figure.unit, "+")]
        for figure in entry.figures
    ]  # fmt: skip
    lines = [f"{name:<12}{fact}" for name, fact in facts.items()]
    return "\n".join([*lines, "", *aligned([["set", "quality", "metric", "of", "before", "after", "gain"], *rows], 4)])


def fetch(known: Known, source: Path | None) -> str:
    """Get a file that is not here or damaged; what was done, in a line.

    Args:
        source: a folder that has the file; None: its URL.

    Raises:
        UserError: nowhere to get it from, or anything wrong with the download.
    """
    entry, path = known
    if path.is_file() and sha256_of(path) == entry.sha256:
        return f"{path} is here, and its SHA-256 is right"
    if source is not None and not (source / entry.file).is_file():
        raise UserError(f"no file {source / entry.file}; --from takes the folder that has {entry.file}")
    url = entry.url if source is None else (source / entry.file).resolve().as_uri()
    if url is None:
        state = "is damaged" if path.is_file() else "is not here"
        raise UserError(f"{path} {state}, and the index knows no URL; name a folder that has it: --from FOLDER")
    download(url, path, sha256=entry.sha256, size=entry.bytes)
    return f"{path}: {entry.bytes:,} bytes from {source or url}, SHA-256 is right"


def _parser() -> Parser:
    examples = ["python -m powerqe.net.weights list", "python -m powerqe.net.weights show dncnn-bsds500-qf10"]
    parser = Parser(__doc__, examples=examples)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    told = {
        "list": "a table of all weights with what they are for and what they gain",
        "show": "everything about some weights, and all figures of their tests",
        "fetch": "get the file of weights that is not here, and check it",
        "index": "make index.json anew out of the cards beside it",
    }
    for name, text in told.items():
        each = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        each.add_argument(
            "--folder", metavar="FOLDER", help=f"where {FILE} is (default: weights/ here, then that of PowerQE)"
        )
        if name == "list":
            each.add_argument("--markdown", type=Path, metavar="FILE", help="write the table into this Markdown "
                              "file, between its marks, instead of showing it")  # fmt: skip
        if name in ("show", "fetch"):
            each.add_argument("name", metavar="NAME", help="name of the weights, as list shows it")
        if name == "fetch":
            each.add_argument(
                "--from",
                dest="source",
                type=Path,
                metavar="FOLDER",
                help="a folder that has the file, instead of its URL",
            )
    return parser


def _row(known: Known) -> list[str]:
    entry = known.entry
    qualities = " ".join([*([f"x{entry.scale}"] if entry.scale > 1 else []), str(entry.qualities or "")]).strip()
    size = f"{entry.bytes / 1e6:.1f} MB"
    here = "" if known.path.is_file() else "not here"
    return [entry.name, entry.method, entry.task, entry.color, qualities or "-", f"{entry.parameters:,}", size, here,
            _gain(entry)]  # fmt: skip


def _gain(entry: Entry) -> str:
    """Of PSNR, or of the first metric, on the first test set: from the smallest to the largest over its qualities."""
    metrics = [figure.metric for figure in entry.figures]
    metric = _MAIN if _MAIN in metrics else next(iter(metrics), None)
    found = [figure for figure in entry.figures if figure.metric == metric]
    gains = [figure.gain for figure in found if figure.set == found[0].set]
    if not gains:
        return "-"
    ends = dict.fromkeys(_number(end, found[0].unit, "+", 2) for end in (min(gains), max(gains)))
    return f"{' to '.join(ends)}{' dB' if found[0].unit else ''} {metric} {found[0].set}"


def _number(value: float | None, unit: str, sign: str = "", digits: int = 3) -> str:
    return "-" if value is None else f"{value:{sign}.{digits if unit else 4}f}"


if __name__ == "__main__":
    sys.exit(main())
