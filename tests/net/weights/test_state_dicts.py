"""net/weights/state_dicts.py: every way weights come in, what goes out, and files that must be refused."""

import io
import os
import pickle
import re
import zipfile
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from powerqe.net import build_network, load_weights, save_weights
from powerqe.net.weights import read_metadata, spec
from powerqe.net.weights.pickled import _Inert, _Reader, read_modules
from powerqe.utils.errors import UserError

V1File = Callable[[dict[str, Tensor]], Path]
SMALL = {"type": "DnCNN", "num_features": 4, "depth": 4}


def network(seed: int = 0, **arguments: Any) -> nn.Module:
    torch.manual_seed(seed)
    return build_network({**SMALL, **arguments})


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


WRAPPERS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "bare": lambda state: state,
    "params": lambda state: {"params": state},
    "params_ema": lambda state: {"params_ema": state, "params": {n: t + 1 for n, t in state.items()}},
    "state_dict": lambda state: {"state_dict": state, "meta": {"epoch": 3}},
    "mmediting": lambda state: {"state_dict": {**prefixed("generator.", state), "step_counter": torch.tensor(3)}},
    "module_net": lambda state: {"module_net": prefixed("module.", state), "iter": 5},
    "module_gen": lambda state: {"module_dis": {"linear.weight": torch.ones(3)}, "module_gen": state},
    "module_dis": lambda state: {"module_gen": {"linear.weight": torch.ones(3)}, "module_dis": state},
    "mmediting, second": lambda state: {
        "state_dict": {**prefixed("discriminator.", state), "generator.a": torch.ones(2)}
    },
    "v2": lambda state: {"idx_iter": 5, "network": {"net": prefixed("module.", state)}},
    "compiled": lambda state: prefixed("_orig_mod.", state),
    "ddp of compiled": lambda state: prefixed("module._orig_mod.", state),
    "compiled ddp": lambda state: {"params": prefixed("_orig_mod.module.", state)},
    "training": lambda state: {"format": 1, "step": 9, "networks": {"net": state}, "ema": None},
    "training, ema of none": lambda state: {"format": 1, "networks": {"net": state}, "ema": {"net": None}},
    "model_state_dict": lambda state: {"model_state_dict": state, "epoch": 1, "optimizer_state_dict": {"state": {}}},
    "model": lambda state: {"model": state},
    "net": lambda state: {"net": prefixed("module.", state)},
    "netG": lambda state: {"netG": state},
    "lightning": lambda state: {"state_dict": prefixed("model.", state), "pytorch-lightning_version": "2"},
    "lightning, net": lambda state: {"state_dict": {**prefixed("net.", state), "loss.weight": torch.ones(3)}},
    "training, two networks": lambda state: {"format": 1, "networks": {"dis": {"a": torch.ones(2)}, "net": state}},
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_and_prefixes(wrapper: str, tmp_path: Path) -> None:
    source, target = network(1), network(2)
    torch.save(WRAPPERS[wrapper](dict(source.state_dict())), tmp_path / "weights.pt")
    assert not same(source, target)
    load_weights(target, tmp_path / "weights.pt")
    assert same(source, target)


