import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms

from powerqe.utils.errors import UserError
from powerqe.utils.image.exif import orientation_of
from powerqe.utils.image.io import decode_image, encode_image
from powerqe.utils.image.metadata import Metadata
from powerqe.utils.image.photo import Photo, decode_photo, read_photo
from powerqe.utils.image.write import FORMATS, encode_photo, misfit, write_photo

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


def made_exif(orientation=1):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    exif[0x8769] = {0x9003: "2020:02:03 04:05:06"}
    return exif.tobytes().removeprefix(b"Exif\0\0")


@st.composite
def photos(draw):
    kind = draw(st.sampled_from([np.uint8, np.uint16]))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    pixels = draw(hnp.arrays(kind, (height, width, draw(st.sampled_from([1, 3])))))
    alpha = draw(hnp.arrays(kind, (height, width, 1))) if draw(st.booleans()) else None
    return Photo(pixels, alpha)


def colors(height=16, width=24, channels=3, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (4, 5, channels), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


def saved(image, file_format, **options):
    file = io.BytesIO()
    if "exif" in options:
        options["exif"] = b"Exif\0\0" + options["exif"]
    image.save(file, file_format, **options)
    return file.getvalue()


def equal(a, b):
    return (a is None and b is None) or (
        a is not None and b is not None and np.array_equal(a, b) and a.dtype == b.dtype
    )


@given(photos())
@settings(deadline=None)
def test_png_keeps_every_kind_of_pixels(photo):
    again = decode_photo(encode_photo(photo), "x.png")
    assert equal(again.pixels, photo.pixels)
    assert equal(again.alpha, photo.alpha)


@given(photos(), st.sampled_from([".tif", ".webp", ".bmp"]))
@settings(deadline=None)
def test_other_lossless_formats_keep_what_they_can_hold(photo, suffix):
    reason = misfit(photo, suffix)
    assert bool(reason) == (photo.pixels.dtype == np.uint16 or (suffix == ".bmp" and photo.alpha is not None))
    if not reason:
        again = decode_photo(encode_photo(photo, suffix), "x")
        gray_as_rgb = np.broadcast_to(photo.pixels, again.pixels.shape)
        assert equal(again.pixels, gray_as_rgb if suffix == ".webp" else photo.pixels)
        hides_nothing = again.alpha is None and photo.alpha is not None and photo.alpha.min() == 255
        assert hides_nothing or equal(again.alpha, photo.alpha)


@given(st.integers(1, 8), st.sampled_from([1, 3]), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_orientation_is_carried_out_as_pillow_does_it(orientation, channels, has_alpha, deep):
    kind = np.uint16 if deep else np.uint8
    pixels = np.arange(3 * 5 * channels, dtype=kind).reshape(3, 5, channels)
    alpha = pixels[..., :1] + 7 if has_alpha else None
    upright = Photo(pixels, alpha, orientation).upright()
    eight = Image.fromarray(pixels.astype(np.uint8).squeeze())
    eight.getexif()[0x0112] = orientation
    transposed = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}[orientation]  # by PIL.ImageOps.exif_transpose
    expected = np.array(eight if transposed is None else eight.transpose(Image.Transpose(transposed)))
    assert equal(upright.pixels.astype(np.uint8), expected.reshape(upright.pixels.shape))
    assert upright.pixels.dtype == kind
    assert upright.orientation == 1
    assert alpha is None or equal(upright.alpha, upright.pixels[..., :1] + 7)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_metadata_of_a_photograph_arrive(suffix, orientation):
    exif = made_exif(orientation)
    source = saved(Image.fromarray(colors()), "JPEG", exif=exif, icc_profile=ICC, xmp=XMP, dpi=(300, 300))
    photo = decode_photo(source, "a.jpg")
    assert (photo.orientation, photo.metadata.exif, photo.metadata.icc) == (orientation, exif, ICC)
    with Image.open(io.BytesIO(encode_photo(photo, suffix))) as result:
        assert result.size == ((24, 16) if orientation == 1 else (16, 24))
        assert result.getexif().get(0x0112, 1) == 1  # the pixels are turned, so nobody may turn them again
        assert result.getexif()[0x010F] == "Maker"
        assert result.getexif().get_ifd(0x8769)[0x9003] == "2020:02:03 04:05:06"
        assert result.info["icc_profile"] == ICC
        if suffix != ".webp":
            assert tuple(round(float(value)) for value in result.info["dpi"]) == (300, 300)
        if suffix != ".tif":
            packet = result.info["xmp"]
            assert (packet.encode() if isinstance(packet, str) else packet) == XMP


def test_exif_is_kept_byte_for_byte_but_for_orientation_and_thumbnail():
    tag = struct.pack("<HHII", 0x0112, 3, 1, 6)
    maker = b"\x92\x7c opaque data of a camera \0\xff"
    exif = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + tag + struct.pack("<I", 26) + maker
    changed = Metadata(exif).upright(3, 2).exif
    assert orientation_of(exif) == 6
    assert orientation_of(changed) == 1
    assert changed == exif[:18] + b"\1" + exif[19:22] + bytes(4) + maker


@given(st.binary(max_size=60), st.sampled_from([b"", b"II*\0", b"MM\0*"]))
def test_damaged_exif_is_no_orientation(data, start):
    assert (orientation_of(start + data) or 1) in range(1, 9)
    assert len(Metadata(start + data).upright(3, 2).exif) in (len(start + data), len(start + data) + 4)


def test_chunks_of_a_png_stay_as_they_are():
    info_chunks = [(b"gAMA", struct.pack(">I", 45455)), (b"tEXt", b"Title\0A image"), (b"sBIT", b"\5\6\5")]
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in info_chunks
    )
    plain = encode_image(colors())
    again = encode_photo(decode_photo(plain[:33] + chunks + plain[33:], "a.png"))
    kept = decode_photo(again, "b.png").metadata.chunks
    assert kept == tuple(info_chunks[:2])  # sBIT is of the samples


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_plain_pixels_are_those_of_the_data_sets(suffix, channels):
    data = encode_image(colors(channels=channels), suffix)
    photo = decode_photo(data, "x")
    assert equal(photo.pixels, decode_image(data, "any", "x"))
    assert photo.alpha is None
    assert (photo.tables is not None) == (suffix == ".jpg")


