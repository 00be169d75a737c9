"""Down-sample a data set: data/NAME/raw -> data/NAME/raw_ds_RATIO.

Compressed photographs carry artefacts of their own; area interpolation averages them away and leaves
clean ground truth.
"""

import sys
from collections.abc import Sequence
from functools import partial

if not __package__:
    import run_from_checkout  # noqa: F401

from data_pre_process import driver
from utils.errors import command
from utils.resize import area_downsample


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = driver.parser("Down-sample the images of data/NAME/raw to PNG files in data/NAME/raw_ds_RATIO.")
    parser.add_argument("name", help="data set: a folder of the data folder, for example div2k")
    parser.add_argument(
        "ratio", type=driver.positive, help="how many times height and width are reduced, for example 2"
    )
    driver.add_nworker(parser)
    args = parser.parse_args(argv)
    folder = args.data_root / args.name
    change = partial(area_downsample, factor=args.ratio)
    driver.convert(driver.folder_jobs(folder / "raw", folder / f"raw_ds_{args.ratio}", change), args)


if __name__ == "__main__":
    sys.exit(main())
