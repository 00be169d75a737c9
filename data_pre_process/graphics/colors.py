"""Colors that go together: pairs with contrast, palettes, and the themes of user interfaces."""

import colorsys

from powerqe.data_pre_process.graphics.scene import Scene

Color = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def hsv(hue: float, saturation: float, value: float) -> Color:
    """A color by hue (any real number, of which the whole part does not count), saturation and value (0 to 1)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(255 * red), round(255 * green), round(255 * blue)


def gray(level: float) -> Color:
    """A neutral color of this level, 0 to 255."""
    value = round(min(max(level, 0), 255))
    return value, value, value


def blend(first: Color, second: Color, share: float) -> Color:
    """The color between two: the first for share 0, the second for share 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def brightness(color: Color) -> float:
    """About how bright a color looks, 0 to 255 (the luma of BT.601 in full range)."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def any_color(scene: Scene) -> Color:
    """Any color; saturated, muted, dark and bright ones alike."""
    return hsv(scene.uniform(0, 1), scene.uniform(0, 1) ** 0.7, scene.uniform(0.15, 1) ** 0.7)


def vivid(scene: Scene) -> Color:
    """A color as signs, icons and cartoons have it."""
    return hsv(scene.uniform(0, 1), scene.uniform(0.55, 1), scene.uniform(0.6, 1))


def pale(scene: Scene) -> Color:
    """A color for backgrounds under dark text."""
    return hsv(scene.uniform(0, 1), scene.uniform(0.02, 0.25), scene.uniform(0.88, 1))


def deep(scene: Scene) -> Color:
    """A color for dark text, or for backgrounds under bright text."""
    return hsv(scene.uniform(0, 1), scene.uniform(0.1, 0.9), scene.uniform(0.05, 0.4))


def palette(scene: Scene, count: int) -> list[Color]:
    """Colors that differ from each other as those of one image do: around one hue, or around the circle."""
    start, spread = scene.uniform(0, 1), scene.pick([0.12, 0.35, 1.0])
    low = scene.uniform(0.1, 0.6)
    return [
        hsv(start + spread * number / count, scene.uniform(low, 1), scene.uniform(0.35, 1)) for number in range(count)
    ]


def ink_and_paper(scene: Scene) -> tuple[Color, Color]:
    """Colors of text and background, mostly easy to read: black on white in a third, inverted in a quarter."""
    kind = scene.rng.random()
    if kind < 0.35:
        return BLACK, WHITE
    if kind < 0.5:
        return scene.pick([BLACK, gray(40), deep(scene)]), scene.pick([gray(scene.between(225, 250)), pale(scene)])
    if kind < 0.6:
        return vivid(scene), scene.pick([WHITE, BLACK])
    if kind < 0.75:
        return scene.pick([WHITE, gray(scene.between(190, 245))]), scene.pick([BLACK, gray(scene.between(10, 50))])
    if kind < 0.85:
        return scene.pick([WHITE, pale(scene)]), deep(scene)
    return contrasting(scene, paper := any_color(scene)), paper


def contrasting(scene: Scene, paper: Color) -> Color:
    """A color whose brightness differs from that of `paper` by at least 90 levels."""
    for _ in range(20):
        color = any_color(scene)
        if abs(brightness(color) - brightness(paper)) >= 90:
            return color
    return BLACK if brightness(paper) > 127 else WHITE
