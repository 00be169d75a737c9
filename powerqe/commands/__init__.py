"""The commands of `powerqe`, one module each; powerqe/cli.py lists them and describes their interface."""
