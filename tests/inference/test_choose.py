import pytest

from powerqe.inference.choose import ImageDescription, choose, choose_for_video
from powerqe.net.weights.entry import Entry, Figure, Qualities
from powerqe.utils.errors import UserError


def entry(name, method, gains, values, *, span=False, color="rgb", task="jpeg", scale=1):
    figures = tuple(Figure(set="live1", quality=f"qf{q}", metric="PSNR", gain=gain) for q, gain in gains.items())
    return Entry(name=name, method=method, parameters=1, training={"data": "t"}, figures=figures,
                 file=f"{name}.safetensors", bytes=1, sha256="0" * 64, license="x", task=task, color=color, scale=scale,
                 qualities=Qualities(unit="qf", values=values, span=span))  # fmt: skip


ENTRIES = [
    entry("best10", "DnCNN", {10: 1.3}, (10,)),
    entry("some", "CBDNet", {10: 0.9, 20: 1.3, 30: 1.0}, (10, 20, 30)),
    entry("blind", "FBCNN", {10: 0.8, 20: 0.9, 30: 0.9}, (5, 95), span=True),
    entry("some are told", "DRUNet", {10: 0.7, 20: 0.7, 30: 0.7}, (5, 95), span=True),
    entry("tables", "QGCN", {10: 1.1, 20: 1.1, 30: 1.1}, (5, 95), span=True),
    entry("gray", "FBCNN", {10: 1.1}, (5, 95), span=True, color="y"),
    entry("twice", "EDSR", {10: 9.0}, (10,), scale=2),
    entry("film", "RBQE", {10: 9.0}, (10,), task="hevc"),
    entry("webp", "RBQE", {10: 0.1}, (5, 95), span=True, task="webp"),
]
JPEG = {"format": "JPEG", "is_gray": False, "has_tables": True}


@pytest.mark.parametrize(
    ("image", "name", "remark"),
    [
        (ImageDescription(**JPEG, quality=10), "best10", ""),
        (ImageDescription(**JPEG, quality=12), "best10", ""),
        (ImageDescription(**JPEG, quality=13), "tables", ""),
        (ImageDescription(**JPEG, quality=20), "some", ""),
        (ImageDescription(**JPEG, quality=60), "tables", ""),
        (ImageDescription(**JPEG, quality=99), "tables", ""),  # beyond what anything was trained for
        (ImageDescription("JPEG", False), "blind", ""),  # its tables could not be read
        (ImageDescription(**JPEG, quality=10, takes_qf=True), "blind", ""),
        (ImageDescription("JPEG", True, 10, True), "gray", ""),
        (ImageDescription("PNG", False), "blind", "nothing is known of the damage in PNG files"),
        (ImageDescription("WEBP", False), "webp", ""),
        (ImageDescription("WEBP", True), "gray", "nothing is known of the damage in WEBP files"),
    ],
)
def test_choice(image, name, remark):
    chosen, said = choose(image, ENTRIES)
    assert chosen.name == name
    assert said.startswith(remark)
    assert bool(said) == bool(remark)


def test_of_nearly_the_same_gain_the_wider_range_is_better_and_what_needs_less():
    narrow = entry("narrow", "CBDNet", {20: 1.09}, (10, 50), span=True)
    wide = entry("wide", "CBDNet", {20: 1.0}, (5, 100), span=True)
    tables = entry("tables", "QGCN", {20: 1.05}, (5, 100), span=True)
    image = ImageDescription(**JPEG, quality=20)
    assert choose(image, [narrow, wide, tables])[0].name == "wide"
    assert choose(image, [narrow, tables])[0].name == "tables"
    better = entry("better", "CBDNet", {20: 1.25}, (10, 50), span=True)
    assert choose(image, [wide, tables, better])[0].name == "better"


def test_nothing_suits():
    with pytest.raises(UserError, match=r"gray.*--weights"):
        choose(ImageDescription("PNG", True), ENTRIES[:4])


@pytest.mark.parametrize("is_gray", [False, True])
@pytest.mark.parametrize("quality", [*range(1, 101, 9), None])
def test_shipped_weights_suit_every_image(quality, is_gray):
    chosen, _ = choose(ImageDescription("JPEG", is_gray, quality, quality is not None))
    assert chosen.color == ("y" if is_gray else "rgb")
    assert chosen.task == "jpeg"


def clips(name, method, gain, qp, **more):
    made = entry(name, method, {qp: gain}, (qp,), color="y", task="video")
    figures = (made.figures[0].model_copy(update={"quality": f"qp{qp}"}),)
    return made.model_copy(update={"qualities": Qualities(unit="qp", values=(qp,)), "figures": figures, **more})


CLIPS = [
    *ENTRIES,
    clips("motion37", "STDF", 0.3, 37),
    clips("motion22", "STDF", 0.1, 22),
    clips("peaks37", "MFQE", 0.5, 37),
    clips("larger37", "STDF", 0.9, 37, scale=2),
]


@pytest.mark.parametrize(
    ("qp", "has_peaks", "name", "remark"),
    [
        (37, False, "motion37", ""),
        (35, True, "peaks37", ""),
        (21, True, "motion22", ""),
        (27, True, "motion22", "it has QP 27: weights for QP 22"),
        (None, False, "motion37", "its quality is not known: weights for QP 37"),
        (None, True, "peaks37", "its quality is not known: weights for QP 37"),
    ],
)
def test_choice_for_videos(qp, has_peaks, name, remark):
    chosen, said = choose_for_video(qp, has_peaks, entries=CLIPS)
    assert (chosen.name, said) == (name, remark)


def test_nothing_suits_a_video():
    with pytest.raises(UserError, match="--weights"):
        choose_for_video(37, True, entries=ENTRIES)


def test_weights_for_videos_are_not_for_images():
    odd = [each.model_copy(update={"task": "jpeg", "color": "y"}) for each in CLIPS if each.method in ("STDF", "MFQE")]
    with pytest.raises(UserError, match="no published weights suit this gray image"):
        choose(ImageDescription("JPEG", True, 37, True), odd)
