"""evaluation/video_comparison.py: experiments side by side, BD-rates, reports that do not belong together."""

import json
from pathlib import Path

import pytest

from powerqe.cli import script
from powerqe.evaluation.evaluate import Metrics
from powerqe.evaluation.results import FILE
from powerqe.evaluation.tested import method_of
from powerqe.evaluation.video_comparison import collect
from powerqe.evaluation.video_progress import FrameScores
from powerqe.evaluation.video_results import VideoReport, write_report
from powerqe.evaluation.video_scores import VideoScores
from powerqe.utils.errors import UserError
from powerqe.utils.metrics.bd_rate import RatePoint, bd_rate
from powerqe.utils.options.components import validate_component
from powerqe.utils.video.frame_records import FrameInfo

main = script("compare-videos")
QUALITIES = {22: 40.0, 27: 37.0, 32: 34.5, 37: 31.0}
BITS = {22: 8000, 27: 4100, 32: 2000, 37: 900}


def experiment(
    name: str,
    qp: int = 37,
    *,
    gain: float = 0.5,
    lq: float | None = None,
    videos: tuple[str, ...] = ("A", "B"),
    frames: int = 2,
    bits: bool = True,
    network: str = "STDF",
    rounding: str = "uint8",
) -> Path:
    """A folder with the report of a test; A gains `gain`, B twice as much."""
    metrics = Metrics({"PSNR": validate_component("metric", {"type": "PSNR", "rounding": rounding})})
    before = QUALITIES[qp] if lq is None else lq
    scores = []
    for place, video in enumerate(videos, 1):
        rows = [FrameScores(t, -1, {"PSNR": before}, {"PSNR": before + place * gain}, 0.25) for t in range(frames)]
        coded = [FrameInfo(t, "P", qp, BITS[qp], before) for t in range(frames)] if bits else None
        scores.append(VideoScores("hm", f"qp{qp}", f"{video}_64x32", 64, 32, 1, f"{video}.yuv", rows, coded))
    facts = {"network": {"type": network}, "parameters": 1234, "weights": {}}
    write_report(VideoReport(name, scores, metrics, facts), Path("exp") / name)
    return Path("exp") / name


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_experiments_side_by_side_by_quality(capsys):
    paths = [experiment("stdf-qp37"), experiment("mfqe-qp37", gain=0.4, network="MFQE"), experiment("stdf-qp22", 22)]
    assert main([*map(str, paths), "--markdown", "table.md"]) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert text.splitlines()[0] == "hm qp22, mean over 2 sequences (Y, uint8)"
    first, second = (place for place, line in enumerate(lines) if line[:1] == ["hm"])
    assert lines[first + 3] == ["compressed", "40.000"]
    assert lines[first + 4] == ["stdf", "STDF", "1,234", "4.00", "40.750", "+0.750"]
    assert lines[second + 4] == ["stdf", "STDF", "1,234", "4.00", "31.750", "+0.750"]
    assert lines[second + 5] == ["mfqe", "MFQE", "1,234", "4.00", "31.600", "+0.600"]
    assert "| mfqe | MFQE | 1,234 | 4.00 | 31.600 | +0.600 |" in Path("table.md").read_text()
    assert "BD-rate" not in text


def test_bd_rate_of_a_method_with_four_qualities(capsys):
    paths = [experiment(f"stdf-qp{qp}", qp) for qp in QUALITIES] + [experiment("mfqe-qp37")]
    assert main([*map(str, paths), "--markdown", "table.md"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    anchor = [RatePoint(BITS[qp], psnr) for qp, psnr in QUALITIES.items()]
    rates = [bd_rate(anchor, [RatePoint(rate, psnr + gain) for rate, psnr in anchor]) for gain in (0.5, 1.0)]
    assert rates[1] < rates[0] < -5
    assert lines[-5] == ["sequence", "stdf"]
    assert lines[-3:] == [
        ["A_64x32", f"{rates[0]:+.2f}"],
        ["B_64x32", f"{rates[1]:+.2f}"],
        ["mean", f"{sum(rates) / 2:+.2f}"],
    ]
    assert f"| mean | {sum(rates) / 2:+.2f} |" in Path("table.md").read_text()


def test_a_missing_bd_rate_has_a_reason(capsys):
    paths = [experiment(f"stdf-qp{qp}", qp, bits=qp != 27) for qp in QUALITIES]
    assert main([*map(str, paths)]) == 0
    text = capsys.readouterr().out
    assert "stdf, A_64x32: the bits of A.yuv are not known: it has no .frames.json" in text
    assert text.count("n/a") == 3
    paths = [experiment(f"stdf-qp{qp}", qp, gain=9 if qp == 37 else 0) for qp in QUALITIES]
    assert main([*map(str, paths)]) == 0
    assert "stdf, A_64x32: BD-rate: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("other", "match"),
    [
        ({"videos": ("A", "C")}, r"B_64x32, C_64x32.*qp37"),
        ({"frames": 3}, "A_64x32.*3 frames"),
        ({"lq": 31.1}, r"A_64x32.*qp37.*31.0000.*31.1000"),
        ({"rounding": "float"}, "uint8"),
    ],
)
def test_reports_that_do_not_belong_together(other, match):
    paths = [experiment("a-qp37"), experiment("b-qp37", **other)]
    with pytest.raises(UserError, match=match) as error:
        collect(paths)
    assert "do not belong together" in str(error.value)


def test_a_method_must_have_the_same_sequences_at_all_qualities(capsys):
    paths = [experiment(f"stdf-qp{qp}", qp, videos=("A",) if qp == 32 else ("A", "B")) for qp in QUALITIES]
    assert main([*map(str, paths)]) == 2
    assert "B_64x32" in capsys.readouterr().err


def test_other_mistakes(capsys):
    assert main(["exp/nothing"]) == 2
    assert "no folder exp/nothing" in capsys.readouterr().err
    path = experiment("stdf-qp37")
    assert collect([path, path]).tests == collect([path]).tests
    with pytest.raises(UserError, match=r"both test stdf on hm qp37; give one of them"):
        collect([path, experiment("stdf")])
    data = json.loads((path / FILE).read_text())
    (path / FILE).write_text(json.dumps(data | {"videos": []}))
    with pytest.raises(UserError, match="was not tested on videos"):
        collect([path])
    data["metrics"]["PSNR"]["unit"] = ""
    (path / FILE).write_text(json.dumps(data))
    with pytest.raises(UserError, match="no PSNR"):
        collect([path])


@pytest.mark.parametrize(
    ("experiment", "group", "method"),
    [
        ("stdf-mfqev2-qp37", "qp37", "stdf-mfqev2"),
        ("stdf-qp37-r3", "qp37", "stdf-r3"),
        ("stdf-qp371", "qp37", "stdf-qp371"),
        ("qp37", "qp37", "qp37"),
        ("blind", "", "blind"),
    ],
)
def test_methods_are_experiments_without_their_quality(experiment, group, method):
    assert method_of(experiment, group) == method
