"""Enhanced frames as a video file: a network's pictures, the chroma of the compressed video, the name of its file."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from powerqe.dataset.videos import eight_bits
from powerqe.utils.errors import UserError
from powerqe.utils.video.container import VideoWriter
from powerqe.utils.video.yuv import Chroma, Frame, Geometry, YUVName, YUVReader, from_rgb, neutral_chroma


def geometry_of(sequence: Any) -> Geometry:
    """Of the enhanced video, 8 bits: the chroma is as in the compressed one; 4:2:0 if that has none and even sides."""
    width, height = sequence.width, sequence.height
    if sequence.geometry:
        return Geometry(width, height, sequence.geometry.chroma)
    chroma: Chroma = "444" if width % 2 or height % 2 else "420"
    return Geometry(width, height, chroma)


def file_name(sequence: Any, suffix: str) -> str:
    """That of the compressed file; of a folder of frames, what it would be as a raw file."""
    if sequence.geometry:
        return f"{sequence.lq.stem}.{suffix}"
    name = YUVName(sequence.name, sequence.width, sequence.height, len(sequence.indices))
    return f"{Path(str(name)).stem}.{suffix}"


def to_frame(image: np.ndarray, dataset: Any, index: int, geometry: Geometry) -> Frame:
    """An enhanced picture as a frame.

    Args:
        image: uint8 (H, W, 1), which becomes the luma beside the chroma of the compressed frame, or (H, W, 3) RGB.
        dataset: whose sample `index` was enhanced.

    Raises:
        UserError: a picture of another size than the video, or neither gray nor RGB.
    """
    height, width, channels = image.shape
    if (width, height) != (geometry.width, geometry.height) or channels not in (1, 3):
        raise UserError(
            f"the network makes {width}x{height} pixels with {channels} channels of a video of "
            f"{geometry.width}x{geometry.height}, which cannot be saved; set test.if_save_im=false"
        )
    if channels == 3:
        return from_rgb(image, geometry.chroma)
    chroma = dataset.chroma(index)
    u, v = neutral_chroma(geometry) if chroma is None else map(eight_bits, chroma)
    return Frame(image[..., 0], u, v)


def publish(raw: Path, path: Path, geometry: Geometry) -> None:
    """Give a raw video its final name, in the format that the name's suffix says; the raw file is gone then.

    mp4 and mkv, without loss, show 25 frames per second, for a raw video does not say how many they are.

    Raises:
        UserError: no encoder for the format, or none of such frames.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".yuv":
        os.replace(raw, path)
        return
    frames = YUVReader(raw, geometry)
    with VideoWriter(path, geometry) as video:
        for number in range(len(frames)):
            video.write(frames[number])
    raw.unlink()
