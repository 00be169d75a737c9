"""net/weights/cards.py: what is read out of cards is what was written."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.net.weights.cards import Entry, Figure, Purpose, Qualities, facts_lines, read_card, read_figures
from powerqe.utils.errors import UserError

BODY = """
## Figures

| set | quality | PSNR lq | PSNR | ΔPSNR |
| --- | --- | --- | --- | --- |

## Training

- data: `data/a`, validation `data/b`

## Other figures

| set | quality | PSNR lq | PSNR | ΔPSNR |
| --- | --- | --- | --- | --- |
| no | qf10 | 1 | 4 | 3 |
"""

numbers = st.integers(1, 10**9)
qualities = st.builds(
    Qualities, unit=st.sampled_from(["qf", "qp"]), values=st.lists(st.integers(0, 100), min_size=1).map(tuple)
) | st.builds(Qualities, unit=st.just("qf"), values=st.tuples(st.just(5), st.integers(6, 100)), span=st.just(True))
made = st.builds(
    Entry,
    task=st.sampled_from(["jpeg", "double_jpeg", "sr", "video", "other"]),
    color=st.sampled_from(["rgb", "y"]),
    qualities=st.none() | qualities,
    scale=st.integers(1, 8),
    name=st.just("a"),
    method=st.sampled_from(["ARCNN", "STDF"]),
    parameters=numbers,
    training=st.just("data/a"),
    figures=st.just(()),
    file=st.just("a.safetensors"),
    bytes=numbers,
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    license=st.sampled_from(["Apache-2.0", "MIT"]),
    url=st.none() | st.just("https://host.example/a%20b?c=d"),
)


@given(entry=made)
def test_the_lines_of_an_entry_are_read_back(entry, tmp_path_factory):
    card = tmp_path_factory.mktemp("cards") / "a.md"
    card.write_text("\n".join(["# a", "", *facts_lines(entry)]) + BODY)
    assert read_card(card) == entry


@pytest.mark.parametrize(
    ("purpose", "line"),
    [
        (Purpose(task="sr", color="rgb", scale=2), "For: sr, x2, rgb"),
        (Purpose(task="jpeg", color="y", qualities=Qualities(unit="qf", values=(5, 95), span=True)),
         "For: jpeg, qf 5 to 95, y"),
        (Purpose(task="hevc", color="y", qualities=Qualities(unit="qp", values=(22, 37))), "For: hevc, qp 22 / 37, y"),
    ],
)  # fmt: skip
def test_purpose_in_words(purpose, line):
    assert purpose.line() == line


def test_figures_of_images():
    titles = ["PSNR [dB] (RGB, uint8)", "SSIM (Y, 8x8 window)", "LPIPS (alex)"]
    cells = [("25.693", "26.652", "+0.960"), ("0.7433", "0.7748", "+0.0315"), ("n/a", "n/a", "n/a")]
    row = {"set": "live1", "quality": "qf10", "image": "mean", "images": "29"}
    for title, values in zip(titles, cells, strict=True):
        row |= {f"{title} {part}": value for part, value in zip(("lq", "enhanced", "difference"), values, strict=True)}
    row |= {"qf": "8.35", "abs(qf - quality)": "1.65"}
    assert read_figures([row]) == (
        Figure(set="live1", quality="qf10", metric="PSNR", unit="dB", convention="RGB, uint8",
               before=25.693, after=26.652, gain=0.96),
        Figure(set="live1", quality="qf10", metric="SSIM", unit="", convention="Y, 8x8 window",
               before=0.7433, after=0.7748, gain=0.0315),
    )  # fmt: skip


def test_figures_of_videos():
    row = {"set": "mfqev2", "quality": "qp37", "mean of": "class A", "PSNR lq": "1", "PSNR": "2", "ΔPSNR": "+1.000",
           "ΔSSIM x1e4": "1", "SD lq": "0.8", "SD": "0.7"}  # fmt: skip
    whole = row | {"mean of": "all sequences", "PSNR lq": "31.1", "PSNR": "31.9", "ΔPSNR": "+0.800",
                   "ΔSSIM x1e4": "+131.4", "Δ of PQFs": "+0.5", "ΔPSNRB": "n/a"}  # fmt: skip
    assert read_figures([row, whole, row]) == (
        Figure(set="mfqev2", quality="qp37", metric="PSNR", unit="dB", before=31.1, after=31.9, gain=0.8),
        Figure(set="mfqev2", quality="qp37", metric="SSIM", unit="", gain=0.01314),
    )
    assert [figure.gain for figure in read_figures([row])] == [1.0, 0.0001]


def test_no_figures():
    assert read_figures([]) == ()
    assert read_figures([{"set": "real", "quality": "-", "image": "mean", "images": "3"}]) == ()


@pytest.mark.parametrize(
    ("line", "example"),
    [("ARCNN, 1,234", "METHOD, N parameters"), ("SHA-256", "SHA-256 `"), ("For:", "For: jpeg"), ("- data", "- data")],
)
def test_a_line_that_is_not_there_is_named(tmp_path, line, example):
    entry = Entry(task="jpeg", color="y", name="a", method="ARCNN", parameters=1234, training="b", figures=(),
                  file="a", bytes=3, sha256="0" * 64, license="MIT")  # fmt: skip
    text = "\n".join(facts_lines(entry)) + BODY
    path = tmp_path / "a.md"
    path.write_text("\n".join(each for each in text.splitlines() if not each.startswith(line)))
    with pytest.raises(UserError, match=re.escape(f"{path}: found no line like «{example}")):
        read_card(path)


def test_a_number_that_cannot_be_is_refused(tmp_path):
    card = Path(tmp_path / "a.md")
    card.write_text("ARCNN, 0 parameters, 3 bytes. License: MIT.\nSHA-256 `" + "0" * 64 + "`\nFor: jpeg, y\n" + BODY)
    with pytest.raises(UserError, match=r"a\.md: parameters: found 0"):
        read_card(card)
