"""Test the network of an option file. Enhanced pictures and tables of results go to exp/<option file>-<case>/."""

from powerqe.evaluation.tester import test
from powerqe.utils.arguments import option_parser, parse_options
from powerqe.utils.errors import command
from powerqe.utils.log import start_log
from powerqe.utils.ranks import leave, start_ranks

EXAMPLES = (
    "python test.py --opt opts/arcnn.yml --case div2k-qf10",
    "python test.py --opt opts/dncnn.yml --case bsds500-qf10 --set test.ckp_load_path=dncnn-bsds500-qf10",
)


@command
def main() -> None:
    """Parse, load the options, start the ranks, hand over to the tester."""
    options = parse_options(option_parser(__doc__, EXAMPLES).parse_args())
    if options is None:
        return
    with start_ranks(options.device) as ranks:
        start_log(None, ranks.is_main)
        table = test(options, ranks)
        if ranks.is_main:
            print(table.to_terminal())


if __name__ == "__main__":
    leave(main())
