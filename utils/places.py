"""Where PowerQE's own files are, and where it puts what it downloads.

In a checkout opts/ and weights/ stand next to this folder, in an installed package they are inside `powerqe`, and so
next to this folder, too.
"""

import os
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
"""The checkout, or the installed package."""
IS_CHECKOUT = (HOME / "powerqe").is_dir()
OPTS = HOME / "opts"
WEIGHTS = HOME / "weights"
OFFICIAL = WEIGHTS / "official.json"
"""The index of weights that others published."""
WEIGHTS_VARIABLE = "POWERQE_WEIGHTS"
"""Environment variable: a folder with weights, into which fetch puts them."""


def data_root() -> Path:
    """The folder of all data sets: data/ of the checkout, or of the working folder."""
    return HOME / "data" if IS_CHECKOUT else Path("data")


def weights_store() -> Path:
    """Where our weights are downloaded to: `POWERQE_WEIGHTS`, else weights/ of the checkout, else the user's cache."""
    return WEIGHTS if IS_CHECKOUT and not os.environ.get(WEIGHTS_VARIABLE) else user_weights()


def user_weights() -> Path:
    """Where the weights of others are downloaded to: `POWERQE_WEIGHTS`, else the user's cache."""
    named = os.environ.get(WEIGHTS_VARIABLE)
    return Path(named) if named else user_cache() / "weights"


def user_cache() -> Path:
    """PowerQE's folder in the user's cache, which may not exist yet.

    By the custom of the system: %LOCALAPPDATA%, ~/Library/Caches, $XDG_CACHE_HOME or ~/.cache.
    """
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = _home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache")
    return base / "powerqe"


def _home() -> Path:
    """The user's folder; without one, as in some containers, the working folder."""
    try:
        return Path.home()
    except RuntimeError:
        return Path()
