"""A network in tiles gives what it gives for the whole image. Every network of the registry is tested in
tests/net/test_networks.py; here are the ways in which networks can be more difficult, one by one."""

import copy
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.data import astronaut
from torch import Tensor, nn

from powerqe.inference import tiled as tiled_module
from powerqe.inference.forward import Forward
from powerqe.inference.lazy_image import LazyImage
from powerqe.inference.self_ensemble import SelfEnsemble
from powerqe.inference.tile_grid import Order
from powerqe.inference.tiled import SAMPLED_DB, SMALLEST, Tiled, enhancer
from powerqe.net import build_network
from powerqe.net.blocks import GlobalMean, PixelShuffleUp, ResidualGroup, conv, to_multiple
from powerqe.utils.errors import UserError
from powerqe.utils.options.tree import TestOptions as Options

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.slow]


def close(tiled: Tensor, whole: Tensor) -> None:
    """Equal but for the order of sums; everything here is float64, so that nothing else hides in the tolerance."""
    assert tiled.dtype == whole.dtype
    torch.testing.assert_close(tiled, whole, rtol=1e-10, atol=1e-12)


def ready(network: nn.Module, seed: int = 0) -> nn.Module:
    """A network whose weights are all different from zero, in float64."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval().double()


def built(options: dict[str, Any]) -> nn.Module:
    """A network of the registry whose first weights are always the same."""
    torch.manual_seed(0)
    return build_network(options)


def pixels(height: int, width: int, channels: int = 3, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.rand(batch, channels, height, width, generator=generator, dtype=torch.float64)


class Counted(nn.Module):
    """Notes the sizes of the images that a network sees."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seen = network, []
        self.multiple = getattr(network, "multiple", 1)
        self.eval()

    def forward(self, x: Tensor, **named: Any) -> Any:
        if not x.isnan().any():  # with NaN its reach is measured
            self.seen.append(tuple(x.shape[-2:]))
        return self.network(x, **named)


DNCNN = ready(built({"type": "DnCNN", "num_features": 4, "depth": 3, "batch_norm": True}))
# The mean at half size and the transposed convolution shift the image by a pixel where its size is odd.
UNET = ready(built({"type": "UNet", "in_channels": 1, "out_channels": 1, "num_levels": 3, "base_features": 2}))

sides = st.integers(1, 90)


@given(sides, sides, st.integers(5, 40))
@example(8, 13, 1)
@settings(max_examples=25, deadline=None)
@torch.no_grad()
def test_any_size_in_tiles_of_any_size(height: int, width: int, tile: int):
    x = pixels(height, width)
    close(Tiled(DNCNN, tile)(x), DNCNN(x))


@given(sides, sides, st.integers(1, 60))
@settings(max_examples=40, deadline=None)
@torch.no_grad()
def test_any_size_with_strides(height: int, width: int, tile: int):
    x = pixels(height, width, 1)
    close(Tiled(UNET, tile)(x), UNET(x))


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@torch.no_grad()
def test_enlarging(scale: int):
    up = [PixelShuffleUp(4, scale)] if scale > 1 else []
    network, x = ready(nn.Sequential(conv(3, 4, 5), *up, conv(4, 3, 3))), pixels(37, 41)
    tiled = Tiled(network, 13)
    assert len(tiled.tiles(x)) == 12
    result = tiled(x)
    assert result.shape == (1, 3, 37 * scale, 41 * scale)
    close(result, network(x))


