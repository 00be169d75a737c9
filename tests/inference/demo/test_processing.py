"""What the page does with an image, without a page."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from powerqe.inference.choose import can_be_conditioned
from powerqe.inference.demo.processing import Choice, DemoProcessor, available_weights, codecs, describe_photo
from powerqe.inference.enhance_image import enhance_photo
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.model import Model
from powerqe.net.weights import find
from powerqe.utils.errors import UserError
from powerqe.utils.image.photo import decode_photo

APPLYING = InferenceOptions(torch.device("cpu"), 1 << 31, precision="fp32")
CLEAN = data.astronaut()[:96, 160:288]


def file_of(pixels=CLEAN, file_format="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def processor():
    return DemoProcessor(APPLYING, 1.0)


def test_offers_weights_for_images_by_method():
    found = available_weights()
    assert {"ARCNN", "FBCNN", "QGCN", "EDSR"} <= set(found)
    assert not {"STDF", "MFQE"} & set(found)
    assert all(entry.method == method for method, entries in found.items() for entry in entries)
    assert can_be_conditioned("FBCNN")
    assert not can_be_conditioned("QGCN")
    assert not can_be_conditioned("DRUNet")  # some can, some are blind
    assert not can_be_conditioned("")


def test_what_enhance_py_would_make(processor):
    """By weights that are chosen as enhance.py does; nothing is scored, for nobody knows the clean image."""
    photo = decode_photo(file_of(file_format="JPEG", quality=10), "a.jpg")
    outcome = processor.enhance(photo, Choice())
    assert outcome.model.name == "restore-color"
    assert np.array_equal(
        outcome.after.pixels, enhance_photo(photo, Model(outcome.model.name, APPLYING), "a").photo.pixels
    )
    assert np.array_equal(outcome.before.pixels, photo.pixels)
    assert outcome.facts == ("128 × 96", "JPEG quality 10")
    assert (outcome.scores, outcome.notes) == ((), ())


@pytest.mark.parametrize("orientation", [1, 6])
def test_compressed_first(processor, orientation):
    """PSNR and SSIM are those that scikit-image computes of the images that are shown."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = decode_photo(file_of(exif=exif), "a.png")
    outcome = processor.enhance(photo, Choice(codec="JPEG", quality=10))
    clean = photo.upright().pixels
    assert clean.shape[0] == (96 if orientation == 1 else 128)
    assert outcome.model.name == "restore-color"  # its tables tell the quality
    psnr, ssim = outcome.scores
    assert (psnr.metric, psnr.unit, psnr.convention, ssim.metric) == ("PSNR", "dB", "RGB, uint8", "SSIM")
    for shown, *values in ((outcome.before, psnr.before, ssim.before), (outcome.after, psnr.after, ssim.after)):
        assert values[0] == pytest.approx(peak_signal_noise_ratio(clean, shown.pixels), abs=1e-6)
        expected = structural_similarity(clean, shown.pixels, channel_axis=2, gaussian_weights=True, sigma=1.5,
                                         use_sample_covariance=False)  # fmt: skip
        assert values[1] == pytest.approx(expected, abs=0.02)  # it looks at other borders
    assert psnr.after > psnr.before + 0.3
    assert outcome.facts[1] == "JPEG QF 10"
    assert outcome.notes == ()


def test_other_codecs_get_weights_of_their_own_or_for_any_quality(processor):
    photo = decode_photo(file_of(), "a.png")
    assert {"JPEG", "WebP", "HEVC"} <= set(codecs())
    assert processor.enhance(photo, Choice(codec="HEVC", quality=37)).model.name == "rbqe-bsds500-hevc"
    outcome = processor.enhance(photo, Choice(codec="WebP", quality=10))
    assert outcome.model.name == "restore-color"  # not those for JPEG of quality 10
    assert any("nothing is known of the damage in WEBP files" in note for note in outcome.notes)


def test_a_damaged_image_is_no_clean_one(processor):
    photo = decode_photo(file_of(file_format="JPEG", quality=20), "a.jpg")
    outcome = processor.enhance(photo, Choice(codec="JPEG", quality=10))
    assert "the uploaded image is not clean: a JPEG of quality 20" in outcome.notes


