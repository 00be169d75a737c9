"""Metrics that other packages compute: kept silent and repeatable, and their failures reported in one line."""

import contextlib
import io
import re
import warnings
from collections.abc import Iterator

from powerqe.utils.metrics import MetricUnavailable
from powerqe.utils.seed import rng_state, seed_everything, set_rng_state

_SEED = 0
_DOWNLOAD = re.compile(r'Downloading: "(\S+)" to (\S+)')  # what torch.hub and pyiqa print before they try


@contextlib.contextmanager
def foreign(what: str) -> Iterator[None]:
    """Run code of another package; whatever goes wrong in it is no reason to lose the other metrics.

    It prints and warns into the void. It may draw random numbers (first weights, random crops): from the same seed
    each time, so that a score does not depend on what ran before, and without a trace in our own generators, on
    which a training may depend.

    Args:
        what: how the reason of a failure begins: "LPIPS: no alex backbone".

    Raises:
        MetricUnavailable: for any exception; if a download failed, it names the file and its path.
    """
    state, output = rng_state(), io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            warnings.simplefilter("ignore")
            seed_everything(_SEED)
            yield
    except MetricUnavailable:
        raise
    except Exception as error:
        raise MetricUnavailable(f"{what}: {_line(error)}{_remedy(output.getvalue(), error)}") from None
    finally:
        set_rng_state(state)


def _line(error: Exception) -> str:
    """Why, in one line."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    return " ".join(text.split())[:200] or type(error).__name__


def _remedy(output: str, error: Exception) -> str:
    """Where a file belongs that could not be downloaded."""
    downloads = _DOWNLOAD.findall(output)
    if not downloads or not isinstance(error, OSError):
        return ""
    url, path = downloads[-1]
    return f"; without network, save {url} as {path}"
