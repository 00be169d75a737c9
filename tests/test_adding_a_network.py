"""docs/adding_a_network.md, step by step, in a copy of the repository."""

import json
import re
from pathlib import Path

import pytest

from tests.page_examples import Examples, check_style, copy_of_repository, run

pytestmark = pytest.mark.slow

SMALL = " --set device=cpu train.niter=2 train.inter_val=2 train.inter_print=1 dataset.train.nworker_pg=0"


def steps(root: Path) -> str:
    page = (root / "docs/adding_a_network.md").read_text(encoding="utf-8")
    return page.partition("# Add a network in five steps")[2].partition("\n## ")[0]


def test_add_a_network_in_five_steps(root: Path, tmp_path: Path) -> None:
    examples, checkout = Examples(steps(root)), copy_of_repository(root, tmp_path / "checkout")
    assert re.findall(r"^\*\*(\d)\. ", steps(root), re.MULTILINE) == ["1", "2", "3", "4", "5"]
    assert [name for name, _ in examples.files] == ["net/skipnet.py", "opts/skipnet.yml"]
    for name, text in examples.files:
        assert not (checkout / name).exists()
        (checkout / name).write_text(text, encoding="utf-8")

    said = [run(command + SMALL * ("train " in command), checkout) for command in examples.commands]

    tests, _, training, testing = said
    assert re.search(r"\d+ passed", tests)
    assert "failed" not in tests
    assert "### `SkipNet`" in (checkout / "docs/options.md").read_text(encoding="utf-8")
    folder = checkout / "exp/skipnet-qf10"
    assert "finished at iter 2" in training
    assert {"ckp-2.pt", "ckp-last.pt", "ckp-best.pt", "options.yml", "train.log"} <= {
        path.name for path in folder.iterdir()
    }
    assert "skipnet-qf10" in testing
    images = json.loads((folder / "results.json").read_text(encoding="utf-8"))["images"]
    assert len(images) == 2
    assert all(0 < image["result"]["SSIM"] < 1 for image in images)
    assert len(list((folder / "test_im_enhanced").rglob("*.png"))) == 2


def test_example_is_in_the_style_of_the_house(root: Path, tmp_path: Path) -> None:
    name, text = Examples(steps(root)).files[0]
    check_style(root, tmp_path, name, text)
