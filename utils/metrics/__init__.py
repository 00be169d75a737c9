"""How close a result is to its ground truth: one file and one class for each metric.

A metric is called with `result` and `target`, both (N, C, H, W) float in nominal [0, 1], and gives one
float64 value for each picture, (N,), on their device. Its attributes are `unit` ("dB" or "") and
`higher_is_better`; `describe(channels)` says the convention behind a value, for the header of a table.
"""

from utils.registry import Registry

METRICS = Registry("metric", package="utils.metrics")


class MetricUnavailable(Exception):  # noqa: N818 -- not a mistake but a state: the table's cell says why
    """This metric cannot be computed here; the message is the reason, in one line."""
