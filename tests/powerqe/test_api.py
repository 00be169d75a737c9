"""The public functions: the pixels of the command, and what comes in comes out."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import powerqe
from powerqe.net import build_network, save_weights
from powerqe.utils.image.photo import read_photo
from powerqe.utils.metrics import MetricUnavailable

ARCNN: dict[str, Any] = {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3], "residual": True}
LUMA = {"type": "DnCNN", "in_channels": 1, "out_channels": 1, "num_features": 4, "depth": 3}
TWICE = {"type": "EDSR", "scale": 2, "num_features": 4, "num_blocks": 1}


def smooth(channels: int = 3, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, channels), np.uint8)
    return cv2.resize(noise, (56, 40), interpolation=cv2.INTER_CUBIC).reshape(40, 56, channels)


@pytest.fixture
def weights(tmp_path: Path) -> Callable[[dict[str, Any]], str]:
    """Writes random weights of a network; gives their path."""

    def weights(spec: dict[str, Any]) -> str:
        torch.manual_seed(0)
        network = build_network(spec)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        path = tmp_path / f"{spec['type']}.safetensors"
        save_weights(network, path, {"network": json.dumps(spec)})
        return str(path)

    return weights


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Color and gray JPEGs, one that was turned by the camera, and a PNG with 16 bits and alpha."""
    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth()).save("color.jpg", quality=10)
    Image.fromarray(smooth()).save("turned.jpg", quality=20, exif=exif)
    Image.fromarray(smooth(1)[..., 0]).save("gray.jpg", quality=30)
    cv2.imwrite("deep.png", cv2.resize(smooth(4).astype(np.uint16) * 257, (56, 40)))
    return ["color.jpg", "turned.jpg", "gray.jpg", "deep.png"]


