"""List, describe and download published weights.

Every command and option that takes weights accepts the names of the list.
"""

import argparse
from pathlib import Path

EXAMPLES = ("%(prog)s list", "%(prog)s show dncnn-bsds500-qf10")
_ACTIONS = {
    "list": "list all weights with their purpose and gain",
    "show": "print the description and all test results of weights",
    "fetch": "download the file of weights if it is missing, and check its SHA-256",
    "cards": "generate the cards, NAME.md, from index.json in the same folder",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions with their arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in _ACTIONS.items():
        each = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        each.add_argument(
            "--folder", metavar="FOLDER", help="folder of index.json (default: weights/ here, then that of PowerQE)"
        )
        if name == "list":
            each.add_argument("--markdown", type=Path, metavar="FILE", help="update the table in this Markdown "
                              "file between its markers, instead of printing it")  # fmt: skip
        if name in ("show", "fetch"):
            each.add_argument("name", metavar="NAME", help="name of the weights")
        if name == "fetch":
            each.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="copy the file from this "
                              "folder instead of downloading it")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Run the action and print its result."""
    from powerqe.net.weights.fetch import fetch
    from powerqe.net.weights.index import FILE, known_weights, lookup, write_cards
    from powerqe.net.weights.listing import description, listing, write_table

    if args.action == "list":
        known = list(known_weights(args.folder).values())
        print(listing(known) if args.markdown is None else write_table(known, args.markdown))
    elif args.action == "show":
        print(description(lookup(args.name, args.folder)))
    elif args.action == "fetch":
        print(fetch(lookup(args.name, args.folder), args.source))
    else:
        folder = Path(args.folder or "weights")
        print(f"{folder / FILE}: {len(write_cards(folder))} cards")
