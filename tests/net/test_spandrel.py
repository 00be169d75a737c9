"""net/spandrel.py: files of other authors' networks in every place where weights are named.

The files are tiny networks with random weights, made with spandrel's own classes.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import spandrel
import torch
import yaml
from spandrel.architectures.DnCNN import DnCNN
from spandrel.architectures.NAFNet import NAFNet
from spandrel.architectures.SPAN import SPAN
from spandrel.architectures.SwinIR import SwinIR
from spandrel.architectures.Uformer import Uformer
from torch import Tensor, nn

import powerqe
from powerqe.cli import main
from powerqe.inference.demo.processing import Choice, DemoProcessor
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.model import Model
from powerqe.inference.tiled import Tiled
from powerqe.net import build_network, load_weights
from powerqe.net.weights import spec
from powerqe.utils.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "swinir": lambda: SwinIR(img_size=16, patch_size=1, embed_dim=8, depths=[2], num_heads=[2], window_size=8,
                             mlp_ratio=2, upscale=2, upsampler="pixelshuffledirect"),
    "span": lambda: SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2),
    "nafnet": lambda: NAFNet(img_channel=1, width=4, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]),
}  # fmt: skip
"""Two that enlarge twice, and one of gray images that takes means over the image and strides."""


def state_of(network: nn.Module) -> dict[str, Tensor]:
    torch.manual_seed(0)
    with torch.no_grad():  # zeros at the start would hide what they multiply
        for parameter in network.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    return network.state_dict()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("zoo")
    for name, make in NETWORKS.items():
        torch.save({"params": state_of(make())}, folder / f"{name}.pth")
    return {name: folder / f"{name}.pth" for name in NETWORKS}


every_file = pytest.mark.parametrize("name", NETWORKS)


def make_image(height: int, width: int, channels: int = 3) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 5, channels), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


@every_file
@pytest.mark.parametrize("size", [(45, 37), (16, 64), (5, 3)])
@torch.no_grad()
def test_the_network_follows_from_the_file_and_computes_what_spandrel_does(name, size, files):
    assert spec(files[name]) == {"type": "Spandrel", "path": str(files[name])}
    network = build_network(spec(files[name])).eval()
    reference = spandrel.ModelLoader().load_from_file(files[name]).eval()
    assert isinstance(reference, spandrel.ImageModelDescriptor)
    x = torch.rand(1, reference.input_channels, *size)
    result = network(x)
    assert result.shape[-2:] == tuple(side * reference.scale for side in size)
    torch.testing.assert_close(result.clamp(0, 1), reference(x), rtol=0, atol=1e-6)


@every_file
@pytest.mark.parametrize("channels", [1, 3])
def test_from_python(name, channels, files):
    image = make_image(33, 29, channels)
    model = powerqe.load(files[name], device="cpu")
    result = model(image)
    assert (model.method, model.name) == ("Spandrel", name)
    assert (model.scale, model.channels) == {"swinir": (2, 3), "span": (2, 3), "nafnet": (1, 1)}[name]
    assert result.shape == (33 * model.scale, 29 * model.scale, channels)
    again = powerqe.load({"type": "Spandrel", "path": str(files[name])}, device="cpu")
    assert np.array_equal(again(image), result)
    assert np.array_equal(powerqe.enhance(image, weights=files[name], device="cpu"), result)


@every_file
def test_enhance(name, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.jpg", make_image(41, 35))
    assert main(["enhance", "photo.jpg", "--weights", str(files[name]), "--device", "cpu"]) == 0
    scale = 1 if name == "nafnet" else 2
    assert cv2.imread("enhanced/photo.png").shape == (41 * scale, 35 * scale, 3)


def test_demo(files, tmp_path):
    path = str(files["span"])
    processor = DemoProcessor(InferenceOptions("cpu"), 1.0, path)
    cv2.imwrite(str(tmp_path / "photo.png"), make_image(20, 30))
    outcome = processor.enhance(processor.read(tmp_path / "photo.png"), Choice(weights=path))
    assert outcome.after.pixels.shape == (40, 60, 3)


@pytest.mark.parametrize("way", ["network", "weights", "checkpoint"])
def test_test(way, files, tree, pairs, monkeypatch):
    """As the network of an option file, which needs no other weights, or as weights for it."""
    monkeypatch.chdir(pairs)
    data = {"type": "DownSampledImages", "gt": str(pairs / "gt"), "scale": 2}
    if way != "weights":
        tree["network"] = {"type": "Spandrel", "path": str(files["span"])}
    if way == "checkpoint":
        tree["test"] = {"ckp_load_path": str(files["span"])}
    tree["dataset"] = {"test": data}
    Path("zoo.yml").write_text(yaml.safe_dump({"defaults": tree, "cases": {"c": {}}}))
    weights = ["--weights", str(files["span"])] if way == "weights" else []
    assert main(["test", "--opt", "zoo.yml", *weights]) == 0
    results = json.loads(Path("exp/zoo-c/results.json").read_text())
    assert "PSNR" in json.dumps(results)
    assert len(list(Path("exp/zoo-c/test_im_enhanced").rglob("*.png"))) == 8


def test_training_goes_on_from_it(files, tree, pairs, monkeypatch):
    monkeypatch.chdir(pairs)
    tree["network"] = {"type": "Spandrel", "path": str(files["nafnet"])}
    for data in tree["dataset"].values():
        data["color"] = "y"
    Path("zoo.yml").write_text(yaml.safe_dump({"defaults": tree, "cases": {"c": {}}}))
    assert main(["train", "--opt", "zoo.yml"]) == 0
    assert main(["test", "--opt", "zoo.yml"]) == 0
    trained = torch.load("exp/zoo-c/ckp-last.pt", weights_only=True)["networks"]["net"]
    before = build_network(tree["network"]).state_dict()
    assert trained.keys() == before.keys()
    assert any(not torch.equal(trained[name], before[name]) for name in before)


@every_file
@torch.no_grad()
def test_tiles_make_the_whole(name, files):
    """But of SwinIR, for which spandrel discourages them: those are near."""
    network = build_network(spec(files[name])).eval()
    x = torch.rand(1, network.in_channels, 330, 90)
    exact = name != "swinir"
    tiled = Tiled(network, 64, exact=exact)
    assert len(tiled.tiles(x)) > 2
    assert tiled.exact == exact
    whole = network(x)
    torch.testing.assert_close(tiled(x), whole, rtol=0, atol=1e-6 * float(whole.abs().max()) if exact else 0.05)
    if not exact:
        with pytest.raises(UserError, match="Spandrel"):
            Tiled(network, 64)


def test_other_weights_of_the_same_network(files, tmp_path):
    network = build_network(spec(files["span"]))
    other = {name: tensor + 0.01 for name, tensor in NETWORKS["span"]().state_dict().items()}
    torch.save(other, tmp_path / "other.pth")
    load_weights(network, tmp_path / "other.pth")
    assert torch.equal(network.state_dict()["model.conv_1.sk.weight"], other["conv_1.sk.weight"])
    with pytest.raises(UserError, match="does not fit"):
        load_weights(network, files["nafnet"])


def test_files_of_our_networks_are_ours(tmp_path):
    """spandrel knows them, too."""
    network = DnCNN(in_nc=1, out_nc=1, nc=4, nb=17, act_mode="R")
    torch.save(network.state_dict(), tmp_path / "dncnn.pth")
    assert spec(tmp_path / "dncnn.pth")["type"] == "DnCNN"
    assert build_network({"type": "Spandrel", "path": str(tmp_path / "dncnn.pth")}).in_channels == 1


@torch.no_grad()
def test_sizes_that_a_network_takes_are_made(tmp_path):
    """Uformer: squares of multiples of 128."""
    network = Uformer(img_size=128, embed_dim=4, depths=[1] * 9, num_heads=[1] * 9, win_size=8)
    torch.save(network.state_dict(), tmp_path / "uformer.pth")
    network = build_network(spec(tmp_path / "uformer.pth")).eval()
    seen: list[torch.Size] = []
    network.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-2:]))
    assert network(torch.rand(1, 3, 20, 131)).shape == (1, 3, 20, 131)
    assert seen == [(256, 256)]
    assert (network.multiple, network.tiling) == (128, "near")


class Architecture(spandrel.Architecture):
    """A network described as a test wants it."""

    def __init__(self, network: nn.Module, masked: bool = False, **description: Any) -> None:
        super().__init__(id="Fake", detect=lambda state: set(state) == {"0.weight"})
        common = {"tags": [], "supports_half": True, "supports_bfloat16": True}
        own = {"purpose": "Inpainting"} if masked else {"purpose": "Restoration", "scale": 1}
        self._kind = spandrel.MaskedImageModelDescriptor if masked else spandrel.ImageModelDescriptor
        self._network, self._description = network, common | own | description

    def load(self, state_dict: dict[str, Any]) -> Any:
        return self._kind(self._network, state_dict, self, **self._description)


class AddedMean(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.mean((2, 3), keepdim=True)


@pytest.fixture
def fake(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Makes spandrel know one architecture only, and gives a file of it."""

    def fake(inputs: int = 3, outputs: int = 3, kind: type[nn.Module] = nn.Sequential, **description: Any) -> Path:
        network = kind(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
        description |= {"input_channels": inputs, "output_channels": outputs}
        registry = spandrel.ArchRegistry()
        registry.add(spandrel.ArchSupport.from_architecture(Architecture(network, **description)))
        monkeypatch.setattr(spandrel, "MAIN_REGISTRY", registry)
        torch.save(network.state_dict(), tmp_path / "fake.pth")
        return tmp_path / "fake.pth"

    return fake


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"masked": True}, "mask"),
        ({"inputs": 4, "outputs": 4}, "4 channels"),
        ({"inputs": 3, "outputs": 1}, "3 channels"),
        ({"surprise": True}, "Fake.*surprise"),
    ],
)
def test_what_is_no_network_for_images_is_refused(description, words, fake, tmp_path, monkeypatch, capsys):
    path = fake(**description)
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.png", make_image(16, 16))
    assert main(["enhance", "photo.png", "--weights", str(path), "--device", "cpu"]) == 2
    assert not Path("enhanced").exists()
    with pytest.raises(UserError, match=words):
        build_network({"type": "Spandrel", "path": str(path)})
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_one_that_tiles_by_itself_gets_the_whole(fake):
    model = Model(str(fake(tiling=spandrel.ModelTiling.INTERNAL)), InferenceOptions("cpu", memory=1))
    result, _ = model({"lq": torch.rand(1, 3, 150, 150)})
    assert result.shape == (1, 3, 150, 150)
    assert model.tile is None


