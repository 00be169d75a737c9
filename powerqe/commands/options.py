"""Print the reference of all options, or their JSON schema, generated from the code."""

import argparse
import json
from pathlib import Path

EXAMPLES = (
    "%(prog)s                               print the reference",
    "%(prog)s docs/options.md               update the part of the file between its markers",
    "%(prog)s --schema > options.json       the JSON schema of option files, for editors",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add output and format."""
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="Markdown file to update between its "
                        "markers (default: print)")  # fmt: skip
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of option files, which editors "
                        "use for completion and validation")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Print the reference or the schema, or update a file."""
    if args.schema:
        from powerqe.algorithm.option_schema import option_file_schema

        print(json.dumps(option_file_schema(), indent=1))
        return
    from powerqe.algorithm.option_reference import reference, update

    if args.file is None:
        print(reference())
    else:
        update(args.file)
