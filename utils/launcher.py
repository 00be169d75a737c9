"""How a process ends: alone, or as one of the ranks of a launcher (torchrun, torch.distributed.launch)."""

import logging
import os
import sys
from typing import NoReturn


def is_launched() -> bool:
    """Whether a launcher has started this process, by what it left in the environment."""
    return "TORCHELASTIC_RUN_ID" in os.environ or "MASTER_PORT" in os.environ


def is_restarted() -> bool:
    """Whether torchrun has started this process again after a failure (--max-restarts)."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def leave(code: int | None) -> NoReturn:
    """End the process with an exit status.

    Ranks skip the interpreter's shutdown: a thread of gloo that lets go of a tensor during it aborts the process
    ("terminate called without an active exception"), after all is done.
    """
    if not is_launched():
        sys.exit(code)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
