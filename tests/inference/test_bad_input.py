"""Files that are no images, odd ones as people have them, and one so large that memory counts."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from powerqe.inference.enhance_files import Models
from powerqe.inference.input_files import make_folder
from powerqe.net import build_network, save_weights
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import encode_image
from powerqe.utils.image.photo import read_photo


def frames(count: int = 3) -> list[Image.Image]:
    return [Image.new("RGB", (16, 12), (80 * number, 40, 90)) for number in range(count)]


BAD = {
    "text.jpg": (lambda path: path.write_text("no image at all"), "no image, or of a format that is not known"),
    "zero.png": (lambda path: path.write_bytes(b""), "the file is empty; replace the file"),
    "cut.png": (lambda path: path.write_bytes(encode_image(np.zeros((9, 9, 3), np.uint8))[:-9]), "truncated PNG file"),
    "moving.gif": (lambda path: frames()[0].save(path, save_all=True, append_images=frames()[1:]),
                   "holds 3 frames of an animation, expected one image"),
    "print.tif": (lambda path: frames()[0].convert("LAB").save(path), "found CIELAB pixels, expected gray or RGB"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_one_line_and_no_result(go, photos, name):
    make, message = BAD[name]
    make(photos / name)
    bad, good = go(f"photos/{name}", "photos/a.jpg")
    assert message in bad.error
    assert bad.error.startswith(f"photos/{name}: ")
    assert "\n" not in bad.error
    assert not good.error
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


def test_odd_images_that_are_good(go, photos):
    frames()[0].quantize(4).save(photos / "palette.gif")
    Image.new("RGB", (1, 1), (10, 200, 30)).save(photos / "one.png")
    palette, one = go("photos/palette.gif", "photos/one.png", compare=True)
    assert "16x12" in palette.summary
    assert "its palette became RGB" in palette.summary
    assert "1x1" in one.summary
    assert read_photo("out/palette.png").pixels.shape == (12, 16, 3)
    assert read_photo("out/one.png").pixels.shape == (1, 1, 3)


def test_folder_that_must_not_be_written_to(photos, monkeypatch):
    """The tests may run as root, who may write everywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(UserError, match=r"cannot write into the folder .*photos; choose another one with -o$"):
        make_folder(photos)


def test_disk_that_is_full(go, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    (result,) = go("photos/a.jpg")
    assert re.match(r"photos/a\.jpg: .*out/a\.png", result.error)
    assert not list(Path("out").iterdir())


def test_names_of_weights(inference_options, tmp_path, monkeypatch, root):
    with pytest.raises(UserError, match=r"'fbcnn-[a-z0-9-]+', 'fbcnn-[a-z0-9-]+'.*'fbcnn-[a-z0-9-]+'"):
        Models("fbcn", inference_options())
    monkeypatch.chdir(tmp_path)
    Path("weights").mkdir()
    Path("weights/index.json").write_bytes((root / "weights/index.json").read_bytes())
    other = (root / "weights/dncnn-bsds500-qf10.safetensors").read_bytes()
    Path("weights/dcad-bsds500-qf10.safetensors").write_bytes(other)
    with pytest.raises(UserError, match=r"weights/dcad-bsds500-qf10\.safetensors.*SHA-256"):
        Models("dcad-bsds500-qf10", inference_options())


MEASURED = """
import pathlib, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(pathlib.Path("/proc/self/status").read_text())
"""
"""Runs a script, and says the peak of this process; rusage would have that of the process from which it was forked."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is asked of Linux")
def test_memory_of_a_large_image_is_bounded(root, tmp_path):
    """35 bytes for each pixel and what --memory says, as `powerqe enhance --help` has it, of a real process."""
    spec = {"type": "ARCNN", "hidden_channels": [32, 32], "kernel_sizes": [1, 1, 1]}
    save_weights(build_network(spec), tmp_path / "wide.safetensors", {"network": json.dumps(spec)})
    side, memory = 1500, 64 << 20
    for name, length in (("small", 8), ("large", side)):
        image = cv2.resize(np.arange(192, dtype=np.uint8).reshape(8, 8, 3), (length, length))
        (tmp_path / f"{name}.png").write_bytes(encode_image(image))

    def peak(name: str) -> int:
        arguments = ["--weights", "wide.safetensors", "--device", "cpu", "--memory", str(memory / 2**30)]
        command = [sys.executable, "-c", MEASURED, root / "enhance.py", f"{name}.png", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True,
                              capture_output=True, text=True, timeout=240)  # fmt: skip
        return 1024 * int(re.findall(r"VmHWM:\s*(\d+) kB", done.stdout)[0])

    maps = 2 * 4 * 32 * side**2  # of two layers at once, if the image were seen as a whole
    assert maps > 2 * (memory + 35 * side**2)
    taken = peak("large") - peak("small")
    assert 0 < taken <= memory + 35 * side**2
    assert torch.from_numpy(read_photo(tmp_path / "enhanced/large.png").pixels).shape == (side, side, 3)
