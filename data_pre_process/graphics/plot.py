"""Plots by Matplotlib: lines, bars, points, heat maps, pies, histograms, surfaces, formulas."""

from collections.abc import Callable

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from powerqe.data_pre_process.graphics.scene import Scene
from powerqe.data_pre_process.graphics.texture import clouds
from powerqe.data_pre_process.graphics.words import Writer

_STYLES = (
    "default",
    "default",
    "default",
    "ggplot",
    "bmh",
    "dark_background",
    "fivethirtyeight",
    "grayscale",
    "Solarize_Light2",
)
_FAMILIES = ("DejaVu Sans", "DejaVu Sans", "DejaVu Serif", "STIXGeneral", "DejaVu Sans Mono")
_MAPS = ("viridis", "jet", "gray", "coolwarm", "hot", "tab20", "magma", "Blues", "RdYlGn", "twilight")
_FORMULAS = (
    r"$\frac{a_1 + b^2}{\sqrt{c - d}}$",
    r"$\sum_{i=0}^{N} x_i^2 \leq \int_0^1 f(t)\,dt$",
    r"$\alpha\beta + \Gamma(\theta) = \lambda^{\mu}$",
    r"$\nabla \times \mathbf{u} = -\partial_t \phi$",
    r"$\hat{y} = \sigma(W x + b)$",
    r"$\lim_{n \to \infty} \left(1 + \frac{k}{n}\right)^n$",
)


def paint(scene: Scene) -> Image.Image:
    """One to four plots in one figure; nothing of the user's own Matplotlib settings counts."""
    dpi = scene.pick([60, 72, 100, 100, 130])
    settings = {
        "font.family": scene.pick(_FAMILIES),
        "mathtext.fontset": scene.pick(["dejavusans", "stix", "cm"]),
        "font.size": scene.uniform(6, 11),
        "text.antialiased": scene.chance(0.9),
        "lines.antialiased": scene.chance(0.85),
        "patch.antialiased": scene.chance(0.85),
        "lines.linewidth": scene.uniform(0.5, 2.5),
    }
    with matplotlib.rc_context():
        matplotlib.style.use(["default", scene.pick(_STYLES), settings])
        figure = Figure(figsize=(scene.width / dpi, scene.height / dpi), dpi=dpi)
        canvas = FigureCanvasAgg(figure)
        rows, columns = scene.pick([(1, 1), (1, 1), (1, 2), (2, 1), (2, 2)]) if scene.width >= 256 else (1, 1)
        for number in range(rows * columns):
            _axes(scene, figure, (rows, columns, number + 1))
        figure.subplots_adjust(0.12, 0.1, 0.96, 0.92, 0.3, 0.35)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return Image.fromarray(np.ascontiguousarray(pixels)).crop((0, 0, scene.width, scene.height))


def _axes(scene: Scene, figure: Figure, place: tuple[int, int, int]) -> None:
    """One plot with a title and labels."""
    kinds: list[Callable[[Scene, Axes], None]] = [
        _lines,
        _lines,
        _bars,
        _points,
        _heat,
        _histogram,
        _pie,
        _contours,
        _formulas,
    ]
    axes, writer = figure.add_subplot(*place), Writer(scene, size=60)
    scene.pick(kinds)(scene, axes)
    if scene.chance(0.8):
        axes.set_title(writer.title())
    if axes.axison:
        axes.set_xlabel(writer.title(1, 2))
        axes.set_ylabel(writer.title(1, 2))
        axes.tick_params(rotation=scene.pick([0, 0, 0, 30]), axis="x")
        if scene.chance(0.4):
            axes.grid(True, linestyle=scene.pick(["-", ":", "--"]))
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc=scene.pick(["upper left", "lower right", "upper right"]))


def _lines(scene: Scene, axes: Axes) -> None:
    x, writer = np.arange(scene.between(8, 120)), Writer(scene, size=30)
    for _ in range(scene.between(1, 6)):
        y = (
            np.cumsum(scene.rng.normal(size=len(x)))
            if scene.chance(0.5)
            else np.sin(x * scene.uniform(0.05, 0.6)) * scene.uniform(1, 9)
        )
        axes.plot(
            x,
            y,
            scene.pick(["-", "-", "--", "-.", ":"]),
            marker=scene.pick(["", "", "o", "s", "^", "x"]),
            ms=4,
            label=writer.word(),
        )
        if scene.chance(0.2):
            axes.fill_between(x, y - 1, y + 1, alpha=0.3)


def _bars(scene: Scene, axes: Axes) -> None:
    writer, count = Writer(scene, size=30), scene.between(3, 10)
    groups, hatch = scene.between(1, 3), scene.pick([None, None, "//", "xx", ".."])
    for group in range(groups):
        values = scene.rng.uniform(1, 10, count)
        axes.bar(
            np.arange(count) + 0.8 * group / groups,
            values,
            0.8 / groups,
            hatch=hatch,
            edgecolor=scene.pick(["none", "black"]),
            label=writer.word(),
        )
    axes.set_xticks(range(count), [writer.word() for _ in range(count)])


def _points(scene: Scene, axes: Axes) -> None:
    for group in range(scene.between(1, 4)):
        count = scene.between(10, 300)
        x, y = scene.rng.normal(scene.uniform(-3, 3), 1, count), scene.rng.normal(scene.uniform(-3, 3), 1, count)
        axes.scatter(
            x, y, scene.uniform(4, 60), alpha=scene.pick([1, 0.5]), marker=scene.pick("ox^s+"), label=f"{group + 1}"
        )


def _heat(scene: Scene, axes: Axes) -> None:
    rows, columns = scene.between(3, 12), scene.between(3, 12)
    values = scene.rng.uniform(0, 1, (rows, columns))
    shown = axes.imshow(
        values, cmap=scene.pick(_MAPS), aspect="auto", interpolation=scene.pick(["nearest", "nearest", "bicubic"])
    )
    if scene.chance(0.5):
        for row, column in np.ndindex(rows, columns):
            axes.text(column, row, f"{values[row, column]:.2f}", ha="center", va="center", fontsize=6)
    else:
        axes.figure.colorbar(shown)


def _histogram(scene: Scene, axes: Axes) -> None:
    for group in range(scene.between(1, 2)):
        axes.hist(
            scene.rng.normal(scene.uniform(-1, 1), 1, 500), scene.between(10, 50), alpha=0.7, label=f"{group + 1}"
        )


def _pie(scene: Scene, axes: Axes) -> None:
    writer, count = Writer(scene, size=30), scene.between(3, 7)
    axes.pie(
        scene.rng.uniform(1, 5, count),
        labels=[writer.word() for _ in range(count)],
        autopct="%.0f%%",
        startangle=scene.between(0, 360),
    )
    axes.axis("off")


def _contours(scene: Scene, axes: Axes) -> None:
    field = clouds(scene.of_size(60, 60), 2.5)
    draw = axes.contourf if scene.chance(0.5) else axes.contour
    draw(field, scene.between(5, 15), cmap=scene.pick(_MAPS))


def _formulas(scene: Scene, axes: Axes) -> None:
    axes.axis("off")
    for row in range(scene.between(3, 6)):
        axes.text(scene.uniform(0, 0.2), 0.9 - 0.18 * row, scene.pick(_FORMULAS), fontsize=scene.uniform(9, 20))
