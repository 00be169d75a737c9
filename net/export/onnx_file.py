"""From a network to an ONNX file that is known to give the same images."""

import io
import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from powerqe.net.export.check import SIZES, Difference, Session, Size, call, compare, first_line, flat
from powerqe.net.export.inputs import Inputs
from powerqe.net.ops.dcn import forced_backend
from powerqe.net.weights.entry import Entry
from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path

OPSET = 20
SIZE_LIMIT = 2**31
"""Bytes of a file of Google's protocol buffers, which ONNX is; weights next to it would be easily lost."""
TOLERANCE = 1e-4
_RANGE = "float32, NCHW (a clip NTCHW), in [0, 1]; the output is not clamped"


@dataclass(frozen=True)
class OnnxFile:
    """What was written.

    Attributes:
        inputs, outputs: name -> its axes, numbers or names.
        optional: inputs that may be left out.
        differences: from PyTorch, at each size that was tried.
        fixed: why height and width are those of one size; empty if they are free.
    """

    path: Path
    inputs: dict[str, list[int | str]]
    outputs: dict[str, list[int | str]]
    optional: tuple[str, ...]
    differences: list[Difference]
    fixed: str


def export(
    network: nn.Module,
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    arguments: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    opset: int = OPSET,
    tolerance: float = TOLERANCE,
) -> OnnxFile:
    """Write a network as an ONNX file, once onnxruntime has given what PyTorch gives.

    Batch, height and width are free where the network allows. Inputs have the names of the forward's parameters;
    outputs are `image` and, `estimated_...`, what `network.estimates` names.

    Args:
        network: on the CPU; it is put into evaluation mode.
        size: (height, width) of the images; None: any.
        arguments: of the forward, fixed in the file.
        metadata: further properties of the file.
        opset: version of ONNX's operators.
        tolerance: see powerqe.net.export.check.

    Raises:
        UserError: onnx, onnxscript or onnxruntime are missing; the network cannot be exported so; its weights are too
            large for one file; or onnxruntime gives something else. Nothing is written then.
    """
    onnx = _onnx()
    inputs = Inputs.of(network.eval(), arguments or {})
    size, fixed = _size(network, size)
    _check_weights(network)
    batch = 1 if one_size(network) else 2
    with _quiet():
        model = _model(inputs, (batch, *(size or _example_size(network))), is_free=not size, opset=opset)
        _complete(model, inputs, metadata or {}, onnx)
        _validate(model, opset, onnx)
    content = model.SerializeToString()
    sizes: tuple[Size, ...] = tuple((number, *size) for number in range(1, batch + 1)) if size else SIZES
    differences = list(compare(Session(content), inputs, sizes, tolerance))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return OnnxFile(
        Path(path),
        {value.name: _axes(value) for value in model.graph.input},
        {value.name: _axes(value) for value in model.graph.output},
        inputs.conditions,
        differences,
        fixed,
    )


