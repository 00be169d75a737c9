"""The commands of `powerqe data`: they make the data that trainings and tests read."""
