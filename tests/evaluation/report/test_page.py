"""evaluation/report/page.py: one page that needs nothing else."""

import re
from html.parser import HTMLParser

import pytest

from powerqe.evaluation.report.page import to_html
from powerqe.evaluation.report.reader import collect


class Page(HTMLParser):
    """Elements, checked to be closed in order, and what they refer to."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_refers_to_nothing_outside(tested):
    html, _ = to_html("Title", collect([tested("a"), tested("b", 1)]), None)
    page = Page(html)
    assert "://" not in html
    places = [value for _, attributes in page.seen for key, value in attributes.items()
              if key in ("src", "href", "xlink:href", "action", "data")]  # fmt: skip
    assert len([place for place in places if place and place.startswith("data:image/webp;base64,")]) == 3 * 4
    assert all(place and place.startswith(("data:", "#")) for place in places)
    assert not re.search(r"@import|url\((?!#)", html)
    names = [attributes["id"] for _, attributes in page.seen if "id" in attributes]
    assert len(names) == len(set(names))
    assert {place[1:] for place in places if place and place.startswith("#")} <= set(names)
    assert [attributes["id"] for tag, attributes in page.seen if tag == "section"] == [
        "experiments", "tables", "plots", "crops", "tested"]  # fmt: skip


def test_what_it_says(experiment):
    folders = [experiment("a-qf10"), experiment("a-qf20", ["qf20"]), experiment("b-qf10", gain=0.4)]
    html, notes = to_html("Title", collect(folders), None)
    text = " ".join(Page(html).texts)
    assert "live1 qf10 , 3 images: best of 2 methods is  a  with PSNR 27.000 dB (+1.000 dB)" in text
    assert "<b>27.000</b><small>+1.000</small>" in html
    assert "<u>26.800</u><small>+0.800</small>" in html
    for fact in ("1,234", "weights/w.safetensors", "abababababababab…", "x86_64, 2 threads", "2026-01-02 03:04:05 UTC",
                 "residual: true", "RGB, uint8", "higher is better"):  # fmt: skip
        assert fact in text
    assert any("no crops; dataset.test.live1" in note for note in notes)
    assert all(note in text for note in notes)
    assert html.count('<svg viewBox="') == 5


def test_names_are_text(experiment):
    evil = "<script>alert('1')</script>&\"x"
    facts = {
        "network": {"type": "<b>", "a": "</td>"},
        "device": "<i>",
        "weights": {"all": {"path": evil, "sha256": "'<"}},
    }
    folder = experiment("evil", facts=facts, set_name=evil)
    data = (folder / "results.json").read_text()
    (folder / "results.json").write_text(data.replace('"experiment": "evil"', '"experiment": "<img src=x>"'))
    html, _ = to_html(evil, collect([folder]), None)
    page = Page(html)
    assert [tag for tag, _ in page.seen].count("script") == 1
    assert not any(tag in ("i", "img") for tag, _ in page.seen)
    assert evil in page.texts


def test_notes_name_their_experiments(experiment):
    missing = experiment("a", criterion={"PSNR": {}}, scores={"PSNR": float("inf")})
    _, notes = to_html("t", collect([missing, experiment("b", ["qf20"])]), None)
    assert any(note.startswith("a: ") and "infinite values of PSNR" in note for note in notes)


def test_the_same_page_each_time(tested):
    comparison = collect([tested("a")])
    assert to_html("t", comparison, None) == to_html("t", comparison, None)


@pytest.mark.parametrize("text", ["style.css", "page.js", "page.html"])
def test_style_and_script_are_in_the_page_and_all_in_the_package(experiment, root, text):
    html, _ = to_html("t", collect([experiment("a")]), None)
    assert text == "page.html" or (root / "evaluation/report" / text).read_text() in html
    assert f'"{text}"' in (root / "setup.py").read_text()
