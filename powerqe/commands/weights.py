"""List, describe, download, register and verify published weights: ours, and the official ones of other authors.

Every command and option that takes weights accepts the names of the list, paths, and hf://owner/repo/file.
"""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from powerqe.arguments.option_file import add_option_file, add_set
from powerqe.utils.errors import UserError

if TYPE_CHECKING:
    from powerqe.net.weights.entry import Entry

EXAMPLES = (
    "%(prog)s list",
    "%(prog)s show dcad-bsds500-qf10",
    "%(prog)s fetch fbcnn-gray",
    "%(prog)s add Downloads/qcn.pth --name qcn-color",
    "%(prog)s verify dncnn3 --set dataset.test.live1=null",
)
_ACTIONS = {
    "list": "list all weights with their purpose and gain, and whether they are here, can be fetched, or have to be "
    "downloaded by hand",
    "show": "print the description and all test results of weights",
    "fetch": "download the file of weights if it is missing, and check its SHA-256",
    "add": "register a file that was downloaded by hand under the name of its weights",
    "verify": "test weights on the data for which figures are published, and print published and measured figures",
    "cards": "generate the cards, NAME.md, from index.json in the same folder",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions with their arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in _ACTIONS.items():
        each = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name not in ("add", "verify"):
            each.add_argument("--folder", metavar="FOLDER", help="folder of index.json (default: weights/ here, then "
                              "that of PowerQE)")  # fmt: skip
        if name == "list":
            each.add_argument("--markdown", type=Path, metavar="FILE", help="update the table in this Markdown "
                              "file between its markers, instead of printing it")  # fmt: skip
        if name in ("show", "fetch", "verify"):
            each.add_argument("name", metavar="NAME", help="name of the weights")
        if name == "fetch":
            each.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="copy the file from this "
                              "folder instead of downloading it")  # fmt: skip
        if name == "add":
            each.add_argument("file", metavar="FILE", help="path of the file, or hf://owner/repo/file[@revision]")
            each.add_argument("--name", required=True, metavar="NAME", help="name of the weights in the list")
            each.add_argument("--any-file", action="store_true", help="also a file of another SHA-256 than that of "
                              "the release, if it is of the same network")  # fmt: skip
        if name == "verify":
            add_set(each)


def run(args: argparse.Namespace) -> None:
    """Run the action and print its result."""
    from powerqe.net.weights.fetch import add, fetch
    from powerqe.net.weights.index import FILE, find, known_weights, lookup, write_cards
    from powerqe.net.weights.listing import description, listing, write_table

    if args.action == "list" and args.markdown:  # of those that have cards
        print(write_table(list(known_weights(args.folder or "weights").values()), args.markdown))
    elif args.action == "list":
        print(listing(list(known_weights(args.folder).values())))
    elif args.action == "show":
        print(description(lookup(args.name, args.folder)))
    elif args.action == "fetch":
        print(fetch(lookup(args.name, args.folder), args.source))
    elif args.action == "add":
        known = lookup(args.name)
        print(add(find(args.file), known, any_file=args.any_file))
    elif args.action == "verify":
        print(_verify(lookup(args.name).entry, args.set))
    else:
        folder = Path(args.folder or "weights")
        print(f"{folder / FILE}: {len(write_cards(folder))} cards")


def _verify(entry: "Entry", overrides: list[str]) -> str:
    """The table of published and measured figures."""
    arguments = entry.test or entry.training.arguments
    if arguments is None or not entry.figures:
        raise UserError(f"{entry.name}: no published figures are known that powerqe test could measure")
    import powerqe.algorithm  # noqa: F401 - registers all components
    from powerqe.evaluation.verify import verify

    parser = argparse.ArgumentParser()
    add_option_file(parser)
    test = parser.parse_args(shlex.split(arguments))
    return verify(entry, test.opt, test.case, [*test.set, *overrides])
