"""The network of a file of weights: as recorded in the file, or, for official files, by tensor names and shapes.

A class of networks with official checkpoints has `options_of(state)`, which returns the keyword arguments of the
network of a state dict, several if the tensors are ambiguous. It may guess, and raise if a name is missing: its result
is accepted if all tensors fit the network.

Options that may differ from those of the training are named in `free_options` of the class: with them the same weights
compute the same, or they are chosen when the network is applied.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from powerqe.net.networks import NETWORKS, build_network, full_spec
from powerqe.net.weights.fit import fit_of
from powerqe.net.weights.names import State
from powerqe.net.weights.read import Content
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import shown

Spec = dict[str, Any]
LIBRARY = "Spandrel"
"""The type of networks of other authors. It comes last, and is built of the file itself."""
_NOT_OF_IT = (LookupError, ValueError, ArithmeticError)
"""What `options_of` may raise: a name that is not there, or a shape of another kind."""


def recognize(content: Content, path: Path) -> Spec:
    """The network of an official checkpoint: one of ours, or else one that spandrel recognizes.

    Raises:
        UserError: it fits none of ours, or several that compute something else.
    """
    for state in content.states:
        if found := list(_fitting(state)):
            first, *others = found
            if rivals := [spec for spec in others if _differences(first, spec)]:
                raise UserError(
                    f"the network of {path} is ambiguous, its tensors fit several: {_listed([first, *rivals])}; "
                    "name the network of these weights: {type: NAME, ...}"
                )
            return first
    advice = "name it, {type: NAME, ...}, or give a file written by powerqe publish"
    try:
        if any(map(NETWORKS[LIBRARY].recognizes, content.states)):  # pyright: ignore[reportFunctionMemberAccess]
            return {"type": LIBRARY, "path": str(path)}
    except UserError as error:
        advice += f" ({error})"
    state = max(content.states, key=len)
    name, tensor = next(iter(state.items()))
    raise UserError(
        f"the network of {path} is unknown: it holds {len(state)} tensors from {name} {list(tensor.shape)} on, which "
        f"no method's official file has; {advice}"
    )


def check_same(network: nn.Module, recorded: list[Spec], path: Path) -> None:
    """Check that weights belong to the network into which they are loaded.

    Args:
        recorded: the networks recorded in the file; unrecorded options are not checked.

    Raises:
        UserError: naming the options that differ.
    """
    built: Spec | None = getattr(network, "built_as", None)
    if built is None or not recorded:
        return
    same = [spec for spec in recorded if spec["type"] == built["type"]]
    if not same:
        raise UserError(f"{path} holds the weights of {recorded[0]['type']}, not of {built['type']}")
    try:
        differing = min((_differences(spec, built) for spec in same), key=len)
    except UserError as error:
        raise UserError(f"the network recorded in {path} cannot be built: {error}") from None
    if differing:
        theirs, ours = ({name: values[i] for name, values in differing.items()} for i in (0, 1))
        raise UserError(
            f"{path} was trained as {built['type']} with {_options(theirs)}, the network here has {_options(ours)}: "
            "give it the same options (to start a training from it anyway: train.warm_start.if_same_network=false)"
        )


def _fitting(state: State) -> Iterator[Spec]:
    """Networks that all tensors of a state dict fit."""
    for name in NETWORKS.names():
        options_of = getattr(NETWORKS[name], "options_of", None)
        if options_of is None:
            continue
        with suppress(*_NOT_OF_IT):
            for options in options_of(state):
                spec = {"type": name, **options}
                with suppress(UserError), torch.device("meta"):  # no numbers are needed to compare shapes
                    if not fit_of(build_network(spec), state).num_problems:
                        yield spec


def _differences(a: Spec, b: Spec) -> dict[str, tuple[Any, Any]]:
    """Options in which two networks differ in what they compute: name -> both values; defaults are filled in."""
    if a["type"] != b["type"]:
        return {"type": (a["type"], b["type"])}
    free = getattr(NETWORKS[a["type"]], "free_options", ())
    one, other = full_spec(a), full_spec(b)
    return {name: (one[name], other[name]) for name in one if name not in free and one[name] != other[name]}


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {shown(value)}" for name, value in options.items())


def _listed(specs: list[Spec]) -> str:
    """Networks with what distinguishes them."""
    filled = [full_spec(spec) for spec in specs]
    keys = [key for key in filled[0] if any(spec.get(key) != filled[0][key] for spec in filled)]
    described = [f"{spec['type']} ({_options({key: spec[key] for key in keys if key in spec})})" for spec in filled]
    return ", ".join(described[:3]) + (", ..." if len(described) > 3 else "")
