"""`powerqe table`: parameters, operations, receptive field, time and memory of networks."""
