"""evaluation/purpose.py on the option files that there are."""

import pytest

import powerqe.evaluation.tester  # noqa: F401 - makes the registries known
from powerqe.evaluation.purpose import purpose_of
from powerqe.utils.options.tree import load_options


@pytest.mark.parametrize(
    ("file", "case", "line"),
    [
        ("arcnn", "bsds500-qf10", "For: jpeg, qf 10, rgb"),
        ("arcnn", "bsds500-gray-qf10", "For: jpeg, qf 10, y"),
        ("arcnn", "div2k-qf10", "For: jpeg, qf 10, rgb"),
        ("arcnn", "div2k-qp42", "For: bpg, qp 42, rgb"),
        ("rbqe", "bsds500-hevc", "For: hevc, qp 22 / 27 / 32 / 37 / 42, rgb"),
        ("rbqe", "div2k-jpeg", "For: jpeg, rgb"),
        ("fbcnn", "bsds500-gray", "For: jpeg, qf 5 to 95, y"),
        ("fbcnn", "bsds500-gray-double", "For: double_jpeg, qf 5 to 95, y"),
        ("edsr", "x3", "For: sr, x3, rgb"),
        ("cisr_psi", "bsds500-x2", "For: sr, qf 10 / 20 / 30 / 40 / 50, x2, rgb"),
        ("stdf", "mfqev2-qp37", "For: video, qp 37, y"),
        ("stdf", "sample-qp37", "For: video, qp 37, y"),
    ],
)
def test_of_options(root, file, case, line):
    assert purpose_of(load_options(root / f"opts/{file}.yml", case).to_dict()).line() == line


CHAIN = [
    {"type": "Sequence", "steps": [{"type": "JPEG", "quality": 90}, {"type": "Resize"}]},
    {"type": "JPEG", "quality": {"min": 5, "max": 100}},
]
WEBP = {"type": "Codec", "codec": {"type": "WebP"}, "quality": [20, 40]}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"type": "ChainedImages", "chain": CHAIN}, "For: jpeg, qf 5 to 100, rgb"),
        ({"type": "ChainedImages", "chain": [*CHAIN, WEBP], "color": "y"}, "For: webp, qf 20 / 40, y"),
        ({"type": "ChainedImages", "chain": [{"type": "Blur"}]}, "For: other, rgb"),
    ],
)
def test_of_a_chain_the_last_codec_counts_and_of_a_mixture_the_highest_weight(data, line):
    sources = {"few": {"type": "PairedImages", "lq": "bpg/qp42", "weight": 1}, "many": {**data, "weight": 3}}
    for train in (data, {"type": "MixedImages", "sources": sources}):
        assert purpose_of({"dataset": {"train": train}}).line() == line


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"lq": [f"data/a/jpeg/qf{q}" for q in (40, 5, 30, 10, 20)]}, "For: jpeg, qf 5 / 10 / 20 / 30 / 40, rgb"),
        ({"lq": ["data/a/jpeg/qf40", "data/a/hevc/qp37"]}, "For: other, rgb"),
        ({"lq": "data/pictures", "color": "y"}, "For: other, y"),
        ({"lq": "data/small", "scale": 4}, "For: sr, x4, rgb"),
        ({"gt": None, "lq": None}, "For: other, rgb"),
        ({"type": "DownSampledImages", "scale": [2, 3, 4]}, "For: sr, x4, rgb"),
    ],
)
def test_of_names_of_folders(data, line):
    assert purpose_of({"dataset": {"train": {"type": "PairedImages", **data}}}).line() == line
