import json

import cv2
import numpy as np
import pytest

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations import DegradedPair
from powerqe.dataset.degradations.varied_jpeg import OtherTables, VariedJPEG
from powerqe.utils.codecs import JPEG
from powerqe.utils.codecs.jpeg_tables import quant_tables
from powerqe.utils.errors import UserError

IMAGE = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 14, 3), np.uint8), (56, 48))


def make_pairs(step, count=300, image=IMAGE):
    return [step.draw(Dice(seed)).apply(DegradedPair(image, image), 1) for seed in range(count)]


def test_subsampling_by_weight():
    known = {JPEG(subsampling=name).compress(IMAGE, 50)[0].tobytes(): name for name in ("4:2:0", "4:2:2", "4:4:4")}
    weights = {"4:2:0": 0.7, "4:2:2": 0.1, "4:4:4": 0.2}
    found = [known[pair.lq.tobytes()] for pair in make_pairs(VariedJPEG(quality=50, subsampling=weights))]
    for name, weight in weights.items():
        assert found.count(name) / len(found) == pytest.approx(weight, abs=0.07)
    both = {known[pair.lq.tobytes()] for pair in make_pairs(VariedJPEG(quality=50, subsampling=["4:2:2", "4:4:4"]))}
    assert both == {"4:2:2", "4:4:4"}


@pytest.mark.parametrize("channels", [1, 3])
def test_other_tables_in_their_share(tmp_path, channels):
    """A file with the tables of quality factors 12 and 70, so that the pixels are known."""
    entries = []
    for quality in (12, 70):
        luma, chroma = quant_tables(quality, 3).reshape(2, 64).astype(int).tolist()
        entries.append({"count": 1, "luma": luma, "chroma": chroma})
    (tmp_path / "tables.json").write_text(json.dumps({"tables": entries}))
    step = VariedJPEG(quality=40, tables=OtherTables(file=str(tmp_path / "tables.json"), share=0.25))
    image, counts = IMAGE[..., :channels], {12: 0, 40: 0, 70: 0}
    known = {JPEG().compress(image, quality)[0].tobytes(): quality for quality in counts}
    for pair in make_pairs(step, image=image):
        quality = known[pair.lq.tobytes()]
        counts[quality] += 1
        assert pair.quality == (40 if quality == 40 else -1)
        np.testing.assert_array_equal(pair.tables, quant_tables(quality, channels))
    assert counts[40] / 300 == pytest.approx(0.75, abs=0.07)
    assert min(counts[12], counts[70]) > 20


def test_a_crop_takes_rows_and_columns_of_both_and_the_tables_no_longer_fit():
    for pair in make_pairs(VariedJPEG(quality=30, crop=2), 30):
        rows, columns = 48 - pair.gt.shape[0], 56 - pair.gt.shape[1]
        np.testing.assert_array_equal(pair.gt, IMAGE[rows:, columns:])
        np.testing.assert_array_equal(pair.lq, JPEG().compress(IMAGE, 30)[0][rows:, columns:])
        assert (pair.tables is None) == (rows + columns > 0)
    action = next(a for s in range(50) if (a := VariedJPEG(quality=30, crop=7).draw(Dice(s))).needs(20) == 27)
    assert action.apply(DegradedPair(IMAGE, IMAGE), 47).side >= 47


def test_mistakes(tmp_path):
    with pytest.raises(UserError, match="qf0: JPEG"):
        VariedJPEG(quality={"min": 0, "max": 100})  # type: ignore[arg-type]
    for nothing in ([], {"4:2:0": 0}):
        with pytest.raises(UserError, match="subsampling"):
            VariedJPEG(quality=30, subsampling=nothing)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="collect-jpeg-tables"):
        VariedJPEG(quality=30, tables=OtherTables(file=str(tmp_path / "none.json")))
