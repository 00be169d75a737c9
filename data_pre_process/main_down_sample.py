"""Down-sample a data set: data/NAME/raw -> data/NAME/raw_ds_RATIO.

Compressed photographs carry artifacts of their own; area interpolation averages them away and leaves
clean ground truth. MATLAB's bicubic interpolation makes the low-resolution images of the super-resolution
papers, to be paired with the images they come from.
"""

import sys
from collections.abc import Sequence
from functools import partial

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.data_pre_process import driver
from powerqe.utils.errors import command
from powerqe.utils.image.resize import area_downsample, bicubic_downsample

METHODS = {"area": (area_downsample, "raw_ds"), "bicubic": (bicubic_downsample, "raw_bicubic_ds")}
"""How to shrink, and the folder: folders of their own, so that the images of two methods do not mix."""


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = driver.parser(
        "Down-sample the images of data/NAME/raw to PNG files in data/NAME/raw_ds_RATIO\n"
        "(bicubic: data/NAME/raw_bicubic_ds_RATIO).",
        ["python main_down_sample.py div2k 2", "python main_down_sample.py div2k 4 --method bicubic"],
    )
    parser.add_argument("name", help="data set: a folder of the data folder, for example div2k")
    parser.add_argument(
        "ratio", type=driver.positive, help="how many times height and width are reduced, for example 2"
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="area",
        help="area: the mean of RATIO x RATIO pixels, for clean ground truth; bicubic: MATLAB's imresize of the image "
        "cropped to multiples of RATIO, for super-resolution (default: %(default)s)",
    )
    driver.add_nworker(parser)
    args = parser.parse_args(argv)
    folder = args.data_root / args.name
    down_sample, target = METHODS[args.method]
    change = partial(down_sample, factor=args.ratio)
    driver.convert(driver.folder_jobs(folder / "raw", folder / f"{target}_{args.ratio}", change), args)


if __name__ == "__main__":
    sys.exit(main())
