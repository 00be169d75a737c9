"""The plots of a report, as SVG that takes its colors from the page: light, dark or printed."""

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from powerqe.evaluation.report.labels import place_labels
from powerqe.evaluation.report.reader import Comparison, ImageTest, speed
from powerqe.evaluation.report.summary import COMPRESSED
from powerqe.utils.figures import plain_texts

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8c6d31")
"""Colors of Okabe and Ito, safe for color-blind readers, and two more; --m0 ... --m7 in the page. The ninth method has
the first color again, with another marker."""
MARKERS = "osD^vPX<>*"
MANY = 4000
"""From this number of points on, a scatter plot is rasterized."""

_INK, _SOFT, _GRID = "#010203", "#010204", "#010205"  # placeholders, which the page replaces
_SIZE = (5.0, 3.5)  # inches


class Plot(NamedTuple):
    """A drawing with its title and caption."""

    title: str
    caption: str
    svg: str


class MethodStyle(NamedTuple):
    """Color and marker of a method in all plots."""

    number: int
    color: str
    marker: str


def method_styles(methods: Sequence[str]) -> dict[str, MethodStyle]:
    """Color and marker of each method, by its position."""
    return {
        method: MethodStyle(place % len(COLORS), COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)])
        for place, method in enumerate(methods)
    }


def marker_points(marker: str, size: float = 10.0) -> str:
    """A marker as the points of an SVG polygon around 0."""
    from matplotlib.markers import MarkerStyle
    from matplotlib.transforms import Affine2D

    style = MarkerStyle(marker)
    path = style.get_path().transformed(style.get_transform()).transformed(Affine2D().scale(size))
    return " ".join(f"{x:.1f},{-y:.1f}" for x, y in np.asarray(path.to_polygons()[0]))


def plots(comparison: Comparison, set_name: str) -> Iterator[Plot]:
    """The plots of one test set that have data."""
    if comparison.main is None:
        return
    with _style():
        artist = _Artist(comparison, set_name)
        if len(artist.groups) > 1:
            yield artist.curves()
            yield artist.gains()
        yield from artist.scatter()
        yield artist.against_parameters()
        yield from artist.against_speed()


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib

    colors = ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor", "axes.titlecolor")
    with (
        plain_texts(),
        matplotlib.rc_context(
            {
                **dict.fromkeys(colors, _INK),
                **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), _SOFT),
                "grid.color": _GRID,
                "axes.grid": True,
                "axes.axisbelow": True,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.facecolor": "none",
                "font.size": 9,
                "lines.linewidth": 1.6,
                "lines.markersize": 5,
                "svg.fonttype": "none",
                "svg.hashsalt": "powerqe",
            }
        ),
    ):
        yield


