"""Names to classes: how an option file selects a network, a data set, a loss ...

A class joins by decoration (`@NETWORKS.register()`), and the constructor's signature IS its option
schema: keyword parameters with their types and defaults. Parameters before a `/` are run-time objects
(the network an algorithm trains, the parameters an optimizer moves) and no options.
"""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from powerqe.utils.errors import UserError

T = TypeVar("T", bound=Callable[..., Any])

REGISTRIES: dict[str, "Registry"] = {}
_ALIKE = 0.6
"""Likeness from which on a name may have been meant."""
_PART = 3
"""Letters that are enough to be looked for within names."""


class Registry:
    """The entries of one kind.

    Args:
        kind: what an entry is, for messages ("network").
        package: the package whose modules hold the entries, so adding a file there is enough to add an entry. An entry
            is first looked for in the module of its name: ESRGAN in esrgan, NonLocalDeblock in non_local_deblock; if it
            is not there, and for a list of all, all modules are imported.
        refused: names that a user may expect -> why there is no such entry.
    """

    def __init__(self, kind: str, package: str | None = None, refused: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self.refused = refused or {}
        self._package = package
        self._entries: dict[str, Callable[..., Any]] = {}
        REGISTRIES[kind] = self

    def register(self, name: str | None = None) -> Callable[[T], T]:
        """Decorator that adds a class or function under `name`, by default its own name."""

        def add(entry: T) -> T:
            key = name or entry.__name__
            if key in self._entries:
                raise ValueError(f"two entries are called {self.kind} {key!r}")
            self._entries[key] = entry
            return entry

        return add

    def names(self) -> list[str]:
        """All names, sorted."""
        self._import_entries()
        return sorted(self._entries)

    def __contains__(self, name: str) -> bool:
        self._import_entries(name)
        return name in self._entries

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """The entry called `name`; raises `UserError` with the nearest name when there is none."""
        self._import_entries(name)
        if name in self.refused:
            raise UserError(f"{self.kind} {name} {self.refused[name]}; known: {', '.join(self.names())}")
        if name not in self._entries:
            raise UserError(
                f"unknown {self.kind} {name!r}{nearest(name, self._entries)}; known: {', '.join(self.names())}"
            )
        return self._entries[name]

    def signature(self, name: str) -> dict[str, tuple[Any, Any]]:
        """The options of an entry: parameter name -> (type, default); the default `...` means required."""
        options = {}
        for parameter in inspect.signature(self[name], eval_str=True).parameters.values():
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                default = ... if parameter.default is parameter.empty else parameter.default
                options[parameter.name] = (
                    Any if parameter.annotation is parameter.empty else parameter.annotation,
                    default,
                )
        return options

    def _import_entries(self, name: str | None = None) -> None:
        """Import the modules that hold the entries, only the one of a name if that has it."""
        if self._package is None or name in self._entries:
            return
        package = importlib.import_module(self._package)
        modules = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg]
        wanted = [module for module in modules if name and module.replace("_", "") == name.lower()]
        for module in wanted:
            importlib.import_module(f"{package.__name__}.{module}")
        if name not in self._entries:
            self._package = None
            for module in modules:
                importlib.import_module(f"{package.__name__}.{module}")


def nearest(name: str, known: Iterable[Any], most: int = 1) -> str:
    """` (did you mean 'X'?)` with the known names that resemble `name`, else an empty string.

    First come those that begin with it, then those that have it somewhere, then those of similar letters.

    Args:
        most: names to give.
    """
    name = str(name).lower()
    likeness = {str(key): _likeness(name, str(key).lower()) for key in known}
    found = sorted((key for key in likeness if likeness[key] >= _ALIKE), key=lambda key: (-likeness[key], key))[:most]
    if not found:
        return ""
    *others, last = map(repr, found)
    return f" (did you mean {', '.join(others)}{' or ' if others else ''}{last}?)"


def _likeness(name: str, key: str) -> float:
    """0 to 1 of similar letters, 1 to 2 if `name` is a part of the key, 2 to 3 if the key begins with it."""
    similar = difflib.SequenceMatcher(None, key, name).ratio()
    return similar if len(name) < _PART or name not in key else similar + (2 if key.startswith(name) else 1)
