import cv2
import numpy as np
import pytest

from powerqe.dataset import Draw
from powerqe.dataset.degrade import DegradedImages
from powerqe.dataset.double_jpeg import DoubleJPEGImages
from powerqe.dataset.quality import Range
from powerqe.dataset.store import write_store
from powerqe.utils.codecs import JPEG
from powerqe.utils.codecs.jpeg_tables import quant_tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma_uint8
from powerqe.utils.image.orientation import oriented
from powerqe.utils.options.components import build, validate_component


def make_image(seed, height=46, width=54):
    noise = np.random.default_rng(seed).integers(0, 256, (14, 18, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


IMAGES = {f"{i}": make_image(i) for i in range(3)}


@pytest.fixture
def gt(tmp_path):
    write_store(tmp_path / "gt", IMAGES.items())
    return str(tmp_path / "gt")


def twice(image, first, second, rows, columns):
    once = JPEG().compress(image, first)[0][rows:, columns:]
    return JPEG().compress(np.ascontiguousarray(once), second)[0]


@pytest.mark.parametrize("color", ["rgb", "y"])
def test_whole_images(gt, color):
    dataset = DoubleJPEGImages(gt=gt, qualities=[(30, 10), (10, 30)], slice=(1, 3), color=color)
    samples = [dataset[index] for index in range(len(dataset))]
    assert [sample["name"] for sample in samples] == ["1-qf30-10", "1-qf10-30", "2-qf30-10", "2-qf10-30"]
    assert [sample["group"] for sample in samples[:2]] == ["qf30-10", "qf10-30"]
    assert {sample["quality"] for sample in samples} == {-1}
    clean = IMAGES["2"] if color == "rgb" else luma_uint8(IMAGES["2"])
    np.testing.assert_array_equal(samples[3]["gt"], clean[4:, 4:])
    np.testing.assert_array_equal(samples[3]["lq"], twice(clean, 10, 30, 4, 4))
    np.testing.assert_array_equal(samples[3]["tables"], quant_tables(30, clean.shape[2]))


def test_one_pair_needs_no_name_and_the_shift_is_rows_then_columns(gt):
    sample = DoubleJPEGImages(gt=gt, qualities=[(50, 20)], shift=(2, 7))[1]
    assert sample["name"] == "1"
    np.testing.assert_array_equal(sample["lq"], twice(IMAGES["1"], 50, 20, 2, 7))
    np.testing.assert_array_equal(sample["gt"], IMAGES["1"][2:, 7:])


def samples_of(dataset, count):
    return [dataset[Draw(index % 3, seed)] for seed, index in enumerate(range(count))]


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.25, 60, 140), (1.0, 400, 400)])
def test_share_of_doubles(gt, share, low, high):
    dataset = DoubleJPEGImages(gt=gt, quality=[10, 90], double_share=share, patch=8)
    assert len(dataset) == 3
    samples = samples_of(dataset, 400)
    doubles = [sample for sample in samples if sample["quality"] == -1]
    assert low <= len(doubles) <= high
    groups = {sample["group"] for sample in doubles}
    assert groups == ({"qf10-10", "qf10-90", "qf90-10", "qf90-90"} if doubles else set())
    singles = {(sample["group"], sample["quality"]) for sample in samples if sample["quality"] != -1}
    assert singles == ({("qf10", 10), ("qf90", 90)} if share < 1 else set())


def places_of(sample, shifted_whole, patch):
    """(top, left) at which lq and gt, in some orientation, lie in the two channels of a whole image."""
    both = np.concatenate([sample["lq"], sample["gt"]], axis=-1)
    turned = [np.concatenate([oriented(shifted_whole[..., c : c + 1], s) for c in (0, 1)], axis=-1) for s in range(8)]
    return [
        (symmetry, top, left)
        for symmetry, whole in enumerate(turned)
        for top, left in np.argwhere(whole[: len(whole) - patch + 1, : whole.shape[1] - patch + 1, 1] == both[0, 0, 1])
        if np.array_equal(whole[top : top + patch, left : left + patch], both)
    ]


