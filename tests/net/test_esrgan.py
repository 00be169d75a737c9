"""net/esrgan.py against computations straight from the tensors of v1 and BasicSR files."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.net import build_network, load_weights
from powerqe.utils.errors import UserError

GENERATOR = {"type": "ESRGAN", "num_features": 6, "num_blocks": 2, "growth_channels": 4}
DISCRIMINATOR = {"type": "VGGDiscriminator", "num_features": 4, "hidden_features": 5, "patch_size": [32, 64]}
BASICSR = {"conv_in": "conv_first", "rrdb_lst": "body", "conv_mid": "conv_body", "conv_out": "conv_last"}


class Random:
    """Tensors with names, reproducible."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.state: dict[str, Tensor] = {}

    def layer(self, name: str, *shape: int, bias: bool = True) -> None:
        fan_in = math.prod(shape[1:])
        self.state[f"{name}.weight"] = torch.randn(*shape, generator=self.generator) / fan_in**0.5
        if bias:
            self.state[f"{name}.bias"] = torch.randn(shape[0], generator=self.generator) / 5

    def norm(self, name: str, features: int) -> None:
        for tensor in ("weight", "bias", "running_mean", "running_var"):
            self.state[f"{name}.{tensor}"] = torch.rand(features, generator=self.generator) + 0.5
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(12)


def v1_generator() -> dict[str, Tensor]:
    """Keys as in v1 for GENERATOR."""
    random = Random(1)
    random.layer("conv_in", 6, 3, 3, 3)
    for block in range(2):
        for dense in (1, 2, 3):
            for k in range(5):
                random.layer(f"rrdb_lst.{block}.rdb{dense}.conv{k + 1}", 6 if k == 4 else 4, 6 + 4 * k, 3, 3)
    random.layer("conv_mid", 6, 6, 3, 3)
    random.layer("conv_out", 3, 6, 3, 3)
    return random.state


