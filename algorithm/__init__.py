"""How a network LEARNS and is JUDGED: losses, one training step, the trainer and the tester."""

import dataset  # noqa: F401 - importing the rooms below makes their registries known to the options
import net  # noqa: F401
import utils.metrics  # noqa: F401
from algorithm.registry import ALGORITHMS, LOSSES, OPTIMIZERS, SCHEDULERS

__all__ = ["ALGORITHMS", "LOSSES", "OPTIMIZERS", "SCHEDULERS"]
