"""Published figures of weights next to those measured here, by the tester and with the published protocol."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from powerqe.evaluation.results import Average, Results
from powerqe.evaluation.tester import test, tested_as
from powerqe.net.weights.entry import Entry, Figure
from powerqe.utils.errors import UserError
from powerqe.utils.log import start_log
from powerqe.utils.options.tree import Options, load_options
from powerqe.utils.ranks import start_ranks
from powerqe.utils.text_table import aligned, digits_of, number


def verify(entry: Entry, opt: str, case: str | None, overrides: Sequence[str]) -> str:
    """Test weights on those published data sets that are here; a table of published and measured figures.

    Writes the results of the test to exp/verify-NAME/.

    Args:
        opt, case, overrides: what is tested, as `powerqe test` takes them; the network is that of the file.

    Raises:
        UserError: no such weights, none of the data is here, or anything wrong with the test.
    """
    own = [f"name=verify-{entry.name}", "test.if_save_im=false", *tested_as(entry.name), *overrides]
    options = load_options(opt, case, own)
    missing = _missing(options)
    lines = [f"{name}: not measured, no {path}" for name, path in missing.items()]
    if len(missing) == len(options.dataset.test):
        raise UserError(f"{entry.name}: no data to test with; {'; '.join(lines)}")
    options = load_options(opt, case, [*own, *(f"dataset.test.{name}=null" for name in missing)])
    with start_ranks(options.device) as ranks:
        start_log(None, ranks.is_main)
        results = test(options, ranks).results
    return "\n".join([f"{entry.name}, published: {entry.figures_from or 'the index'}", *_table(entry, results), *lines])


def _missing(options: Options) -> dict[str, Path]:
    """Test sets whose data are not here, with the path that is missing."""
    paths = {
        name: [Path(path) for key in ("gt", "lq") if (path := spec.arguments.get(key))]
        for name, spec in options.dataset.test.items()
    }
    found = {name: next((path for path in each if not path.exists()), None) for name, each in paths.items()}
    return {name: path for name, path in found.items() if path}


def _table(entry: Entry, results: Results) -> list[str]:
    rows = [
        [figure.set, figure.quality, figure.metric, *_cells(figure, average)]
        for figure in entry.main_figures
        for average in results.averages
        if figure.after is not None and _is_of(average, figure) and figure.metric in average.result
    ]
    if not rows:
        raise UserError(f"{entry.name}: nothing was measured that is published; leave --set out, or choose other data")
    return aligned([["set", "quality", "metric", "published", "measured", "difference"], *rows], 3)


def _is_of(average: Average, figure: Figure) -> bool:
    return (average.set, average.group or "-", average.over) == (figure.set, figure.quality, figure.over or "images")


def _cells(figure: Figure, average: Average) -> Iterator[str]:
    published, measured, digits = figure.after or 0.0, average.result[figure.metric], digits_of(figure.unit)
    yield from (number(value, digits) for value in (published, measured))
    yield number(measured - published, digits, sign=True)
