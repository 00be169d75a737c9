"""Which tiles a user asks for."""

import re
from typing import Literal, NamedTuple

from powerqe.utils.errors import UserError

TileOption = int | str
"""auto, exact, off, a side in pixels, or exact:N."""
_FORM = re.compile(r"auto|off|(?P<side>0*[1-9][0-9]*)|exact(:(?P<exact>0*[1-9][0-9]*))?")
Exactness = bool | Literal["auto"]


class TileChoice(NamedTuple):
    """side: of the tiles in pixels; None: as large as fits. exact: see `powerqe.inference.tiled.Tiled`."""

    side: int | None
    exact: Exactness


def tile_choice(option: TileOption) -> TileChoice | None:
    """What an option means; None: whole images.

    Raises:
        UserError: nothing.
    """
    found = _FORM.fullmatch(str(option))
    if found is None or isinstance(option, bool):
        raise UserError(f"tile: found {option!r}, expected auto, exact, off, a side in pixels, or exact:N with one")
    if option == "off":
        return None
    side = found["side"] or found["exact"]
    return TileChoice(int(side) if side else None, str(option).startswith("exact") or "auto")