def generator_reference(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    def convolution(name: str, y: Tensor) -> Tensor:
        return F.conv2d(y, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def dense_block(name: str, y: Tensor) -> Tensor:
        seen = y
        for k in (1, 2, 3, 4):
            z = convolution(f"{name}.conv{k}", seen)
            seen = torch.cat((seen, torch.where(z > 0, z, 0.2 * z)), 1)
        return 0.2 * convolution(f"{name}.conv5", seen) + y

    first = y = convolution("conv_in", x)
    for block in range(2):
        z = y
        for dense in (1, 2, 3):
            z = dense_block(f"rrdb_lst.{block}.rdb{dense}", z)
        y = 0.2 * z + y
    z = first + convolution("conv_mid", y)
    return convolution("conv_out", torch.where(z > 0, z, 0.1 * z))


def enlarging_reference(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    """The paper's network of four times the size; the trunk's names are those of v1."""

    def convolution(name: str, y: Tensor) -> Tensor:
        return F.conv2d(y, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def leaky(y: Tensor) -> Tensor:
        return torch.where(y > 0, y, 0.2 * y)

    # A last layer that lets all features through gives what comes before it, as the slope 1 does.
    features = 6
    eye = {"conv_out.weight": torch.zeros(features, features, 3, 3), "conv_out.bias": torch.zeros(features)}
    eye["conv_out.weight"][:, :, 1, 1] = torch.eye(features)
    y = generator_reference(x, {**state, **eye})
    y = torch.where(y > 0, y, 10 * y)  # undo the slope before the last layer
    for name in ("conv_up1", "conv_up2"):
        y = leaky(convolution(name, y.repeat_interleave(2, -1).repeat_interleave(2, -2)))
    return convolution("conv_out", leaky(convolution("conv_hr", y)))


@torch.no_grad()
def test_four_times_the_size(tmp_path: Path) -> None:
    random = Random(4)
    for name in ("conv_up1", "conv_up2", "conv_hr"):
        random.layer(name, 6, 6, 3, 3)
    state = {**v1_generator(), **random.state}
    named = {
        BASICSR.get(name.split(".")[0], name.split(".")[0]) + name[name.index(".") :]: t for name, t in state.items()
    }
    torch.save({"params_ema": named}, tmp_path / "x4.pth")
    network = build_network({**GENERATOR, "scale": 4})
    load_weights(network, tmp_path / "x4.pth")
    x = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    y = network(x)
    assert y.shape == (2, 3, 20, 28)
    torch.testing.assert_close(y, enlarging_reference(x, state), rtol=1e-4, atol=1e-5)


def v1_discriminator() -> dict[str, Tensor]:
    """Keys as in v1, and as in BasicSR, for DISCRIMINATOR."""
    random = Random(2)
    before = 3
    for stage, after in enumerate((4, 8, 16, 32, 32)):
        random.layer(f"conv{stage}_0", after, before, 3, 3, bias=stage == 0)
        if stage:
            random.norm(f"bn{stage}_0", after)
        random.layer(f"conv{stage}_1", after, after, 4, 4, bias=False)
        random.norm(f"bn{stage}_1", after)
        before = after
    random.layer("linear1", 5, 32 * 1 * 2)
    random.layer("linear2", 1, 5)
    return random.state


def discriminator_reference(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    def leaky(y: Tensor) -> Tensor:
        return torch.where(y > 0, y, 0.2 * y)

    def norm(name: str, y: Tensor) -> Tensor:
        weight, bias, mean, variance = (
            state[f"{name}.{tensor}"].reshape(1, -1, 1, 1)
            for tensor in ("weight", "bias", "running_mean", "running_var")
        )
        return (y - mean) / (variance + 1e-5).sqrt() * weight + bias

    for stage in range(5):
        x = F.conv2d(x, state[f"conv{stage}_0.weight"], state.get(f"conv{stage}_0.bias"), padding=1)
        x = leaky(norm(f"bn{stage}_0", x) if stage else x)
        x = leaky(norm(f"bn{stage}_1", F.conv2d(x, state[f"conv{stage}_1.weight"], stride=2, padding=1)))
    x = x.reshape(len(x), -1) @ state["linear1.weight"].T + state["linear1.bias"]
    return leaky(x) @ state["linear2.weight"].T + state["linear2.bias"]


def ddp(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": tensor for name, tensor in state.items()}


@torch.no_grad()
def test_v1_checkpoint_holds_both_networks(tmp_path: Path) -> None:
    gen, dis = v1_generator(), v1_discriminator()
    assert len(dis) == 60
    torch.save({"iter": 4, "module_gen": ddp(gen), "module_dis": ddp(dis)}, tmp_path / "v1.pt")

    generator = build_network(GENERATOR)
    load_weights(generator, tmp_path / "v1.pt")
    x = torch.rand(2, 3, 7, 9)
    torch.testing.assert_close(generator(x), generator_reference(x, gen), rtol=1e-5, atol=1e-5)

    discriminator = build_network(DISCRIMINATOR).eval()
    load_weights(discriminator, tmp_path / "v1.pt")
    x = torch.rand(3, 3, 32, 64)
    logits = discriminator(x)
    assert logits.shape == (3, 1)
    torch.testing.assert_close(logits, discriminator_reference(x, dis), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("wrapper", ["params", "params_ema"])
@torch.no_grad()
def test_basicsr_checkpoints(wrapper: str, tmp_path: Path) -> None:
    """RRDBNet's up-sampling layers are not needed for an image of the same size."""
    state = v1_generator()
    random = Random(3)
    for name in ("conv_up1", "conv_up2", "conv_hr"):
        random.layer(name, 6, 6, 3, 3)
    named = {BASICSR[name.split(".")[0]] + name[name.index(".") :]: tensor for name, tensor in state.items()}
    torch.save({wrapper: {**named, **random.state}}, tmp_path / "net_g.pth")
    generator = build_network(GENERATOR)
    load_weights(generator, tmp_path / "net_g.pth")
    x = torch.rand(1, 3, 6, 5)
    torch.testing.assert_close(generator(x), generator_reference(x, state), rtol=1e-5, atol=1e-5)

    torch.save({"params": v1_discriminator()}, tmp_path / "net_d.pth")
    discriminator = build_network(DISCRIMINATOR).eval()
    load_weights(discriminator, tmp_path / "net_d.pth")
    x = torch.rand(1, 3, 32, 64)
    torch.testing.assert_close(discriminator(x), discriminator_reference(x, v1_discriminator()), rtol=1e-5, atol=1e-5)


def test_checkpoint_of_another_number_of_blocks(tmp_path: Path) -> None:
    torch.save({"module_gen": ddp(v1_generator())}, tmp_path / "v1.pt")
    with pytest.raises(UserError, match=r"30 unexpected \(rrdb_lst.1.rdb1.conv1.weight"):
        load_weights(build_network({**GENERATOR, "num_blocks": 1}), tmp_path / "v1.pt")


@pytest.mark.parametrize(("name", "entries"), [("ESRGAN", 246), ("VGGDiscriminator", 60)])
def test_number_of_tensors(name: str, entries: int) -> None:
    assert len(build_network({"type": name}).state_dict()) == entries


def test_generator_has_no_image_skip() -> None:
    generator = build_network(GENERATOR)
    for parameter in generator.parameters():
        nn.init.zeros_(parameter)
    assert not generator(torch.rand(1, 3, 8, 8)).any()


def test_dense_blocks_start_with_a_tenth_of_he() -> None:
    torch.manual_seed(0)
    state = build_network({"type": "ESRGAN", "num_blocks": 1}).state_dict()
    assert float(state["body.0.rdb2.conv3.weight"].std()) == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.03)
    assert not state["body.0.rdb2.conv3.bias"].any()


@pytest.mark.parametrize(
    ("patch_size", "nearest"),
    [([100, 128], "96x128"), ([128, 1], "128x32"), ([48, 64], "64x64"), ([130, 130], "128x128")],
)
def test_patch_that_halving_does_not_divide(patch_size: list[int], nearest: str) -> None:
    with pytest.raises(UserError) as error:
        build_network({"type": "VGGDiscriminator", "patch_size": patch_size})
    message = str(error.value)
    assert f"{patch_size[0]}x{patch_size[1]}" in message
    assert nearest in message


@pytest.mark.parametrize("patch_size", [128, [128], [128, 128, 128], [0, 32]])
def test_patch_size_is_two_numbers(patch_size: object) -> None:
    with pytest.raises(UserError, match="patch_size"):
        build_network({"type": "VGGDiscriminator", "patch_size": patch_size})


@pytest.mark.parametrize("size", [(64, 32), (64, 64), (31, 64)])
def test_images_of_another_size(size: tuple[int, int]) -> None:
    discriminator = build_network(DISCRIMINATOR)
    with pytest.raises(UserError, match=rf"{size[0]}x{size[1]}.*32x64.*patch_size"):
        discriminator(torch.rand(2, 3, *size))
