"""What the networks' files need to understand the tensor names and shapes of official checkpoints."""

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isqrt

from torch import Tensor

State = Mapping[str, Tensor]
"""A state dict: tensor by name."""


def numbered(name: str, prefixes: Sequence[str], layers: Sequence[str]) -> str:
    """For `upstream_name`: `<prefix>.N.<tensor>` -> `<layers[N]>.<tensor>`, other names as they are."""
    prefix, _, rest = name.partition(".")
    index, _, tensor = rest.partition(".")
    if prefix not in prefixes or not index.isdecimal() or int(index) >= len(layers):
        return name
    return f"{layers[int(index)]}.{tensor}"


def renamed(name: str, rules: Iterable[tuple[str, str]]) -> str:
    """For `upstream_name`: replace each (pattern, replacement) of regular expressions in turn."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def is_under(name: str, prefixes: Iterable[str]) -> bool:
    """Is `body.0.weight` one of, or in one of, `body`, `head`, ...?"""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def layers_of(state: State, prefix: str) -> list[int]:
    """The numbers N of the convolutions `<prefix>.N.weight`, sorted."""
    found = (re.fullmatch(rf"{prefix}\.(\d+)\.weight", name) for name, tensor in state.items() if tensor.ndim == 4)
    return sorted(int(match[1]) for match in found if match)


def count(state: State, pattern: str) -> int:
    """How many different beginnings of names match a regular expression: `body\\.\\d+\\.conv1` counts blocks."""
    return len({match[0] for name in state if (match := re.match(pattern, name))})


def enlargement(state: State, prefix: str) -> int:
    """The factor of the sub-pixel enlargement whose convolutions are `<prefix>.0` and, for 4, `<prefix>.2`.

    Raises:
        KeyError: there is none.
    """
    after, before = state[f"{prefix}.0.weight"].shape[:2]
    return isqrt(after // before) ** (2 if f"{prefix}.2.weight" in state else 1)
