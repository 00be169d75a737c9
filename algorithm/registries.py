"""The registries of this room."""

from powerqe.utils.options.registry import Registry

ALGORITHMS = Registry("algorithm", package="powerqe.algorithm")
LOSSES = Registry("loss", package="powerqe.algorithm")
OPTIMIZERS = Registry(
    "optimizer",
    package="powerqe.algorithm",
    refused={
        "LBFGS": "computes the loss several times in a step (a closure), which the trainer does not",
        "Muon": "moves matrices only, and convolutions have four dimensions",
        "SparseAdam": "is for sparse gradients, which no network here has",
    },
)
SCHEDULERS = Registry("scheduler", package="powerqe.algorithm")