def test_gray_patches_are_those_of_the_whole_image_with_a_shift_of_0_to_8(gt):
    """Both grids, content and symmetry, to the bit (gray: no chroma to interpolate)."""
    dataset = DoubleJPEGImages(gt=gt, quality=20, double_share=1, patch=24, color="y", flip=True, rotate=True)
    clean, shifts, symmetries = luma_uint8(IMAGES["0"]), set(), set()
    wholes = {
        (rows, columns): np.concatenate([twice(clean, 20, 20, rows, columns), clean[rows:, columns:]], axis=-1)
        for rows in range(9)
        for columns in range(9)
    }
    for seed in range(30):
        sample = dataset[Draw(0, seed)]
        assert sample["lq"].shape == sample["gt"].shape == (24, 24, 1)
        found = {shift: places for shift, whole in wholes.items() if (places := places_of(sample, whole, 24))}
        assert found
        shifts |= set(found)
        symmetries |= {place[0] for places in found.values() for place in places}
    assert {0, 8} <= {rows for rows, _ in shifts}
    assert {0, 8} <= {columns for _, columns in shifts}
    assert len({rows - columns for rows, columns in shifts}) > 8  # the two are drawn apart
    assert symmetries == set(range(8))


def test_single_ones_are_those_of_degraded_images(gt):
    options = {"gt": gt, "quality": 35, "patch": 24, "flip": True, "rotate": True}
    singles, doubles = DegradedImages(**options), DoubleJPEGImages(**options, double_share=0)
    for seed in range(10):
        one, other = singles[Draw(1, seed)], doubles[Draw(1, seed)]
        np.testing.assert_array_equal(one["lq"], other["lq"])
        np.testing.assert_array_equal(one["gt"], other["gt"])


def test_first_and_second_quality_are_drawn_apart_from_a_range(gt):
    dataset = DoubleJPEGImages(gt=gt, quality=Range(min=5, max=95), double_share=1, patch=8)
    pairs = [tuple(map(int, sample["group"][2:].split("-"))) for sample in samples_of(dataset, 100)]
    first, second = np.array(pairs).T
    assert min(first.min(), second.min()) >= 5
    assert max(first.max(), second.max()) <= 95
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.3
    assert len(set(first)) > 40
    assert len(set(second)) > 40


def test_draws_of_given_pairs(gt):
    dataset = DoubleJPEGImages(gt=gt, qualities=[(30, 10), (10, 30)], patch=16)
    assert [dataset[Draw(index, 5)]["group"] for index in range(4)] == ["qf30-10", "qf10-30"] * 2
    whole = DoubleJPEGImages(gt=gt, qualities=[(30, 10), (10, 30)])
    np.testing.assert_array_equal(whole[Draw(3, 1)]["lq"], whole[3]["lq"])


def test_as_a_component(gt):
    spec = {"type": "DoubleJPEGImages", "gt": gt, "quality": {"min": 10, "max": 60}, "double_share": 1, "patch": 16}
    component = validate_component("dataset", spec)
    again = validate_component("dataset", component.model_dump(mode="json", serialize_as_any=True))
    first, other = build(component)[Draw(0, 9)], build(again)[Draw(0, 9)]
    assert first["group"] == other["group"]
    np.testing.assert_array_equal(first["lq"], other["lq"])
    pairs = {"type": "DoubleJPEGImages", "gt": gt, "qualities": [[30, 10]], "shift": [1, 0]}
    np.testing.assert_array_equal(
        build(validate_component("dataset", pairs))[0]["lq"], twice(IMAGES["0"], 30, 10, 1, 0)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either quality, to train, or qualities"),
        ({"qualities": []}, "give either quality"),
        ({"quality": 10, "qualities": [(10, 20)]}, "give either quality"),
        ({"quality": 0}, r"qf0: JPEG.*1 to 100"),
        ({"qualities": [(10, 101)]}, "qf101: JPEG has"),
        ({"qualities": [(10, 20), (20, 10), (10, 20)]}, "expected different pairs"),
        ({"qualities": [(10, 10)], "slice": (0, 4)}, "slice"),
    ],
)
def test_mistakes(gt, options, message):
    with pytest.raises(UserError, match=message):
        DoubleJPEGImages(gt=gt, **options)


def test_too_small(gt):
    with pytest.raises(UserError, match=r"gt\[0\].*54x46.*39.*8"):
        DoubleJPEGImages(gt=gt, quality=10, patch=39)[Draw(0, 0)]
    with pytest.raises(UserError, match=r"shift: \[46, 0\].*gt\[0\]"):
        DoubleJPEGImages(gt=gt, qualities=[(10, 10)], shift=(46, 0))[0]
    with pytest.raises(UserError, match=r"give qualities: .* to test on whole images"):
        DoubleJPEGImages(gt=gt, quality=10)[0]
