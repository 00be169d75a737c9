"""One page that compares experiments: what `python -m powerqe.evaluation.report` does."""
