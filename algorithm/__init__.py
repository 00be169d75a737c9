"""How a network LEARNS and is JUDGED: losses, one training step, the trainer and the tester."""

import powerqe.dataset
import powerqe.net
import powerqe.utils.metrics  # noqa: F401
from powerqe.algorithm.registry import ALGORITHMS, LOSSES, OPTIMIZERS, SCHEDULERS

__all__ = ["ALGORITHMS", "LOSSES", "OPTIMIZERS", "SCHEDULERS"]
