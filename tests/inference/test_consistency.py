"""What a JPEG file says itself, against what networks make of it: policy, rotation, clean images."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from powerqe.inference.consistency import JPEGFile, consistent, declined, earlier_quality
from powerqe.inference.consistent_forward import ConsistentForward
from powerqe.inference.enhance_image import enhance_photo
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.model import Model
from powerqe.utils.codecs.jpeg_estimate import DIP, full_range_luma, last_compression
from powerqe.utils.errors import UserError
from powerqe.utils.image.photo import Photo, decode_photo
from tests.drawings import drawing


class Fixed(Model):
    """A network that changes images as it is told."""

    def __init__(self, change, **options):
        self.name, self.channels, self.needs_tables, self.scale = "fixed", 3, False, 1
        self.takes_clips = self.needs_quality = False
        self.options = InferenceOptions("cpu", **options)
        self._change = change

    def __call__(self, batch):
        return self._change(batch["lq"]), {}


def darker(image):
    """A change that no file of good quality allows."""
    return image * 0.5


@pytest.fixture(scope="module")
def clean():
    """Noise of many scales, uint8 (128, 128, 3)."""
    random = np.random.default_rng(0)
    image = np.full((128, 128, 3), 128.0)
    for size in (4, 8, 16, 32, 64, 128):
        image += random.normal(0, 12, (size, size, 3)).repeat(128 // size, 0).repeat(128 // size, 1)
    return image.clip(0, 255).astype(np.uint8)


def written(image: np.ndarray, quality: int, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-3, np.square(one.astype(float) - other).mean())))


@pytest.mark.parametrize("quality", [50, 90, 98])
def test_never_worse_than_the_file(clean, quality):
    photo = decode_photo(written(clean, quality), "x")
    result = enhance_photo(photo, Fixed(darker, consistency="on"), "x")
    assert psnr(result.photo.pixels, clean) > psnr(photo.pixels, clean) - 0.05
    assert psnr(enhance_photo(photo, Fixed(darker, consistency="off"), "x").photo.pixels, clean) < 20
    assert len(result.notes) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_grid_is_that_of_the_stored_image(clean, orientation):
    """The clean image, as a network that knows it, turned upright: the file says that it is right."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = decode_photo(written(clean[:100, :90], 60, subsampling=0, exif=exif), "x")
    upright = replace(photo, pixels=np.ascontiguousarray(clean[:100, :90])).upright().pixels
    answer = torch.from_numpy(upright).permute(2, 0, 1)[None].float() / 255
    result = enhance_photo(photo, Fixed(lambda _: answer, force_enhance=True), "x")
    assert result.photo.pixels.shape == upright.shape
    assert np.abs(result.photo.pixels.astype(int) - upright).max() <= 3
    assert not result.notes


@pytest.mark.parametrize("shift", [(0, 0), (4, 4)])
def test_earlier_and_stronger_compressions_are_found(clean, shift):
    first = decoded(written(clean, 10))[shift[0] :, shift[1] :]
    second = written(np.ascontiguousarray(first), 90)
    photo = decode_photo(second, "x")
    assert abs((earlier_quality(photo.pixels, 90) or 0) - 10) <= 1
    assert earlier_quality(decoded(written(clean, 90)), 90) is None
    by_default = enhance_photo(photo, Fixed(darker), "x")
    assert np.array_equal(
        by_default.photo.pixels, enhance_photo(photo, Fixed(darker, consistency="off"), "x").photo.pixels
    )
    assert "10" in by_default.notes[0]
    always = enhance_photo(photo, Fixed(darker, consistency="on"), "x").photo.pixels
    assert psnr(always, photo.pixels) > psnr(by_default.photo.pixels, photo.pixels) + 10


@pytest.mark.parametrize("seed", [25, 45, 54])
def test_drawings_that_look_like_jpeg_by_chance(seed):
    """They stay as they are, and are not said to have been compressed before: one became 8 dB worse so."""
    image = drawing(seed)
    assert last_compression(full_range_luma(image)).depth >= DIP
    assert declined(Photo(image, is_lossless=True))
    for quality in (97, 100):
        assert earlier_quality(decoded(written(image, quality)), quality) is None


def test_clean_files_are_declined(clean):
    assert declined(Photo(clean, is_lossless=True))
    assert not declined(Photo(decoded(written(clean, 30)), is_lossless=True))
    assert not declined(decode_photo(written(clean, 98), "x"))
    assert declined(Photo(clean.astype(np.uint16) * 257, is_lossless=True))


@pytest.mark.parametrize(
    ("kind", "options", "is_declined"),
    [
        ("PNG", {}, True),
        ("WEBP", {"lossless": True}, True),
        ("WEBP", {"lossless": True, "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}, True),  # among other chunks
        ("WEBP", {"quality": 60}, False),
        ("TIFF", {}, True),
        ("TIFF", {"compression": "jpeg", "quality": 30}, False),
        ("PPM", {}, True),
    ],
)
def test_files_are_declined_by_how_they_keep_pixels(clean, kind, options, is_declined):
    file = io.BytesIO()
    Image.fromarray(clean).save(file, kind, **options)
    assert bool(declined(decode_photo(file.getvalue(), "x"))) == is_declined


def test_hidden_colors_do_not_decide(clean):
    blocky = decoded(written(clean, 30))
    alpha = np.full((*clean.shape[:2], 1), 255, np.uint8)
    alpha[: len(alpha) // 2] = 0
    for seen, is_declined in ((clean, True), (blocky, False)):
        for hidden in (clean, blocky, np.zeros_like(clean)):
            photo = Photo(np.where(alpha > 0, seen, hidden), alpha, is_lossless=True)
            assert bool(declined(photo)) == is_declined


def test_files_that_say_nothing_leave_the_result_as_it_is(clean):
    image = torch.rand(1, 3, 128, 128)
    for data in (b"", written(clean[:64], 90), written(clean, 90)[:-100]):
        assert torch.equal(consistent(JPEGFile(data, clean), image, "on")[0], image)


def test_option_of_tests(clean):
    data = written(clean, 90)
    lq = torch.from_numpy(decoded(data)).permute(2, 0, 1)[None].float() / 255
    network = torch.nn.Sequential(torch.nn.Dropout()).eval()
    network.forward = lambda image: darker(image)  # type: ignore[method-assign]
    result = ConsistentForward("on", network)({"lq": lq, "file": [data]})
    assert (result - lq).abs().max() < 0.1
    with pytest.raises(UserError, match="DegradedImages"):
        ConsistentForward("on", network)({"lq": lq})


def test_options_are_checked():
    with pytest.raises(UserError, match="auto, on, off"):
        InferenceOptions("cpu", consistency="always")  # type: ignore[arg-type]
