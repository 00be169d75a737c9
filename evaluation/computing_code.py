"""Which of PowerQE's modules compute a result, and a hash of their sources.

They are the modules of the components that the options name, and what these import in turn, inside the rooms that
compute. So a change of another network, of a message or of a table does not make an earlier test worthless.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from powerqe.utils.options.components import Component, Section, entry_of

ROOMS = ("net", "inference", "dataset", "utils.metrics", "utils.image", "utils.video", "utils.codecs")
"""What computes; the rest of utils/ (log, errors, files ...) does not change a score."""


def code_hash(modules: Iterable[str], *options: Any) -> str:
    """SHA-256 of the sources that compute, see `module_hashes`."""
    digest = hashlib.sha256()
    for name, each in module_hashes(modules, *options).items():
        digest.update(f"{name} {each}\0".encode())
    return digest.hexdigest()


def module_hashes(modules: Iterable[str], *options: Any) -> dict[str, str]:
    """SHA-256 of the sources of each module that computes.

    Args:
        modules: names to begin with, of any room.
        options: sections, components, or mappings of them: the modules of all components in them are taken, too.
    """
    found: dict[str, Path] = {}
    waiting = [*modules, *(module for each in options for module in _components(each))]
    while waiting:
        if (name := waiting.pop()) not in found:
            found[name] = _file(name)
            waiting += [module for module in _imports(found[name]) if _computes(module)]
    return {name: _hash(found[name]) for name in sorted(found)}


def _hash(file: Path) -> str:
    digest = hashlib.sha256()
    for path in (file, *sorted(file.parent.glob("src/*"))):  # of compiled operators
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _components(options: Any) -> Iterator[str]:
    """The modules of the components in a tree of options."""
    if isinstance(options, Component):
        yield entry_of(options).__module__
    parts = options.values() if isinstance(options, Mapping) else options if isinstance(options, list | tuple) else ()
    for part in (value for _, value in options) if isinstance(options, Section) else parts:
        yield from _components(part)


def _computes(module: str) -> bool:
    return any(f"{module}.".startswith(f"powerqe.{room}.") for room in ROOMS)


@cache
def _file(module: str) -> Path:
    spec = find_spec(module)
    assert spec is not None, module
    assert spec.origin is not None, module
    return Path(spec.origin)


@cache
def _imports(path: Path) -> frozenset[str]:
    """The modules of PowerQE that a file imports, inside functions, too."""
    return frozenset(module for _, module in _imported_names(path))


def _imported_names(path: Path) -> Iterator[tuple[str, str]]:
    """Name -> the module that has it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((each.name, each.name) for each in node.names if _computes(each.name))
        elif isinstance(node, ast.ImportFrom) and node.module and _computes(node.module):
            yield from ((each.name, _home(node.module, each.name)) for each in node.names)


@cache
def _home(module: str, name: str) -> str:
    """Where a name that is imported from a module stands: the module itself, or one that a package takes it from."""
    path = _file(module)
    if path.name != "__init__.py":
        return module
    if (path.parent / f"{name}.py").is_file() or (path.parent / name / "__init__.py").is_file():
        return f"{module}.{name}"
    return dict(_imported_names(path)).get(name, module)
