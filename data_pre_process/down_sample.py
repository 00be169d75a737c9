"""Down-sample a data set: data/NAME/raw -> data/NAME/raw_ds_RATIO.

Compressed photographs carry artifacts of their own; area interpolation averages them away and leaves
clean ground truth. MATLAB's bicubic interpolation makes the low-resolution images of the super-resolution
papers, to be paired with the images they come from.
"""

import argparse
from functools import partial
from pathlib import Path

from powerqe.data_pre_process import driver
from powerqe.utils.image.imresize import area_downsample, bicubic_downsample

METHODS = {"area": (area_downsample, "raw_ds"), "bicubic": (bicubic_downsample, "raw_bicubic_ds")}
"""How to shrink, and the folder: folders of their own, so that the images of two methods do not mix."""


def down_sample(folder: Path, ratio: int, method: str, args: argparse.Namespace) -> None:
    """Down-sample the images of folder/raw into a folder next to it.

    Args:
        ratio: how many times height and width are reduced.
        method: of `METHODS`.
        args: the command line, see `driver.make_files`.
    """
    function, target = METHODS[method]
    change = partial(function, factor=ratio)
    driver.convert(driver.folder_jobs(folder / "raw", folder / f"{target}_{ratio}", change), args)
