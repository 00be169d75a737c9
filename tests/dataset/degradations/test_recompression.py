import cv2
import numpy as np
import pytest

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations import DegradedPair
from powerqe.dataset.degradations.recompression import Recompression
from powerqe.utils.codecs import CODECS
from powerqe.utils.errors import UserError

IMAGE = cv2.resize(np.random.default_rng(0).integers(0, 256, (10, 12, 3), np.uint8), (72, 70))


@pytest.mark.parametrize(("codec", "qualities"), [("WebP", [10, 60]), ("HEVC", [30, 40]), ("VideoFrame", [30, 40])])
def test_lq_is_what_the_codec_makes_at_a_drawn_quality(codec, qualities):
    known = {CODECS[codec]().compress(IMAGE, quality)[0].tobytes(): quality for quality in qualities}
    step, drawn = Recompression(codec={"type": codec}, quality=qualities), set()
    for seed in range(12):
        made = step.draw(Dice(seed)).apply(DegradedPair(IMAGE, IMAGE, 50), 1)
        drawn.add(known[made.lq.tobytes()])
        assert made.gt is IMAGE
        assert (made.quality, made.tables) == (-1, None)
    assert drawn == set(qualities)


def test_mistakes():
    with pytest.raises(UserError, match=r"qp52: HEVC.*0 to 51"):
        Recompression(codec={"type": "HEVC"}, quality=52)
    with pytest.raises(UserError, match="JPEG is a step of its own"):
        Recompression(codec={"type": "JPEG"}, quality=50)
