"""The registries of algorithms, losses, optimizers and schedules."""

from powerqe.utils.options.registry import Registry

ALGORITHMS = Registry("algorithm", package="powerqe.algorithm")
LOSSES = Registry("loss", package="powerqe.algorithm")
OPTIMIZERS = Registry(
    "optimizer",
    package="powerqe.algorithm",
    refused={
        "LBFGS": "evaluates the loss several times per step, which the trainer does not support",
        "SparseAdam": "is for sparse gradients, which no network here has",
    },
)
SCHEDULERS = Registry("scheduler", package="powerqe.algorithm")
