import cv2
import numpy as np
import pytest

from powerqe.dataset import Draw
from powerqe.dataset.augment import mix
from powerqe.dataset.chain import ChainedImages
from powerqe.dataset.store import write_store
from powerqe.utils.codecs import JPEG
from powerqe.utils.codecs.jpeg_tables import quant_tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma_uint8
from powerqe.utils.options.components import build, validate_component


def make_image(seed, height=70, width=90):
    noise = np.random.default_rng(seed).integers(0, 256, (14, 18, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


IMAGES = {f"{i}": make_image(i) for i in range(3)}
ONCE = [{"type": "JPEG", "quality": 20}]
TWICE = [{"type": "JPEG", "quality": 60, "crop": 7}, *ONCE]


@pytest.fixture
def gt(tmp_path):
    write_store(tmp_path / "gt", IMAGES.items())
    return str(tmp_path / "gt")


def test_whole_images_have_the_damage_of_their_number(gt):
    dataset = ChainedImages(gt=gt, chain=[{"type": "JPEG", "quality": [10, 30]}])
    assert len(dataset) == 3
    samples = [dataset[index] for index in range(3)]
    assert [sample["name"] for sample in samples] == ["0", "1", "2"]
    for index, sample in enumerate(samples):
        np.testing.assert_array_equal(sample["gt"], IMAGES[str(index)])
        np.testing.assert_array_equal(sample["lq"], JPEG().compress(sample["gt"], sample["quality"])[0])
        np.testing.assert_array_equal(sample["tables"], quant_tables(sample["quality"], 3))
        np.testing.assert_array_equal(sample["lq"], dataset[index]["lq"])


@pytest.mark.parametrize("patch", [17, 48, 70])
def test_gray_patches_lie_anywhere_on_the_grid(gt, patch):
    """Blocks begin at multiples of 8 from some corner: compressing from there once more changes next to nothing."""
    dataset = ChainedImages(gt=gt, chain=ONCE, patch=patch, color="y")
    clean, corners = luma_uint8(IMAGES["0"])[..., 0], set()
    for seed in range(20):
        sample = dataset[Draw(0, seed)]
        assert sample["lq"].shape == sample["gt"].shape == (patch, patch, 1)
        assert "tables" not in sample
        place = cv2.matchTemplate(clean, sample["gt"], cv2.TM_SQDIFF)
        top, left = np.unravel_index(np.argmin(place), place.shape)
        np.testing.assert_array_equal(clean[top : top + patch, left : left + patch, None], sample["gt"])
        changes = {
            (y, x): np.square(JPEG().compress(inside, 20)[0].astype(int) - inside).mean()
            for y in range(8)
            for x in range(8)
            for inside in [sample["lq"][y : y + (patch - y) // 8 * 8, x : x + (patch - x) // 8 * 8]]
        }
        corners.add(min(changes, key=lambda corner: changes[corner]))
    assert len(corners) > (8 if patch < 70 else 3)


@pytest.mark.parametrize("color", ["rgb", "y"])
def test_with_its_own_grid_a_patch_is_compressed_by_itself(gt, color):
    dataset = ChainedImages(gt=gt, chain=ONCE, patch=21, grid="patch", flip=True, rotate=True, color=color)
    for seed in range(10):
        sample = dataset[Draw(0, seed)]
        np.testing.assert_array_equal(sample["lq"], JPEG().compress(sample["gt"], 20)[0])
        np.testing.assert_array_equal(sample["tables"], quant_tables(20, sample["gt"].shape[2]))


def test_double_jpeg_with_a_crop_between(gt):
    dataset, shifts = ChainedImages(gt=gt, chain=TWICE, color="y"), set()
    clean = luma_uint8(IMAGES["0"])
    once = JPEG().compress(clean, 60)[0]
    for seed in range(40):
        sample = dataset[Draw(0, seed)]
        rows, columns = 70 - sample["lq"].shape[0], 90 - sample["lq"].shape[1]
        shifts.add((rows, columns))
        np.testing.assert_array_equal(sample["gt"], clean[rows:, columns:])
        np.testing.assert_array_equal(sample["lq"], JPEG().compress(once[rows:, columns:], 20)[0])
    assert {rows for rows, _ in shifts} == set(range(8)) == {columns for _, columns in shifts}
    assert len({rows - columns for rows, columns in shifts}) > 8  # the two are drawn apart


def test_a_patch_of_the_whole_image_leaves_nothing_to_crop(gt):
    sample = ChainedImages(gt=gt, chain=TWICE, patch=70)[Draw(0, 3)]
    assert sample["lq"].shape == sample["gt"].shape == (70, 70, 3)


def test_shares(gt):
    chain = [{"type": "JPEG", "quality": 60, "share": 0.25}]
    dataset = ChainedImages(gt=gt, chain=chain, patch=16)
    samples = [dataset[Draw(0, mix(seed))] for seed in range(400)]
    assert 70 < sum(sample["quality"] == 60 for sample in samples) < 130
    for sample in samples:
        assert (sample["quality"] == -1) == np.array_equal(sample["lq"], sample["gt"])


def test_as_a_component(gt):
    spec = {"type": "ChainedImages", "gt": gt, "chain": [{**TWICE[0], "share": "5e-1"}, *ONCE], "patch": 16}
    component = validate_component("dataset", spec)
    again = validate_component("dataset", component.model_dump(mode="json", serialize_as_any=True))
    for seed in range(10):
        one, other = build(component)[Draw(0, seed)], build(again)[Draw(0, seed)]
        np.testing.assert_array_equal(one["lq"], other["lq"])
        assert one["lq"].flags.c_contiguous
    for wrong in ({"share": 1.5}, {"type": "JPG"}, {"qualty": 3}, {"subsampling": "4:1:1"}, {"crop": -1}):
        with pytest.raises(UserError, match=rf"chain.*{next(iter(wrong.values()))}|chain.*{next(iter(wrong))}"):
            validate_component("dataset", {**spec, "chain": [{**ONCE[0], **wrong}]})


def test_mistakes(gt):
    with pytest.raises(UserError, match=r"step 1 \(JPEG\): qf101: JPEG.*1 to 100"):
        ChainedImages(gt=gt, chain=[*ONCE, {"type": "JPEG", "quality": 101}])
    with pytest.raises(UserError, match="found no step"):
        ChainedImages(gt=gt, chain=[])
    with pytest.raises(UserError, match=r"gt\[0\].*90x70.*71"):
        ChainedImages(gt=gt, chain=ONCE, patch=71)[Draw(0, 0)]
    with pytest.raises(UserError, match="slice"):
        ChainedImages(gt=gt, chain=ONCE, slice=(0, 4))


EVERYTHING = [
    {"type": "Blur", "sigma": [0.2, 1], "ratio": [0.5, 1], "share": 0.3},
    {"type": "JPEG", "quality": {"min": 60, "max": 95}, "crop": 7, "share": 0.5},
    {"type": "Resize", "factor": [0.2, 1.3], "share": 0.5},
    {"type": "OneOf", "share": 0.5, "steps": [{"type": "GaussianNoise", "sigma": [1, 9]},
                                              {"type": "PoissonNoise", "photons": [50, 500]}]},
    {"type": "OneOf", "steps": [{"type": "JPEG", "quality": 20, "share": 0.7},
                                {"type": "Codec", "codec": {"type": "WebP"}, "quality": [10, 40], "share": 0.2},
                                {"type": "Codec", "codec": {"type": "VideoFrame"}, "quality": 35, "share": 0.1}]},
]  # fmt: skip


@pytest.mark.parametrize("grid", ["image", "patch"])
@pytest.mark.parametrize("color", ["rgb", "y"])
def test_all_steps_together_make_patches_of_one_size_out_of_the_seed(gt, grid, color):
    options = {"gt": gt, "chain": EVERYTHING, "patch": 40, "grid": grid, "color": color, "flip": True, "rotate": True}
    dataset, again = ChainedImages(**options), ChainedImages(**options)
    for seed in range(40):
        sample = dataset[Draw(seed % 3, seed)]
        assert sample["lq"].shape == sample["gt"].shape == (40, 40, 3 if color == "rgb" else 1)
        np.testing.assert_array_equal(sample["lq"], again[Draw(seed % 3, seed)]["lq"])
        assert np.abs(sample["lq"].astype(int) - sample["gt"]).mean() < 40
        assert sample["quality"] in (20, -1)


def test_a_jpeg_after_resizing_is_of_the_resized_clean_image(gt):
    dataset = ChainedImages(gt=gt, chain=[{"type": "Resize", "factor": [0.4, 0.9]}, *ONCE])
    sizes = set()
    for index in range(3):
        sample = dataset[index]
        sizes.add(sample["gt"].shape)
        np.testing.assert_array_equal(sample["lq"], JPEG().compress(sample["gt"], 20)[0])
    assert len(sizes) == 3
