"""Cost and receptive field of networks."""