def test_method_weights_and_quality_factor(processor):
    photo = decode_photo(file_of(file_format="JPEG", quality=20), "a.jpg")
    blind, told, stronger = (processor.enhance(photo, Choice("FBCNN", qf=qf)) for qf in (None, 90, 5))
    assert {each.model.name for each in (blind, told, stronger)} == {"fbcnn-bsds500-color"}
    assert blind.notes[-1].startswith("according to the network it looks like JPEG quality ")
    changes = [np.abs(each.after.pixels.astype(int) - photo.pixels).mean() for each in (told, stronger)]
    assert changes[1] > 1.3 * changes[0]
    assert processor.enhance(photo, Choice("QGCN", "qgcn-bsds500-color")).model.name == "qgcn-bsds500-color"
    outcome = processor.enhance(photo, Choice("ARCNN"))
    assert outcome.model.name == "arcnn-bsds500-qf10"  # for color, though not for this quality
    assert outcome.notes == ("arcnn-bsds500-qf10 is intended for other images (jpeg, qf 10, rgb)",)


def test_weights_of_ones_own(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(find("fbcnn-bsds500-color").read_bytes())
    processor = DemoProcessor(APPLYING, 1.0, str(path))
    assert (processor.named.method, processor.weights) == ("FBCNN", str(path))
    photo = decode_photo(file_of(file_format="JPEG", quality=20), "a.jpg")
    outcome = processor.enhance(photo, Choice(weights=str(path), qf=20))
    expected = processor.enhance(photo, Choice(weights="fbcnn-bsds500-color", qf=20))
    assert (outcome.model.name, outcome.model.parameters) == ("mine", 1_685_764)
    assert np.array_equal(outcome.after.pixels, expected.after.pixels)
    with pytest.raises(UserError, match="no weights file or name mine"):
        DemoProcessor(APPLYING, 1.0, "mine")
    with pytest.raises(UserError, match="is for videos; choose weights for images"):
        DemoProcessor(APPLYING, 1.0, "stdf-sample-qp37")


def test_ensemble(processor):
    photo = decode_photo(file_of(file_format="JPEG", quality=10), "a.jpg")
    once, eight = (processor.enhance(photo, Choice(self_ensemble=ensemble)).after.pixels for ensemble in (False, True))
    assert 0 < np.abs(once.astype(int) - eight).mean() < 3


def test_super_resolution_shows_both_in_one_size(processor):
    outcome = processor.enhance(decode_photo(file_of(), "a.png"), Choice("EDSR"))
    assert outcome.before.pixels.shape == outcome.after.pixels.shape == (192, 256, 3)
    assert processor.enhance(decode_photo(file_of(), "a.png"), Choice("EDSR", codec="JPEG", quality=90)).scores == ()


@pytest.mark.parametrize("kind", ["gray", "alpha", "deep"])
@pytest.mark.parametrize("codec", ["", "JPEG"])
def test_other_kinds_of_pixels(processor, kind, codec):
    made = {
        "gray": file_of(CLEAN[..., 0]),
        "alpha": file_of(np.dstack([CLEAN, CLEAN[..., :1]])),
        "deep": file_of(CLEAN[..., 0].astype(np.uint16) * 257),
    }[kind]
    photo = decode_photo(made, "a.png")
    outcome = processor.enhance(photo, Choice(codec=codec, quality=10))
    assert outcome.after.is_gray == (kind != "alpha")
    assert outcome.after.peak == (65535 if kind == "deep" and not codec else 255)
    assert bool(outcome.scores) == bool(codec)
    if kind == "alpha":
        assert np.array_equal(outcome.after.alpha, photo.alpha)


def test_tiny_image_has_no_ssim(processor):
    outcome = processor.enhance(decode_photo(file_of(CLEAN[:3, :5]), "a.png"), Choice(codec="JPEG", quality=10))
    assert [score.metric for score in outcome.scores] == ["PSNR"]


def test_facts(processor):
    assert describe_photo(decode_photo(file_of(CLEAN[..., 0]), "a")) == ("128 × 96", "gray", "PNG")
    decoded = np.asarray(Image.open(io.BytesIO(file_of(data.astronaut(), "JPEG", quality=30))))
    assert describe_photo(decode_photo(file_of(decoded), "a"))[1] == "its pixels look like JPEG of quality 30"


def test_reads_no_more_than_it_may(processor, tmp_path):
    path = tmp_path / "secret" / "large.png"
    path.parent.mkdir()
    path.write_bytes(file_of(np.zeros((1001, 1000), np.uint8)))
    with pytest.raises(UserError, match=r"large.png: 1000x1001.*1,000,000"):
        processor.read(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"large.png.*empty"):
        processor.read(path)
