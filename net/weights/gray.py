"""The first weights of a network for gray images, from those of the same network for RGB."""

from torch import Tensor, nn

from powerqe.net.weights.names import State

_COLORS = 3


def in_gray(network: nn.Module, state: State) -> State:
    """Weights for RGB as those of a network of one channel, where only the channels of the image differ in number.

    Layers that see the image take the sum over the colors, layers that make it the mean of them: on an image with
    R = G = B the network then gives the mean of what it gave. Colors come before what `PixelUnshuffle` makes of each.

    Args:
        network: for gray images.
        state: of the network for RGB, by its names.
    """
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    return {name: _merged(tensor, shapes.get(name, tensor.shape)) for name, tensor in state.items()}


def _merged(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The tensor in this shape, if it has three times as many inputs or outputs; else as it is."""
    if shape and tensor.shape == (_COLORS * shape[0], *shape[1:]):
        return tensor.unflatten(0, (_COLORS, -1)).float().mean(0)
    if len(shape) > 1 and tensor.shape == (shape[0], _COLORS * shape[1], *shape[2:]):
        return tensor.unflatten(1, (_COLORS, -1)).float().sum(1)
    return tensor
