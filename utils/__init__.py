"""Ground floor of PowerQE: everything here works without the networks, the data sets and the trainer."""
