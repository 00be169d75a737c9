"""One page that compares experiments: what `python -m powerqe.algorithm.report` does."""
