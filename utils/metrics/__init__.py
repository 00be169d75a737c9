"""How good a result is, mostly how close to its ground truth: one file for each metric or package of metrics.

A metric is called with `result` and `target`, both (N, C, H, W) float in nominal [0, 1], and gives one
float64 value for each image, (N,), on their device. Its attributes are `unit` ("dB" or "") and
`higher_is_better`; `describe(channels)` gives the convention of a value, for the header of a table.

Two kinds of metrics differ. One that judges the result alone has `needs_target = False`; `target` may
be None. One that judges a whole set has a method `pool`, which makes the value of a set from what the call gave for
each of its images, (N, ...), and `caveat`, a remark on a value of so many images.
"""

from powerqe.utils.errors import UserError
from powerqe.utils.options.registry import Registry

METRICS = Registry("metric", package="powerqe.utils.metrics")


class MetricUnavailable(UserError):  # noqa: N818 -- mostly not an error but a state, shown in the table
    """This metric cannot be computed here, or not of this image; the message is the reason, in one line."""
