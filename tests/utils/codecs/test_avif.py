import pytest
from PIL import features

from powerqe.utils.codecs.avif import AVIF

pytestmark = pytest.mark.skipif("avif" not in features.get_supported(), reason="this Pillow has no AVIF")


def test_subsampling_orders_the_sizes(make_image):
    sizes = [AVIF(subsampling=s, speed=8).compress(make_image(), 60)[1] for s in ("4:2:0", "4:2:2", "4:4:4")]
    assert sizes == sorted(set(sizes))