class _Artist:
    """Draws one test set."""

    def __init__(self, comparison: Comparison, set_name: str) -> None:
        assert comparison.main is not None
        self._comparison, self._set, self._metric = comparison, set_name, comparison.main
        self.groups = comparison.groups(set_name)
        self._method_styles = method_styles(comparison.methods)
        self._common = comparison.at(set_name, comparison.common(set_name))
        self._what = " ".join(part for part in (set_name, comparison.common(set_name)) if part)

    def curves(self) -> Plot:
        """The metric against the quality."""
        name = self._metric.name
        figure, axes = self._axes(self._quality(), self._metric.title)
        first = {group: self._comparison.at(self._set, group)[0] for group in self.groups}
        xs, ticks = self._positions()
        before = [first[group].average.baseline.get(name, math.nan) for group in self.groups]
        axes.plot(xs, _drawable(before), color=_INK, linestyle="--", linewidth=1.3, label=COMPRESSED)
        self._lines(axes, lambda test: test.average.result.get(name, math.nan))
        axes.set_xticks(xs, ticks)
        return self._plot(figure, f"{name} by quality", f"Mean {name} on {self._set}.")

    def gains(self) -> Plot:
        """The gain against the quality."""
        name = self._metric.name
        figure, axes = self._axes(self._quality(), f"Δ{self._metric.title}")
        axes.axhline(0, color=_INK, linestyle="--", linewidth=1.3)
        self._lines(axes, lambda test: test.average.gain(name))
        axes.set_xticks(*self._positions())
        caption = f"Mean gain of {name} over the compressed images on {self._set}."
        return self._plot(figure, f"{name} gain by quality", caption)

    def scatter(self) -> Iterator[Plot]:
        """Each image: its gain against its score before enhancement."""
        name = self._metric.name
        figure, axes = self._axes(f"{self._metric.title} of the compressed image", f"Δ{self._metric.title}")
        axes.axhline(0, color=_INK, linestyle="--", linewidth=1.3)
        total = sum(len(test.items) for test in self._comparison.tests if test.set == self._set)
        drawn = 0
        for method, style in self._method_styles.items():
            images = [image for test in self._comparison.of(method, self._set) for image in test.items.values()]
            points = [(image.baseline.get(name, math.nan), image.result.get(name, math.nan)) for image in images]
            points = [(before, after - before) for before, after in points if math.isfinite(after - before)]
            drawn += len(points)
            xs, ys = zip(*points, strict=True) if points else ((), ())
            axes.plot(xs, ys, style.marker, color=style.color, markersize=4, markeredgewidth=0, alpha=0.7,
                      rasterized=total > MANY)  # fmt: skip
        if drawn:
            caption = f"One point per image of {self._set} and quality: gain against {name} before enhancement."
            yield self._plot(figure, "Gain per image", caption)

    def against_parameters(self) -> Plot:
        """The metric against the size of the network."""
        sizes = [float(test.results.parameters) for test in self._common]
        caption = f"Mean {self._metric.name} on {self._what} against the size of the network."
        return self._against(sizes, "parameters", f"{self._metric.name} against parameters", caption)

    def against_speed(self) -> Iterator[Plot]:
        """The metric against the speed."""
        speeds = [speed([test]).megapixels for test in self._common]
        if not any(map(math.isfinite, speeds)):
            return
        devices = list(dict.fromkeys(test.results.machine for test in self._common))
        where = f"on {devices[0]}" if len(devices) == 1 else f"on different devices ({'; '.join(devices)})"
        image = next(iter(self._common[0].items.values()))
        sizes = {(each.width, each.height) for each in self._common[0].items.values()}
        size = "images of several sizes" if len(sizes) > 1 else f"images of {image.width}x{image.height}"
        caption = (
            f"Mean {self._metric.name} on {self._what} against speed: megapixels of the compressed input per second, "
            f"network only, {size}, {where}."
        )
        yield self._against(speeds, "megapixels per second", f"{self._metric.name} against speed", caption)

    def _against(self, xs: Sequence[float], label: str, title: str, caption: str) -> Plot:
        """Methods as points with their names, on a log axis."""
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

        name = self._metric.name
        figure, axes = self._axes(label, self._metric.title)
        axes.set_xscale("log")
        points = [
            (x, test.average.result.get(name, math.nan), test.method)
            for x, test in zip(xs, self._common, strict=True)
            if math.isfinite(x) and x > 0 and math.isfinite(test.average.result.get(name, math.nan))
        ]
        for x, y, method in points:
            style = self._method_styles[method]
            axes.plot(x, y, style.marker, color=style.color, markersize=7)
        before = self._common[0].average.baseline.get(name, math.nan)
        if math.isfinite(before):
            axes.axhline(before, color=_INK, linestyle="--", linewidth=1.3)
            axes.annotate(COMPRESSED, (0.01, before), xycoords=("axes fraction", "data"), xytext=(0, 3),
                          textcoords="offset points", color=_INK, fontsize=8)  # fmt: skip
        if points:
            axes.set_xlim(min(x for x, *_ in points) / 2, max(x for x, *_ in points) * 2)
        axes.margins(y=0.12)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _brief(value)))
        place_labels(figure, axes, points, _INK, _SOFT)
        return self._plot(figure, title, caption)

    def _lines(self, axes: Any, value: Callable[[ImageTest], float]) -> None:
        places = dict(zip(self.groups, self._positions()[0], strict=True))
        for method, style in self._method_styles.items():
            tests = self._comparison.of(method, self._set)
            xs = [places[test.group] for test in tests]
            axes.plot(xs, _drawable([value(test) for test in tests]), style.marker + "-", color=style.color)

    def _positions(self) -> tuple[list[float], list[str]]:
        """Positions of the qualities on the axis, and their tick labels."""
        numbers = [re.fullmatch(r"[a-z]+(\d+)", group) for group in self.groups]
        if all(numbers):
            return [float(match[1]) for match in numbers if match], [match[1] for match in numbers if match]
        return [float(place) for place in range(len(self.groups))], [group or "all" for group in self.groups]

    def _quality(self) -> str:
        kinds = {re.sub(r"\d+$", "", group) for group in self.groups}
        return {"qf": "quality factor (QF)", "qp": "quantization parameter (QP)"}.get("".join(kinds), "quality")

    def _axes(self, x: str, y: str) -> tuple[Any, Any]:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=_SIZE, layout="constrained", facecolor="none")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        return figure, axes

    def _plot(self, figure: Any, title: str, caption: str) -> Plot:
        return Plot(title, caption, _svg(figure, f"{self._set}-{title}"))


def _svg(figure: Any, name: str) -> str:
    """A figure as an <svg> element whose colors are the page's, and whose identifiers are its own."""
    file = io.StringIO()
    figure.savefig(file, format="svg", dpi=200, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', text, count=1)
    text = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"(font(?:-family)?: [^;\"]*?)(?:'[^']*'(?:, )?)+(?:, )?sans-serif", r"\1inherit", text)
    text = re.sub(r"font: ([\d.]+)px inherit", r"font-size: \1px", text)
    for color, variable in ((_INK, "ink"), (_SOFT, "soft"), (_GRID, "grid")):
        text = text.replace(color, f"var(--{variable})")
    for number, color in enumerate(COLORS):
        text = text.replace(color, f"var(--m{number})")
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    text = re.sub(r'\bid="', f'id="{key}-', text)
    text = re.sub(r'xlink:href="#', f'href="#{key}-', text)
    text = text.replace("url(#", f"url(#{key}-")
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def _brief(value: float) -> str:
    """1500000 -> 1.5 M."""
    for limit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"


def _drawable(values: Sequence[float]) -> list[float]:
    """With a gap where a value is infinite."""
    return [value if math.isfinite(value) else math.nan for value in values]
