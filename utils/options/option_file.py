"""Option files as they stand on the disk: found by path or name, read as YAML, with the two keys they must have."""

from pathlib import Path
from typing import Any

from powerqe.utils.errors import UserError
from powerqe.utils.options.components import found
from powerqe.utils.options.plain_yaml import LONGEST, read_yaml
from powerqe.utils.options.registry import nearest
from powerqe.utils.places import OPTS


def find_option_file(name: str | Path) -> Path:
    """The file that is there, or PowerQE's own of this name (arcnn, arcnn.yml, opts/arcnn.yml).

    Raises:
        UserError: there is neither, with the nearest name.
    """
    path = Path(name)
    if path.is_file():
        return path
    may_be_ours = path.suffix in ("", ".yml") and path.parent in (Path(), Path("opts"))
    if may_be_ours and (own := OPTS / f"{path.stem}.yml").is_file():
        return own
    known = [*path.parent.glob("*.y*ml"), *(OPTS.glob("*.yml") if may_be_ours else ())]
    near = nearest(path.name, [file.name if path.suffix else file.stem for file in known])
    raise UserError(f"no option file {path}{near}; give one with --opt")


def read_option_file(path: Path) -> dict[str, Any]:
    """Its keys `defaults`, a mapping or None, and `cases`, mappings or None by name.

    Raises:
        UserError: it is no such file.
    """
    with path.open("rb") as stream:
        file = read_yaml(stream.read(LONGEST + 1), str(path))
    if not isinstance(file, dict) or set(file) != {"defaults", "cases"}:
        what = found(list(file)) if isinstance(file, dict) else f"found {type(file).__name__}"
        raise UserError(f"{path}: {what} at the top, expected the keys defaults and cases")
    _check_mappings(path, file)
    return file


def _check_mappings(path: Path, file: dict[str, Any]) -> None:
    """The parts that are merged before anything is validated must be mappings, and cases have names."""
    if not isinstance(file["cases"], dict) or not file["cases"]:
        raise UserError(f"{path}: cases: {found(file['cases'])}, expected a mapping with at least one case")
    for name, changes in file["cases"].items():
        if not isinstance(name, str):
            raise UserError(f"{path}: cases: {found(name)} as a name, expected text; put it in quotes")
        if not isinstance(changes, dict | None):
            raise UserError(f"{path}, case {name}: {found(changes)}, expected a mapping of what it changes")
    if not isinstance(file["defaults"], dict | None):
        raise UserError(f"{path}: defaults: {found(file['defaults'])}, expected a mapping with all options")
