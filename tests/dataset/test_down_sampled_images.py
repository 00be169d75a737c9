"""Small images made on the fly: patches are parts of whole images, batches of one size, the settings' shares."""

import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerqe.dataset import Draw
from powerqe.dataset.down_sampled_images import CodecQualities, DownSampledImages
from powerqe.dataset.loader import collate
from powerqe.dataset.sampler import TrainSampler
from powerqe.dataset.store import write_store
from powerqe.utils.codecs import CODECS, JPEG
from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma_uint8
from powerqe.utils.image.imresize import imresize
from powerqe.utils.image.io import write_image
from powerqe.utils.image.orientation import oriented
from powerqe.utils.options.components import build, validate_component

FINE = {"type": "JPEG", "subsampling": "4:4:4"}  # every block by itself: a patch has the whole image's pixels
JPEGS = CodecQualities(codec={"type": "JPEG"}, quality=[10, 20])
WEBPS = CodecQualities(codec={"type": "WebP"}, quality=5)


def make_image(seed: int, height: int = 71, width: int = 90) -> np.ndarray:
    """Noise in blue; red and green tell the row and the column, so that a patch shows where it comes from."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    image[..., 0] = np.arange(height)[:, None]
    image[..., 1] = np.arange(width)
    return image


IMAGES = {f"{i}": make_image(i) for i in range(3)}


@pytest.fixture
def gt(tmp_path):
    write_store(tmp_path / "gt", IMAGES.items())
    return str(tmp_path / "gt")


def place(whole: Any, patch: Any, scale: int) -> tuple[tuple[slice, slice], int]:
    """The window of lq, and the symmetry, from which a patch of `make_image` was made."""
    large = tuple(slice(patch["gt"][..., i].min(), int(patch["gt"][..., i].max()) + 1) for i in (0, 1))
    assert all(side.start % scale == side.stop % scale == 0 for side in large)
    (symmetry,) = (s for s in range(8) if np.array_equal(oriented(whole["gt"][large], s), patch["gt"]))
    rows, columns = (slice(int(side.start) // scale, side.stop // scale) for side in large)
    return (rows, columns), symmetry


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_patch_is_a_part_of_the_whole_image(data):
    """To the bit, with any size of the image, phase, scale and symmetry, at borders and inside."""
    scale = data.draw(st.sampled_from([1, 2, 3, 4, 8]), "scale")
    height, width = (data.draw(st.integers(3 * scale, 120), name) for name in ("height", "width"))
    patch = data.draw(st.none() | st.integers(2, min(height, width) // scale), "patch")
    codecs = data.draw(st.sampled_from([None, [CodecQualities(codec=FINE, quality=10)]]), "codecs")
    flip, rotate, seed = data.draw(st.booleans()), data.draw(st.booleans()), data.draw(st.integers(0, 2**64 - 1))
    with tempfile.TemporaryDirectory() as folder:
        write_image(Path(folder, "0.png"), make_image(seed % 1000, height, width))
        dataset = DownSampledImages(gt=folder, scale=scale, patch=patch, codecs=codecs, flip=flip, rotate=rotate)
        whole, sample = dataset[0], dataset[Draw(0, seed)]
    assert whole["gt"].shape[:2] == (height - height % scale, width - width % scale)
    if patch is not None:
        assert sample["lq"].shape == (patch, patch, 3)
    assert tuple(scale * side for side in sample["lq"].shape[:2]) == sample["gt"].shape[:2]
    window, symmetry = place(whole, sample, scale)
    assert symmetry & ~(3 * flip | 4 * rotate) == 0
    for key in ("lq", "clean") if codecs else ("lq",):
        np.testing.assert_array_equal(sample[key], oriented(whole[key][window], symmetry))
    for image in (sample["lq"], sample["gt"], whole["lq"], whole["gt"]):
        assert image.flags.c_contiguous


def test_windows_reach_every_place(gt):
    dataset = DownSampledImages(gt=gt, scale=3, patch=20)
    places = {tuple(int(dataset[Draw(0, seed)]["gt"][0, 0, i]) for i in (0, 1)) for seed in range(400)}
    assert places == {(3 * top, 3 * left) for top in range(71 // 3 - 19) for left in range(90 // 3 - 19)}


def test_whole_images(gt):
    dataset = DownSampledImages(gt=gt, scale=2, slice=(1, 3))
    assert len(dataset) == 2
    sample = dataset[0]
    assert (sample["name"], sample["group"], sample["quality"], sample["scale"]) == ("1", "x2", -1, 2)
    np.testing.assert_array_equal(sample["gt"], IMAGES["1"][:70])
    np.testing.assert_array_equal(sample["lq"], imresize(IMAGES["1"][:70], Fraction(1, 2)))
    assert "clean" not in sample
    assert "clean" not in dataset[Draw(0, 1)]


def test_whole_images_at_each_scale_and_setting(gt):
    dataset = DownSampledImages(gt=gt, scale=[2, 4], codecs=[JPEGS, WEBPS], slice=(0, 2))
    samples = [dataset[index] for index in range(len(dataset))]
    parts = [("x2", "jpeg10"), ("x2", "jpeg20"), ("x2", "webp5"), ("x4", "jpeg10"), ("x4", "jpeg20"), ("x4", "webp5")]
    names = [f"{stem}-{size}-{codec}" for stem in "01" for size, codec in parts]
    assert [sample["name"] for sample in samples] == names
    assert [sample["group"] for sample in samples[:6]] == [f"{size}-{codec}" for size, codec in parts]
    assert [(sample["scale"], sample["quality"]) for sample in samples[:6]] == [
        (2, 10), (2, 20), (2, 5), (4, 10), (4, 20), (4, 5)
    ]  # fmt: skip
    clean = imresize(IMAGES["0"][:68, :88], Fraction(1, 4))
    for sample, codec in zip(samples[3:6], (JPEG(), JPEG(), CODECS["WebP"]()), strict=True):
        np.testing.assert_array_equal(sample["clean"], clean)
        np.testing.assert_array_equal(sample["lq"], codec.compress(clean, sample["quality"])[0])


def test_names_of_fewer_settings(gt):
    one = DownSampledImages(gt=gt, scale=2, codecs=[WEBPS])
    assert (one[1]["name"], one[1]["group"]) == ("1", "webp5")
    sizes = DownSampledImages(gt=gt, scale=[3, 2])
    assert [(sizes[i]["name"], sizes[i]["group"]) for i in (2, 3)] == [("1-x3", "x3"), ("1-x2", "x2")]


@pytest.mark.parametrize("codec", ["JPEG", "WebP"])
def test_compressed_color_patches(gt, codec):
    """Of JPEG only the chroma at the edges of the coded region may differ; WebP has other pixels of like quality."""
    smooth = {stem: cv2.GaussianBlur(image, (0, 0), 4) for stem, image in IMAGES.items()}
    write_store(Path(gt).with_name("smooth"), smooth.items())
    folder = str(Path(gt).with_name("smooth"))
    setting = CodecQualities(codec={"type": codec}, quality=30)
    dataset = DownSampledImages(gt=folder, scale=2, patch=20, codecs=[setting])
    whole = dataset[0]
    for seed in range(10):
        sample = dataset[Draw(0, seed)]
        match = cv2.matchTemplate(whole["clean"], sample["clean"], cv2.TM_SQDIFF)
        top, left = np.unravel_index(np.argmin(match), match.shape)
        window = np.s_[top : top + 20, left : left + 20]
        np.testing.assert_array_equal(sample["clean"], whole["clean"][window])
        difference = np.abs(sample["lq"].astype(int) - whole["lq"][window])[2:-2, 2:-2]
        assert difference.max() == 0 if codec == "JPEG" else difference.mean() < 4
        assert 0 < np.abs(sample["lq"].astype(int) - sample["clean"]).mean() < 12


def test_luma(gt):
    dataset = DownSampledImages(gt=gt, scale=2, patch=16, color="y", codecs=[JPEGS])
    whole = dataset[0]
    np.testing.assert_array_equal(whole["gt"], luma_uint8(IMAGES["0"][:70]))
    np.testing.assert_array_equal(whole["clean"], imresize(whole["gt"], Fraction(1, 2)))
    sample = dataset[Draw(0, 3)]
    assert sample["lq"].shape == sample["clean"].shape == (16, 16, 1)
    assert sample["gt"].shape == (32, 32, 1)


def test_a_training_batch_has_one_scale_and_all_ranks_the_same(gt):
    dataset = DownSampledImages(gt=gt, scale=[2, 3, 4], patch=12, codecs=[JPEGS])
    ranks = [iter(TrainSampler(len(dataset), 3, enlarge_ratio=50, seed=1, rank=rank, world_size=2)) for rank in (0, 1)]
    scales: Counter[int] = Counter()
    for _ in range(60):
        batches = [collate([dataset[draw] for draw in next(rank)]) for rank in ranks]
        (scale,) = {batch["scale"] for batch in batches}
        for batch in batches:
            assert batch["lq"].shape == batch["clean"].shape == (3, 3, 12, 12)
            assert batch["gt"].shape == (3, 3, 12 * scale, 12 * scale)
        scales[scale] += 1
    assert set(scales) == {2, 3, 4}
    assert min(scales.values()) > 10


def test_an_epoch_has_every_image_at_every_setting(gt):
    dataset = DownSampledImages(gt=gt, scale=[2, 3], patch=8, codecs=[JPEGS, WEBPS])
    samples = [dataset[Draw(index, 7 * index, batch)] for batch in (0, 5) for index in range(len(dataset))]
    counts = Counter((sample["name"][0], sample["group"].partition("-")[2]) for sample in samples)
    assert counts == {(stem, group): 4 for stem in "012" for group in ("jpeg10", "jpeg20", "webp5")}


def test_draws_depend_on_the_seed_only(gt):
    dataset = DownSampledImages(gt=gt, scale=2, patch=16, flip=True, rotate=True)
    first, again, other = dataset[Draw(1, 7)], dataset[Draw(1, 7)], dataset[Draw(1, 8)]
    np.testing.assert_array_equal(first["lq"], again["lq"])
    assert not np.array_equal(first["lq"], other["lq"])
    assert dataset[Draw(1, 7)]["group"] == "x2"


def test_as_a_component(gt):
    spec = {"type": "DownSampledImages", "gt": gt, "scale": [2, 3], "patch": 8, "codecs": [{"quality": [10, 20]}]}
    component = validate_component("dataset", spec)
    again = validate_component("dataset", component.model_dump(mode="json", serialize_as_any=True))
    for built in (build(component), build(again)):
        assert len(built) == 12
        assert built[1]["group"] == "x2-jpeg20"
    for wrong, message in (
        ({"scale": 0}, "scale"),
        ({"scale": [2, 0]}, "scale"),
        ({"scale": 1.5}, "scale"),
        ({"patch": 0}, "patch"),
        ({"codecs": [{"quality": "low"}]}, "codecs.0.quality"),
        ({"codecs": [{"codec": {"type": "JPG"}, "quality": 3}]}, "codecs.0.codec"),
        ({"codecs": [{"codec": {"type": "JPEG"}}]}, "codecs.0.quality: missing"),
    ):
        with pytest.raises(UserError, match=message) as error:
            validate_component("dataset", spec | wrong)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": []}, r"scale.*\[\]"),
        ({"scale": [2, 2]}, r"scale.*\[2, 2\]"),
        ({"codecs": []}, "codecs"),
        ({"codecs": [CodecQualities(quality=[])]}, "codecs"),
        ({"codecs": [JPEGS, CodecQualities(quality=20)]}, r"codecs.*jpeg10, jpeg20, jpeg20"),
        ({"codecs": [CodecQualities(quality=101)]}, r"qf101: JPEG.*1 to 100"),
        ({"slice": (0, 4)}, "slice"),
        ({"gt": "nowhere"}, "nowhere"),
    ],
)
def test_wrong_options(gt, options, message):
    with pytest.raises(UserError, match=message):
        DownSampledImages(**{"gt": gt, "scale": 2, **options})


def test_images_that_are_too_small(gt, tmp_path):
    with pytest.raises(UserError, match=r"gt\[0\].*90x71.*2 x.*36"):
        DownSampledImages(gt=gt, scale=2, patch=36)[Draw(0, 0)]
    assert DownSampledImages(gt=gt, scale=2, patch=35)[Draw(0, 0)]["lq"].shape == (35, 35, 3)
    write_image(tmp_path / "tiny/a.png", make_image(0, 3, 9))
    for request in (0, Draw(0, 0)):
        with pytest.raises(UserError, match=r"a\.png.*9x3.*4"):
            DownSampledImages(gt=str(tmp_path / "tiny"), scale=4)[request]
    write_image(tmp_path / "gray/a.png", make_image(0)[..., :1])
    with pytest.raises(UserError, match="gray"):
        DownSampledImages(gt=str(tmp_path / "gray"), scale=2)[0]
