"""What every network promises. A network that takes one RGB image and no required arguments is tested
without a line here; CASES makes a network small or says what else its forward takes."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from powerqe.inference.tiled import Tiled
from powerqe.net import NETWORKS, build_network, load_weights, save_weights
from powerqe.net.export import export, one_size


def image(batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    return (torch.rand(batch, 3, height, width),)


def two_alike(batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    """Two images in which many patches look alike; in noise none does."""
    return tuple(0.45 + 0.1 * torch.rand(2, batch, 3, height, width))


def clip(batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    """Three frames of luma."""
    return (torch.rand(batch, 3, 1, height, width),)


def image_and_tables(batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    return *image(batch, height, width), torch.randint(1, 256, (batch, 2, 8, 8)).float()


class Case(NamedTuple):
    """How a network is built small, what its forward takes, and how much larger its output is.

    A discriminator takes images of one size only and gives no image: any_size is false. Calls are keyword
    arguments of the forward with which, one after the other, all of the network is used. Tiles do not make the whole of
    one that samples where the motion leads, however far: tiles is false. Onnxruntime has all operators from that
    version on.
    """

    arguments: dict[str, Any]
    inputs: Callable[[int, int, int], tuple[Tensor, ...]] = image
    scale: int = 1
    any_size: bool = True
    calls: tuple[dict[str, Any], ...] = ({},)
    tiles: bool = True
    onnxruntime: str = "1.20"


CASES = {
    "ARCNN": Case({"hidden_channels": (8, 4)}),
    "CBDNet": Case({"estimator_features": 4, "base_features": 4}),
    "CISRPSI": Case(
        {"num_features": 8, "num_groups": (1, 1), "num_blocks": 1, "reduction": 4, "recursions": 2},
        scale=2,
    ),
    "DCAD": Case({"num_features": 8, "num_blocks": 3}),
    "DnCNN": Case({"num_features": 8, "depth": 5, "batch_norm": True}),
    "DRUNet": Case({"widths": (6, 8, 10), "num_blocks": 1}, calls=({}, {"qf": 10})),
    "EDSR": Case({"num_features": 8, "num_blocks": 2, "scale": 3, "res_scale": 0.1}, scale=3),
    "ESRGAN": Case({"num_features": 8, "num_blocks": 2, "growth_channels": 4}),
    "FBCNN": Case({"num_features": (6, 8, 10, 12), "num_blocks": 2, "hidden_features": 16}),
    "MDSR": Case({"num_features": 8, "num_blocks": 2}, scale=2, calls=({"scale": 2}, {"scale": 3}, {"scale": 4})),
    "MFQE": Case({}, clip, tiles=False),
    "NonLocalDeblock": Case({}, two_alike),
    "QCN": Case({"num_features": 8, "num_blocks": 2}, image_and_tables),
    "QGCN": Case({"num_blocks": 2}, image_and_tables),
    "RBQE": Case({"num_features": 8, "num_levels": 3}),
    "RCAN": Case({"num_features": 8, "num_groups": 2, "num_blocks": 2, "reduction": 2, "scale": 4}, scale=4),
    "SRCNN": Case({"num_features": 8, "upsampling": "tail", "num_blocks": 2, "activation": "prelu"}, scale=2),
    "STDF": Case(
        {"radius": 1, "fusion_features": 8, "num_features": 8, "enhance_features": 8, "enhance_layers": 3},
        clip,
        tiles=False,
        onnxruntime="1.25",
    ),
    "UNet": Case({"in_channels": 3, "out_channels": 3, "num_levels": 3, "base_features": 4}),
    "VGGDiscriminator": Case(
        {"num_features": 4, "hidden_features": 8, "patch_size": (64, 64)},
        lambda batch, height, width: image(batch, 64, 64),
        any_size=False,
    ),
}

FULL_EDSR = {"num_features": 256, "num_blocks": 32, "res_scale": 0.1}
TAIL = {"upsampling": "tail"}

PARAMETERS = [
    ("ARCNN", {}, 20_099),
    ("ARCNN", {"hidden_channels": (64, 32, 16), "kernel_sizes": (9, 7, 1, 5)}, 117_731),
    ("CBDNet", {}, 1_860_806),
    ("CBDNet", {"share_weights": False}, 3_944_710),
    *[
        ("CISRPSI", {"scale": scale, "num_groups": (groups, groups), "num_blocks": blocks}, count)
        for groups, blocks, counts in (
            (5, 12, (9_556_930, 9_744_162, 9_710_402)),
            (2, 12, (3_975_970, 4_163_202, 4_129_442)),
            (10, 16, (24_813_410, 25_000_642, 24_966_882)),
        )
        for scale, count in zip((2, 3, 4), counts, strict=True)
    ],
    ("DCAD", {}, 40_451),
    ("DCAD", {"share_weights": False}, 298_947),
    ("DnCNN", {}, 40_451),
    ("DnCNN", {"batch_norm": True}, 40_515),
    ("DnCNN", {"share_weights": False}, 557_443),
    ("DRUNet", {}, 32_640_960),
    ("DRUNet", {"in_channels": 1}, 32_638_656),
    ("EDSR", {}, 1_369_883),
    ("EDSR", {"scale": 3}, 1_554_523),
    ("EDSR", {"scale": 4}, 1_517_595),
    ("EDSR", FULL_EDSR, 40_729_627),
    ("EDSR", {**FULL_EDSR, "scale": 3}, 43_680_027),
    ("EDSR", {**FULL_EDSR, "scale": 4}, 43_089_947),
    ("ESRGAN", {}, 1_451_011),
    ("FBCNN", {}, 71_921_796),
    ("FBCNN", {"in_channels": 1, "out_channels": 1}, 71_919_490),
    ("MDSR", {}, 3_227_227),
    ("MDSR", {"num_blocks": 80}, 7_954_011),
    ("MFQE", {}, 255_422),
    ("MFQE", {"enhancer": "plain"}, 222_859),
    ("QCN", {}, 4_973_312),
    ("QCN", {"in_channels": 1}, 4_970_432),
    ("QCN", {"num_blocks": 16}, 1_434_368),
    ("QGCN", {}, 12_305_472),
    ("QGCN", {"in_channels": 1}, 12_301_568),
    ("RBQE", {}, 3_553_430),
    ("RBQE", {"num_levels": 4}, 2_333_996),
    ("RBQE", {"num_levels": 3}, 1_409_672),
    ("RBQE", {"num_levels": 2}, 743_594),
    ("RBQE", {"num_levels": 1}, 298_898),
    ("RCAN", {}, 3_534_907),
    ("RCAN", {"num_blocks": 20}, 15_444_667),
    ("SRCNN", {}, 40_320),
    ("SRCNN", {"global_residual": True}, 40_320),
    ("SRCNN", {"global_residual": True, "num_layers": 8}, 224_640),
    ("SRCNN", TAIL, 372_419),
    ("SRCNN", {**TAIL, "num_features": 32}, 94_051),
    ("SRCNN", {**TAIL, "num_blocks": 7}, 409_283),
    ("SRCNN", {**TAIL, "num_blocks": 7, "batch_norm": True}, 410_179),
    ("SRCNN", {**TAIL, "block": "residual"}, 594_371),
    ("SRCNN", {**TAIL, "block": "residual", "batch_norm": True}, 595_907),
    ("SRCNN", {**TAIL, "activation": "leaky_relu"}, 372_419),
    ("SRCNN", {**TAIL, "activation": "prelu"}, 372_803),
    ("SRCNN", {**TAIL, "num_blocks": 15}, 704_195),
    ("SRCNN", {**TAIL, "num_blocks": 31}, 1_294_019),
    ("SRCNN", {**TAIL, "num_blocks": 7, "num_features": 96}, 918_051),
    ("SRCNN", {**TAIL, "num_blocks": 7, "num_features": 128}, 1_629_571),
    ("STDF", {"radius": 1}, 329_842),
    ("STDF", {"radius": 2}, 347_176),
    ("STDF", {}, 364_510),
    ("STDF", {"num_features": 64, "enhance_features": 64, "enhance_layers": 16}, 1_274_622),
    ("VGGDiscriminator", {}, 3_946_433),
]

SINGLE = {"QGCN"}
"""Networks that compute some things in float32 whatever they are given."""

NAMES = [name for name in NETWORKS.names() if name != "Spandrel"]  # which needs a file: test_spandrel.py

every_network = pytest.mark.parametrize("name", NAMES)

ANY_SIZE = [name for name in NAMES if CASES.get(name, Case({})).any_size]

any_size_network = pytest.mark.parametrize("name", ANY_SIZE)


def make(name: str, seed: int = 0) -> tuple[nn.Module, Case]:
    case = CASES.get(name, Case({}))
    torch.manual_seed(seed)
    return build_network({"type": name, **case.arguments}), case


def image_of(output: Any) -> Tensor:
    """The image in what a network returns; a network may return it first of several."""
    return output if isinstance(output, Tensor) else output[0]


@pytest.mark.parametrize(("name", "arguments", "count"), PARAMETERS)
def test_parameter_count(name: str, arguments: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        network = build_network({"type": name, **arguments})
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@every_network
def test_arguments_are_keywords_with_types(name: str) -> None:
    for parameter in inspect.signature(NETWORKS[name]).parameters.values():
        assert parameter.kind is parameter.KEYWORD_ONLY, parameter
        assert parameter.annotation is not parameter.empty, parameter


@any_size_network
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (16, 17)])
@torch.no_grad()
def test_any_size(name: str, size: tuple[int, int]) -> None:
    network, case = make(name)
    output = image_of(network.eval()(*case.inputs(2, *size), **case.calls[0]))
    assert output.dtype == torch.float32
    assert output.shape[-2:] == (size[0] * case.scale, size[1] * case.scale)
    assert output.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ANY_SIZE if CASES.get(name, Case({})).tiles])
@pytest.mark.parametrize("stands", [False, True])
@torch.no_grad()
def test_tiles_make_the_whole(name: str, stands: bool, monkeypatch: pytest.MonkeyPatch):
    """inference/tiled.py: a network says `multiple` if it strides, takes means through GlobalMean, and that is all.

    In float64, so that no rounding hides a pixel that sees too little, or is made large by a threshold. The image is
    long, so that it has several tiles however far the network looks.
    """
    network, case = make(name)
    dtype, tolerance = (torch.float32, 1e-5) if name in SINGLE else (torch.float64, 1e-9)
    if name not in SINGLE:
        monkeypatch.setattr(Tensor, "float", Tensor.double)  # by which networks protect themselves from autocast
    for parameter in network.parameters():  # zeros would hide what they multiply
        if parameter.requires_grad:
            parameter.add_(torch.randn_like(parameter) * (0.1 if parameter.ndim > 1 else 0.02))
    network.eval().to(dtype)
    tiled, rough, call = Tiled(network, 24), Tiled(network, 24, overlap=0), case.calls[-1]
    for length in range(69, 3000, 32):
        size = (length, 21) if stands else (21, length)
        inputs = [tensor.to(dtype) for tensor in case.inputs(1, *size)]
        if len(tiled.tiles(*inputs, **call)) > 2:
            break
    whole = image_of(network(*inputs, **call))
    scale = float(whole.abs().max())
    result = image_of(tiled(*inputs, **call))
    torch.testing.assert_close(result, whole, rtol=tolerance, atol=tolerance * scale)
    if not stands and rough.tiles(*inputs, **call) != tiled.tiles(*inputs, **call):
        difference = (image_of(rough(*inputs, **call)) - whole).abs().max()
        assert difference > 100 * tolerance * scale, "this network could not tell tiles that see too little"


@every_network
@torch.no_grad()
def test_images_of_a_batch_do_not_meet(name: str) -> None:
    network, case = make(name)
    inputs = case.inputs(2, 9, 12)
    together = image_of(network.eval()(*inputs, **case.calls[0]))
    alone = image_of(network(*(tensor[:1] for tensor in inputs), **case.calls[0]))
    axis = together.ndim - 4  # networks with several outputs stack them in front of the batch
    scale = max(1.0, float(alone.abs().max()))  # of float32's errors, with weights as they are at the start
    torch.testing.assert_close(together.narrow(axis, 0, 1), alone, rtol=1e-5, atol=1e-5 * scale)


@every_network
def test_gradient_reaches_every_parameter(name: str) -> None:
    network, case = make(name)
    for call in case.calls:
        image_of(network(*case.inputs(2, 16, 16), **call)).square().mean().backward()
    unreached = [
        key for key, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert not unreached


@every_network
@torch.no_grad()
def test_runs_in_bfloat16(name: str) -> None:
    network, case = make(name)
    inputs = case.inputs(1, 16, 16)
    exact = image_of(network.eval()(*inputs, **case.calls[0]))
    with torch.autocast("cpu", torch.bfloat16):
        rough = image_of(network(*inputs, **case.calls[0]))
    assert not torch.equal(rough.float(), exact), "autocast did not reach the convolutions"
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)


@every_network
@torch.no_grad()
def test_weights_survive_a_file(name: str, tmp_path: Path) -> None:
    network, case = make(name)
    inputs = case.inputs(2, 9, 8)
    call = case.calls[0]
    network.train()(*inputs, **call)  # so that running statistics differ from new ones, too
    other, _ = make(name, seed=1)
    assert not torch.equal(image_of(other.eval()(*inputs, **call)), image_of(network.eval()(*inputs, **call)))

    save_weights(network, tmp_path / "net.safetensors")
    load_weights(other, tmp_path / "net.safetensors")
    torch.testing.assert_close(other.state_dict(), network.state_dict(), rtol=0, atol=0)
    assert torch.equal(image_of(other(*inputs, **call)), image_of(network(*inputs, **call)))


@every_network
def test_shared_weights_are_saved_once(name: str, tmp_path: Path) -> None:
    network, _ = make(name)
    save_weights(network, tmp_path / "net.safetensors")
    stored = sum(tensor.numel() for tensor in load_file(tmp_path / "net.safetensors").values())
    held = {id(tensor): tensor.numel() for tensor in network.state_dict(keep_vars=True).values()}
    assert stored == sum(held.values())


@every_network
@pytest.mark.slow
def test_compiles_as_one_graph(name: str) -> None:
    """The same image and the same gradients."""
    torch.compiler.reset()
    network, case = make(name)
    inputs = case.inputs(2, 9, 12)

    def results(call: Callable[..., Any]) -> list[Tensor | None]:
        network.zero_grad()
        output = image_of(call(*inputs, **case.calls[0]))
        output.square().mean().backward()
        return [output.detach(), *(p.grad for p in network.parameters())]

    expected = results(network)
    found = results(torch.compile(network, backend="aot_eager", fullgraph=True))
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


@pytest.mark.parametrize("name", ["EDSR"])
@torch.no_grad()
@pytest.mark.slow
def test_compiled_kernels(name: str) -> None:
    """The real compiler, which takes too long for more than one."""
    torch.compiler.reset()
    network, case = make(name)
    inputs = case.inputs(2, 9, 12)
    compiled = torch.compile(network.eval(), fullgraph=True)
    torch.testing.assert_close(compiled(*inputs), network(*inputs), rtol=1e-4, atol=1e-5)


@every_network
@torch.no_grad()
@pytest.mark.slow
def test_onnx_file_gives_the_same_image(name: str, tmp_path: Path) -> None:
    """For another size of image than those with which the exporter itself compares, where it can."""
    network, case = make(name)
    onnxruntime = pytest.importorskip("onnxruntime", minversion=case.onnxruntime)
    fixed = getattr(network, "patch_size", (24, 21)) if one_size(network) else None
    written = export(network, tmp_path / "net.onnx", size=fixed, arguments=case.calls[0])
    session = onnxruntime.InferenceSession(written.path, providers=["CPUExecutionProvider"])
    inputs = case.inputs(1 if fixed else 2, *(fixed or (19, 26)))
    fed = {given.name: tensor.numpy() for given, tensor in zip(session.get_inputs(), inputs, strict=True)}
    if not fixed:
        assert next(iter(written.inputs.values()))[0] == "batch"
    found = torch.from_numpy(session.run(None, fed)[0])
    torch.testing.assert_close(found, image_of(network(*inputs, **case.calls[0])), rtol=1e-4, atol=1e-5)
