"""Which files are videos, by their names. Nothing here imports what reads them."""

import os
from pathlib import Path

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".3gp", ".ts", ".mts", ".mpg", ".mpeg", ".wmv", ".flv",
            ".y4m", ".hevc", ".h264", ".obu", ".ivf")  # fmt: skip
"""Of the files that are taken for videos when a folder is searched; a file that is named may have any other."""
RAW = ".yuv"
VIDEO_SUFFIXES = (*SUFFIXES, RAW)
"""Of what is taken for a video."""
VIDEO_TARGETS = (".mp4", ".mkv", RAW)
"""What can be written."""


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a video, by its suffix."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def is_raw(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a raw video, by its suffix."""
    return Path(path).suffix.lower() == RAW
