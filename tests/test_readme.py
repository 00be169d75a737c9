"""The README and docs/: commands, run in a copy of the project (with shorter trainings), links, tables, images."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from docs import before_after
from powerqe.net.weights.index import known_weights
from powerqe.net.weights.listing import table
from powerqe.utils.video.colors import color_space
from powerqe.utils.video.container import VideoWriter
from powerqe.utils.video.yuv import Geometry

pytestmark = pytest.mark.slow

SHORT = (
    " --set train.niter=1 train.if_test_baseline=false dataset.train.nworker_pg=0 dataset.train.bs_pg=1"
    " train.real_bs_pg=1 dataset.val.slice=[700,702] dataset.test.div2k.slice=[800,802]"
)
NOT_HERE = "make "  # these targets install and run the tests, this one among them
COMMAND = 'powerqe() { python -m powerqe "$@"; }\n'
"""Whether or not the environment of the tests has it: the copy is not installed."""
DOCUMENTS = ("README.md", "docs/data.md", "docs/weights.md")
"""Whose commands are run, one after another."""


def blocks(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def shortened(command: str) -> str:
    return command + SHORT if re.search(r"\b(train|test)\.py\b", command) else command


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The project without its data, with 900 small images as data/div2k/raw, a photo.jpg, holidays/ and clip.mp4."""
    root, copy = Path(__file__).resolve().parents[1], tmp_path_factory.mktemp("readme") / "powerqe"
    left_out = {".git", ".venv", "build", "data", "exp", "tests", "weights"}

    def skip(folder: str, names: list[str]) -> set[str]:
        return (left_out if Path(folder) == root else set()) | {name for name in names if name.endswith("cache__")}

    shutil.copytree(root, copy, ignore=skip)
    raw = copy / "data/div2k/raw"
    raw.mkdir(parents=True)
    coarse = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    image = cv2.imencode(".png", cv2.resize(coarse, (258, 256), interpolation=cv2.INTER_CUBIC))[1].tobytes()
    for number in range(1, 901):
        (raw / f"{number:04}.png").write_bytes(image)
    jpeg = cv2.imencode(".jpg", coarse, [cv2.IMWRITE_JPEG_QUALITY, 10])[1].tobytes()
    (copy / "holidays").mkdir()
    for name in ("photo.jpg", "holidays/beach.jpg"):
        (copy / name).write_bytes(jpeg)
    space = color_space(Geometry(72, 64))
    with VideoWriter(copy / "clip.mp4", Geometry(72, 64)) as video:
        for number in range(3):
            video.write(space.from_rgb(np.roll(cv2.resize(coarse, (72, 64)), number, 1) / 255))
    (copy / "weights").symlink_to(root / "weights")
    return copy


def test_every_command_works(copy, root):
    texts = [(root / document).read_text() for document in DOCUMENTS]
    commands = [block for text in texts for block in blocks(text) if not block.startswith(NOT_HERE)]
    script = COMMAND + "\n".join(shortened(line) for block in commands for line in block.splitlines())
    assert script.count("train.py") >= 4
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=copy,
        env={**os.environ, "PATH": path, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert len(list((copy / "data/div2k/jpeg_ds_2_combined").iterdir())) == 900 * 5
    made = {entry.name for entry in (copy / "exp").iterdir()}
    assert {"arcnn-div2k-qf10", "arcnn-div2k-qf10-v1", "arcnn-div2k-qf10-v2"} <= made
    assert "resuming" in (copy / "exp/arcnn-div2k-qf10/train.log").read_text()
    for made in ("exp/arcnn-div2k-qf10/results.md", "report.html", "restore-color.onnx", "enhanced/clip.mp4"):
        assert (copy / made).exists()


def test_make_has_the_targets(root):
    said = [block for block in blocks((root / "README.md").read_text()) if block.startswith(NOT_HERE)]
    targets = set(re.findall(r"^(\w+):", (root / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make (\w+)", "".join(said), re.MULTILINE)) == {"install", "quickstart", "test"} <= targets


def documents(root: Path) -> list[Path]:
    return [
        root / "README.md",
        root / "CONTRIBUTING.md",
        root / "benchmarks/RESULTS.md",
        *sorted(root.glob("docs/*.md")),
    ]


def anchors(document: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere(root):
    for document in documents(root):
        for target in re.findall(r"\]\(([^):]+)\)", document.read_text()):
            path, _, anchor = target.partition("#")
            file = document.parent / path if path else document
            assert file.exists(), f"{document.name}: {target}"
            assert not anchor or anchor in anchors(file), f"{document.name}: {target}"


def test_every_document_is_found_from_the_readme(root):
    reached, waiting = set(), [root / "README.md"]
    while waiting:
        document = waiting.pop()
        reached.add(document)
        linked = re.findall(r"\]\(([^)#:]+\.md)", document.read_text())
        waiting += {(document.parent / target).resolve() for target in linked} - reached
    assert set(documents(root)) <= reached


def test_a_document_begins_with_its_purpose(root):
    for document in root.glob("docs/*.md"):
        title, _, sentence = document.read_text().partition("\n\n")
        assert title.startswith("# "), document.name
        assert re.match(r"[A-Z][^#|]*?\.\n\n", sentence), document.name


def test_the_table_of_weights_is_that_of_the_index(root):
    assert table(list(known_weights(root / "weights").values())) in (root / "docs/weights.md").read_text()


def test_the_first_image_matches_its_caption(root, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(root)
    assert before_after.main(["--output", str(tmp_path / "x.png")]) == 0
    name, before, after = re.findall(r"x\.png: (\S+), PSNR (\S+) -> (\S+) dB", capsys.readouterr().out)[0]
    caption = " ".join((root / "README.md").read_text().split()[:60])
    assert f"`{name}`" in caption
    assert f"PSNR {before} → {after} dB" in caption
    shown, drawn = (cv2.imread(str(path)).astype(int) for path in (root / "docs/before_after.png", tmp_path / "x.png"))
    assert shown.shape == drawn.shape
    assert abs(shown - drawn).mean() < 1
