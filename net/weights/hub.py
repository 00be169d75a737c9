"""Files of the Hugging Face hub by `hf://owner/repo/file[@revision]`, through its own library and its cache."""

import re
from pathlib import Path
from typing import Any

from powerqe.utils.errors import UserError

SCHEME = "hf:"  # of a Path, which has one slash only
_ADDRESS = re.compile(r"hf:/{1,2}(?P<repo>[^/@]+/[^/@]+)/(?P<file>[^@]+?)(?:@(?P<revision>[^@]+))?")


def hub_file(address: str) -> Path:
    """The file in the cache of the hub; downloaded if it is not there.

    Args:
        address: `hf://owner/repo/path/of/file`, and `@revision` (a branch, tag or commit) if it is not the newest.

    Raises:
        UserError: huggingface_hub is not installed, no such address, repository, revision or file, or no network.
    """
    parts = _ADDRESS.fullmatch(address)
    if not parts:
        raise UserError(f"found {address}, expected hf://owner/repo/file, or hf://owner/repo/file@revision")
    library = _library()
    try:
        return Path(library.hf_hub_download(parts["repo"], parts["file"], revision=parts["revision"]))
    except library.errors.LocalEntryNotFoundError:
        raise UserError(f"{address} is not in the local cache, and the hub cannot be reached; check the network "
                        "(and that HF_HUB_OFFLINE is not set)") from None  # fmt: skip
    except Exception as error:  # of the network, of the hub, of the disk: many classes, one user
        raise UserError(f"{address}: {_reason(error)}") from None


def _library() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise UserError("hf:// needs huggingface_hub: pip install huggingface_hub (or 'powerqe[zoo]')") from None
    return huggingface_hub


def _reason(error: Exception) -> str:
    """The first line that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
