"""evaluation/report/summary.py: numbers, ranks, Markdown and LaTeX."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.evaluation.report.reader import collect
from powerqe.evaluation.report.summary import blocks, facts, marks, to_latex, to_markdown


@pytest.mark.parametrize(
    ("values", "higher", "expected"),
    [
        (["1.0", "3.0", "2.0"], True, ["", "best", "second"]),
        (["1.0", "3.0", "2.0"], False, ["best", "", "second"]),
        (["3.0", "3.0", "2.0", "2.0", "1.0"], True, ["best", "best", "second", "second", ""]),
        (["n/a", "3.0", "–", "2.0"], True, ["", "best", "", "second"]),
        (["n/a", "3.0"], True, ["", ""]),  # no rank among one
        (["inf", "30.0"], True, ["best", "second"]),
        (["1.0", "2.0"], None, ["", ""]),
    ],
)
def test_ranks(values, higher, expected):
    assert marks(values, higher) == expected


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=8))
def test_the_best_is_the_largest_as_printed(values):
    printed = [f"{value:.2f}" for value in values]
    ranks = marks(printed, True)
    top = max(map(float, printed))
    assert [rank == "best" for rank in ranks] == [float(text) == top for text in printed]
    assert [rank for rank in marks(printed, False) if rank == "best"]


def test_numbers_and_differences(experiment):
    comparison = collect(
        [experiment("a-qf10"), experiment("a-qf20", ["qf20"]), experiment("b-qf20", ["qf20"], gain=-0.1)]
    )
    (block,) = blocks(comparison)
    assert block.groups == ["qf10", "qf20"]
    rows = dict(block.rows)
    assert [cell.value for cell in rows["compressed"]] == ["26.000", "28.000"]
    assert [tuple(cell) for cell in rows["a"]] == [("27.000", "+1.000", ""), ("29.000", "+1.000", "best")]
    assert [tuple(cell) for cell in rows["b"]] == [("–", "", ""), ("27.800", "-0.200", "second")]
    assert "RGB, uint8; mean over 3 images" in block.caption


def test_a_metric_without_any_value_has_no_table(experiment):
    comparison = collect([experiment("a", criterion={"PSNR": {}, "SSIM": {}})])
    assert [block.metric.name for block in blocks(comparison)] == ["PSNR"]


def test_qualities_at_which_no_method_has_a_metric_are_left_out(experiment):
    folders = [experiment("a-qf10", criterion={"PSNR": {}, "SSIM": {}}, scores={"SSIM": 0.5}),
               experiment("b", ["qf10", "qf20"])]  # fmt: skip
    assert [block.groups for block in blocks(collect(folders))] == [["qf10", "qf20"], ["qf10"]]


def test_a_missing_score_of_one_method_is_a_cell(experiment):
    both = {"PSNR": {}, "SSIM": {}}
    folders = [experiment("a", criterion=both, scores={"SSIM": 0.5}),
               experiment("b", criterion=both, scores={"SSIM": math.nan})]  # fmt: skip
    ssim = dict(list(blocks(collect(folders)))[1].rows)
    assert [tuple(cell) for cell in (*ssim["a"], *ssim["b"])] == [("0.5000", "+0.0000", ""), ("n/a", "", "")]


def test_methods_and_what_they_cost(experiment):
    folders = [experiment("a-qf10"), experiment("a-qf20", ["qf20"], facts={"parameters": 2000})]
    folders.append(experiment("b", seconds=0))
    assert facts(collect(folders))[1:] == [
        ["a", "ARCNN", "1,234 – 2,000", "0.080", "4.00", "x86_64, 2 threads"],
        ["b", "ARCNN", "1,234", "n/a", "n/a", "x86_64, 2 threads"],
    ]


def test_markdown_and_latex(experiment):
    comparison = collect([experiment("a_1"), experiment("b|2", gain=0.25)])
    text = to_markdown(comparison, ["a <note>"])
    assert "| compressed | 26.000 |\n| a\\_1 | **27.000** (+1.000) |\n| b\\|2 | <ins>26.500</ins> (+0.500) |" in text
    assert text.endswith("\n- a \\<note\\>\n")
    latex = to_latex(comparison, ["100 %"])
    assert r"a\_1 & \textbf{27.000} {\scriptsize (+1.000)} \\" in latex
    assert r"b|2 & \underline{26.500} {\scriptsize (+0.500)} \\" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 2
    assert latex.endswith("% 100 %\n")
