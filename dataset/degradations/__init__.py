"""What happens to an image on its way to the user, step by step: one file and one class for each kind of step.

A step has keyword options and `draw`, which settles everything random of one sample and returns an `Action`. A file
here with a class decorated with `@DEGRADATIONS.register()` is all that another one takes.
"""

from powerqe.dataset.degradations.degradation import DEGRADATIONS, Action, Change, Degradation, DegradedPair, Step

__all__ = ["DEGRADATIONS", "Action", "Change", "Degradation", "DegradedPair", "Step"]
