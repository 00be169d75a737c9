import numpy as np

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations import DegradedPair
from powerqe.dataset.degradations.grayscale import Grayscale
from powerqe.utils.codecs import JPEG


def test_both_images_become_gray_and_stay_so_through_jpeg():
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    made = Grayscale().draw(Dice(0)).apply(DegradedPair(image, image // 2), 1)
    exact = image @ [0.299, 0.587, 0.114]
    for channel in range(3):
        np.testing.assert_allclose(made.lq[..., channel], exact, atol=0.51)
    assert (made.gt[..., 0] < made.lq[..., 0]).mean() > 0.9
    decoded = JPEG(subsampling="4:2:0").compress(made.lq, 30)[0].astype(int)
    assert np.ptp(decoded, axis=2).max() == 0


def test_one_channel_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 1), np.uint8)
    made = Grayscale().draw(Dice(0)).apply(DegradedPair(image, image), 1)
    assert made.lq.shape == (8, 8, 1)
    assert (made.lq == image).all()
