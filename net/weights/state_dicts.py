"""Weights in and out: our own files, training checkpoints, and the official checkpoints of each method.

There is one way in: read the file (`read`), find the network that it is of (`recognize`) or compare the given one with
what the file records, give its tensors our names, and take the state that fits (`fit`).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from powerqe.net.weights.fit import check_finite, first_names, fit_of
from powerqe.net.weights.gray import in_gray
from powerqe.net.weights.index import find
from powerqe.net.weights.names import is_under
from powerqe.net.weights.read import read, recorded, unwrapped
from powerqe.net.weights.recognize import check_same, recognize
from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path
from powerqe.utils.options.registry import nearest


def load_weights(
    network: nn.Module,
    path: str | os.PathLike[str],
    skip: Sequence[str] = (),
    *,
    if_same_network: bool = True,
    to_gray: bool = False,
) -> list[str]:
    """Load the weights of a file into a network, on the device where the network is.

    Reads our .safetensors and training checkpoints (the moving average when there is one) and what the
    methods' authors published: whole pickled networks, too, and TensorFlow's checkpoints, by their prefix or the name
    of one of their files, or as an .npz of their variables. The network is changed only if everything fits.

    Args:
        path: the file, or the name of published weights.
        skip: parts of the network, such as `tail` or `body.3`; their weights that are not in the file, or not
            in this shape, stay as they are, and those that only the file has are not needed. The file may then be of a
            network with other options.
        if_same_network: raise an error if the file records other options of the network;
            false: it is enough that they fit.
        to_gray: the file is of the network for RGB, and the network for gray images, see `in_gray`.

    Returns:
        Names of the weights that stayed as they were.

    Raises:
        UserError: no such file or name, damaged, no weights in it, pickled code in it, or weights that do not
            fit, with the names that are missing, unexpected, of another shape, or shared only here; they are of
            another network or of other options, or not finite; the network has no such part to skip.
    """
    path = find(path)
    _check_parts(network, skip)
    content = read(path)
    if if_same_network and not (skip or to_gray):
        check_same(network, content.recorded, path)
    states = [in_gray(network, state) for state in content.states] if to_gray else content.states
    try:
        fit = min((fit_of(network, state).without(skip) for state in states), key=lambda fit: fit.num_problems)
    except UserError as error:  # of the network's upstream_name
        raise UserError(f"{path}: {error}") from None
    if fit.num_problems:
        raise UserError(
            f"{path} does not fit this {type(network).__name__}: {fit.report()}; "
            "build the network with the options with which it was trained"
        )
    check_finite(fit.tensors, path)
    network.load_state_dict(fit.tensors, strict=False)  # not strict: of shared tensors one name is enough
    return fit.skipped


def save_weights(network: nn.Module, path: str | os.PathLike[str], metadata: dict[str, str] | None = None) -> None:
    """Write the weights of a network to a .safetensors file, shared tensors once.

    Raises:
        UserError: the path has another suffix.
        OSError: the file cannot be written; an older one of the name is then still there.
    """
    if Path(path).suffix != ".safetensors":
        raise UserError(f"{path}: weights are saved as .safetensors; use this suffix")
    state = network.state_dict(keep_vars=True)
    once = {name: state[name] for name in dict.fromkeys(first_names(state).values())}
    tensors: dict[str, Tensor] = {
        name: tensor.detach().cpu().contiguous() for name, tensor in unwrapped(once.items()).items()
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors, metadata))


def spec(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The network of a file of weights, as `net.build_network` takes it.

    It is recorded in our own files; for official ones it follows from the names and shapes of the tensors. What these
    do not determine, such as the codec of RBQE, is as in the authors' code.

    Raises:
        UserError: no such file, damaged, of no network that is known, or of several.
    """
    path = Path(path)
    if path.suffix == ".safetensors" and (found := recorded(path)):  # its head is enough
        return found[0]
    content = read(path)
    return content.recorded[0] if content.recorded else recognize(content, path)


def _check_parts(network: nn.Module, parts: Sequence[str]) -> None:
    names = list(network.state_dict())
    for part in parts:
        if not any(is_under(name, [part]) for name in names):
            known = list(dict.fromkeys(name.partition(".")[0] for name in names))
            raise UserError(
                f"skip: {type(network).__name__} has no weights under {part!r}{nearest(part, known)}; "
                f"it has: {', '.join(known)}"
            )
