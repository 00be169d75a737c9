"""One page that compares experiments: what `python -m algorithm.report` does."""
