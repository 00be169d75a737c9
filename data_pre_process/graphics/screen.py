"""Screenshots: windows over a desktop, or one program that fills the screen, at 1x, 1.5x or 2x."""

from PIL import Image

from powerqe.data_pre_process.graphics.colors import gray
from powerqe.data_pre_process.graphics.gradient import gradient
from powerqe.data_pre_process.graphics.scene import Scene
from powerqe.data_pre_process.graphics.texture import photo
from powerqe.data_pre_process.graphics.widgets import Theme, a_theme, box, button, icon, label
from powerqe.data_pre_process.graphics.window_contents import CONTENTS


def paint(scene: Scene) -> Image.Image:
    """A part of a computer's or telephone's screen."""
    theme = a_theme(scene)
    if scene.chance(0.45):
        image = Image.new("RGB", (scene.width, scene.height), theme.face)
        _fill_window(scene, image, theme)
        return image
    image = _desktop(scene, theme)
    for _ in range(scene.between(1, 3)):
        width, height = round(scene.width * scene.uniform(0.5, 1.1)), round(scene.height * scene.uniform(0.4, 1.0))
        window = _window(scene.of_size(width, height), theme)
        left, top = scene.between(-width // 4, scene.width - width // 2), scene.between(-5, scene.height - height // 2)
        shadow = box((width, height), gray(0), radius=theme.radius)
        image.paste(gray(20), (left + theme.px(2), top + theme.px(3)), shadow.getchannel("A").point(lambda a: a * 0.35))
        image.paste(window, (left, top), window)
    if scene.chance(0.5):
        _taskbar(scene, image, theme)
    return image


def _desktop(scene: Scene, theme: Theme) -> Image.Image:
    kind = scene.between(0, 2)
    if kind == 0:
        image = Image.new("RGB", (scene.width, scene.height), scene.pick([theme.accent, (0, 128, 128), gray(60)]))
    else:
        image = gradient(scene) if kind == 1 else photo(scene)
    step = theme.px(72)
    for row in range(scene.height // step):
        if scene.chance(0.6):
            icon(scene, image, (theme.px(20), theme.px(14) + row * step), theme.px(32))
            label(scene, image, theme, (theme.px(8), theme.px(50) + row * step), color=(255, 255, 255))
    return image


def _window(scene: Scene, theme: Theme) -> Image.Image:
    """A window with its frame; transparent outside the rounded corners."""
    window = box((scene.width, scene.height), theme.face, theme.border, theme.radius)
    inner = Image.new("RGB", (max(1, scene.width - 2), max(1, scene.height - 2)), theme.face)
    _fill_window(scene, inner, theme)
    inside = box(inner.size, gray(255), radius=max(0, theme.radius - 1))
    window.paste(inner, (1, 1), inside.getchannel("A"))
    return window


def _fill_window(scene: Scene, image: Image.Image, theme: Theme) -> None:
    """Title bar, perhaps a menu, a toolbar, a sidebar and a line of state, and contents in what room is left."""
    left, top, right, bottom = 0, 0, image.width, image.height
    top = _title_bar(scene, image, theme)
    if scene.chance(0.5):
        top = _menu(scene, image, theme, top)
    if scene.chance(0.6):
        top = _toolbar(scene, image, theme, top)
    if scene.chance(0.5) and bottom - top > theme.px(60):
        bottom -= theme.px(20)
        theme.line(image, (0, bottom, right, bottom + 1))
        label(scene, image, theme, (theme.px(6), bottom + theme.px(3)), words=5)
    if scene.chance(0.4) and right > theme.px(220):
        left = theme.px(scene.between(80, 130))
        _sidebar(scene, image, theme, (0, top, left, bottom))
    if right - left > 8 and bottom - top > 8:
        image.paste(scene.pick(CONTENTS)(scene.of_size(right - left, bottom - top), theme), (left, top))


def _title_bar(scene: Scene, image: Image.Image, theme: Theme) -> int:
    height = theme.px(scene.pick([20, 26, 32]))
    if theme.shaded:
        bar = Image.linear_gradient("L").resize((image.width, height))
        image.paste(theme.accent, (0, 0), Image.new("L", bar.size, 255))
        image.paste(gray(255), (0, 0), bar.point(lambda level: 110 - level * 0.4))
    else:
        image.paste(theme.title, (0, 0, image.width, height))
    y, size = (height - theme.pen.leading) // 2, height - theme.px(14)
    if theme.round_buttons:
        for number, color in enumerate([(255, 95, 86), (255, 189, 46), (39, 201, 63)]):
            dot = box((theme.px(12), theme.px(12)), color, radius=theme.px(6))
            image.paste(dot, (theme.px(10 + 19 * number), (height - theme.px(12)) // 2), dot)
        label(scene, image, theme, (image.width // 3, y), color=theme.title_ink, words=4)
    else:
        label(scene, image, theme, (theme.px(8), y), color=theme.title_ink, words=4)
        for number in range(3):
            x, middle = image.width - theme.px(20 + 28 * number), height // 2
            image.paste(theme.title_ink, (x - size // 2, middle, x + size // 2, middle + theme.px(1)))
            if number != 2:
                image.paste(theme.title_ink, (x, middle - size // 2, x + theme.px(1), middle + size // 2))
    return height


def _menu(scene: Scene, image: Image.Image, theme: Theme, top: int) -> int:
    x = theme.px(8)
    for _ in range(scene.between(4, 8)):
        x += round(label(scene, image, theme, (x, top + theme.px(3)))) + theme.px(14)
    return top + theme.px(22)


def _toolbar(scene: Scene, image: Image.Image, theme: Theme, top: int) -> int:
    size = theme.px(scene.pick([16, 20, 24]))
    x = theme.px(6)
    while x < image.width - size:
        if scene.chance(0.15):
            theme.line(image, (x, top + theme.px(4), x + 1, top + size + theme.px(4)))
            x += theme.px(8)
        elif scene.chance(0.12):
            x += button(scene, image, theme, (x, top + theme.px(4))) + theme.px(6)
        else:
            icon(scene, image, (x, top + theme.px(4)), size)
            x += size + theme.px(6)
        if scene.chance(0.05):
            break
    bottom = top + size + theme.px(9)
    theme.line(image, (0, bottom - 1, image.width, bottom))
    return bottom


def _sidebar(scene: Scene, image: Image.Image, theme: Theme, place: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = place
    image.paste(theme.side, place)
    step, chosen, y = theme.pen.leading + theme.px(8), scene.between(0, 6), top + theme.px(6)
    for number in range(max(0, (bottom - top) // step)):
        picked = number == chosen
        if picked:
            image.paste(theme.accent, (left, y - theme.px(3), right, min(bottom, y + step - theme.px(3))))
        icon(scene, image, (left + theme.px(6), y), theme.px(14))
        label(
            scene,
            image,
            theme,
            (left + theme.px(26), y),
            color=theme.accent_ink if picked else theme.ink,
            room=right - left - theme.px(28),
        )
        y += step
    theme.line(image, (right - 1, top, right, bottom))


def _taskbar(scene: Scene, image: Image.Image, theme: Theme) -> None:
    height = theme.px(scene.pick([28, 36, 44]))
    top = image.height - height
    image.paste(theme.title, (0, top, image.width, image.height))
    for x in range(theme.px(8), image.width - theme.px(80), height):
        if scene.chance(0.8):
            icon(scene, image, (x, top + theme.px(5)), height - theme.px(10))
    clock = f"{scene.between(0, 23):02}:{scene.between(0, 59):02}"
    theme.pen.in_color(theme.title_ink).write(image, image.width - theme.px(50), top + height // 3, clock)
