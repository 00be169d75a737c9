"""net/weights/cards.py: what the rendered cards hold."""

import re

import pytest
import yaml

from powerqe.net.weights import Entry, Figure, Qualities, Training, entries
from powerqe.net.weights.cards import card, figure_table, front_matter
from powerqe.net.weights.entry import Purpose

QF10 = {"set": "live1", "quality": "qf10", "count": 29}
FIGURES = (
    Figure(**QF10, metric="PSNR", unit="dB", convention="RGB, uint8", before=25.6934, after=26.6525, gain=0.9591),
    Figure(**QF10, metric="SSIM", before=0.7433, after=0.7748, gain=0.0315),
    Figure(**QF10, metric="qf", after=8.352),
)
CLIPS = {"set": "clips", "quality": "qp37", "over": "all frames"}
ENTRY = Entry(
    task="double_jpeg",
    color="rgb",
    qualities=Qualities(unit="qf", values=(10, 20)),
    name="a",
    method="ARCNN",
    parameters=1234,
    network={"type": "ARCNN", "hidden_channels": [4, 4]},
    training=Training(
        data="data/a", validation="data/b", iterations=6, planned=8, samples=12, patch=16, best=4, start="exp/b.pt",
        notes=("a remark",), torch="2.11", arguments="--opt opts/a.yml",
    ),
    figures=FIGURES,
    file="a.safetensors",
    bytes=5678,
    sha256="0f" * 32,
    license="Apache-2.0",
    url="https://host.example/a%20b?c=d",
)  # fmt: skip


def parts(text: str) -> tuple[dict, str]:
    """Front matter and Markdown."""
    _, matter, body = text.split("---\n", 2)
    return yaml.safe_load(matter), body


def test_front_matter_is_that_of_a_model_card():
    matter, _ = parts(card(ENTRY))
    assert matter == front_matter(ENTRY)
    assert (matter["license"], matter["library_name"], matter["pipeline_tag"]) == (
        "apache-2.0", "powerqe", "image-to-image",
    )  # fmt: skip
    assert {"double-jpeg", "arcnn"} <= set(matter["tags"])
    ((model,),) = (matter["model-index"],)
    (result,) = model["results"]
    assert model["name"] == "a"
    assert result["dataset"] == {"type": "live1", "name": "live1, qf10", "config": "qf10"}
    assert [(each["type"], each["value"]) for each in result["metrics"]] == [("psnr", 26.6525), ("ssim", 0.7748)]
    assert result["metrics"][0]["name"] == "PSNR [dB] (RGB, uint8)"


def test_of_videos_the_mean_over_sequences_is_in_the_front_matter():
    figures = [
        Figure(
            set="clips", quality="qp37", over=over, metric="PSNR", unit="dB", before=30, after=after, gain=after - 30
        )
        for over, after in (("class A", 32), ("all sequences", 31), ("all frames", 33))
    ]
    entry = ENTRY.model_copy(update={"task": "video", "figures": tuple(figures)})
    matter = front_matter(entry)
    assert matter["pipeline_tag"] == "video-to-video"
    assert [each["value"] for each in matter["model-index"][0]["results"][0]["metrics"]] == [31]
    assert [row[2] for row in figure_table(entry.figures)[1:]] == ["class A", "all sequences", "all frames"]


def test_the_text_is_complete():
    _, body = parts(card(ENTRY))
    for fact in ("ARCNN, 1,234 parameters, 5,678 bytes", "0f" * 32, "double_jpeg, qf 10 / 20, rgb", "Apache-2.0",
                 "data/a", "data/b", "a remark", "6 of 8 iterations", "12 patches of 16 x 16", "iteration 4",
                 "exp/b.pt", "torch 2.11", "powerqe train --opt opts/a.yml",
                 "<https://host.example/a%20b?c=d>"):  # fmt: skip
        assert fact in body
    found = re.search(r"```yaml\n(.*?)```", body, re.DOTALL)
    assert found is not None
    assert yaml.safe_load(found[1]) == {"network": ENTRY.network}


def test_a_card_with_few_facts():
    little = {"training": Training(data="unknown"), "figures": (), "network": None, "url": None}
    matter, body = parts(card(ENTRY.model_copy(update=little)))
    assert "model-index" not in matter
    assert not any(word in body for word in ("None", "Figures", "Network", "```", "download"))


def test_columns_are_what_is_known():
    header, row = figure_table(FIGURES)
    cells = dict(zip(header, row, strict=True))
    assert cells["PSNR [dB] (RGB, uint8) difference"] == "+0.959"
    assert cells["SSIM enhanced"] == "0.7748"
    assert (cells["qf"], cells["count"], cells["mean of"]) == ("8.35", "29", "images")
    header, first, second = figure_table((
        Figure(**CLIPS, metric="SSIM", gain=0.00822), Figure(**CLIPS | {"quality": "qp22"}, metric="SD", after=1.0),
    ))  # fmt: skip
    assert header[3:] == ["count", "SSIM difference", "SD"]
    assert (first[3:], second[3:]) == (["-", "+0.00822", "-"], ["-", "-", "1.00"])


@pytest.mark.parametrize(
    ("purpose", "words"),
    [
        (Purpose(task="sr", color="rgb", scale=2), "sr, x2, rgb"),
        (Purpose(task="jpeg", color="y", qualities=Qualities(unit="qf", values=(5, 95), span=True)),
         "jpeg, qf 5 to 95, y"),
        (Purpose(task="hevc", color="y", qualities=Qualities(unit="qp", values=(22, 37))), "hevc, qp 22 / 37, y"),
    ],
)  # fmt: skip
def test_purpose_in_words(purpose, words):
    assert str(purpose) == words


def test_the_shipped_cards_are_those_of_the_index(root):
    for entry in entries(root / "weights"):
        assert (root / f"weights/{entry.name}.md").read_text(encoding="utf-8") == card(entry)
