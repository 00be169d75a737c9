"""The registries of this room."""

from utils.registry import Registry

ALGORITHMS = Registry("algorithm", package="algorithm")
LOSSES = Registry("loss", package="algorithm")
OPTIMIZERS = Registry("optimizer", package="algorithm")
SCHEDULERS = Registry("scheduler", package="algorithm")