@pytest.mark.slow
def test_files_are_those_of_the_command(files: list[str], run: Any, tmp_path: Path) -> None:
    """With weights that are chosen for each file, byte for byte; and arrays have the same pixels."""
    done = run("enhance.py", *(tmp_path / file for file in files), "-o", tmp_path / "out", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    for file in files:
        written = Path("out", file).with_suffix(".png")
        array = powerqe.enhance(file, output="mine.png", device="cpu")
        assert Path("mine.png").read_bytes() == written.read_bytes()
        found = read_photo(written)
        pixels = found.pixels if found.alpha is None else np.concatenate([found.pixels, found.alpha], axis=2)
        assert array.dtype == pixels.dtype
        np.testing.assert_array_equal(array.reshape(pixels.shape), pixels)


def test_an_opened_jpeg_has_its_quality_and_an_array_has_none(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from powerqe import api

    seen = []
    monkeypatch.setattr(api, "choose", lambda description: seen.append(description) or api_choose(description))
    powerqe.enhance(Image.open("color.jpg"))
    powerqe.enhance("color.jpg")
    powerqe.enhance(np.asarray(Image.open("color.jpg")))
    powerqe.enhance(torch.rand(2, 1, 16, 16), qf=20)
    assert [(each.format, each.quality, each.has_tables) for each in seen] == [
        ("JPEG", 10, True), ("JPEG", 10, True), ("", None, False), ("", None, False),
    ]  # fmt: skip
    assert [(each.is_gray, each.takes_qf) for each in seen] == [(False, False)] * 3 + [(True, True)]


def api_choose(description: Any) -> Any:
    from powerqe.inference.choose import choose

    return choose(description)


def _kinds() -> dict[str, Any]:
    rgb, gray = smooth(), smooth(1)
    floats = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255
    return {
        "array": rgb,
        "a view of OpenCV's channels": rgb[..., ::-1],
        "read-only array": np.frombuffer(rgb.tobytes(), np.uint8).reshape(rgb.shape),
        "mirrored floats": (rgb / 255)[:, ::-1],
        "gray array": gray[..., 0],
        "gray array with its axis": gray,
        "with alpha": smooth(4),
        "gray with alpha": smooth(2),
        "16 bits": rgb.astype(np.uint16) * 257,
        "floats": rgb / 255,
        "gray floats": (gray[..., 0] / 255).astype(np.float32),
        "Pillow": Image.fromarray(rgb),
        "Pillow gray": Image.fromarray(gray[..., 0]),
        "Pillow with alpha": Image.fromarray(smooth(4)),
        "Pillow gray with alpha": Image.fromarray(smooth(2), "LA"),
        "Pillow 16 bits": Image.fromarray(gray[..., 0].astype(np.uint16) * 257),
        "tensor": floats,
        "batch": floats.repeat(2, 1, 1, 1),
        "tensor without batch": floats[0],
        "gray tensor": floats[:, :1],
        "half": floats.half(),
        "double that learns": floats.double().requires_grad_(),
    }


@pytest.mark.parametrize("spec", [ARCNN, LUMA], ids=["color", "luma"])
@pytest.mark.parametrize("kind", _kinds())
def test_what_comes_in_comes_out(kind: str, spec: dict[str, Any], weights: Any) -> None:
    image, model = _kinds()[kind], powerqe.load(weights(spec), device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = model(image)
    assert type(result) is type(image)
    if isinstance(image, Image.Image):
        assert (result.size, result.mode) == (image.size, image.mode)
    else:
        assert (result.shape, result.dtype) == (image.shape, image.dtype)
    before, after = (np.asarray(each.detach() if isinstance(each, torch.Tensor) else each) for each in (image, result))
    assert not np.array_equal(before, after)
    if "alpha" in kind:
        np.testing.assert_array_equal(before[..., -1], after[..., -1])
    if after.dtype.kind == "f":
        assert after.min() >= 0
        assert after.max() <= 1


@pytest.mark.parametrize(
    ("spec", "channels"),
    [(ARCNN, 1), (ARCNN, 3), (LUMA, 1), (TWICE, 1), (TWICE, 3)],
    ids=["color gray", "color", "luma", "twice gray", "twice"],
)
def test_kinds_have_the_same_pixels(channels: int, spec: dict[str, Any], weights: Any) -> None:
    image, model = smooth(channels), powerqe.load(weights(spec), device="cpu")
    expected = model(image)
    tensor = model((torch.from_numpy(image).permute(2, 0, 1)[None] / 255).repeat(2, 1, 1, 1))
    floats = model(image.astype(np.float32) / 255)
    for found in (*tensor.permute(0, 2, 3, 1).numpy(), floats):
        np.testing.assert_array_equal((found * 255).round().astype(np.uint8), expected)
    pillow = np.asarray(model(Image.fromarray(image[..., 0] if channels == 1 else image)))
    np.testing.assert_array_equal(pillow.reshape(expected.shape), expected)
    assert expected.shape == (40 * model.scale, 56 * model.scale, channels)


def test_luma_of_floats_is_near_that_of_8_bits(weights: Any) -> None:
    image, model = smooth(), powerqe.load(weights(LUMA), device="cpu")
    assert np.abs(model(image / 255) * 255 - model(image)).max() < 1.5


def test_a_palette_becomes_rgb_and_keeps_its_transparency(weights: Any) -> None:
    model, image = powerqe.load(weights(ARCNN), device="cpu"), Image.fromarray(smooth()).convert("P")
    assert model(image).mode == "RGB"
    image.info["transparency"] = 0
    assert model(image).mode == "RGBA"


def test_a_model_describes_itself(weights: Any) -> None:
    model = powerqe.load("edsr-bsds500-x2", device="cpu")
    assert (model.name, model.method, model.scale, model.channels) == ("edsr-bsds500-x2", "EDSR", 2, 3)
    assert model.card is not None
    assert model.card.task == "sr"
    assert not model.network.training
    own = powerqe.load(weights(LUMA))
    assert (own.scale, own.channels, own.card) == (1, 1, None)
    assert powerqe.load({"type": "ARCNN"}).method == "ARCNN"


def test_options_change_the_result(weights: Any) -> None:
    path, image = weights(ARCNN), smooth().astype(np.float32) / 255
    plain = powerqe.enhance(image, weights=path)
    np.testing.assert_array_equal(powerqe.enhance(image, weights=path, precision="fp32", tile=16), plain)
    for options in ({"self_ensemble": True}, {"precision": "bf16"}):
        other = powerqe.enhance(image, weights=path, **options)
        assert not np.array_equal(other, plain)
        assert np.abs(other - plain).mean() < 0.1


def test_weights_that_are_written_anew_count(weights: Any) -> None:
    path = weights(ARCNN)
    before = powerqe.enhance(smooth(), weights=path)
    network = build_network(ARCNN)
    save_weights(network, path, {"network": json.dumps(ARCNN)})
    assert not np.array_equal(powerqe.enhance(smooth(), weights=path), before)


def test_output_of_an_array_and_a_tensor(weights: Any, tmp_path: Path) -> None:
    path, out = weights(ARCNN), tmp_path / "sub/a.png"
    result = powerqe.enhance(smooth(4), weights=path, output=out)
    found = read_photo(out)
    assert found.alpha is not None
    np.testing.assert_array_equal(np.concatenate([found.pixels, found.alpha], axis=2), result)
    powerqe.enhance(torch.rand(1, 3, 16, 16), weights=path, output=out)  # over the other
    assert read_photo(out).pixels.shape == (16, 16, 3)


def test_weights_conditioned_on_tables_estimate_them(weights: Any) -> None:
    path = weights({"type": "QGCN", "num_features": 4, "num_blocks": 2, "global_features": [2, 2, 2, 2],
                    "hidden_features": 4})  # fmt: skip
    image = powerqe.degrade(cv2.resize(smooth(), (128, 96)), "JPEG", 20)
    expected = powerqe.enhance(image, weights=path)
    tensor = powerqe.enhance(torch.from_numpy(image).permute(2, 0, 1)[None] / 255, weights=path)
    np.testing.assert_array_equal((tensor[0] * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_degrade() -> None:
    image = smooth(4)
    damaged = powerqe.degrade(image, "JPEG", 10)
    assert not np.array_equal(damaged[..., :3], image[..., :3])
    np.testing.assert_array_equal(damaged[..., 3], image[..., 3])
    tensor = powerqe.degrade(torch.from_numpy(image[..., :3].copy()).permute(2, 0, 1)[None] / 255, "JPEG", 10)
    np.testing.assert_array_equal((tensor[0] * 255).round().byte().permute(1, 2, 0).numpy(), damaged[..., :3])
    assert not np.array_equal(powerqe.degrade(image, "JPEG", 10, subsampling="4:4:4"), damaged)


def test_networks_metrics_and_names() -> None:
    assert powerqe.create_network("DnCNN", num_features=8, depth=3)(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)
    psnr = powerqe.create_metric("PSNR", border=2)
    assert psnr(torch.zeros(2, 3, 9, 9), torch.full((2, 3, 9, 9), 0.1)).tolist() == pytest.approx([20, 20], abs=0.2)
    assert powerqe.list_weights("fbcnn-bsds*color") == ["fbcnn-bsds500-color"]
    assert powerqe.list_weights() == sorted(powerqe.list_weights())
    assert powerqe.list_weights("nothing*") == []


@pytest.mark.parametrize(
    ("image", "facts"),
    [
        (smooth().transpose(2, 0, 1), ["(3, 40, 56)"]),
        (smooth().astype(np.int32), ["int32"]),
        (smooth().astype(np.float32), ["255", "[0, 1]"]),
        (np.full((8, 8), np.nan), ["nan"]),
        (np.zeros((0, 8, 3), np.uint8), ["(0, 8, 3)"]),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), ["uint8"]),
        (torch.zeros(1, 4, 8, 8), ["(1, 4, 8, 8)"]),
        (torch.zeros(8, 8), ["(8, 8)"]),
        (torch.full((1, 3, 8, 8), 2.0), ["2", "[0, 1]"]),
        (Image.new("CMYK", (8, 8)), ["CMYK"]),
        ([[0, 1]], ["list"]),
        ("no-such-photo.jpg", ["no-such-photo.jpg"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_image(image: Any, facts: list[str], weights: Any) -> None:
    for use in (powerqe.load(weights(ARCNN)), powerqe.enhance, powerqe.degrade):
        with pytest.raises(powerqe.UserError) as caught:
            use(image)
        assert all(fact in str(caught.value) for fact in facts)
        assert "\n" not in str(caught.value)


def test_mistakes(weights: Any, tmp_path: Path) -> None:
    path = weights(ARCNN)
    for fact, call in {
        "arcnn-bsds500-qf10": lambda: powerqe.load("arcnn-bsds500-qf1"),
        "fp16": lambda: powerqe.load(path, device="cpu", precision="fp16"),
        "fp64": lambda: powerqe.load(path, precision="fp64"),  # type: ignore[arg-type]
        "gpu": lambda: powerqe.load(path, device="gpu"),
        "tile": lambda: powerqe.load(path, tile=0),
        "qf": lambda: powerqe.load(path, qf=20),
        "STDF": lambda: powerqe.enhance(smooth(), weights="stdf-sample-qp37"),
        "JPEG": lambda: powerqe.degrade(smooth(), "JPG", 10),
        "qf101": lambda: powerqe.degrade(smooth(), "JPEG", 101),
        "16 bits": lambda: powerqe.degrade(smooth().astype(np.uint16), "JPEG", 10),
        "transparency": lambda: powerqe.enhance(smooth(4), weights=path, output=tmp_path / "a.jpg"),
        "2 images": lambda: powerqe.enhance(torch.rand(2, 3, 8, 8), weights=path, output=tmp_path / "a.png"),
        "PSNR": lambda: powerqe.create_metric("PSRN"),
        "depth": lambda: powerqe.create_network("DnCNN", dept=3),
        "self_ensemble": lambda: powerqe.enhance(smooth(), weights=path, til="off"),
        "load": lambda: powerqe.enhance(smooth(), weights={"type": "ARCNN"}),  # pyright: ignore[reportArgumentType, reportCallIssue]
    }.items():
        with pytest.raises(powerqe.UserError) as caught:
            call()
        assert fact in str(caught.value)
    assert not list(tmp_path.glob("a.*"))


def test_a_file_is_not_written_over_itself(files: list[str]) -> None:
    before = Path("deep.png").read_bytes()
    with pytest.raises(powerqe.UserError, match=r"deep\.png"):
        powerqe.enhance("deep.png", output="deep.png")
    assert Path("deep.png").read_bytes() == before


def test_a_metric_that_cannot_be_computed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(kind: str, spec: dict[str, str]) -> None:
        raise MetricUnavailable(f"no weights for {spec['type']}")

    monkeypatch.setattr("powerqe.api.create", fail)
    with pytest.raises(powerqe.UserError, match="no weights for LPIPS"):
        powerqe.create_metric("LPIPS")
