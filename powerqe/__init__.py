"""Quality enhancement of compressed images and videos."""

from pathlib import Path

__version__ = "5.0.0.dev0"

_HERE = Path(__file__).resolve().parent
if not (_HERE / "net").is_dir():  # a checkout, where the rooms stand beside this folder and not in it
    __path__.append(str(_HERE.parent))
