"""Training: algorithms, losses, optimizers, schedules and the trainer."""

import powerqe.dataset
import powerqe.net
import powerqe.utils.metrics  # noqa: F401
from powerqe.algorithm.registries import ALGORITHMS, LOSSES, OPTIMIZERS, SCHEDULERS

__all__ = ["ALGORITHMS", "LOSSES", "OPTIMIZERS", "SCHEDULERS"]
