"""net/weights/recognize.py: official files of every method tell their network, and ours are not applied as another."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from powerqe.net import NETWORKS, build_network, load_weights, save_weights
from powerqe.net.networks import full_spec
from powerqe.net.weights import renamed, spec
from powerqe.utils.checkpoint import save_checkpoint
from powerqe.utils.errors import UserError

State = dict[str, Tensor]
Convert = Callable[[Any, State], State]


def layered(prefix: str, layers: Callable[[Any], list[str]]) -> Convert:
    """Our names of layers in a row -> `prefix.N`, ReLUs counted."""

    def convert(network: Any, state: State) -> State:
        numbers = {layer: number for number, layer in enumerate(layers(network))}
        return {f"{prefix}.{numbers[n.rpartition('.')[0]]}.{n.rpartition('.')[2]}": t for n, t in state.items()}

    return convert


def stack(network: Any) -> list[str]:
    """Layers of DnCNN and DCAD."""
    units = [f"body.{i}.{layer}" for i in network.body.order for layer in range(len(network.body[0]))]
    return ["head", "relu", *units, "tail"]


def by_rules(*rules: tuple[str, Any]) -> Convert:
    return lambda _, state: {renamed(name, rules): tensor for name, tensor in state.items()}


FBCNN = by_rules(
    (r"^ups\.(\d)\.blocks\.(\d)\.", lambda m: f"m_up{3 - int(m[1])}.{int(m[2]) + 1}."),
    (r"^ups\.(\d)\.up\.", lambda m: f"m_up{3 - int(m[1])}.0."),
    (r"^ups\.(\d)\.(gamma|beta)\.", lambda m: f"to_{m[2]}_{3 - int(m[1])}.0."),
    (r"^downs\.(\d)\.", lambda m: f"m_down{int(m[1]) + 1}."),
    (r"\.conv1\.", ".res.0."), (r"\.conv2\.", ".res.2."), (r"^(head|tail)\.", r"m_\1."),
    (r"^(encoder|decoder)\.", r"m_body_\1."), (r"^estimator\.", "qf_pred."), (r"^embedding\.", "qf_embed."),
)  # fmt: skip
EDSR = ((r"^head\.", "head.0."), (r"\.conv1\.", ".body.0."), (r"\.conv2\.", ".body.2."))
EDSR_BASICSR = ((r"^head\.", "conv_first."), (r"^body\.3\.", "conv_after_body."), (r"^tail\.0\.", "upsample."),
                (r"^tail\.1\.", "conv_last."), (r"^(sub|add)_mean.*", "dropped"))  # fmt: skip
MDSR = (*EDSR, (r"^tail\.", "tail.0."), (r"(process|sample)\.x(\d)\.", lambda m: f"{m[1]}.{int(m[2]) - 2}."))
RCAN = ((r"^head\.", "head.0."), (r"\.blocks\.(\d)\.conv1\.", r".body.\1.body.0."),
        (r"\.blocks\.(\d)\.conv2\.", r".body.\1.body.2."), (r"^(body\.\d)\.conv\.", r"\1.body.3."),
        (r"\.blocks\.(\d)\.attention\.reduce\.", r".body.\1.body.3.conv_du.0."),
        (r"\.blocks\.(\d)\.attention\.expand\.", r".body.\1.body.3.conv_du.2."))  # fmt: skip
RCAN_BASICSR = ((r"^head\.", "conv_first."), (r"^body\.2\.", "conv_after_body."), (r"^tail\.0\.", "upsample."),
                (r"^tail\.1\.", "conv_last."), (r"\.blocks\.(\d)\.conv1\.", r".residual_group.\1.rcab.0."),
                (r"\.blocks\.(\d)\.conv2\.", r".residual_group.\1.rcab.2."),
                (r"\.blocks\.(\d)\.attention\.reduce\.", r".residual_group.\1.rcab.3.attention.1."),
                (r"\.blocks\.(\d)\.attention\.expand\.", r".residual_group.\1.rcab.3.attention.3."),
                (r"^(sub|add)_mean.*", "dropped"))  # fmt: skip
ESRGAN_V1 = ((r"^conv_first", "conv_in"), (r"^body", "rrdb_lst"), (r"^conv_body", "conv_mid"),
             (r"^conv_last", "conv_out"))  # fmt: skip
ESRGAN_AUTHORS = ((r"^body\.(\d)\.rdb(\d)", r"RRDB_trunk.\1.RDB\2"), (r"^conv_body", "trunk_conv"),
                  (r"^conv_up", "upconv"), (r"^conv_hr", "HRconv"))  # fmt: skip
ESRGAN_OLD = ((r"^body\.(\d)\.rdb(\d)\.(conv\d)", r"model.1.sub.\1.RDB\2.\3.0"), (r"^conv_body", "model.1.sub.2"),
              (r"^conv_first", "model.0"), (r"^conv_up1", "model.3"), (r"^conv_up2", "model.6"),
              (r"^conv_hr", "model.8"), (r"^conv_last", "model.10"))  # fmt: skip
STDF = ((r"^offsets\.downs\.(\d)", lambda m: f"ffnet.dn_conv{int(m[1]) + 1}"),
        (r"^offsets\.ups\.(\d)", lambda m: f"ffnet.up_conv{int(m[1]) + 1}"), (r"^offsets\.head", "ffnet.in_conv"),
        (r"^offsets\.bottom", "ffnet.tr_conv"), (r"^offsets\.tail", "ffnet.out_conv"),
        (r"^offsets\.predict", "ffnet.offset_mask"), (r"^fuse", "ffnet.deform_conv"),
        (r"^enhance\.0\.", "qenet.in_conv.0."), (r"^enhance\.8\.", "qenet.out_conv."),
        (r"^enhance\.(\d)\.", lambda m: f"qenet.hid_conv.{int(m[1]) - 2}."))  # fmt: skip
RBQE = ((r"^head\.", "inconv_lst."), (r"^levels\.(\d)\.down\.", r"down_\1.down_lst."),
        (r"^levels\.(\d)\.ups\.(\d)\.up\.", r"up_\1_\2.up."),
        (r"^levels\.(\d)\.ups\.(\d)\.merge\.", r"up_\1_\2.conv_lst."),
        (r"^levels\.(\d)\.exit\.", r"outconv_lst.\1."))  # fmt: skip
SEPARABLE = (r"^((?:in|out|down|up).*\.\d)\.([01])\.(weight|bias)$", r"\1.separable_conv.\2.\3")
CISR = ((r"^(deblock|enlarge)\.head\.", r"\1.head.0."), (r"\.mix\.", ".weight_3."),
        (r"\.groups\.(\d)\.blocks\.(\d)\.conv1\.", r".body.\1.body.\2.body.0."),
        (r"\.groups\.(\d)\.blocks\.(\d)\.conv2\.", r".body.\1.body.\2.body.2."),
        (r"\.groups\.(\d)\.blocks\.(\d)\.attention\.reduce\.", r".body.\1.body.\2.body.3.conv_du.0."),
        (r"\.groups\.(\d)\.blocks\.(\d)\.attention\.expand\.", r".body.\1.body.\2.body.3.conv_du.2."),
        (r"\.groups\.(\d)\.conv\.", r".body.\1.body.2."), (r"^enlarge\.", "SR."),
        (r"\.bandwidth\.", ".conv1."))  # fmt: skip


def cbdnet(network: Any, state: State) -> State:
    """Names of PowerQE v1, whose layers are each there under their own name."""
    unet = {ours: theirs for theirs, ours in network.denoiser._v1_names.items()}
    first = {layer: number for number, layer in enumerate(network._estimator_layers)}
    converted = {}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        layer, _, kind = rest.rpartition(".")
        converted[f"denoise.{unet[layer]}.{kind}" if part == "denoiser" else f"estimate.{first[layer]}.{kind}"] = tensor
    return converted


SMALL = {"num_features": 8}
OFFICIAL: dict[str, tuple[dict[str, Any], Convert]] = {
    "DnCNN, KAIR, gray": ({"type": "DnCNN", "in_channels": 1, "out_channels": 1, "num_features": 8, "depth": 20,
                           "share_weights": False}, layered("model", stack)),
    "DnCNN, KAIR, color": ({"type": "DnCNN", **SMALL, "share_weights": False}, layered("model", stack)),
    "DnCNN, v1, own weights": ({"type": "DnCNN", **SMALL, "share_weights": False}, layered("blk_lst", stack)),
    "DnCNN, v1, batch norm": ({"type": "DnCNN", **SMALL, "depth": 10, "batch_norm": True, "share_weights": False},
                              layered("blk_lst", stack)),
    "DCAD, v1": ({"type": "DCAD", **SMALL, "share_weights": False}, layered("blk_lst", stack)),
    "ARCNN, v1": ({"type": "ARCNN", "hidden_channels": [8, 6]}, by_rules((r"^layers\.", "blk_lst."))),
    "CBDNet, v1": ({"type": "CBDNet", "estimator_features": 6, "base_features": 4, "share_weights": False}, cbdnet),
    "CBDNet, v1, concat": ({"type": "CBDNet", "base_features": 4, "num_levels": 2, "merge": "concat",
                            "share_weights": False}, cbdnet),
    "RBQE, v1": ({"type": "RBQE", "num_features": 4, "num_levels": 3}, by_rules(*RBQE)),
    "RBQE, v1, gray": ({"type": "RBQE", "num_features": 4, "num_levels": 2, "in_channels": 1, "out_channels": 1,
                        "down": "avgpool", "up": "nearest", "channel_attention": False}, by_rules(*RBQE)),
    "RBQE, v1, separable": ({"type": "RBQE", "num_features": 4, "num_levels": 1, "separable": True},
                            by_rules(*RBQE, SEPARABLE)),
    "FBCNN, color": ({"type": "FBCNN", "num_features": [4, 6, 8, 10], "num_blocks": 2, "hidden_features": 12}, FBCNN),
    "FBCNN, gray": ({"type": "FBCNN", "num_features": [4, 4, 4, 4], "num_blocks": 4, "hidden_features": 8,
                     "in_channels": 1, "out_channels": 1}, FBCNN),
    "DRUNet, color": ({"type": "DRUNet", "widths": [4, 6, 8, 10], "num_blocks": 2}, by_rules()),
    "DRUNet, grey, blind": ({"type": "DRUNet", "in_channels": 1, "widths": [4, 6], "quality_map": False}, by_rules()),
    "QCN": ({"type": "QCN", **SMALL, "num_blocks": 3}, by_rules()),
    "QCN, gray": ({"type": "QCN", **SMALL, "num_blocks": 2, "in_channels": 1}, by_rules()),
    "QGCN": ({"type": "QGCN", **SMALL, "num_blocks": 4, "global_features": [2, 3, 4, 5], "hidden_features": 6},
             by_rules()),
    "EDSR, x2": ({"type": "EDSR", **SMALL, "num_blocks": 3}, by_rules(*EDSR)),
    "EDSR, x3": ({"type": "EDSR", **SMALL, "num_blocks": 3, "scale": 3}, by_rules(*EDSR)),
    "EDSR, x4, BasicSR": ({"type": "EDSR", **SMALL, "num_blocks": 3, "scale": 4}, by_rules(*EDSR_BASICSR)),
    "EDSR, wide": ({"type": "EDSR", "num_features": 256, "num_blocks": 1, "res_scale": 0.1}, by_rules(*EDSR)),
    "MDSR": ({"type": "MDSR", **SMALL, "num_blocks": 2}, by_rules(*MDSR)),
    "RCAN": ({"type": "RCAN", **SMALL, "num_groups": 2, "num_blocks": 3, "reduction": 4}, by_rules(*RCAN)),
    "RCAN, BasicSR": ({"type": "RCAN", **SMALL, "num_groups": 2, "num_blocks": 3, "reduction": 4, "scale": 4},
                      by_rules(*RCAN_BASICSR)),
    "SRCNN, PReLU": ({"type": "SRCNN", **SMALL, "upsampling": "tail", "num_blocks": 2, "activation": "prelu"},
                     by_rules((r"^head\.", "head.0."))),
    "ESRGAN, v1": ({"type": "ESRGAN", **SMALL, "num_blocks": 2, "growth_channels": 4}, by_rules(*ESRGAN_V1)),
    "ESRGAN, BasicSR, x4": ({"type": "ESRGAN", **SMALL, "num_blocks": 2, "growth_channels": 4, "scale": 4}, by_rules()),
    "ESRGAN, authors, x4": ({"type": "ESRGAN", **SMALL, "num_blocks": 2, "growth_channels": 4, "scale": 4},
                            by_rules(*ESRGAN_AUTHORS)),
    "ESRGAN, old, x4": ({"type": "ESRGAN", **SMALL, "num_blocks": 2, "growth_channels": 4, "scale": 4},
                        by_rules(*ESRGAN_OLD)),
    "STDF, R3": ({"type": "STDF", "fusion_features": 8, "num_features": 4, "enhance_features": 6, "enhance_layers": 5},
                 by_rules(*STDF)),
    "STDF, R1, color": ({"type": "STDF", "radius": 1, "in_channels": 3, "out_channels": 3, "num_levels": 2,
                         "fusion_features": 8, "num_features": 4, "enhance_features": 6, "enhance_layers": 5},
                        by_rules(*STDF)),
    "CISRPSI": ({"type": "CISRPSI", **SMALL, "scale": 3, "num_groups": [1, 2], "num_blocks": 2, "reduction": 4},
                by_rules(*CISR)),
}  # fmt: skip


def official(network: nn.Module, convert: Convert) -> State:
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    return {name: tensor for name, tensor in convert(network, state).items() if name != "dropped"}


@pytest.mark.parametrize("name", OFFICIAL)
def test_network_follows_from_an_official_file(name: str, tmp_path: Path) -> None:
    network_spec, convert = OFFICIAL[name]
    torch.manual_seed(0)
    source = build_network(network_spec)
    state = official(source, convert)
    torch.save({"params": state}, tmp_path / "official.pth")
    found = spec(tmp_path / "official.pth")

    assert full_spec(found) == full_spec(network_spec)
    load_weights(build_network(found), tmp_path / "official.pth")


def test_mfqe_from_the_variables_of_the_authors_program(root: Path, tmp_path: Path) -> None:
    recorded = np.load(root / "tests/data/mfqe.npz")
    variables = {name[3:]: recorded[name].astype(np.float32) for name in recorded if name.startswith("sd/")}
    np.savez(tmp_path / "model_step2.npz", **variables, global_step=np.int64(5))
    assert spec(tmp_path / "model_step2.npz") == {"type": "MFQE", "enhancer": "dense", "batch_norm": True}


def test_every_method_with_official_files_is_tested() -> None:
    tested = {"MFQE", *(network_spec["type"] for network_spec, _ in OFFICIAL.values())}
    assert {name for name in NETWORKS.names() if hasattr(NETWORKS[name], "options_of")} == tested


@pytest.mark.parametrize("name", ["DnCNN", "DCAD", "CBDNet"])
def test_layers_that_are_equal_are_shared(name: str, tmp_path: Path) -> None:
    """PowerQE v1 writes a shared layer under each of its names."""
    source = build_network({"type": name, "share_weights": True, **({} if name == "CBDNet" else SMALL)})
    separate = build_network({"type": name, "share_weights": False, **({} if name == "CBDNet" else SMALL)})
    save_weights(source, tmp_path / "own.safetensors")
    state = v1_names(separate, tmp_path / "own.safetensors")
    torch.save({"module_net": {f"module.{key}": tensor for key, tensor in state.items()}}, tmp_path / "v1.pt")
    assert spec(tmp_path / "v1.pt")["share_weights"] is True


def v1_names(separate: nn.Module, path: Path) -> State:
    """The tensors of a network that shares under the names of one that does not."""
    shared = load_file(path)
    state = {name: shared[re.sub(r"^(body|.*?\.2)\.\d+\.", r"\1.0.", name)] for name in separate.state_dict()}
    return (cbdnet if hasattr(separate, "denoiser") else layered("blk_lst", stack))(separate, state)


def test_several_networks_that_fit_are_named(tmp_path: Path) -> None:
    torch.save(build_network({"type": "ARCNN"}).state_dict(), tmp_path / "later.pth")
    with pytest.raises(UserError, match=r"later\.pth.*ARCNN.*ARCNN") as error:
        spec(tmp_path / "later.pth")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "state",
    [{"a": torch.ones(2)}, {"model.0.weight": torch.ones(2)}, {"head.0.weight": torch.ones(4, 3, 3, 3)},
     {f"model.{2 * n}.weight": torch.ones(1, 1, 3, 3) for n in range(7)}],  # the last one is IRCNN, whose layers dilate
    ids=["no name", "another shape", "part of a network", "another method"],
)  # fmt: skip
def test_a_file_of_no_method_here(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth"):
        spec(tmp_path / "other.pth")


# --------------------------------------------------------------------------- what our own files say

ARCNN = {"type": "ARCNN", "hidden_channels": [4], "kernel_sizes": [3, 3]}


def own_file(folder: Path, told: dict[str, Any], suffix: str = ".safetensors") -> Path:
    """Weights of ARCNN whose file tells a network."""
    path, network = folder / f"own{suffix}", build_network(ARCNN)
    if suffix == ".safetensors":
        save_weights(network, path, {"network": json.dumps(told)})
    else:
        save_checkpoint({"networks": {"net": network.state_dict()}, "options": {"network": told}}, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_are_not_applied_with_other_options(suffix: str, tmp_path: Path) -> None:
    path = own_file(tmp_path, {**ARCNN, "residual": True}, suffix)
    target = build_network(ARCNN)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(UserError, match=r"true.*false"):
        load_weights(target, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())
    load_weights(build_network({**ARCNN, "residual": True}), path)
    load_weights(build_network(spec(path)), path)
    load_weights(target, path, if_same_network=False)
    load_weights(target, path, skip=["layers.2"])


@pytest.mark.parametrize(
    "told", [ARCNN, {**ARCNN, "residual": False, "in_channels": 3}, {**ARCNN, "kernel_sizes": (3, 3)}]
)
def test_defaults_need_not_be_given(told: dict[str, Any], tmp_path: Path) -> None:
    """So that an option that is new does not keep older files out."""
    load_weights(build_network(ARCNN), own_file(tmp_path, told))
    load_weights(build_network({**ARCNN, "residual": False}), own_file(tmp_path, told))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({**ARCNN, "type": "DCAD"}, "holds the weights of DCAD, not of ARCNN"),
        ({**ARCNN, "type": "Gone"}, "holds the weights of Gone, not of ARCNN"),
        ({**ARCNN, "gone": 3}, "cannot be built.*gone"),
    ],
)
def test_a_network_that_is_another_one(told: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"own\.safetensors .*{message}"):
        load_weights(build_network(ARCNN), own_file(tmp_path, told))


def test_options_that_are_chosen_anew(tmp_path: Path) -> None:
    told = {"type": "RBQE", "num_features": 2, "num_levels": 1, "threshold": 0.3}
    save_weights(build_network(told), tmp_path / "rbqe.safetensors", {"network": json.dumps(told)})
    load_weights(build_network({**told, "threshold": 0.8, "codec": "hevc"}), tmp_path / "rbqe.safetensors")
    with pytest.raises(UserError, match=r"residual: true.*false"):
        load_weights(build_network({**told, "residual": False}), tmp_path / "rbqe.safetensors")


def test_both_networks_of_a_training(tmp_path: Path) -> None:
    judge = {"type": "VGGDiscriminator", "num_features": 2, "patch_size": [32, 32]}
    generator = {"type": "ESRGAN", "num_features": 2, "num_blocks": 1, "growth_channels": 2}
    networks = {"net": build_network(generator).state_dict(), "discriminator": build_network(judge).state_dict()}
    options = {"algorithm": {"type": "GAN", "discriminator": judge}, "network": generator}
    save_checkpoint({"networks": networks, "options": options}, tmp_path / "ckp.pt")
    assert spec(tmp_path / "ckp.pt") == generator
    for network in (generator, judge):
        load_weights(build_network(network), tmp_path / "ckp.pt")
    with pytest.raises(UserError, match=r"\[64, 64\]"):
        load_weights(build_network({**judge, "patch_size": [64, 64]}), tmp_path / "ckp.pt")


@pytest.mark.parametrize(
    "options", [None, "text", {}, {"network": None}, {"network": {"type": 3}}, {"network": "ARCNN"}]
)
def test_options_without_a_purpose(options: Any, tmp_path: Path) -> None:
    state = official(build_network({"type": "DCAD", "share_weights": False}), layered("blk_lst", stack))
    save_checkpoint({"networks": {"net": state}, "options": options}, tmp_path / "ckp.pt")
    assert spec(tmp_path / "ckp.pt")["type"] == "DCAD"


def test_metadata_that_are_damaged(tmp_path: Path) -> None:
    save_weights(build_network(ARCNN), tmp_path / "own.safetensors", {"network": "{"})
    with pytest.raises(UserError, match=r"own\.safetensors"):
        spec(tmp_path / "own.safetensors")