def test_turned_jpeg_is_that_of_the_data_sets_once_it_is_upright():
    data = saved(Image.fromarray(colors()), "JPEG", exif=made_exif(8))
    photo = decode_photo(data, "x")
    assert photo.pixels.shape == (16, 24, 3)
    assert equal(photo.upright().pixels, decode_image(data, "any", "x"))
    assert photo.upright().tables is None


@pytest.mark.parametrize("file_format", ["TIFF", "PNG", "WEBP"])
def test_orientation_of_other_formats(file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = saved(Image.fromarray(colors()), file_format, exif=made_exif(6), **options)
    again = decode_photo(encode_photo(decode_photo(data, "x")), "y")
    assert equal(again.pixels, np.rot90(colors(), -1))


def test_palette_one_bit_and_transparent_color():
    palette = Image.fromarray(colors()).convert("P")
    photo = decode_photo(saved(palette, "PNG"), "x")
    assert equal(photo.pixels, np.array(palette.convert("RGB")))
    assert photo.notes == ("its palette became RGB",)
    photo = decode_photo(saved(palette, "PNG", transparency=palette.getpixel((0, 0))), "x")
    assert photo.alpha is not None
    assert photo.alpha[0, 0, 0] == 0
    bits = Image.fromarray(colors(channels=1)[..., 0]).convert("1")
    photo = decode_photo(saved(bits, "PNG"), "x")
    assert equal(photo.pixels[..., 0], np.array(bits).astype(np.uint8) * 255)


def test_colors_below_alpha_are_not_multiplied_by_it():
    pixels = np.dstack([colors(), np.full((16, 24), 128, np.uint8)])
    for file_format, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        photo = decode_photo(saved(Image.fromarray(pixels), file_format, **options), "x")
        assert equal(photo.pixels, colors())


def test_first_image_of_a_camera_file_with_previews():
    images = [Image.fromarray(colors(seed=seed)) for seed in range(2)]
    photo = decode_photo(saved(images[0], "MPO", save_all=True, append_images=images[1:]), "x")
    assert np.abs(photo.pixels.astype(int) - colors()).mean() < 12
    assert photo.tables is not None


def bad_files():
    whole = encode_image(colors(64, 64), ".jpg")
    frames = [Image.fromarray(colors(seed=seed)) for seed in range(3)]
    return {
        "zero.jpg": (b"", "the file is empty"),
        "cut.jpg": (whole[:-100], "truncated JPEG"),
        "cut.png": (encode_image(colors())[:-20], "truncated PNG"),
        "cut.gif": (saved(frames[0], "GIF")[:-60], "not a readable image"),
        "text.png": (b"hello", "no image, or of a format that is not known"),
        "film.mp4": (b"\0\0\0\x18ftypmp42" + bytes(50), "a video, expected an image"),
        "animated.gif": (saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), "3 frames of an animation"),
        "animated.webp": (saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]), "3 frames of an anim"),
        "pages.tif": (saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]), "3 pages"),
        "float.tif": (saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "found floats of 32 bits"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_bad_file_is_one_clear_line(tmp_path, name):
    data, message = bad_files()[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        read_photo(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_too_many_pixels_are_refused_before_they_are_unpacked():
    header = b"IHDR" + struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    chunks = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, b"IEND"))
    with pytest.raises(UserError, match="40000x40000"):
        decode_photo(b"\x89PNG\r\n\x1a\n" + chunks, "x")


@given(st.integers(0, 400), st.integers(0, 255), st.sampled_from([".png", ".gif", ".tif", ".webp", ".jpg"]))
@settings(deadline=None, max_examples=150)
def test_no_damage_is_a_defect_of_ours(place, value, suffix):
    image = Image.fromarray(colors())
    options = {} if suffix == ".gif" else {"exif": made_exif(6)}
    data = bytearray(saved(image, {**FORMATS, ".gif": "GIF"}[suffix], **options))
    data[place % len(data)] = value
    try:
        photo = decode_photo(bytes(data), "x")
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert photo.pixels.ndim == 3


def test_write_refuses_what_a_format_cannot_hold(tmp_path):
    deep = Photo(np.zeros((2, 2, 3), np.uint16))
    with pytest.raises(UserError, match=r"a\.jpg: JPEG.*16 bits.*\.png"):
        write_photo(tmp_path / "a.jpg", deep)
    with pytest.raises(UserError, match=r"cannot write an image as a\.txt"):
        write_photo(tmp_path / "a.txt", deep)
    with pytest.raises(UserError, match=r"70000x1.*JPEG"):
        write_photo(tmp_path / "a.jpg", Photo(np.zeros((1, 70000, 3), np.uint8)))
    assert not list(tmp_path.iterdir())