def properties(
    name: str, spec: Mapping[str, Any], card: Entry | None = None, arguments: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Properties for the ONNX file of a network.

    Args:
        name: of its weights.
        spec: of the network, as `powerqe.net.build_network` takes it.
        card: of the weights, if they are published ones.
        arguments: of the forward that are fixed in the file.
    """
    found = {"powerqe": _version(), "weights": name, "network": json.dumps(dict(spec)), "range": _RANGE}
    if arguments:
        found["arguments"] = json.dumps(dict(arguments))
    if card:
        found |= {"task": card.task, "color": card.color, "scale": str(card.scale)}
        found |= {"qualities": str(card.qualities or ""), "license": card.license}
    return {key: value for key, value in found.items() if value}


def _version() -> str:
    try:
        return version("powerqe")
    except PackageNotFoundError:  # it runs out of a copy of its sources
        return "unknown"


def _onnx() -> Any:
    """The package onnx, if the others of the extra are there, too."""
    try:
        import onnx  # these are imported here: only who exports needs them
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"no ONNX without {error.name}: pip install 'powerqe[export]'") from None
    return onnx


def one_size(network: nn.Module) -> str:
    """Why the network cannot be exported for any size; empty if it can."""
    if hasattr(network, "patch_size"):
        return f"{type(network).__name__} takes no other"
    return next((str(module.one_size) for module in network.modules() if hasattr(module, "one_size")), "")


def _size(network: nn.Module, size: tuple[int, int] | None) -> tuple[tuple[int, int] | None, str]:
    """The one size of images, or None, and why it is the only one."""
    reason, name = one_size(network), type(network).__name__
    patch = getattr(network, "patch_size", None)
    if patch and size not in (None, patch):
        raise UserError(f"{name} takes images of {patch[1]}x{patch[0]} only; leave --size out")
    if reason and not (size or patch):
        raise UserError(f"{reason}, so its file is for one size: give it by --size WIDTHxHEIGHT")
    return size or patch, reason or ("it was requested" if size else "")


def _example_size(network: nn.Module) -> tuple[int, int]:
    """Height and width with which a file of free sizes is made: no side is 1 at any depth, for 1 would be no size."""
    multiple = getattr(network, "multiple", 1)
    return 2 * multiple + 8, 3 * multiple + 3


def _check_weights(network: nn.Module) -> None:
    held = {id(tensor): tensor.nbytes for tensor in network.state_dict(keep_vars=True).values()}
    if (size := sum(held.values())) >= SIZE_LIMIT - 2**24:
        raise UserError(f"{size / 2**30:.1f} GiB of weights do not fit into an ONNX file, which ends at 2 GiB")


def _model(inputs: Inputs, size: Size, *, is_free: bool, opset: int) -> Any:
    """The onnx.ModelProto, with the axes' names."""
    example, names = inputs.example(*size), inputs.axes()
    small = inputs.example(1, 16, 16) if is_free else example
    results = flat(call(inputs, small))  # also, a mistake in the arguments is found here, in clear words
    free = {"batch"} if size[0] > 1 else set()
    free |= {"height", "width"} if is_free else set()
    axes = {name: {axis: word for axis, word in names[name].items() if word in free} for name in example}
    dynamic: dict[str, Any] = {name: dict.fromkeys(each, torch.export.Dim.DYNAMIC) for name, each in axes.items()}
    try:
        with forced_backend("torchvision"), torch.no_grad():  # whose operator ONNX has
            program = torch.export.export(
                inputs.network,
                (),
                {**example, **inputs.fixed},
                dynamic_shapes={**dynamic, **dict.fromkeys(inputs.fixed)},
                strict=False,
            )
            exported = torch.onnx.export(
                program,
                (),
                kwargs={**example, **inputs.fixed},
                dynamic_shapes=axes,  # here: the names
                input_names=list(example),
                output_names=_output_names(inputs, results),
                opset_version=opset,
                custom_translation_table=_translations(),
                verbose=False,
            )
    except Exception as error:  # of any class, as any part of PyTorch may fail
        if isinstance(error, UserError):
            raise
        reason = first_line(error)
        if "data-dependent" in reason:
            reason = "what it computes depends on what is in the image, and an ONNX file always computes the same"
        elif is_free:
            reason += "; with one size it may be possible: --size WIDTHxHEIGHT"
        arguments = ", ".join(f"{name} {value!r}" for name, value in inputs.fixed.items())
        what = f"{type(inputs.network).__name__}{f' with {arguments}' if arguments else ''}"
        raise UserError(f"PyTorch cannot export {what}: {reason}") from error
    assert exported is not None
    return exported.model_proto


def _output_names(inputs: Inputs, results: list[Tensor]) -> list[str]:
    names = ["image" if results[0].ndim > 3 else "output"]
    names += [f"estimated_{name}" for name in getattr(inputs.network, "estimates", {})]
    return [*names, *(f"output{number}" for number in range(len(names), len(results)))][: len(results)]


def _complete(model: Any, inputs: Inputs, metadata: Mapping[str, str], onnx: Any) -> None:
    """Add defaults of what may be left out, and the metadata; take out where the exporting machine has its programs."""
    for name in inputs.conditions:
        model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, (1, 1), [math.nan]))
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    model.producer_name = "PowerQE"
    onnx.helper.set_model_props(model, dict(metadata))


def _validate(model: Any, opset: int, onnx: Any) -> None:
    found = next(each.version for each in model.opset_import if not each.domain)
    if found != opset:  # the exporter only remarks on it
        raise UserError(f"onnx cannot write this network with opset {opset}; leave --opset out")
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise UserError(f"opset {opset} has not all that the network needs ({first_line(error)})") from error


def _axes(value: Any) -> list[int | str]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own work, some of which it prints."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Operators that PyTorch's exporter does not know -> what writes them, for its `custom_translation_table`."""
    import onnxscript  # imported here: only who exports needs it

    op: Any = onnxscript.opset18

    def cdist(a: Any, b: Any, p: float = 2.0, compute_mode: int | None = None) -> Any:
        """Euclidean distances by |a|^2 - 2 ab + |b|^2, for whatever mode: in float64 nothing drowns in rounding."""
        if p != 2:
            raise NotImplementedError(f"cdist with p = {p}")
        a, b = (op.Cast(x, to=onnxscript.DOUBLE.dtype) for x in (a, b))
        last = op.Constant(value_ints=[-1])
        squares_a, squares_b = (op.ReduceSumSquare(x, last, keepdims=1) for x in (a, b))
        products = op.MatMul(a, op.Transpose(b, perm=[1, 0]))
        squares = op.Sub(op.Add(squares_a, op.Transpose(squares_b, perm=[1, 0])), op.Add(products, products))
        zero = op.CastLike(op.Constant(value_float=0.0), squares)
        return op.Cast(op.Sqrt(op.Max(squares, zero)), to=onnxscript.FLOAT.dtype)

    return {torch.ops.aten._cdist_forward.default: cdist}
