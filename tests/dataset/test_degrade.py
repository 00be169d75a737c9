import cv2
import numpy as np
import pytest

from powerqe.dataset import Draw
from powerqe.dataset.degrade import DegradedImages
from powerqe.dataset.quality import Range
from powerqe.dataset.store import write_store
from powerqe.utils.codecs import CODECS, JPEG
from powerqe.utils.codecs.jpeg_tables import quant_tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma_uint8
from powerqe.utils.image.orientation import oriented
from powerqe.utils.options.components import build, validate_component


def make_image(seed, height=70, width=90):
    noise = np.random.default_rng(seed).integers(0, 256, (14, 18, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


IMAGES = {f"{i}": make_image(i) for i in range(3)}


@pytest.fixture
def gt(tmp_path):
    write_store(tmp_path / "gt", IMAGES.items())
    return str(tmp_path / "gt")


def test_one_quality(gt):
    dataset = DegradedImages(gt=gt, quality=10)
    assert len(dataset) == 3
    sample = dataset[1]
    assert (sample["name"], sample["group"], sample["quality"]) == ("1", "qf10", 10)
    np.testing.assert_array_equal(sample["gt"], IMAGES["1"])
    np.testing.assert_array_equal(sample["lq"], JPEG().compress(IMAGES["1"], 10)[0])


def test_list_of_qualities(gt):
    dataset = DegradedImages(gt=gt, quality=[10, 40], slice=(1, 3))
    samples = [dataset[index] for index in range(len(dataset))]
    assert [sample["name"] for sample in samples] == ["1-qf10", "1-qf40", "2-qf10", "2-qf40"]
    np.testing.assert_array_equal(samples[1]["lq"], JPEG().compress(IMAGES["1"], 40)[0])
    assert {dataset[Draw(index, 5)]["quality"] for index in range(4)} == {10, 40}


def test_range(gt):
    dataset = DegradedImages(gt=gt, quality=Range(min=10, max=12), patch=16)
    assert len(dataset) == 3
    assert {dataset[Draw(0, seed)]["quality"] for seed in range(60)} == {10, 11, 12}
    with pytest.raises(UserError, match="give a quality or a list to test on whole images"):
        dataset[0]


@pytest.mark.parametrize("patch", [17, 48, 70])
def test_gray_patches_are_those_of_the_whole_compressed_image(gt, patch):
    """Position on the block grid, content and symmetry, to the bit (gray: no chroma to interpolate)."""
    dataset = DegradedImages(gt=gt, quality=10, patch=patch, color="y", flip=True, rotate=True)
    clean = luma_uint8(IMAGES["0"])
    whole = np.concatenate([JPEG().compress(clean, 10)[0], clean], axis=-1)
    places = set()
    for seed in range(10):
        sample = dataset[Draw(0, seed)]
        both = np.concatenate([sample["lq"], sample["gt"]], axis=-1)
        found = [
            (top, left)
            for top in range(70 - patch + 1)
            for left in range(90 - patch + 1)
            if whole[top, left, 1] in both[[0, 0, -1, -1], [0, -1, 0, -1], 1]
            and any(
                np.array_equal(oriented_pair(whole[top : top + patch, left : left + patch], symmetry), both)
                for symmetry in range(8)
            )
        ]
        assert found
        places.update((top % 8, left % 8) for top, left in found)
    assert len(places) > (5 if patch < 70 else 2)  # the phase of the grid is random


def oriented_pair(pair, symmetry):
    return np.concatenate([oriented(pair[..., i : i + 1], symmetry) for i in (0, 1)], axis=-1)


def test_color_patches_are_nearly_those_of_the_whole_compressed_image(gt):
    dataset = DegradedImages(gt=gt, quality=30, patch=32)
    whole = JPEG().compress(IMAGES["0"], 30)[0]
    for seed in range(20):
        sample = dataset[Draw(0, seed)]
        place = cv2.matchTemplate(IMAGES["0"], sample["gt"], cv2.TM_SQDIFF)
        top, left = np.unravel_index(np.argmin(place), place.shape)
        difference = np.abs(whole[top : top + 32, left : left + 32].astype(int) - sample["lq"])
        assert (difference[2:-2, 2:-2] == 0).all()  # only the chroma at the edge of the region may differ


def test_draws_depend_on_the_seed_only(gt):
    dataset = DegradedImages(gt=gt, quality=Range(min=5, max=95), patch=16, flip=True, rotate=True)
    first, again, other = dataset[Draw(1, 7)], dataset[Draw(1, 7)], dataset[Draw(1, 8)]
    np.testing.assert_array_equal(first["lq"], again["lq"])
    assert not np.array_equal(first["gt"], other["gt"])


def test_as_a_component(gt):
    spec = {"type": "DegradedImages", "gt": gt, "quality": {"min": 10, "max": "20"}, "patch": 16}
    component = validate_component("dataset", spec)
    assert 10 <= build(component)[Draw(0, 1)]["quality"] <= 20
    again = validate_component("dataset", component.model_dump(mode="json", serialize_as_any=True))
    np.testing.assert_array_equal(build(again)[Draw(0, 1)]["lq"], build(component)[Draw(0, 1)]["lq"])
    fine = build(
        validate_component("dataset", spec | {"quality": 10, "codec": {"type": "JPEG", "subsampling": "4:4:4"}})
    )
    np.testing.assert_array_equal(fine[0]["lq"], JPEG(subsampling="4:4:4").compress(IMAGES["0"], 10)[0])
    for wrong in (
        {"quality": "good"},
        {"quality": {"min": 3}},
        {"codec": {"type": "JPG"}},
        {"codec": {"type": "JPEG", "q": 3}},
    ):
        with pytest.raises(UserError, match=next(iter(wrong))):
            validate_component("dataset", spec | wrong)


@pytest.mark.parametrize(("codec", "group"), [("HEVC", "qp37"), ("WebP", "qf37")])
def test_any_codec(gt, codec, group):
    spec = {"type": "DegradedImages", "gt": gt, "quality": [37, 22], "codec": {"type": codec}, "patch": 32}
    dataset = build(validate_component("dataset", spec))
    whole = dataset[2]
    assert (whole["name"], whole["group"], whole["quality"]) == (f"1-{group}", group, 37)
    np.testing.assert_array_equal(whole["lq"], CODECS[codec]().compress(IMAGES["1"], 37)[0])
    patch, again = dataset[Draw(2, 7)], dataset[Draw(2, 7)]
    np.testing.assert_array_equal(patch["lq"], again["lq"])
    assert patch["lq"].shape == patch["gt"].shape == (32, 32, 3)
    assert 0 < np.abs(patch["lq"].astype(int) - patch["gt"]).mean() < 20
    assert build(validate_component("dataset", spec | {"color": "y"}))[Draw(2, 7)]["lq"].shape == (32, 32, 1)


@pytest.mark.parametrize(
    ("codec", "quality", "message"),
    [
        ({"type": "HEVC"}, 52, r"qp52: HEVC.*0 to 51"),
        ({"type": "BPG", "folder": "no/libbpg"}, 42, r"BPG.*no/libbpg"),
    ],
)
def test_a_codec_that_cannot_do_it_is_refused_before_any_work(gt, codec, quality, message):
    component = validate_component("dataset", {"type": "DegradedImages", "gt": gt, "quality": quality, "codec": codec})
    with pytest.raises(UserError, match=message):
        build(component)


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        (0, r"qf0: JPEG.*1 to 100"),
        ([10, 101], "qf101: JPEG"),
        ({"min": 0, "max": 50}, "qf0: JPEG"),
        ({"min": 50, "max": 40}, r"min 50.*max 40"),
        ([], "one or more different numbers"),
        ([10, 10], "one or more different numbers"),
    ],
)
def test_bad_quality(gt, quality, message):
    with pytest.raises(UserError, match=message):
        DegradedImages(gt=gt, quality=quality)