class Means(nn.Module):
    """Global means one after another, at full size, at half size rounded up and at a quarter rounded down."""

    multiple = 4

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.other = GlobalMean(), GlobalMean()
        self.conv1, self.conv2, self.conv3 = conv(3, 4, 3), conv(4, 4, 3), conv(4, 3, 3)
        self.halved = nn.Conv2d(4, 4, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = y * self.mean(y).sigmoid()
        z = self.halved(y)
        z = z * self.mean(z).tanh()
        quarter = F.avg_pool2d(F.pad(self.conv2(z), (0, 1, 0, 1)), 2)
        z = z * self.other(quarter).exp()
        y = y + F.interpolate(z, scale_factor=2)[..., : y.shape[-2], : y.shape[-1]]
        return self.conv3(y) * self.mean(x)


@pytest.mark.parametrize("size", [(64, 64), (61, 75), (63, 50), (9, 118), (101, 3), (45, 66)])
@torch.no_grad()
def test_global_means(size: tuple[int, int]):
    network, x = Counted(ready(Means())), pixels(*size, batch=2)
    tiled = Tiled(network, 16)
    count = len(tiled.tiles(x))
    assert count > 3
    result = tiled(x)
    assert len(network.seen) == (4 + 1) * count, "one pass for each mean and one for the result"
    close(result, network(x))
    with pytest.raises(AssertionError):
        close(Tiled(network, 16, exact=False)(x), network(x))


@torch.no_grad()
def test_channel_attention_of_rcan():
    network, x = ready(nn.Sequential(conv(3, 8, 3), ResidualGroup(8, 2, 4), conv(8, 3, 3))), pixels(50, 61)
    tiled = Tiled(network, 20)
    assert len(tiled.tiles(x)) > 4
    close(tiled(x), network(x))


@torch.no_grad()
def test_means_of_each_tile_cost_nothing():
    network, x = Counted(ready(Means())), pixels(80, 81)
    tiled = Tiled(network, 16, exact=False)
    tiled(x)
    assert len(network.seen) == len(tiled.tiles(x)) > 4


class Thumbnail(nn.Module):
    """The whole image, small, whatever its size; a mean inside is its own business."""

    sees_whole_image = True

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side, self.mean = side, GlobalMean()

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x - self.mean(x), (self.side, self.side), mode="bilinear")


class Gathered(nn.Module):
    """Every pixel of a map from all pixels of it and of another, at half size and at full size."""

    sees_whole_image = True

    def forward(self, small: Tensor, large: Tensor, factor: float) -> Tensor:
        if small.shape[-1] * 2 not in (large.shape[-1], large.shape[-1] + 1):
            raise ValueError("these are not the same image")
        return factor * small.cumsum(-1).flip(-2) / small.shape[-1] + large.amax((2, 3), keepdim=True)


