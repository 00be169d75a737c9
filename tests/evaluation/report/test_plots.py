"""evaluation/report/plots.py and labels.py: what the drawings hold."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from powerqe.evaluation.report import plots
from powerqe.evaluation.report.labels import place_labels
from powerqe.evaluation.report.reader import collect


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter() if element.tag == "text"]


def drawn(comparison) -> dict[str, str]:
    return {plot.title: plot.svg for plot in plots.plots(comparison, "live1")}


def test_plots_hold_methods_qualities_and_points(experiment):
    found = drawn(
        collect([experiment("a", ["qf10", "qf20"]), experiment("b$x^2$<i>-qf10", facts={"parameters": 10**6})])
    )
    assert list(found) == ["PSNR by quality", "PSNR gain by quality", "Gain per image",
                           "PSNR against parameters", "PSNR against speed"]  # fmt: skip
    assert {"10", "20", "quality factor (QF)", "PSNR [dB]"} <= set(texts(found["PSNR by quality"]))
    assert {"a", "b$x^2$<i>", "compressed", "parameters", "1 M"} <= set(texts(found["PSNR against parameters"]))
    uses = [element for element in ET.fromstring(found["Gain per image"]).iter() if element.tag == "use"]
    colors = [use.get("style") or "" for use in uses]
    assert sum("--m0" in style for style in colors) == 6
    assert sum("--m1" in style for style in colors) == 3


def test_one_quality_has_no_curve_and_no_time_no_speed(experiment):
    assert list(drawn(collect([experiment("a", seconds=0)]))) == ["Gain per image", "PSNR against parameters"]


def test_without_scores_nothing_is_drawn(experiment):
    assert drawn(collect([experiment("a", before=float("nan"))])) == {}


def test_drawings_are_the_same_each_time_and_refer_to_themselves_only(experiment):
    comparison = collect([experiment("a", ["qf10", "qf20"])])
    first, second = drawn(comparison), drawn(comparison)
    assert first == second
    names = [name for svg in first.values() for name in re.findall(r'\bid="([^"]*)"', svg)]
    assert len(names) == len(set(names))
    for svg in first.values():
        assert "://" not in svg
        used = re.findall(r'(?:href="|url\()#([^")]*)', svg)
        assert used
        assert set(used) <= set(names)


def test_many_points_become_pixels(experiment, monkeypatch):
    monkeypatch.setattr(plots, "MANY", 2)
    svg = drawn(collect([experiment("a")]))["Gain per image"]
    assert 'href="data:image/png;base64,' in svg


def test_colors_stand_in_the_style_of_the_page_for_light_dark_and_paper(root):
    css = Path(root / "evaluation/report/style.css").read_text()
    for number in range(len(plots.COLORS)):
        assert len(re.findall(rf"--m{number}: #", css)) == 3
    method_styles = plots.method_styles([str(number) for number in range(10)])
    assert len({(style.number, style.marker) for style in method_styles.values()}) == 10


def test_markers_are_polygons():
    for marker in plots.MARKERS:
        points = [tuple(map(float, point.split(","))) for point in plots.marker_points(marker, 10).split()]
        assert len(points) >= 4
        assert 2 < max(x for x, _ in points) <= 10


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.5])
def test_names_of_near_points_do_not_overlap(gap):
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    points = [(1 + gap * place, 1 + gap * place, f"method-number-{place}") for place in range(7)]
    for x, y, _ in points:
        axes.plot(x, y, "o")
    place_labels(figure, axes, points, "black", "gray")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == 7
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])
