"""The commands of `powerqe data`, which prepare data sets."""
