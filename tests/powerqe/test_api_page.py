"""The examples of docs/api.md run, one after another, as a reader would type them."""

import re
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch


@pytest.mark.slow
def test_all_examples(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, pairs: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", (root / "docs/api.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    monkeypatch.chdir(tmp_path)
    (pairs / "gt").rename("clean")
    image = cv2.imread("clean/0.png")
    cv2.imwrite("photo.jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 10])
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), names)
    assert names["better"].shape == image.shape
    assert Path("better.png").is_file()
    assert names["trainer"].step == 20
    assert Path("exp/arcnn-from-python/ckp-best.pt").is_file()
