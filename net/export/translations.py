"""Operators that PyTorch's exporter does not know, in ONNX."""

from collections.abc import Callable
from typing import Any

import torch


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Operator -> what writes it, for `torch.onnx.export(custom_translation_table=...)`."""
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
