"""evaluation/report/examples.py: crops are the pixels of the images; what is missing is said."""

import base64

import cv2
import numpy as np
import pytest

from powerqe.evaluation.report import examples as crops
from powerqe.evaluation.report.examples import best_of, strips
from powerqe.evaluation.report.reader import collect
from powerqe.evaluation.results import Metric
from powerqe.utils.image.io import decode_image, read_image


def pixels(uri: str) -> np.ndarray:
    return decode_image(base64.b64decode(uri.split(",", 1)[1]), "any", "crop")


def cut(image: np.ndarray, strip) -> np.ndarray:
    height, width = image.shape[:2]
    top, left = round(strip.window.top * height / 100), round(strip.window.left * width / 100)
    return image[top : top + strip.side, left : left + strip.side]


def test_crops_are_the_pixels_of_the_images(tested, pairs, monkeypatch):
    monkeypatch.setattr(crops, "SIDES", (16, 16))
    comparison = collect([tested("a"), tested("b", 1)])
    (best, median, worst), notes = strips(comparison, "some")
    assert notes == []
    for strip in (best, median, worst):
        name = strip.title.split(": ")[1].split(",")[0]
        assert [crop.name for crop in strip.crops] == ["compressed", "a-c", "b-c", "original"]
        files = [pairs / f"lq/{name}.png", pairs / f"exp/a-c/test_im_enhanced/some/{name}.png",
                 pairs / f"exp/b-c/test_im_enhanced/some/{name}.png", pairs / f"gt/{name}.png"]  # fmt: skip
        for shown, file in zip(strip.crops, files, strict=True):
            crop = pixels(shown.image)
            assert crop.shape == (16, 16, 3)
            assert np.array_equal(crop, cut(read_image(file), strip))
        assert pixels(strip.overview).shape == (48, 56, 3)


def test_best_median_and_worst_are_by_the_gain_of_the_best_method(tested):
    comparison = collect([tested("a"), tested("b", 1)])
    assert comparison.main is not None
    entry = best_of(comparison.tests, comparison.main)
    assert entry is not None
    assert entry.average.gain("PSNR") == max(each.average.gain("PSNR") for each in comparison.tests)
    gains = {label: image.gain("PSNR") for label, image in entry.items.items()}
    ranked = sorted(gains, key=lambda label: gains[label])
    found, _ = strips(comparison, "some")
    for strip, rank, label in zip(found, ("Best", "Median", "Worst"), (ranked[3], ranked[1], ranked[0]), strict=True):
        assert strip.title == f"{rank}: {label}, PSNR {gains[label]:+.3f} dB by {entry.method}"
        image = entry.items[label]
        shown = next(each for each in strip.crops if each.name == entry.method)
        assert (
            shown.scores.replace("\u00a0", " ")
            == f"PSNR {image.result['PSNR']:.2f} dB · SSIM {image.result['SSIM']:.3f}"
        )


def test_lower_may_be_better(experiment):
    comparison = collect([experiment("a", gain=0.5), experiment("b", gain=-0.5)])
    for higher, expected in ((True, "a"), (None, "a"), (False, "b")):
        best = best_of(comparison.tests, Metric(name="PSNR", unit="dB", convention="", higher_is_better=higher))
        assert best is not None
        assert best.method == expected


def test_images_that_are_made_on_the_fly_are_made_again(tested, pairs):
    data = {"type": "DegradedImages", "gt": str(pairs / "gt"), "quality": [10], "slice": [0, 3]}
    (strip, *_), notes = strips(collect([tested("a", data=data)]), "some")
    assert notes == []
    lq = pixels(strip.crops[0].image)
    name = strip.title.split(": ")[1].split("-")[0]
    jpeg = cv2.imencode(".jpg", cv2.imread(str(pairs / f"gt/{name}.png")), [cv2.IMWRITE_JPEG_QUALITY, 10])[1]
    assert np.array_equal(lq, cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


def test_images_that_were_not_saved_or_are_gone(tested, pairs):
    folders = [tested("a"), tested("b", 1, if_save_im=False)]
    found, notes = strips(collect(folders), "some")
    assert [crop.name for crop in found[0].crops] == ["compressed", "a-c", "original"]
    assert len(notes) == 3
    assert "no crop of b-c; `powerqe test` did not save it (test.if_save_im)" in notes[0]
    for file in (pairs / "exp/a-c/test_im_enhanced/some").iterdir():
        file.unlink()
    _, notes = strips(collect(folders), "some")
    assert "no crop of a-c; cannot read the image exp/a-c/test_im_enhanced/some/" in notes[0]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda pairs: (pairs / "gt").rename(pairs / "moved"), "no crops; dataset.test.some: cannot read"),
        (lambda pairs: [(pairs / f"{kind}/0.png").unlink() for kind in ("gt", "lq")], "has other images now"),
        (lambda pairs: [cv2.imwrite(str(pairs / f"{kind}/{n}.png"), np.zeros((8, 8, 3), np.uint8))
                        for kind in ("gt", "lq") for n in range(8)], "has other images now"),
    ],
)  # fmt: skip
def test_data_sets_that_are_not_there_any_more(tested, pairs, change, match):
    comparison = collect([tested("a")])
    change(pairs)
    found, notes = strips(comparison, "some")
    assert found == []
    assert match in notes[0]


def test_without_ground_truth_there_are_no_crops(tested, tree):
    comparison = collect([tested("a", data=tree["dataset"]["test"] | {"gt": None})])
    assert strips(comparison, "some") == ([], ["some: no crops, because no image has a gain (no ground truth, or no "
                                               "metric of images)"])  # fmt: skip


def test_the_more_crops_the_smaller(experiment):
    few = collect([experiment("a"), experiment("b")])
    many = collect([experiment(f"m{number}") for number in range(98)])
    assert crops._side(few) == 96
    assert 32 <= crops._side(many) < 90
    assert 3 * 100 * crops._side(many) ** 2 * 4 <= crops.BYTES
