"""One page that compares experiments: what `powerqe report` does."""
