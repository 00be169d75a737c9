"""powerqe export as a user runs it."""

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from powerqe.cli import main
from powerqe.commands.export import EXAMPLES
from powerqe.net import build_network, load_weights, save_weights

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]
TINY = {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3], "residual": True}


def publish(folder: Path, name: str, spec: dict[str, Any]) -> torch.nn.Module:
    """Weights with their network in them."""
    torch.manual_seed(0)
    network = build_network(spec).eval()
    save_weights(network, folder / f"{name}.safetensors", {"network": json.dumps(spec)})
    return network


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The exit status, standard output and standard error of the command, in an empty folder with tiny.safetensors."""
    monkeypatch.chdir(tmp_path)
    publish(tmp_path, "tiny", TINY)

    def run(*arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["export", *arguments])
        return code, out.getvalue(), err.getvalue()

    return run


def test_end_to_end(run: Run, tmp_path: Path) -> None:
    code, out, err = run("tiny.safetensors")
    assert (code, err) == (0, "")
    assert "in   x: batch x 3 x height x width" in out
    assert "50x37, batch of 2: image " in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.onnx", "tiny.safetensors"]

    told = {each.key: each.value for each in onnx.load("tiny.onnx").metadata_props}
    assert json.loads(told["network"])["hidden_channels"] == [4, 4]
    assert told["weights"] == "tiny"
    assert "not clamped" in told["range"]
    assert str(Path(torch.__file__).parent).encode() not in Path("tiny.onnx").read_bytes()

    code, _, err = run("tiny.safetensors")
    assert code == 2
    assert "tiny.onnx exists already" in err
    assert "--force" in err
    assert run("tiny.safetensors", "--force", "--size", "9x7")[0] == 0
    assert [axis.dim_value for axis in onnx.load("tiny.onnx").graph.input[0].type.tensor_type.shape.dim][2:] == [7, 9]


def test_the_lines_of_the_help_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("tiny.safetensors", "-o", "restore-color.onnx")
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8), (0, 0), 2)
    cv2.imwrite("photo.jpg", image)
    exec("\n".join(EXAMPLES[EXAMPLES.index("") + 2 :]))
    network = build_network(TINY).eval()
    load_weights(network, "tiny.safetensors")
    decoded = cv2.cvtColor(cv2.imread("photo.jpg"), cv2.COLOR_BGR2RGB)
    with torch.no_grad():
        expected = network(torch.from_numpy(decoded).permute(2, 0, 1)[None] / 255)[0].clamp(0, 1).permute(1, 2, 0)
    found = cv2.cvtColor(cv2.imread("better.png"), cv2.COLOR_BGR2RGB)
    assert np.abs(found - 255 * expected.numpy()).max() < 0.51


def test_published_weights_have_a_purpose(run: Run) -> None:
    code, _, err = run("edsr-bsds500-x2", "-o", "x2.onnx")
    assert code == 0, err
    told = {each.key: each.value for each in onnx.load("x2.onnx").metadata_props}
    assert (told["task"], told["color"], told["scale"], told["license"]) == ("sr", "rgb", "2", "Apache-2.0")
    session = onnxruntime.InferenceSession("x2.onnx", providers=["CPUExecutionProvider"])
    assert session.run(["image"], {"x": np.zeros((3, 3, 5, 6), np.float32)})[0].shape == (3, 3, 10, 12)


def test_weights_of_an_unknown_network(run: Run) -> None:
    save_file({key: value.clone() for key, value in build_network(TINY).state_dict().items()}, "official.safetensors")
    code, _, err = run("official.safetensors")
    assert code == 2
    assert "{type: NAME, ...}" in err
    assert run("official.safetensors", "--network", json.dumps(TINY))[0] == 0
    assert (
        "unknown key 'hidden'"
        in run("official.safetensors", "-o", "a.onnx", "--network", "{type: ARCNN, hidden: 1}")[2]
    )


def test_arguments_of_the_forward(run: Run, tmp_path: Path) -> None:
    publish(tmp_path, "mdsr", {"type": "MDSR", "num_features": 4, "num_blocks": 1})
    code, out, err = run("mdsr.safetensors", "--set", "scale=3")
    assert code == 0, err
    assert "image: batch x 3 x 3*height x 3*width" in out
    assert json.loads({e.key: e.value for e in onnx.load("mdsr.onnx").metadata_props}["arguments"]) == {"scale": 3}
    assert "found scale 5, this one has 2, 3, 4" in run("mdsr.safetensors", "--force", "--set", "scale=5")[2]
    assert (
        "takes no 'scal' that can be set (did you mean 'scale'?)"
        in run("mdsr.safetensors", "--force", "--set", "scal=2")[2]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no-such",), "no weights file or name no-such"),
        (("fbcnn-bsds500-colr",), "did you mean 'fbcnn-bsds500-color'"),
        (("gone/tiny.pt",), "no weights file gone/tiny.pt"),
        (("tiny.safetensors", "-o", "."), "is a folder"),
        (("tiny.safetensors", "-o", "tiny.safetensors/x.onnx"), "cannot write to"),
        (("tiny.safetensors", "--size", "9"), "expected WIDTHxHEIGHT"),
        (("tiny.safetensors", "--set", "scale"), "expected ARG=VALUE"),
        (("tiny.safetensors", "--network", "[1"), "valid YAML"),
        (("tiny.safetensors", "--network", "ARCNN"), "expected {type: NAME, ...}"),
        (("tiny.safetensors", "--tolerance", "1e-12"), "the tolerance is 1e-12"),
        (("tiny.safetensors", "--opset", "3"), "opset 3"),
        ((), "the following arguments are required"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(run: Run, tmp_path: Path, arguments: Any, message: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.safetensors"]


def test_without_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, _, err = run("tiny.safetensors")
    assert code == 2
    assert "pip install 'powerqe[export]'" in err
