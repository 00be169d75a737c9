"""The commands of `powerqe`, a module for each; powerqe/cli.py lists them and says what a module has."""
