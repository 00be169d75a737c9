"""How networks are applied: on which device, in which precision, in which tiles."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch

from powerqe.inference.consistency import CONSISTENCY, Consistency
from powerqe.inference.tile_option import TileOption, tile_choice
from powerqe.utils.errors import UserError
from powerqe.utils.launcher import launched_place

Precision = Literal["auto", "fp32", "bf16", "fp16"]
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class InferenceOptions:
    """How networks are applied. All of it is checked at once.

    Attributes:
        device: "auto", the GPU if there is one; "cpu", "cuda" or another device name of PyTorch.
        memory: bytes that the maps of a network may take; None: half of what is free on the device.
        tile: "auto": as large as `memory` lets them be; a side in pixels; "exact" or "exact:N": the same with global
            means of the whole image whatever they cost, see `powerqe.inference.tiled.Tiled`; "off": whole images.
        qf: quality factor, 0 to 100, to restore for, of networks conditioned on one; None: as they estimate it.
        self_ensemble: the mean over eight orientations.
        consistency: whether results agree with what a JPEG file says itself, see `powerqe.inference.consistency`.
        force_enhance: keep all of the network's change that a JPEG file allows, and enhance images that nothing
            suggests to be compressed, too.
        precision: "fp32", or "bf16" or "fp16" by autocast; "auto" is fp32.

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
        device = self.torch_device
        tile_choice(self.tile)
        if self.qf is not None and not 0 <= self.qf <= 100:
            raise UserError(f"qf: found {self.qf}, expected a quality factor of 0 to 100")
        if self.memory is not None and self.memory < 1:
            raise UserError(f"memory: found {self.memory}, expected a number of bytes")
        if self.consistency not in CONSISTENCY:
            raise UserError(f"consistency: found {self.consistency!r}, expected {', '.join(CONSISTENCY)}")
        if self.precision not in get_args(Precision):
            raise UserError(f"precision: found {self.precision!r}, expected {', '.join(get_args(Precision))}")
        if self.precision == "fp16" and device.type != "cuda":
            raise UserError("precision: fp16 needs a GPU; take bf16 or fp32")
        if self.precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
            raise UserError("precision: this GPU has no bf16; take fp16 or fp32")

    @property
    def torch_device(self) -> torch.device:
        """The device itself."""
        return find_device(self.device)

    @property
    def autocast(self) -> torch.dtype | None:
        """To which autocast rounds; None: no autocast."""
        return _TYPES.get(self.precision)


def find_device(name: str | torch.device) -> torch.device:
    """The device of a name; "auto" is the GPU if there is one, of several ranks that of this one.

    Raises:
        UserError: no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device: found {name!r}, expected auto, cpu or cuda") from None
    place = launched_place()
    if device.type != "cpu" and device.index is None and place.world_size > 1:
        device = torch.device(device.type, place.local_rank)
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        seen = f"PyTorch sees {count}" if count else "PyTorch sees no GPU"
        raise UserError(f"device {device}: {seen}; take auto or cpu")
    return device
