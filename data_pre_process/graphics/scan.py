"""Scanned and photographed pages: paper, ink that bleeds, slight rotation, shadows and noise."""

import numpy as np
from PIL import Image, ImageFilter

from powerqe.data_pre_process.graphics import diagram, text
from powerqe.data_pre_process.graphics.colors import BLACK, WHITE, deep, gray
from powerqe.data_pre_process.graphics.scene import Scene
from powerqe.data_pre_process.graphics.texture import clouds, photo, to_image


def paint(scene: Scene) -> Image.Image:
    """A page as a scanner, a camera or a fax sees it."""
    page = _page(scene)
    if scene.chance(0.12):
        return _fax(scene, page)
    levels = np.asarray(page, dtype=float) / 255
    if scene.chance(0.4):  # print of the other side
        back = np.asarray(_page(scene), dtype=float)[:, ::-1] / 255
        levels *= 1 - scene.uniform(0.03, 0.12) * (1 - back)
    levels = levels * (1 - scene.uniform(0, 0.03) * np.abs(clouds(scene, 0.5))[..., None])
    pixels = levels * _paper(scene) + (1 - levels) * scene.uniform(0, 60)
    pixels *= _light(scene)[..., None]
    noise = scene.rng.normal(0, scene.uniform(0, 3), (scene.height, scene.width, scene.pick([1, 3])))
    return to_image(pixels + noise)


def _page(scene: Scene) -> Image.Image:
    """A sharp page, turned a little and softened as by a lens; drawn larger so that no corner is empty."""
    margin = 2 + max(scene.width, scene.height) // 16
    larger = scene.of_size(scene.width + 2 * margin, scene.height + 2 * margin)
    size = scene.pick([9, 11, 12, 14, 16, 20, 26])
    page = (
        diagram.table(larger, BLACK, WHITE)
        if scene.chance(0.15)
        else text.page(larger, scene.pick([BLACK, gray(30), deep(scene)]), WHITE, size)
    )
    if scene.chance(0.3):
        width, height = round(scene.width * scene.uniform(0.3, 0.6)), round(scene.height * scene.uniform(0.2, 0.4))
        image = photo(scene.of_size(width, height)).convert(scene.pick(["L", "RGB"]))
        page.paste(image, (scene.between(0, larger.width - width), scene.between(0, larger.height - height)))
    angle = scene.pick([0, scene.uniform(-3, 3), scene.uniform(-0.7, 0.7)])
    page = page.rotate(angle, Image.Resampling.BICUBIC, fillcolor=WHITE)
    page = page.filter(ImageFilter.GaussianBlur(scene.uniform(0.2, 0.9)))
    return page.crop((margin, margin, margin + scene.width, margin + scene.height))


def _paper(scene: Scene) -> np.ndarray:
    """Levels of empty paper, (H, W, 3): white, yellowed or gray, with fibers and stains."""
    tint = np.array(
        scene.pick([(250, 250, 248), (245, 240, 225), (232, 220, 190), (225, 226, 230), (255, 255, 255)]), dtype=float
    )
    fibers = scene.uniform(0, 3) * clouds(scene, 0.6) + scene.uniform(0, 5) * clouds(scene, 1.8)
    paper = tint + fibers[..., None]
    if scene.chance(0.25):
        stain = np.clip(clouds(scene, 2.2) - 1, 0, 1)[..., None]
        paper -= stain * np.array([20, 35, 60]) * scene.uniform(0.3, 1.2)
    return paper


def _light(scene: Scene) -> np.ndarray:
    """How much light falls where, (H, W) up to 1: even, falling off to one side, a fold of a book, a soft shadow."""
    y, x = np.mgrid[0 : scene.height, 0 : scene.width] / max(scene.width, scene.height)
    kind = scene.between(0, 3)
    if kind == 0:
        return np.ones((scene.height, scene.width))
    if kind == 1:
        turn = scene.uniform(0, 7)
        return 1 - scene.uniform(0.05, 0.35) * np.clip(x * np.cos(turn) + y * np.sin(turn) + 0.3, 0, 1)
    if kind == 2:
        return 1 - scene.uniform(0.2, 0.6) * np.exp(
            -np.abs(x - scene.pick([0.0, 1.0, 0.5])) / scene.uniform(0.03, 0.12)
        )
    edge = x * scene.uniform(-1, 1) + y * scene.uniform(-1, 1) - scene.uniform(-0.3, 0.6)
    return 1 - scene.uniform(0.1, 0.4) / (1 + np.exp(-edge * scene.uniform(8, 60)))


def _fax(scene: Scene, page: Image.Image) -> Image.Image:
    """Black and white only, with specks."""
    levels = np.asarray(page.convert("L"), dtype=float) + scene.rng.normal(
        0, scene.uniform(5, 25), (scene.height, scene.width)
    )
    return to_image(np.where(levels > scene.uniform(110, 200), 255.0, 0.0))
