"""Training checkpoints: written so that a crash never costs the previous one, read without executing them."""

import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path

FORMAT = 1
_NUMBERED = re.compile(r"ckp-(\d+)\.pt")


def save_checkpoint(state: dict[str, Any], path: str | Path) -> None:
    """Write `state` (tensors, numbers, strings, lists and dicts only) to `path`, whole or not at all.

    Raises:
        UserError: the disk is full or the folder not writable; `path` is then as it was before.
    """
    try:
        with atomic_path(path) as temporary:
            torch.save({"format": FORMAT, **state}, temporary)
    except (OSError, RuntimeError) as error:  # torch's own zip writer raises RuntimeError
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot save {path}: {reason}; is the disk full? earlier checkpoints are kept") from None


def copy_checkpoint(source: Path, target: Path) -> None:
    """Give the finished file `source` the second name `target`: a hard link where the file system can."""
    with atomic_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def load_checkpoint(path: str | Path, parts: Mapping[str, type] | None = None) -> dict[str, Any]:
    """Read a checkpoint of `save_checkpoint` onto the CPU. Every byte is checked; no code in it is run.

    Args:
        parts: what must be there, and of which type.

    Raises:
        UserError: missing, damaged, not a training checkpoint, of a newer format, or without a part.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no checkpoint {path}; is the experiment's name right, and has it been trained?")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise UserError(f"checkpoint {path} is damaged (checksum of {damaged}); resume from an earlier one")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except zipfile.BadZipFile:
        raise UserError(f"checkpoint {path} is truncated or no checkpoint; resume from an earlier one") from None
    except pickle.UnpicklingError:
        raise UserError(f"checkpoint {path} holds pickled code, which is never run; use a safe file") from None
    except Exception as error:  # bytes that are no checkpoint make PyTorch fail in any way
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"checkpoint {path} is damaged: {reason}") from None
    if not isinstance(state, dict) or type(state.get("format")) is not int:
        raise UserError(f"{path} is no training checkpoint of PowerQE; weights alone are loaded with net.load_weights")
    if state["format"] > FORMAT:
        raise UserError(f"{path} has checkpoint format {state['format']}; this PowerQE reads up to {FORMAT}: update it")
    if wrong := [name for name, kind in (parts or {}).items() if not isinstance(state.get(name), kind)]:
        raise UserError(
            f"checkpoint {path} is incomplete (without a sound {', '.join(wrong)}); resume from another one"
        )
    return state


def numbered(folder: str | Path) -> list[Path]:
    """The files ckp-<iter>.pt of a folder, newest (highest iteration) first."""
    found = {int(match[1]): path for path in Path(folder).glob("ckp-*.pt") if (match := _NUMBERED.fullmatch(path.name))}
    return [found[iteration] for iteration in sorted(found, reverse=True)]


def set_aside(folder: str | Path, last: int) -> None:
    """Rename the numbered checkpoints after iteration `last` to ckp-<iter>.old.pt."""
    for path in numbered(folder):
        if int(path.stem.removeprefix("ckp-")) > last:
            path.replace(path.with_suffix(".old.pt"))


def prune(folder: str | Path, keep: int | None) -> None:
    """Delete all but the newest `keep` numbered checkpoints; None keeps all."""
    for path in numbered(folder)[keep:] if keep else []:
        path.unlink()


def newest_sound(
    folder: str | Path, parts: Mapping[str, type] | None = None
) -> tuple[Path, dict[str, Any], list[str]] | None:
    """The newest checkpoint of a folder that can be read, with the `parts` of `load_checkpoint`.

    Returns:
        Its path, its state and one line for each newer one that was damaged; None when there is none at all.

    Raises:
        UserError: there are checkpoints, but every one is damaged.
    """
    candidates = [path for path in [Path(folder) / "ckp-last.pt", *numbered(folder)] if path.exists()]
    complaints = []
    for path in candidates:
        try:
            return path, load_checkpoint(path, parts), complaints
        except UserError as error:
            complaints.append(str(error))
    if candidates:
        raise UserError(f"no sound checkpoint in {folder}: {'; '.join(complaints)}")
    return None