def test_moving_average_is_preferred(tmp_path: Path) -> None:
    trained, average, target = network(1), network(2), network(3)
    ema = AveragedModel(average)
    ema.update_parameters(average)
    checkpoint = {"format": 1, "networks": {"net": trained.state_dict()}, "ema": {"net": ema.state_dict()}}
    assert "n_averaged" in checkpoint["ema"]["net"]
    torch.save(checkpoint, tmp_path / "ckp-last.pt")
    load_weights(target, tmp_path / "ckp-last.pt")
    assert same(average, target)


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpy_scalar_in_either_spelling(module: str, v1_file: V1File, tmp_path: Path) -> None:
    source, target = network(1, share_weights=False), network(2, share_weights=False)
    written = v1_file(dict(source.state_dict()))
    path = tmp_path / "spelled.pt"
    with zipfile.ZipFile(written) as old, zipfile.ZipFile(path, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith("data.pkl"):
                assert b"core.multiarray\nscalar\n" in content
                content = content.replace(b"numpy._core.", b"numpy.core.").replace(
                    b"numpy.core.multiarray", module.encode()
                )
            new.writestr(item, content)
    load_weights(target, path)
    assert same(source, target)


def test_half_precision_file(tmp_path: Path) -> None:
    source, target = network(1), network(2)
    torch.save(source.half().state_dict(), tmp_path / "half.pt")
    load_weights(target, tmp_path / "half.pt")
    assert all(p.dtype == torch.float32 for p in target.parameters())
    assert same(source.float(), target)


# --------------------------------------------------------------------------- our own file


class Tied(nn.Module):
    """One layer under two names, as some networks hold it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = self.first
        self.last = nn.Linear(3, 3)


def test_layer_under_two_names_is_stored_once(tmp_path: Path) -> None:
    source, target = Tied(), Tied()
    path = tmp_path / "tied.safetensors"
    save_weights(source, path)
    assert set(load_file(path)) == {"first.weight", "first.bias", "last.weight", "last.bias"}
    load_weights(target, path)
    assert same(source, target)
    assert target.second is target.first


def test_layer_under_two_names_in_other_files(tmp_path: Path) -> None:
    source, target = Tied(), Tied()
    both = dict(source.state_dict())
    second = {name: tensor for name, tensor in both.items() if not name.startswith("first")}
    for state in (both, second):
        torch.save(state, tmp_path / "tied.pt")
        load_weights(target, tmp_path / "tied.pt")
        assert same(source, target)

    torch.save({**both, "second.bias": both["second.bias"] + 1}, tmp_path / "untied.pt")
    assert "1 shared by the network but not in the file" in refused(Tied(), tmp_path / "untied.pt")


def test_metadata_and_memory_format(tmp_path: Path) -> None:
    source, target = network(1).to(memory_format=torch.channels_last), network(2)
    path = tmp_path / "folder" / "net.safetensors"
    save_weights(source, path, {"data": "BSDS500 QF 10"})
    assert read_metadata(path) == {"data": "BSDS500 QF 10"}
    load_weights(target, path)
    assert same(source, target)

    save_weights(source, path)  # replaces
    assert read_metadata(path) == {}


def test_wrapped_network_is_saved_under_plain_names(tmp_path: Path) -> None:
    source, target = network(1), network(2)
    save_weights(AveragedModel(source), tmp_path / "ema.safetensors")
    assert set(load_file(tmp_path / "ema.safetensors")) == set(source.state_dict())
    load_weights(target, tmp_path / "ema.safetensors")
    assert same(source, target)


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.safetensors"
    save_weights(network(1), path)
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(network(2), path)
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]
    assert path.read_bytes() == before


def test_other_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"net\.pt.*\.safetensors"):
        save_weights(network(), tmp_path / "net.pt")
    assert not any(tmp_path.iterdir())


# --------------------------------------------------------------------------- what does not fit


def refused(target: nn.Module, path: Path) -> str:
    """Load, which must fail with one line that names the file and leave the network as it was."""
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(UserError) as error:
        load_weights(target, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_mismatch_lists_every_kind(tmp_path: Path) -> None:
    state = dict(network(1, share_weights=False).state_dict())
    del state["tail.bias"]
    state["head.weight"] = torch.zeros(4, 3, 5, 5)
    state |= {f"extra{number}": torch.zeros(1) for number in range(5)}
    torch.save({"params": state}, tmp_path / "other.pth")
    message = refused(network(2, share_weights=False), tmp_path / "other.pth")
    assert "DnCNN" in message
    assert "1 missing (tail.bias)" in message
    assert "5 unexpected (extra0, extra1, extra2, ...)" in message
    assert "head.weight: (4, 3, 5, 5) in the file, (4, 3, 3, 3)" in message


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("tail.bias"), "1 missing (tail.bias)"),
        (lambda state: state.update(extra=torch.zeros(1)), "1 unexpected (extra)"),
        (lambda state: state.update({"tail.bias": torch.zeros(1)}), "1 of another shape (tail.bias: (1,) in the file"),
    ],
)
def test_one_mismatch_is_enough(change: Callable[[dict[str, Tensor]], Any], problem: str, tmp_path: Path) -> None:
    state = dict(network(1).state_dict())
    change(state)
    torch.save(state, tmp_path / "almost.pt")
    assert problem in refused(network(2), tmp_path / "almost.pt")


def test_weights_of_another_network(tmp_path: Path) -> None:
    save_weights(Tied(), tmp_path / "tied.safetensors")
    message = refused(network(), tmp_path / "tied.safetensors")
    assert "6 missing (head.weight, head.bias, body.0.0.weight, ...)" in message
    assert "4 unexpected (first.bias, first.weight, last.bias, ...)" in message
    save_weights(build_network({"type": "ARCNN"}), tmp_path / "arcnn.safetensors")  # some of its names exist here
    assert "2 missing (tail.weight, tail.bias)" in refused(network(), tmp_path / "arcnn.safetensors")


def test_best_fitting_state_is_the_one_reported(tmp_path: Path) -> None:
    state = dict(network(1).state_dict())
    del state["tail.bias"]
    torch.save({"networks": {"dis": {"a": torch.ones(2), "b": torch.ones(2)}, "net": state}}, tmp_path / "ckp.pt")
    assert "1 missing (tail.bias);" in refused(network(2), tmp_path / "ckp.pt")


# --------------------------------------------------------------------------- parts that need not fit

ENLARGES = {"type": "EDSR", "num_features": 4, "num_blocks": 1}


@pytest.mark.parametrize(("before", "after"), [(2, 3), (2, 4), (4, 2), (3, 4)])
def test_weights_of_another_scale_but_for_the_tail(before: int, after: int, tmp_path: Path) -> None:
    source, target = (build_network({**ENLARGES, "scale": scale}) for scale in (before, after))
    fresh = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    save_weights(source, tmp_path / "source.safetensors")
    assert "does not fit this EDSR" in refused(target, tmp_path / "source.safetensors")

    skipped = load_weights(target, tmp_path / "source.safetensors", skip=["tail"])
    assert set(skipped) == {
        name
        for name, tensor in fresh.items()
        if (old := source.state_dict().get(name)) is None or old.shape != tensor.shape
    }
    assert {name.rsplit(".", 1)[0] for name in skipped} <= {"tail.0.0", "tail.0.2"}
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, fresh[name] if name in skipped else source.state_dict()[name]), name


def test_skipped_part_of_a_file_with_other_names(tmp_path: Path) -> None:
    """`upsample.2` of BasicSR is our `tail.0.2`, which a network for x2 has not."""
    source, target = (build_network({**ENLARGES, "scale": scale}) for scale in (4, 2))
    state = {re.sub(r"^tail\.0\.", "upsample.", name): tensor for name, tensor in source.state_dict().items()}
    assert "upsample.2.weight" in state
    torch.save({"params": state}, tmp_path / "x4.pth")
    assert "2 unexpected (upsample.2.weight, upsample.2.bias)" in refused(target, tmp_path / "x4.pth")
    assert load_weights(target, tmp_path / "x4.pth", skip=["tail"]) == []
    assert torch.equal(target.state_dict()["tail.0.0.weight"], source.state_dict()["tail.0.0.weight"])


def test_other_parts_must_fit_all_the_same(tmp_path: Path) -> None:
    save_weights(build_network({**ENLARGES, "num_features": 5}), tmp_path / "wide.safetensors")
    with pytest.raises(UserError, match=r"8.*body\.0\.conv1\.bias") as error:
        load_weights(build_network(ENLARGES), tmp_path / "wide.safetensors", skip=["tail"])
    assert "tail" not in str(error.value)


def test_part_that_the_network_has_not(tmp_path: Path) -> None:
    save_weights(build_network(ENLARGES), tmp_path / "net.safetensors")
    expected = "skip: EDSR has no weights under 'tial' (did you mean 'tail'?); it has: sub_mean, head, body, tail,"
    with pytest.raises(UserError, match=re.escape(expected)):
        load_weights(build_network(ENLARGES), tmp_path / "net.safetensors", skip=["body.0", "tial"])


def test_part_is_a_whole_name(tmp_path: Path) -> None:
    """`body.1` is not the beginning of `body.10`."""
    source, target = (build_network({**ENLARGES, "num_blocks": blocks}) for blocks in (10, 11))
    save_weights(source, tmp_path / "net.safetensors")
    with pytest.raises(UserError, match=r"6 missing"):
        load_weights(target, tmp_path / "net.safetensors", skip=["body.1"])
    load_weights(target, tmp_path / "net.safetensors", skip=["body.10", "body.11"])


# --------------------------------------------------------------------------- what is no checkpoint, or worse


class Bomb:
    """Runs code when it is unpickled by a reader that runs code."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


class Container(list[Any]):
    """A list with a class of its own, as configurations come."""


class Rebuilt:
    """A tensor that says it has a size."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def __reduce__(self) -> tuple[Any, ...]:
        storage = torch.zeros(9)._typed_storage()
        return torch._utils._rebuild_tensor_v2, (storage, 0, self.size, (3, 1), False, {})


def write_pickle(value: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


def write_new_pickle(value: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, protocol=4))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite(value: float, tmp_path: Path) -> None:
    state = dict(network(1).state_dict())
    state["tail.bias"] = torch.tensor([0.0, value, 0.0])
    torch.save(state, tmp_path / "nan.pt")
    assert "(tail.bias)" in refused(network(2), tmp_path / "nan.pt")


def test_bytes_that_do_not_fit_their_checksum(tmp_path: Path) -> None:
    torch.save(network(1).state_dict(), tmp_path / "sound.pt")
    data = bytearray((tmp_path / "sound.pt").read_bytes())
    weights = network(1).state_dict()["head.weight"].numpy().tobytes()
    data[data.index(weights) + 5] ^= 0x40
    (tmp_path / "flip.pt").write_bytes(data)
    torch.load(tmp_path / "flip.pt", weights_only=True)  # PyTorch sees nothing
    assert "damaged" in refused(network(2), tmp_path / "flip.pt")


@pytest.mark.parametrize("content", [{}, {"epoch": 3, "a" * 99: 1, "b": 2, "c": 3}, [1], 5, {"state_dict": {}}])
def test_what_is_there_instead_of_weights(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "empty.pt")
    message = refused(network(2), tmp_path / "empty.pt")
    assert "holds no weights" in message
    assert len(message) - len(str(tmp_path)) < 160


@pytest.mark.parametrize(
    ("write", "reason"),
    [(torch.save, r"code \(\w+\.mkdir\)"), (write_pickle, r"code \(\w+\.mkdir\)"), (write_new_pickle, "no checkpoint")],
)
def test_pickled_code_is_not_run(
    write: Callable[[Any, Path], Any], reason: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path, trace = tmp_path / "bomb.pt", tmp_path / "exploded"
    write({"iter": 3, "module_net": Bomb(trace)}, path)
    message = refused(network(2), path)
    assert not trace.exists()
    assert re.search(reason, message)
    assert not recwarn.list  # the error is the one line that the user sees


def test_pickled_code_of_the_test_would_run(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert (tmp_path / "exploded").exists()


def save_old(value: Any, path: Path) -> None:
    """As PyTorch wrote before 1.6."""
    torch.save(value, path, _use_new_zipfile_serialization=False)


both_formats = pytest.mark.parametrize("save", [torch.save, save_old])


@both_formats
def test_weights_of_a_network_that_was_pickled_whole(save: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"batch_norm": True, "share_weights": False}  # running statistics, layers without bias
    source, target = network(1, **arguments), network(2, **arguments)
    source(torch.rand(2, 3, 8, 8))
    source.register_buffer("grid", torch.ones(2), persistent=False)
    source.register_module("nothing", None)
    for content in (source, {"epoch": 3, "model": source}, {"models": [source.double()], "opt": Namespace(lr=0.1)}):
        save(content, tmp_path / "whole.pt")
        load_weights(target, tmp_path / "whole.pt")
        assert same(source, target)
        target = network(3, **arguments)


@both_formats
def test_weights_of_a_pickled_network_that_shares_and_views(save: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    source, target = Tied(), Tied()
    everything = torch.arange(40.0).requires_grad_()
    source.first.weight = nn.Parameter(everything.detach()[5:14].view(3, 3).T)  # neither at the start nor in order
    source.last.bias = nn.Parameter(torch.ones(1).expand(3))
    save(nn.DataParallel(source), tmp_path / "whole.pt")
    load_weights(target, tmp_path / "whole.pt")
    assert same(source, target)
    assert target.first.weight.tolist() == [[5, 8, 11], [6, 9, 12], [7, 10, 13]]


@both_formats
def test_best_of_several_pickled_networks(save: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    source, target = network(1), network(2)
    save({"loss": nn.Linear(2, 2), "nets": (nn.Linear(3, 3), source)}, tmp_path / "whole.pt")
    load_weights(target, tmp_path / "whole.pt")
    assert same(source, target)
    assert "does not fit this Tied" in refused(Tied(), tmp_path / "whole.pt")


@both_formats
def test_pickled_code_next_to_a_network_is_not_run(save: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    source, target, trace = network(1), network(2), tmp_path / "exploded"
    source.bomb = Bomb(trace)  # pyright: ignore[reportArgumentType]
    save({"opt": [Bomb(trace), {Bomb(trace): 1}], "model": source, "more": Container([Bomb(trace)])}, tmp_path / "a.pt")
    load_weights(target, tmp_path / "a.pt")
    assert same(source, target)
    assert not trace.exists()


@both_formats
def test_pickled_code_in_the_place_of_weights(save: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    source, trace = network(1), tmp_path / "exploded"
    source._parameters["scale"] = Bomb(trace)  # type: ignore[assignment]
    save(source, tmp_path / "bomb.pt")
    assert "truncated, damaged or no checkpoint" in refused(network(2), tmp_path / "bomb.pt")
    source._parameters["scale"] = None
    source._modules["body"] = Bomb(trace)  # type: ignore[assignment]
    save(source, tmp_path / "bomb.pt")
    assert "truncated, damaged or no checkpoint" in refused(network(2), tmp_path / "bomb.pt")
    assert not trace.exists()


class Call:
    """Calls any function when it is unpickled by a reader that runs code."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def test_nothing_of_the_interpreter_can_be_named(tmp_path: Path) -> None:
    trace = tmp_path / "exploded"
    calls = [
        Call(os.mkdir, str(trace)),
        Call(exec, f"import os; os.mkdir({str(trace)!r})"),
        Call(eval, f"__import__('os').mkdir({str(trace)!r})"),
        Call(partial(os.mkdir, str(trace))),
    ]
    for call in calls:
        for protocol in range(2, 6):
            content = pickle.dumps(call, protocol)
            assert isinstance(_Reader(io.BytesIO(content)).load(), _Inert)
            assert not trace.exists()
            pickle.loads(content)
            assert trace.is_dir()
            trace.rmdir()


def test_files_that_pytorch_did_not_write_hold_no_modules(tmp_path: Path) -> None:
    write_pickle({"model": network(1)}, tmp_path / "plain.pkl")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("model/weights.txt", "1 2 3")
    for name in ("plain.pkl", "other.zip"):
        assert read_modules(tmp_path / name) == {}


@both_formats
@pytest.mark.parametrize("size", [(3, 4), (-3, 3), (2**40, 2**40)])
def test_pickled_tensor_larger_than_its_numbers(
    size: tuple[int, int], save: Callable[[Any, Path], Any], tmp_path: Path
) -> None:
    source = Tied()
    source._parameters["more"] = Rebuilt(size)  # type: ignore[assignment]
    save(source, tmp_path / "wide.pt")
    assert "truncated, damaged or no checkpoint" in refused(Tied(), tmp_path / "wide.pt")


@both_formats
def test_damaged_pickled_network(save: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "whole.pt"
    save(Tied(), path)
    content = path.read_bytes()
    for length in [*range(0, len(content), 101), len(content) - 1]:
        path.write_bytes(content[:length])
        assert "truncated, damaged or no checkpoint" in refused(Tied(), path)


def damaged_files() -> dict[str, bytes]:
    state = dict(network(1).state_dict())
    modern, legacy = io.BytesIO(), io.BytesIO()
    torch.save(state, modern)
    torch.save(state, legacy, _use_new_zipfile_serialization=False)
    return {
        "empty.pt": b"",
        "text.pt": b"not a checkpoint\n" * 20,
        "zeros.pt": bytes(2000),
        "half.pt": modern.getvalue()[: len(modern.getvalue()) // 2],
        "nearly.pt": modern.getvalue()[:-1],
        "legacy_half.pt": legacy.getvalue()[: len(legacy.getvalue()) // 2],
        "empty.safetensors": b"",
        "text.safetensors": b"not a checkpoint\n" * 20,
    }


@pytest.mark.parametrize("name", damaged_files())
def test_damaged_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(damaged_files()[name])
    assert "truncated, damaged or no checkpoint" in refused(network(2), tmp_path / name)


def test_truncated_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_weights(network(1), path)
    path.write_bytes(path.read_bytes()[:-10])
    assert "truncated" in refused(network(2), path)
    with pytest.raises(UserError, match=r"net\.safetensors is damaged"):
        read_metadata(path)


@pytest.mark.parametrize("content", [{}, [1, 2], {"iter": 3, "loss": [0.1]}, torch.ones(3), {"params": {}}])
def test_no_weights_in_it(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert "holds no weights" in refused(network(), tmp_path / "x.pt")


@pytest.mark.parametrize(
    "content", [lambda state: {"student": state}, lambda state: {"epoch": torch.ones(1), "all": {"teacher": state}}]
)
def test_wrapper_that_nobody_knows(content: Callable[[Any], Any], tmp_path: Path) -> None:
    torch.save(content(network(1).state_dict()), tmp_path / "x.pt")
    target = network(2)
    load_weights(target, tmp_path / "x.pt")
    assert torch.equal(target.state_dict()["tail.weight"], network(1).state_dict()["tail.weight"])


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "weights"])
def test_network_that_nobody_knows(key: str, tmp_path: Path) -> None:
    torch.save({key: {"model.toy.weight": torch.ones(2, 3), "model.toy.bias": torch.ones(2)}}, tmp_path / "x.pt")
    with pytest.raises(UserError, match=r"x\.pt .*2 tensors"):
        spec(tmp_path / "x.pt")


@pytest.mark.parametrize("name", ["absent.pt", "absent.safetensors", ""])
def test_no_such_file(name: str, tmp_path: Path) -> None:
    assert "no weights file" in refused(network(), tmp_path / name)
    with pytest.raises(UserError, match="no weights file"):
        read_metadata(tmp_path / name)


@pytest.mark.parametrize("half_size", [True, False])
def test_a_network_for_gray_from_one_for_colors(half_size: bool, tmp_path: Path) -> None:
    """On R = G = B it gives the mean of what the other gives."""
    torch.manual_seed(0)
    options = {"type": "DRUNet", "widths": [8, 16], "num_blocks": 1, "half_size": half_size, "quality_map": False}
    color, gray = (build_network({**options, "in_channels": channels}).eval() for channels in (3, 1))
    save_weights(color, tmp_path / "color.safetensors")
    with pytest.raises(UserError, match="of another shape"):
        load_weights(gray, tmp_path / "color.safetensors", if_same_network=False)
    assert load_weights(gray, tmp_path / "color.safetensors", to_gray=True) == []
    image = torch.rand(1, 1, 24, 16)
    with torch.inference_mode():
        expected = color(image.expand(-1, 3, -1, -1)).mean(1, keepdim=True)
        torch.testing.assert_close(gray(image), expected, rtol=1e-5, atol=1e-5)
