"""Images like photographs to stand next to text and graphics: real ones if there are any, or textures."""

import numpy as np
from PIL import Image

from powerqe.data_pre_process.graphics.colors import palette
from powerqe.data_pre_process.graphics.scene import Scene
from powerqe.utils.image.io import read_image

_SHRINK = 2
"""A photograph is shown at most at 1 / _SHRINK of its size, which averages the damage by its own compression away."""

_LEAST = 32
"""No photograph gets a place of less than this width or height for want of its own size."""


def photo(scene: Scene) -> Image.Image:
    """A part of one of the photographs, filling the scene, or of several where one is too small; or a texture."""
    if not scene.photos:
        return texture(scene)
    pixels = read_image(scene.pick(scene.photos), "any")
    image = Image.fromarray(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)
    least = max(scene.width / image.width, scene.height / image.height)
    if least > 1 / _SHRINK and max(scene.width, scene.height) >= 2 * _LEAST:
        return _halves(scene)
    scale = max(least, 1 / scene.uniform(_SHRINK, 2 * _SHRINK))
    size = (max(scene.width, round(image.width * scale)), max(scene.height, round(image.height * scale)))
    left, top = scene.between(0, size[0] - scene.width), scene.between(0, size[1] - scene.height)
    image = image.resize(size, Image.Resampling.BOX)
    return image.crop((left, top, left + scene.width, top + scene.height))


def _halves(scene: Scene) -> Image.Image:
    """Two photographs side by side, or above each other."""
    image, across = Image.new("RGB", (scene.width, scene.height)), scene.width >= scene.height
    cut = round(max(scene.width, scene.height) * scene.uniform(0.4, 0.6))
    first, second = (
        ((cut, scene.height), (scene.width - cut, scene.height))
        if across
        else ((scene.width, cut), (scene.width, scene.height - cut))
    )
    image.paste(photo(scene.of_size(*first)), (0, 0))
    image.paste(photo(scene.of_size(*second)), (cut, 0) if across else (0, cut))
    return image


def texture(scene: Scene) -> Image.Image:
    """Layers of clouds with a few hard edges, colored by a palette: natural statistics without any photograph."""
    level = _unit(clouds(scene, scene.uniform(0.9, 1.6)))
    colors = np.array(palette(scene, scene.between(3, 6)), dtype=float)
    pixels = np.stack([np.interp(level, np.linspace(0, 1, len(colors)), colors[:, c]) for c in range(3)], axis=-1)
    for _ in range(scene.between(0, 4)):  # things in front of other things
        mask = clouds(scene, 2.0) > scene.uniform(0.2, 1.2)
        shade = 0.7 + 0.5 * _unit(clouds(scene, scene.uniform(0.8, 1.5)))
        pixels[mask] = (shade[..., None] * np.array(palette(scene, 1)[0]))[mask]
    pixels += scene.rng.normal(0, scene.uniform(0, 4), pixels.shape)
    return to_image(pixels)


def clouds(scene: Scene, slope: float) -> np.ndarray:
    """Noise with the spectrum 1 / f^slope, float (H, W), mean 0 and deviation 1; a larger slope is smoother."""
    height, width = scene.height, scene.width
    spectrum = np.fft.rfft2(scene.rng.normal(size=(height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width)
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(spectrum / np.maximum(frequency, 1) ** slope, s=(height, width))
    return field / max(float(field.std()), 1e-9)


def to_image(pixels: np.ndarray) -> Image.Image:
    """An RGB image of (H, W, 3) or neutral (H, W) levels from 0 to 255, rounded."""
    rounded = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return Image.fromarray(np.repeat(rounded[..., None], 3, axis=2) if rounded.ndim == 2 else rounded)


def _unit(field: np.ndarray) -> np.ndarray:
    """The field stretched to 0 ... 1."""
    low, high = float(field.min()), float(field.max())
    return (field - low) / max(high - low, 1e-9)
