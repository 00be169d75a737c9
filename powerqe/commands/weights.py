"""Published weights: which there are, what they gain, and how to get them.

list and show tell what there is. fetch gets a file that is missing, from its URL or from a folder, and checks its
SHA-256. cards writes the cards anew from index.json. Wherever weights are given, as in test.ckp_load_path, a name from
the list does as well as a file.
"""

import argparse
from pathlib import Path

EXAMPLES = ("%(prog)s list", "%(prog)s show dncnn-bsds500-qf10")
_ACTIONS = {
    "list": "a table of all weights, with their purpose and their gain",
    "show": "everything about some weights, and all figures of their tests",
    "fetch": "download the file of weights that is missing, and check it",
    "cards": "write the cards anew, NAME.md beside index.json, of which they are made",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Actions, each with its arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in _ACTIONS.items():
        each = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        each.add_argument(
            "--folder", metavar="FOLDER", help="where index.json is (default: weights/ here, then that of PowerQE)"
        )
        if name == "list":
            each.add_argument("--markdown", type=Path, metavar="FILE", help="write the table into this Markdown "
                              "file, between its marks, instead of printing it")  # fmt: skip
        if name in ("show", "fetch"):
            each.add_argument("name", metavar="NAME", help="name of the weights, as list shows it")
        if name == "fetch":
            each.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="a folder that has the file, "
                              "instead of its URL")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Do the action, print its result."""
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
