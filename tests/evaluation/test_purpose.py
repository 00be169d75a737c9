"""evaluation/purpose.py on the option files that there are."""

import pytest

import powerqe.evaluation.tester  # noqa: F401 - makes the registries known
from powerqe.evaluation.purpose import purpose_of
from powerqe.utils.options.tree import load_options


@pytest.mark.parametrize(
    ("file", "case", "words"),
    [
        ("arcnn", "bsds500-qf10", "jpeg, qf 10, rgb"),
        ("arcnn", "bsds500-gray-qf10", "jpeg, qf 10, y"),
        ("arcnn", "div2k-qf10", "jpeg, qf 10, rgb"),
        ("arcnn", "div2k-qp42", "bpg, qp 42, rgb"),
        ("rbqe", "bsds500-hevc", "hevc, qp 22 / 27 / 32 / 37 / 42, rgb"),
        ("rbqe", "div2k-jpeg", "jpeg, rgb"),
        ("fbcnn", "bsds500-gray", "jpeg, qf 5 to 95, y"),
        ("fbcnn", "bsds500-gray-double", "double_jpeg, qf 5 to 95, y"),
        ("edsr", "x3", "sr, x3, rgb"),
        ("cisr_psi", "bsds500-x2", "sr, qf 10 / 20 / 30 / 40 / 50, x2, rgb"),
        ("stdf", "mfqev2-qp37", "video, qp 37, y"),
        ("stdf", "sample-qp37", "video, qp 37, y"),
    ],
)
def test_of_options(root, file, case, words):
    assert str(purpose_of(load_options(root / f"opts/{file}.yml", case).to_dict())) == words


CHAIN = [
    {"type": "Sequence", "steps": [{"type": "JPEG", "quality": 90}, {"type": "Resize"}]},
    {"type": "JPEG", "quality": {"min": 5, "max": 100}},
]
WEBP = {"type": "Codec", "codec": {"type": "WebP"}, "quality": [20, 40]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"type": "ChainedImages", "chain": CHAIN}, "jpeg, qf 5 to 100, rgb"),
        ({"type": "ChainedImages", "chain": [*CHAIN, WEBP], "color": "y"}, "webp, qf 20 / 40, y"),
        ({"type": "ChainedImages", "chain": [{"type": "Blur"}]}, "other, rgb"),
    ],
)
def test_of_a_chain_the_last_codec_counts_and_of_a_mixture_the_highest_weight(data, words):
    sources = {"few": {"type": "PairedImages", "lq": "bpg/qp42", "weight": 1}, "many": {**data, "weight": 3}}
    for train in (data, {"type": "MixedImages", "sources": sources}):
        assert str(purpose_of({"dataset": {"train": train}})) == words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"lq": [f"data/a/jpeg/qf{q}" for q in (40, 5, 30, 10, 20)]}, "jpeg, qf 5 / 10 / 20 / 30 / 40, rgb"),
        ({"lq": ["data/a/jpeg/qf40", "data/a/hevc/qp37"]}, "other, rgb"),
        ({"lq": "data/images", "color": "y"}, "other, y"),
        ({"lq": "data/small", "scale": 4}, "sr, x4, rgb"),
        ({"gt": None, "lq": None}, "other, rgb"),
        ({"type": "DownSampledImages", "scale": [2, 3, 4]}, "sr, x4, rgb"),
    ],
)
def test_of_names_of_folders(data, words):
    assert str(purpose_of({"dataset": {"train": {"type": "PairedImages", **data}}})) == words
