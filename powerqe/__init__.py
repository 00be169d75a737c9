"""Quality enhancement of compressed images and videos. docs/api.md shows what can be called, by examples."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "5.0.0.dev0"

_HERE = Path(__file__).resolve().parent
if not (_HERE / "net").is_dir():  # a checkout, where the rooms stand beside this folder and not in it
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
    """What is public is imported when it is first used, PyTorch with it; so the command line is fast (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("powerqe.api"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