@pytest.mark.parametrize(("kind", "exact"), [(nn.Sequential, True), (AddedMean, False)])
def test_one_that_sees_everything_is_tiled_nearly(kind, exact, fake):
    model = Model(str(fake(kind=kind)), InferenceOptions("cpu", tile=64))
    assert model.is_exact
    result, _ = model({"lq": torch.rand(1, 3, 70, 400)})
    assert result.shape == (1, 3, 70, 400)
    assert (model.tile, model.is_exact) == (64, exact)


def test_a_file_of_an_unknown_format(tmp_path):
    torch.save({"mystery.weight": torch.ones(3)}, tmp_path / "mystery.pth")
    with pytest.raises(UserError, match="is unknown"):
        spec(tmp_path / "mystery.pth")
    with pytest.raises(UserError, match="does not recognize"):
        build_network({"type": "Spandrel", "path": str(tmp_path / "mystery.pth")})


def test_weights_that_are_not_finite(tmp_path):
    state = NETWORKS["span"]().state_dict()
    state["conv_cat.weight"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(UserError, match="NaN"):
        powerqe.load(tmp_path / "nan.pth")


class Code:
    def __reduce__(self) -> Any:
        return (Path("executed").touch, ())


def test_nothing_of_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"params": NETWORKS["span"]().state_dict(), "code": Code()}, "code.pth")
    for source in ("code.pth", {"type": "Spandrel", "path": "code.pth"}):
        with pytest.raises(UserError, match="code"):
            powerqe.load(source)
    assert not Path("executed").exists()


def test_without_the_library_one_line_says_how_to_get_it(files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "spandrel", None)
    cv2.imwrite("photo.png", make_image(16, 16))
    assert main(["enhance", "photo.png", "--weights", str(files["span"])]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert "pip install 'powerqe[zoo]'" in error
    with pytest.raises(UserError, match=r"powerqe\[zoo\]"):
        build_network({"type": "Spandrel", "path": str(files["span"])})
