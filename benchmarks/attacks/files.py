"""Damaged images and videos: each is enhanced or refused in one line, and nothing else is left in the folder."""

import io
import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from powerqe.benchmarks.attacks.damage import damaged
from powerqe.benchmarks.attacks.inputs import Verdict, run_command, try_all
from powerqe.benchmarks.attacks.tally import Tally
from powerqe.cli import script
from powerqe.net import build_network, save_weights
from powerqe.utils.image.io import use_one_thread

NETWORK = {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3], "residual": True}
IMAGES = (
    ("jpg", "RGB", {"quality": 30}), ("jpg", "L", {"quality": 80}), ("jpg", "RGB", {"progressive": True}),
    ("jpg", "CMYK", {}), ("png", "RGB", {}), ("png", "RGBA", {}), ("png", "P", {}), ("png", "I;16", {}),
    ("png", "1", {}), ("webp", "RGB", {}), ("webp", "RGBA", {"lossless": True}),
    ("tif", "RGB", {"compression": "tiff_lzw"}), ("tif", "I;16", {}), ("bmp", "RGB", {}), ("bmp", "P", {}),
    ("gif", "P", {}), ("ppm", "RGB", {}), ("ico", "RGBA", {}), ("avif", "RGB", {}), ("jp2", "RGB", {}),
)  # fmt: skip
"""Suffix, mode and arguments of Pillow."""
VIDEOS = (
    ("mp4", "libx264", "yuv420p"), ("mkv", "ffv1", "yuv420p"), ("mkv", "libx265", "yuv420p10le"),
    ("avi", "mpeg4", "yuv420p"), ("mov", "libx264", "yuv444p"), ("webm", "libvpx-vp9", "yuv420p"),
    ("mpg", "mpeg2video", "yuv420p"),
)  # fmt: skip
"""Container, codec and pixel format."""
FRAMES = 5


def images(folder: Path, count: int, seed: int) -> Tally:
    """Images of all formats, of 32x24 pixels."""
    return _files(Tally("damaged images"), folder, count, f"{seed} image", _good_images())


def videos(folder: Path, count: int, seed: int) -> Tally:
    """Videos of seven containers and codecs and raw ones, of 32x24 pixels and five frames."""
    return _files(Tally("damaged videos"), folder, count, f"{seed} video", _good_videos(folder))


def _files(tally: Tally, folder: Path, count: int, seed: str, good: Mapping[str, bytes]) -> Tally:
    weights = folder / "w.safetensors"
    torch.manual_seed(0)
    save_weights(build_network(NETWORK), weights, {"network": json.dumps(NETWORK)})
    names = sorted(good)

    def attempt(number: int, place: Path, log: Path) -> Verdict:
        chance = random.Random(f"{seed} {number}")
        name = names[number % len(names)]
        shutil.rmtree(place / "out", ignore_errors=True)
        for path in place.iterdir():
            path.unlink()
        (place / name).write_bytes(damaged(good[name], chance))
        arguments = [name, "-o", "out", "--weights", str(weights), "--device", "cpu"]
        return run_command(lambda: script("enhance")(arguments), log)

    try_all(tally, count, attempt, folder, _prepare)
    return tally


def _prepare() -> None:
    torch.set_num_threads(1)
    use_one_thread()


def _good_images() -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
    found = {}
    for number, (suffix, mode, arguments) in enumerate(IMAGES):
        if mode == "I;16":
            image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
        else:
            image = Image.fromarray(pixels).convert(mode)
        file = io.BytesIO()
        try:
            image.save(file, {"jpg": "jpeg", "tif": "tiff", "jp2": "jpeg2000"}.get(suffix, suffix), **arguments)
        except (KeyError, OSError):  # this Pillow was built without it
            continue
        found[f"{number}.{suffix}"] = file.getvalue()
    return found


def _good_videos(folder: Path) -> dict[str, bytes]:
    texture = np.random.default_rng(0).integers(0, 256, (FRAMES, 24, 32, 3), np.uint8)
    found = {f"Raw_32x24_{FRAMES}.yuv": bytes(texture[..., 0].tobytes() + texture[:, :12, :, 1].tobytes())}
    for number, (suffix, codec, form) in enumerate(VIDEOS):
        path = folder / f"{number}.{suffix}"
        try:
            with av.open(str(path), "w") as container:
                stream = container.add_stream(codec, rate=25)
                stream.width, stream.height, stream.pix_fmt = 32, 24, form
                stream.options = {"x265-params": "log-level=none"}
                for image in texture:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
                container.mux(stream.encode())
        except (ValueError, av.FFmpegError):  # this FFmpeg was built without it
            continue
        found[path.name] = path.read_bytes()
    return found
