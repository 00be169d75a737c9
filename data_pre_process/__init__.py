"""Command-line scripts that make the data: `python main_<what>.py --help`."""