class Looking(nn.Module):
    """Looks at the whole image twice and at the mean in between."""

    multiple = 2

    def __init__(self, side: int) -> None:
        super().__init__()
        self.thumbnail, self.gathered, self.mean = Thumbnail(side), Gathered(), GlobalMean()
        self.first, self.halved, self.last = conv(3, 3, 3), nn.Conv2d(3, 3, 3, stride=2, padding=1), conv(3, 3, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        small = self.thumbnail(x)
        y = self.first(x) + small.square().mean((2, 3), keepdim=True) + small[..., :1, -1:]
        z = self.gathered(self.halved(y * self.mean(y)), y, 0.5)
        y = self.last(y + F.interpolate(z, scale_factor=2)[..., : y.shape[-2], : y.shape[-1]])
        return y, small


@pytest.mark.parametrize(("size", "side"), [((45, 71), 5), ((48, 48), 48), ((49, 64), 7)])
@torch.no_grad()
def test_modules_that_see_the_whole_image(size: tuple[int, int], side: int):
    network, x = ready(Looking(side)), pixels(*size)
    tiled = Tiled(network, 12)
    assert len(tiled.tiles(x)) > 4
    result, small = tiled(x)
    expected, expected_small = network(x)
    close(result, expected)
    close(small, expected_small)
    assert not any("forward" in vars(module) for module in network.modules()), "something was left in the network"


class Talkative(nn.Module):
    """Takes a map and tables, returns an enlarged image, the image at its own size, and other things."""

    multiple = 8

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.up, self.mean = conv(4, 3, 3), PixelShuffleUp(3, 2), GlobalMean()

    def forward(self, x: Tensor, noise: Tensor, tables: Tensor, scale: float = 1) -> tuple[Tensor, Tensor, Tensor, str]:
        grid = tables.repeat(1, 1, -(-x.shape[-2] // 8), -(-x.shape[-1] // 8))[..., : x.shape[-2], : x.shape[-1]]
        y = self.conv(torch.cat((x * grid, noise[:, None]), 1)) * scale
        return self.up(y), y, self.mean(y)[:, :, 0, 0], "said"


@torch.no_grad()
def test_other_inputs_and_outputs_of_a_network():
    network, x = ready(Talkative()), pixels(60, 77)
    noise, tables = pixels(60, 77, 1)[:, 0], pixels(8, 8, 3)
    tiled = Tiled(network, 16)
    assert len(tiled.tiles(x, noise, tables)) > 4
    for arguments, named in (((noise, tables), {}), ((noise,), {"tables": tables, "scale": 0.5})):
        result, expected = tiled(x, *arguments, **named), network(x, *arguments, **named)
        assert isinstance(result, tuple)
        for part, whole in zip(result[:3], expected[:3], strict=True):
            close(part, whole)
        assert result[3] == "said"


RBQE: dict[str, Any] = {"type": "RBQE", "num_features": 4, "num_levels": 2, "in_channels": 1, "out_channels": 1}


@torch.no_grad()
def test_exits():
    """One after another, as a later one looks further than an earlier one."""
    network, x = ready(built(RBQE)), pixels(9, 130, 1, batch=2)
    tiled = Tiled(network, 16)
    for exit in (0, 1, "all"):
        assert len(tiled.tiles(x, exit=exit)) > 2
        close(tiled(x, exit=exit), network(x, exit=exit))


class Centerd(nn.Module):
    """The image less its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = GlobalMean()

    def forward(self, x: Tensor) -> Tensor:
        return x - self.mean(x)


@torch.no_grad()
def test_sums_of_half_precision_do_not_overflow():
    assert Tiled(Centerd().eval(), 100)(torch.full((1, 3, 150, 150), 10.0, dtype=torch.half)).count_nonzero() == 0


@torch.no_grad()
def test_all_tiles_take_the_exit_of_the_whole_image():
    """Two images, of which one is good enough early; alone, tiles of both would leave at either exit."""
    network = ready(built({**RBQE, "codec": "hevc"}))
    network.quality.float()
    noisy = pixels(13, 130, 1)
    x = torch.cat((noisy, noisy.cumsum(-1).cumsum(-2) / 500))
    scores = network.quality(network(x, exit=0))
    network.quality.threshold = float(scores.mean())
    result, exits = network.enhance(x)
    assert exits.unique().numel() == 2
    tiled = Tiled(network, 16)
    tiles = tiled.tiles(x, exit="auto")
    alone = torch.stack([network.enhance(tile.cut(x))[1] for tile in tiles])
    assert len(alone) > 2
    assert (alone != exits).any()
    close(tiled(x, exit="auto"), result)


class Small(nn.Module):
    """A device whose memory holds images of so many pixels only."""

    def __init__(self, network: nn.Module, most: int, error: RuntimeError) -> None:
        super().__init__()
        self.network, self.most, self.error, self.refused = network, most, error, 0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2] * x.shape[-1] > self.most:
            self.refused += 1
            raise self.error
        return self.network(x)


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("allocation failed"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
@torch.no_grad()
def test_tiles_that_do_not_fit_are_halved(error: RuntimeError):
    network, x = ready(nn.Sequential(conv(3, 4, 3), ResidualGroup(4, 1, 2), conv(4, 3, 3))), pixels(203, 190)
    small = Small(network, 60 * 60, error)
    tiled = Tiled(small, 300)
    close(tiled(x), network(x))
    assert (tiled.size, small.refused) == (37, 3)  # whole (300 and 150: one image, four tiles), 75
    close(tiled(x), network(x))
    assert small.refused == 3, "the next image begins with what fitted"


@torch.no_grad()
def test_a_tile_that_fails_late_does_not_spoil_the_means():
    """Out of memory between the shares of two tiles: what the first ones gave must not count twice."""
    network, x = ready(Means()), pixels(150, 150)

    class Late(nn.Module):
        multiple, runs = 4, 0

        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.eval()

        def forward(self, x: Tensor) -> Tensor:
            self.runs += not x.isnan().any()
            if self.runs in (3, 15):
                self.runs += 1
                raise OUT_OF_MEMORY
            return self.network(x)

    tiled = Tiled(Late(), 128)
    close(tiled(x), network(x))
    assert tiled.size == SMALLEST


@torch.no_grad()
def test_tiles_that_never_fit():
    small = Small(ready(conv(3, 3, 3)), 10, OUT_OF_MEMORY)
    with pytest.raises(UserError, match=r"Small.*50 x 50 pixels"):
        Tiled(small, 100, overlap=1)(pixels(130, 140))


@torch.no_grad()
def test_other_errors_are_not_taken_for_a_lack_of_memory():
    small = Small(ready(conv(3, 3, 3)), 10, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        Tiled(small, 64, overlap=1)(pixels(130, 140))
    assert small.refused == 1


@pytest.mark.parametrize("size", [(400, 300), (17, 999), (203, 203)])
@torch.no_grad()
def test_what_the_network_sees_is_bounded(size: tuple[int, int]):
    """A tile, two overlaps and the remainder of the size; the whole image goes nowhere."""
    for network, reach in ((DNCNN, 3), (ready(Means()), 12)):
        counted = Counted(network)
        Tiled(counted, 40)(pixels(*size))
        assert max(max(shape) for shape in counted.seen) < 40 + 2 * (reach + counted.multiple) + counted.multiple


@torch.no_grad()
def test_less_overlap_is_less_work_and_not_the_same():
    network, x = Counted(DNCNN), pixels(90, 90)
    rough = Tiled(network, 30, overlap=1)(x)
    assert max(map(max, network.seen)) == 32
    expected = DNCNN(x)
    assert (rough != expected).any()
    close(rough[..., 2:28, 2:28], expected[..., 2:28, 2:28])


@torch.no_grad()
def test_the_reach_is_measured_once():
    network = ready(Padded())
    calls: list[bool] = []
    network.register_forward_pre_hook(lambda _, inputs: calls.append(bool(inputs[0].isnan().any())))
    tiled = Tiled(network, 20)
    for size in (50, 58):
        tiled(pixels(size, size))
        assert sum(calls) == 2  # one strip lies, one stands
    Tiled(network, 64)(pixels(50, 50))  # whole: nothing to measure
    assert sum(calls) == 2
    tiled(pixels(50, 51))
    assert sum(calls) == 4, "another remainder, by which networks may shift"


@torch.no_grad()
def test_an_image_that_is_not_on_the_networks_device_and_types():
    network, x = build_network({"type": "DnCNN", "num_features": 4, "depth": 3}).eval(), pixels(50, 50).float()
    result = Tiled(network, 20)(x)
    assert (result.dtype, result.device) == (torch.float32, x.device)
    torch.testing.assert_close(result, network(x), rtol=1e-5, atol=1e-6)
    assert not Tiled(network, 20)(x).requires_grad


def test_tiles_are_not_for_training():
    with pytest.raises(ValueError, match="evaluation mode"):
        Tiled(build_network({"type": "DnCNN", "depth": 3}), 20)(pixels(50, 50))


class Undecided(nn.Module):
    """How many means it takes depends on the tile."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = GlobalMean()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mean(x) if x[0, 0, 0, 0] > 0.5 else x


@torch.no_grad()
def test_a_path_that_depends_on_the_tile_is_noticed():
    with pytest.raises(RuntimeError, match=r"16 tiles.*same"):
        Tiled(Undecided().eval(), 16, overlap=0)(pixels(64, 64))


class HiddenMean(nn.Module):
    """A mean that nobody can find."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean((2, 3), keepdim=True)


def test_unbounded_networks_are_refused():
    with pytest.raises(UserError, match=r"HiddenMean.*4096 pixels.*tile\.overlap.*GlobalMean"):
        Tiled(HiddenMean().eval(), 16)(pixels(64, 64))


def photo(height: int, width: int) -> Tensor:
    """A part of a photograph in [0, 1]."""
    part = np.ascontiguousarray(astronaut()[100 : 100 + height, :width])
    return torch.from_numpy(part).permute(2, 0, 1)[None] / 255


MANY_MEANS: list[tuple[nn.Module, dict[str, Any]]] = [
    (ready(built({"type": "RBQE", "num_features": 8, "num_levels": 3})).float(), {"exit": "auto"}),
    (built({"type": "RCAN", "num_features": 8, "num_groups": 2, "num_blocks": 4, "reduction": 2}).eval(), {}),
]


@pytest.mark.parametrize(("many", "named"), MANY_MEANS, ids=["RBQE", "RCAN"])
@torch.no_grad()
def test_many_means_of_a_sample(many: nn.Module, named: dict[str, Any]):
    """In one pass, and one for each judgment; near the whole image's result, which exact tiles equal."""
    network, x = Counted(many), photo(96, 512)
    whole = network(x, **named)
    found = {}
    for exact in ("auto", False, True):
        network.seen.clear()
        tiled = Tiled(network, 48, None if exact else 64, exact=exact)
        result = tiled(x, **named)
        found[exact] = psnr(result, whole), len(network.seen) / len(tiled.tiles(x, **named))
        assert (tiled.exact, tiled.sampled) == (exact is True, exact == "auto")
    assert found["auto"][0] >= SAMPLED_DB
    assert found["auto"][0] > found[False][0] + 6
    assert found[True][0] > 100
    assert found["auto"][1] < 4
    assert found[True][1] >= 7
    assert torch.equal(Tiled(network, 512, exact="auto")(x, **named), whole)


def psnr(image: Tensor, other: Tensor) -> float:
    """In dB, of 1."""
    return float(-10 * (image - other).square().mean().clamp_min(1e-30).log10())


@torch.no_grad()
def test_few_means_are_exact_by_default():
    network, x = ready(Padded()), pixels(64, 67)
    tiled = Tiled(network, 16, exact="auto")
    close(tiled(x), network(x))
    assert len(tiled.tiles(x)) > 4
    assert tiled.exact


@pytest.mark.parametrize("most", [10**6, 4000])
@pytest.mark.parametrize("axis", [-2, -1])
@pytest.mark.parametrize("backwards", [False, True])
@torch.no_grad()
def test_bands(axis: int, backwards: bool, most: int):
    """In both directions along both axes, also if the memory lasts for smaller tiles only."""
    network, order = copy.deepcopy(DNCNN).float(), Order(axis, backwards=backwards)
    image = LazyImage(np.ascontiguousarray(astronaut()[:170, :157]), 3)
    bands = list(Tiled(Small(network, most, OUT_OF_MEMORY), 80, overlap=3).bands(image, order))
    assert len(bands) == (3 if most > 4000 else 5) - (axis == -1)
    assert [band.start for band in bands] == [0, *accumulate(band.length(order) for band in bands)][:-1]
    assert bands[0].free < bands[0].length(order)
    assert bands[-1].free == image.form.shape[axis]
    whole = torch.cat([band.output for band in bands][:: -1 if backwards else 1], axis)
    torch.testing.assert_close(whole, network(image.part(slice(None))), rtol=0, atol=1e-5)


@torch.no_grad()
def test_progress(monkeypatch: pytest.MonkeyPatch):
    bars = []
    monkeypatch.setattr(tiled_module, "progress_bar", lambda *given, **options: bars.append(Bar(given)) or bars[-1])
    network, lazy = ready(Means()).float(), LazyImage(np.zeros((64, 64, 3), np.uint8), 3)
    list(Tiled(network, 16).bands(lazy, title="a.jpg"))
    Tiled(network, 16)(pixels(64, 64).float())
    titled, untitled = bars
    assert (titled.title, titled.is_shown, titled.done) == ("a.jpg", True, titled.total)
    assert not untitled.is_shown


class Bar:
    """A progress bar that counts."""

    def __init__(self, given: tuple[Any, ...]) -> None:
        _, self.title, self.total, self.is_shown = given
        self.done = 0.0

    def update(self, done: float) -> None:
        self.done = round(self.done + done, 9)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        pass


TILE: dict[str, Any] = {"tile": {"size": 16}}
ROUGH: dict[str, Any] = {"tile": {"size": 16, "overlap": 0}}


@pytest.mark.parametrize("options", [{}, TILE, ROUGH, {"self_ensemble": True}, {**TILE, "self_ensemble": True}])
@torch.no_grad()
def test_options(options: dict[str, Any]):
    x = pixels(30, 41)
    result = enhancer(DNCNN, Options.model_validate(options))({"lq": x})
    whole = SelfEnsemble(DNCNN)(x) if "self_ensemble" in options else DNCNN(x)
    if options is ROUGH:
        assert (result - whole).abs().max() > 1e-6
    else:
        torch.testing.assert_close(result, whole, rtol=0, atol=1e-6 if "self_ensemble" in options else 1e-12)


@torch.no_grad()
def test_arguments_of_the_options_reach_the_network_in_tiles():
    network, x = ready(built(RBQE)), pixels(9, 130, 1)
    enhance = enhancer(network, Options.model_validate({"tile": {"size": 16}, "forward": {"exit": 0}}))
    assert isinstance(enhance, Forward)
    assert enhance.on_cpu
    assert not enhancer(network, Options()).on_cpu
    close(enhance({"lq": x}), network(x, exit=0))
    with pytest.raises(UserError, match=r"RBQE.*'exot'"):
        enhancer(network, Options.model_validate({"tile": {}, "forward": {"exot": 0}}))


@torch.no_grad()
def test_a_whole_image_that_does_not_fit():
    enhance = enhancer(Small(DNCNN, 10, OUT_OF_MEMORY).eval(), Options())
    with pytest.raises(UserError, match=r"Small: an image of 41 x 30 pixels does not fit .*set tile: \{size: 512\}"):
        enhance({"lq": pixels(30, 41)})
    with pytest.raises(RuntimeError, match="another"):
        enhancer(Small(DNCNN, 10, RuntimeError("another")).eval(), Options())({"lq": pixels(30, 41)})


class Padded(nn.Module):
    """Pads to a multiple itself, by the last row and column, and means what it has padded, too."""

    multiple = 8

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU(), nn.ConvTranspose2d(8, 3, 8, stride=8))
        self.mean = GlobalMean()

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(to_multiple(x, 8))
        return y[..., : x.shape[-2], : x.shape[-1]] * self.mean(y)


@pytest.mark.parametrize("size", [(61, 75), (64, 67), (33, 90)])
@torch.no_grad()
def test_padding_counts_as_in_the_whole_image(size: tuple[int, int]):
    network, x = ready(Padded()), pixels(*size)
    tiled = Tiled(network, 16)
    assert len(tiled.tiles(x)) > 4
    close(tiled(x), network(x))


class Nested(nn.Module):
    """Several pairs of an enlarged image and one of its own size, as CISR-PSI returns on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.up = conv(3, 3, 3), PixelShuffleUp(3, 2)

    def forward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        y = self.conv(x)
        return [(self.up(x), x), (self.up(y), y)]


@torch.no_grad()
def test_images_in_pairs():
    network, x = ready(Nested()), pixels(40, 50)
    result = Tiled(network, 20)(x)
    assert [type(pair) for pair in result] == [tuple, tuple]
    for pair, expected in zip(result, network(x), strict=True):
        for part, whole in zip(pair, expected, strict=True):
            close(part, whole)


@torch.no_grad()
def test_a_compiled_network():
    """train.compile compiles in place, and validation may go in tiles."""
    network, x = ready(nn.Sequential(conv(3, 2, 3), ResidualGroup(2, 1, 2))), pixels(30, 50)
    expected = network(x)
    network.compile(backend="eager")
    close(Tiled(network, 16)(x), expected)


class Clips(nn.Module):
    """The frame in the middle, enlarged, from three frames; their mean over the image counts, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.up, self.mean = conv(6, 2, 5), PixelShuffleUp(2, 2), GlobalMean()

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        y = self.conv(clip.flatten(1, 2))
        return self.up(y * self.mean(y)), clip[:, 1]


def frames(height: int, width: int, channels: int = 1) -> Tensor:
    return pixels(height, width, 3 * channels, batch=2).unflatten(1, (3, channels))


@torch.no_grad()
def test_clips():
    """A network with a fixed reach, to which everything above applies."""
    network, clip = ready(Clips()), frames(45, 52, 2)
    tiled = Tiled(network, 16)
    assert len(tiled.tiles(clip)) > 4
    for found, whole in zip(tiled(clip), network(clip), strict=True):
        close(found, whole)
    ensemble = SelfEnsemble(network)(clip)[0]
    assert ensemble.shape == (2, 2, 90, 104)
    torch.testing.assert_close(SelfEnsemble(tiled)(clip)[0], ensemble, rtol=1e-5, atol=1e-6)


STDF: dict[str, Any] = {"type": "STDF", "radius": 1, "num_features": 4, "enhance_features": 4, "enhance_layers": 3}


@pytest.mark.parametrize("spec", [STDF, {"type": "MFQE"}], ids=["STDF", "MFQE"])
@torch.no_grad()
def test_tiles_where_nothing_moves(spec: dict[str, Any]):
    """Then even such networks look at a distance that the overlap covers."""
    network, clip = ready(built(spec)), frames(20, 203)[:1]
    predictors = (
        ["offsets.predict"] if spec is STDF else [f"motion.{level}.4" for level in ("coarse", "middle", "fine")]
    )
    for name in predictors:
        for parameter in network.get_submodule(name).parameters():
            parameter.zero_()
    tiled = Tiled(network, 48, exact=False)
    assert tiled.overlap == 64
    assert len(tiled.tiles(clip)) > 4
    close(tiled(clip), network(clip))


@pytest.mark.parametrize("spec", [STDF, {"type": "MFQE"}], ids=["STDF", "MFQE"])
def test_networks_that_follow_motion(spec: dict[str, Any]):
    clip = frames(20, 60)[:1].float()
    network = ready(built(spec)).float()
    name, advice = spec["type"], r"tile: \{size: 512, overlap: 64, exact: false\}"
    for tile in ({}, {"overlap": 8}):
        with pytest.raises(UserError, match=rf"{name}.*{advice}"):
            enhancer(network, Options.model_validate({"tile": tile}))
    rough = Options.model_validate({"tile": {"size": 16, "overlap": 8, "exact": False}, "self_ensemble": True})
    result = enhancer(network, rough)({"lq": clip})
    whole = enhancer(network, Options.model_validate({"self_ensemble": True}))({"lq": clip})
    assert result.shape == whole.shape == (1, 1, 20, 60)
    assert not torch.equal(result, whole)
    with pytest.raises(UserError, match=rf"Small.*60 x 20 pixels.*{advice}"):
        enhancer(Small(network, 10, OUT_OF_MEMORY), Options())({"lq": clip})


@torch.no_grad()
def test_further_results_of_a_clip_in_tiles():
    network, clip = ready(built({"type": "MFQE"})), frames(20, 60)[:1]
    results = Tiled(network, 16, exact=False)(clip, return_compensated=True)
    assert [tuple(result.shape) for result in results] == [(1, 1, 20, 60)] * 3