def test_smaller_than_the_patch_and_missing(gt, tmp_path):
    with pytest.raises(UserError, match=r"gt\[0\].*90x70.*71"):
        DegradedImages(gt=gt, quality=10, patch=71)[Draw(0, 0)]
    with pytest.raises(UserError, match="slice"):
        DegradedImages(gt=gt, quality=10, slice=(0, 4))
    with pytest.raises(UserError, match="nowhere"):
        DegradedImages(gt=str(tmp_path / "nowhere"), quality=10)


def test_some_qualities_come_often(gt):
    quality = Range(min=50, max=99, often=[10, 20], share=0.5)
    dataset = DegradedImages(gt=gt, quality=quality, patch=16)
    drawn = [dataset[Draw(0, seed)]["quality"] for seed in range(400)]
    assert set(drawn) > {10, 20}
    assert 0.4 < sum(q < 50 for q in drawn) / 400 < 0.6
    assert min(q for q in drawn if q >= 50) < 55
    with pytest.raises(UserError, match=r"qf0: JPEG.*1 to 100"):
        DegradedImages(gt=gt, quality=Range(min=50, max=99, often=[0]))


@pytest.mark.parametrize("color", ["rgb", "y"])
def test_with_its_own_grid_a_patch_is_compressed_by_itself(gt, color):
    dataset = DegradedImages(gt=gt, quality=10, patch=21, grid="patch", flip=True, rotate=True, color=color)
    for seed in range(20):
        sample = dataset[Draw(0, seed)]
        np.testing.assert_array_equal(sample["lq"], JPEG().compress(sample["gt"], 10)[0])
        np.testing.assert_array_equal(sample["tables"], quant_tables(10, sample["gt"].shape[2]))


def test_tables_come_with_whole_images_and_not_with_patches_on_the_grid_of_the_image(gt):
    dataset = DegradedImages(gt=gt, quality=[10, 30], patch=16)
    np.testing.assert_array_equal(dataset[1]["tables"], quant_tables(30, 3))
    assert "tables" not in dataset[Draw(0, 1)]
    assert "tables" not in DegradedImages(gt=gt, quality=30, codec={"type": "WebP"})[0]


def test_mixed_grid_is_each_half_of_the_time(gt):
    whole = {grid: DegradedImages(gt=gt, quality=10, patch=24, grid=grid) for grid in ("image", "patch", "mixed")}
    own = 0
    for seed in range(200):
        mixed, image, patch = (whole[grid][Draw(0, seed)] for grid in ("mixed", "image", "patch"))
        assert "tables" not in mixed
        own += np.array_equal(mixed["lq"], patch["lq"])
        assert np.array_equal(mixed["lq"], patch["lq"]) or np.array_equal(mixed["lq"], image["lq"])
    assert 70 < own < 130
