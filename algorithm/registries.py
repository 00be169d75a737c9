"""The registries of this room."""

from powerqe.utils.options.registry import Registry

ALGORITHMS = Registry("algorithm", package="powerqe.algorithm")
LOSSES = Registry("loss", package="powerqe.algorithm")
OPTIMIZERS = Registry("optimizer", package="powerqe.algorithm")
SCHEDULERS = Registry("scheduler", package="powerqe.algorithm")
