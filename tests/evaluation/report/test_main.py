"""powerqe report: from tests to the files, and what a user can do wrong."""

import json
from pathlib import Path

import pytest

from powerqe.cli import script
from powerqe.evaluation.evaluate import Metrics
from powerqe.evaluation.video_progress import FrameScores
from powerqe.evaluation.video_results import VideoReport, write_report
from powerqe.evaluation.video_scores import VideoScores
from powerqe.utils.options.components import validate_component

main = script("report")


def test_from_two_tests_to_page_and_tables(tested, capsys):
    folders = [tested("a"), tested("b", 1)]
    assert main([*map(str, folders), "-o", "out/page.html", "--title", "Two of them"]) == 0
    size = Path("out/page.html").stat().st_size / 1e6
    assert capsys.readouterr().out == f"out/page.html ({size:.1f} MB), page.md and page.tex next to it\n"
    html, md, tex = (Path("out/page").with_suffix(suffix).read_text() for suffix in (".html", ".md", ".tex"))
    assert md.startswith("# Two of them\n")
    for folder, name in zip(folders, "ab", strict=True):
        data = json.loads((folder / "results.json").read_text())
        after = data["averages"][0]["result"]["PSNR"]
        assert all(f"{after:.3f}" in text and name in text for text in (html, md, tex))
    assert sorted(path.name for path in Path("out").iterdir()) == ["page.html", "page.md", "page.tex"]


def test_the_tester_writes_what_the_report_reads(tested, pairs):
    data = json.loads((tested("a") / "results.json").read_text())
    assert data["network"]["type"] == "ARCNN"
    assert data["parameters"] > 0
    assert data["weights"]["all"]["path"] == "a.safetensors"
    assert len(data["weights"]["all"]["sha256"]) == 64
    assert data["data"]["some"]["gt"] == str(pairs / "gt")
    assert [image["enhanced"] for image in data["images"]] == [f"test_im_enhanced/some/{n}.png" for n in range(4)]
    assert all((pairs / "exp/a-c" / image["enhanced"]).is_file() for image in data["images"])
    assert data["threads"] >= 1


def video_experiment(name: str) -> Path:
    metrics = Metrics({"PSNR": validate_component("metric", {"type": "PSNR"})})
    rows = [FrameScores(t, -1, {"PSNR": 30.0}, {"PSNR": 30.5}, 0.25) for t in range(2)]
    scores = [VideoScores("hm", "qp37", "A_64x32", 64, 32, 1, "A.yuv", rows, None)]
    facts = {"network": {"type": "STDF"}, "parameters": 1234, "weights": {}}
    write_report(VideoReport(name, scores, metrics, facts), Path("exp") / name)
    return Path("exp") / name


def test_videos_have_their_tables(experiment, capsys):
    paths = [experiment("a-qf10"), video_experiment("stdf-qp37")]
    assert main([*map(str, paths)]) == 0
    html, md, tex = (Path("report").with_suffix(suffix).read_text() for suffix in (".html", ".md", ".tex"))
    assert '<section id="videos">' in html
    assert "stdf" in html
    assert "| stdf | STDF | 1,234 | 4.00 | 30.500 | +0.500 |" in md
    assert r"stdf & STDF & 1,234 & 4.00 & 30.500 & +0.500 \\" in tex
    assert main([str(paths[1]), "-o", "videos.html"]) == 0
    assert 'id="experiments"' not in Path("videos.html").read_text()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["exp/nothing"], "there is no folder exp/nothing; give folders of experiments that `powerqe test` has tested"),
        (["exp"], "exp has no results.json; give folders"),
        (["exp/a", "-o", "report.pdf"], "-o: report.pdf must end in .html"),
        (["exp/a", "--metric", "LPIPS"], "--metric: no experiment has LPIPS; they have PSNR"),
        (["exp/a", "exp/b"], "exp/a and exp/b do not belong together: only one of them tested"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(experiment, capsys, arguments, message):
    experiment("a")
    experiment("b", images=("a",))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {message}")
    assert captured.err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["exp"]
