"""How networks are applied: on which device, in which precision, in which tiles."""

from dataclasses import dataclass

import torch

from powerqe.inference.consistency import CONSISTENCY, Consistency
from powerqe.inference.precision import Precision, check_precision
from powerqe.inference.tile_option import TileOption, tile_choice
from powerqe.utils.errors import UserError
from powerqe.utils.launcher import launched_place


@dataclass(frozen=True)
class InferenceOptions:
    """How networks are applied. All of it is checked at once.

    Attributes:
        device: "auto", the accelerator if there is one; "cpu", "cuda", "mps", "xpu" or another device of PyTorch.
        memory: bytes that the maps of a network may take; None: half of what is free on the device.
        tile: "auto": as large as `memory` lets them be; a side in pixels; "exact" or "exact:N": the same with global
            means of the whole image whatever they cost, see `powerqe.inference.tiled.Tiled`; "off": whole images.
        qf: quality factor, 0 to 100, to restore for, of networks conditioned on one; None: as they estimate it.
        self_ensemble: the mean over eight orientations.
        consistency: whether results agree with what a JPEG file says itself, see `powerqe.inference.consistency`.
        force_enhance: keep all of the network's change that a JPEG file allows, and enhance images that nothing
            suggests to be compressed, too.
        precision: data type, see `powerqe.inference.precision`.

    Raises:
        UserError: a value that makes no sense, or that the device does not have.
    """

    device: str | torch.device = "auto"
    memory: int | None = None
    tile: TileOption = "auto"
    qf: float | None = None
    self_ensemble: bool = False
    precision: Precision = "auto"
    consistency: Consistency = "auto"
    force_enhance: bool = False

    def __post_init__(self) -> None:
        check_precision(self.precision, self.torch_device)
        tile_choice(self.tile)
        if self.qf is not None and not 0 <= self.qf <= 100:
            raise UserError(f"qf: found {self.qf}, expected a quality factor of 0 to 100")
        if self.memory is not None and self.memory < 1:
            raise UserError(f"memory: found {self.memory}, expected a number of bytes")
        if self.consistency not in CONSISTENCY:
            raise UserError(f"consistency: found {self.consistency!r}, expected {', '.join(CONSISTENCY)}")

    @property
    def torch_device(self) -> torch.device:
        """The device itself."""
        return find_device(self.device)


def find_device(name: str | torch.device) -> torch.device:
    """The device of a name; "auto" is the accelerator if there is one, of several ranks that of this one.

    Raises:
        UserError: no such device.
    """
    found = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    if name == "auto":
        name = found
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device: found {name!r}, expected auto, cpu, cuda, mps or xpu") from None
    place = launched_place()
    if device.type != "cpu" and device.index is None and place.world_size > 1:
        device = torch.device(device.type, place.local_rank)
    count = 1 if device.type == "cpu" else torch.accelerator.device_count() if device.type == found.type else 0
    if device.type != "meta" and (device.index or 0) >= count:
        raise UserError(f"device {device}: PyTorch sees {count} of {device.type}; take auto or cpu")
    return device
