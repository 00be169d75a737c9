"""Quality enhancement of compressed images and videos. docs/api.md documents the public interface."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "5.0.0.dev0"

_HERE = Path(__file__).resolve().parent
if not (_HERE / "net").is_dir():  # a clone, where the subpackages are next to this folder, not inside
    __path__.append(str(_HERE.parent))

if TYPE_CHECKING:
    from powerqe.api import (
        ImageModel,
        UserError,
        create_metric,
        create_network,
        degrade,
        enhance,
        list_weights,
        load,
    )

__all__ = [
    "ImageModel",
    "UserError",
    "__version__",
    "create_metric",
    "create_network",
    "degrade",
    "enhance",
    "list_weights",
    "load",
]


def __getattr__(name: str) -> Any:
    """Import the public interface, and PyTorch with it, on first use (PEP 562); so the command line starts fast."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("powerqe.api"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
