"""Kinds of image files, each with the pixels that it means. The files are made sample by sample."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from powerqe.utils.errors import UserError
from powerqe.utils.image.decode import LARGEST, VARIABLE, converted, largest
from powerqe.utils.image.io import decode_image
from powerqe.utils.image.photo import Photo, decode_photo
from tests.utils.image.image_files import (
    DEEP,
    FLAT,
    HEIGHT,
    UNKNOWN,
    WIDTH,
    big_endian,
    bmp,
    by_pillow,
    chunk,
    maps,
    multiplied,
    packed,
    planes,
    png,
    scaled,
    small_tiff,
    tiff,
    with_few_bits,
    with_whole_bytes,
)

KINDS = dict([*with_few_bits(), *with_whole_bytes(), *maps()])


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_that_the_file_means(kind):
    data, colors, alpha = KINDS[kind]
    photo = decode_photo(data, "x")
    deep = "16" in kind or "12" in kind or kind.endswith(("1023", "65535"))
    assert photo.pixels.dtype == (np.uint16 if deep else np.uint8)
    np.testing.assert_array_equal(photo.pixels, colors)
    assert (photo.alpha is None) == (alpha is None)
    if alpha is not None:
        assert photo.alpha.dtype == photo.pixels.dtype
        np.testing.assert_array_equal(photo.alpha, alpha)
    assert (UNKNOWN in " ".join(photo.notes)) == ("unknown" in kind)
    if deep or alpha is not None:
        with pytest.raises(UserError, match=r"^x: found .*, expected 8-bit gray or RGB"):
            decode_image(data, "any", "x")
    else:
        np.testing.assert_array_equal(decode_image(data, "any", "x"), colors)


@pytest.mark.parametrize("bits", [5, 6])
def test_fifteen_and_sixteen_bits_of_a_bmp(bits):
    colors, widths = FLAT[..., :3], np.array([5, bits, 5])
    red, green, blue = np.moveaxis(colors >> (8 - widths), 2, 0).astype(np.uint16)
    rows = [row.tobytes() for row in (red << (5 + bits) | green << 5 | blue).astype("<u2")]
    masks = (0xF800, 0x7E0, 0x1F) if bits == 6 else ()
    expected = np.dstack(
        [scaled(part, (1 << width) - 1, 255) for part, width in zip((red, green, blue), widths, strict=True)]
    )
    found = decode_photo(bmp(rows, 16, masks), "x").pixels
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("sampling", [1, 2])
def test_ycbcr_of_a_tiff(sampling):
    smooth = cv2.resize(FLAT[::9, ::18, :3], (WIDTH, HEIGHT))
    ycc = np.array(Image.fromarray(smooth).convert("YCbCr"))
    blocks = ycc.reshape(HEIGHT // sampling, sampling, WIDTH // sampling, sampling, 3).swapaxes(1, 2)
    luma = blocks[..., 0].reshape(*blocks.shape[:2], -1)
    data = np.concatenate([luma, blocks.mean((2, 3))[..., 1:].astype(np.uint8)], axis=2).tobytes()
    file = small_tiff(data, 8, 6, 3, [(530, [sampling, sampling])])
    assert np.abs(decode_photo(file, "x").pixels.astype(int) - smooth).mean() < 3 * sampling


@pytest.mark.parametrize("profile", [False, True])
def test_cmyk_becomes_rgb(profile):
    image = Image.fromarray(FLAT[..., :3])
    options = {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()} if profile else {}
    photo = decode_photo(by_pillow(image.convert("CMYK"), "JPEG", quality=100, subsampling=0, **options), "x")
    assert np.abs(photo.pixels.astype(int) - FLAT[..., :3]).mean() < 1  # a profile of RGB is none of CMYK
    assert "CMYK" in " ".join(photo.notes)
    assert photo.tables is None
    assert not photo.metadata.icc


@pytest.mark.parametrize("mode", ["RGBa", "La"])
def test_divided_colors_are_rounded(mode):
    samples = FLAT if mode == "RGBa" else FLAT[..., (0, 3)]
    stored, known = multiplied(samples[..., :-1], FLAT[..., 3:])
    stored = np.dstack([stored, FLAT[..., 3:]])
    found = converted(Image.frombytes(mode, (WIDTH, HEIGHT), stored.tobytes()))
    np.testing.assert_array_equal(found.colors, known)
    np.testing.assert_array_equal(found.alpha, FLAT[..., 3:])


def test_orientation_of_deep_colors_of_a_tiff():
    tag = {"extratags": [(274, 3, 1, 6, True)]}
    upright = np.rot90(DEEP, -1)
    for data in (tiff(DEEP, "rgb", ["unassalpha"], **tag), planes(DEEP, extra=["unassalpha"], **tag)):
        photo = decode_photo(data, "x").upright()
        np.testing.assert_array_equal(photo.pixels, upright[..., :3])
        np.testing.assert_array_equal(photo.alpha, upright[..., 3:])


@pytest.mark.parametrize("big", [False, True])
def test_metadata_of_a_tiff_that_pillow_does_not_know(big):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = [(34675, 7, len(icc), icc, True), (274, 3, 1, 6, True)]
    options = {"description": "a scan", "extratags": tags, "bigtiff": big, "resolution": (300, 300, "INCH")}
    photo = decode_photo(tiff(DEEP[..., (0, 3)], "minisblack", ["unassalpha"], **options), "x")
    np.testing.assert_array_equal(photo.upright().pixels, np.rot90(DEEP[..., :1], -1))
    assert b"a scan" in photo.metadata.exif
    assert photo.metadata.icc == icc
    assert photo.metadata.dpi == (300, 300)


@pytest.mark.parametrize("first", [True, False])
def test_preview_in_a_tiff_is_left_out(first):
    file = io.BytesIO()
    pages = [(FLAT[..., :3], 0), (np.ascontiguousarray(FLAT[::4, ::4, :3]), 1)]
    with tifffile.TiffWriter(file) as writer:
        for image, kind in reversed(pages) if first else pages:
            writer.write(image, photometric="rgb", subfiletype=kind, metadata=None)
    photo = decode_photo(file.getvalue(), "x")
    np.testing.assert_array_equal(photo.pixels, FLAT[..., :3])
    assert "preview" in " ".join(photo.notes)
    np.testing.assert_array_equal(decode_image(file.getvalue(), "rgb", "x"), FLAT[..., :3])


def test_mask_in_a_tiff_is_left_out():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(FLAT[..., :3], photometric="rgb", metadata=None)
        writer.write(FLAT[..., 0] > 99, photometric="mask", subfiletype=4, metadata=None)
    photo = decode_photo(file.getvalue(), "x")
    np.testing.assert_array_equal(photo.pixels, FLAT[..., :3])
    assert photo.notes


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("white", [0, 65535])
def test_big_endian_gray_of_a_tiff_that_pillow_does_not_know(big, white):
    kind = "minisblack" if white else "miniswhite"
    data = tiff(DEEP[..., 0], kind, byteorder=">", bigtiff=big)
    expected = DEEP[..., :1] if white else ~DEEP[..., :1]
    np.testing.assert_array_equal(decode_photo(data, "x").pixels, expected)


def refused():
    floats = (FLAT[..., :3] / 255).astype(np.float32)
    pages = io.BytesIO()
    with tifffile.TiffWriter(pages) as writer:
        for _ in range(3):
            writer.write(FLAT[..., :3], photometric="rgb", metadata=None)
    frames = [Image.fromarray(part) for part in (FLAT[..., :3], FLAT[..., 1:])]
    moving = {"save_all": True, "append_images": frames[1:]}
    return {
        "float": (tiff(floats, "rgb"), "floats of 32 bits"),
        "half": (tiff(floats.astype(np.float16), "rgb"), "floats of 16 bits"),
        "signed": (tiff(FLAT[..., 0].view(np.int8), "minisblack"), "signed integers of 8 bits"),
        "32 bits": (tiff(DEEP[..., :3].astype(np.uint32), "rgb"), "samples of 32 bits"),
        "Lab": (tiff(FLAT[..., :3], "cielab"), "CIELAB"),
        "12 bits": (small_tiff(b"".join(packed((DEEP[..., :3] >> 4).reshape(HEIGHT, -1), 12)), 12, 2, 3),
                    "3 samples of 12 bits"),
        "pages": (pages.getvalue(), "3 pages"),
        "APNG": (by_pillow(frames[0], "PNG", **moving), "2 frames"),
        "GIF": (by_pillow(frames[0], "GIF", **moving), "2 frames"),
        "WebP": (by_pillow(frames[0], "WEBP", **moving), "2 frames"),
        "masks": (bmp([bytes(4 * WIDTH)] * HEIGHT, 32, (0x3FF, 0xFFC00, 0x3FF00000)), "bitfields"),
        "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "JPEG"),
        "PDF": (b"%PDF-1.4\n", "JPEG"),
        "ICO": (by_pillow(frames[0], "ICO"), "JPEG"),
        "ICNS": (by_pillow(frames[0], "ICNS"), "JPEG"),
        "TGA": (by_pillow(frames[0], "TGA"), "JPEG"),
    }  # fmt: skip


@pytest.mark.parametrize("kind", refused())
def test_what_is_not_read_is_one_line_for_all(kind):
    data, reason = refused()[kind]
    for read in (decode_photo, lambda data, name: decode_image(data, "any", name)):
        with pytest.raises(UserError, match=rf"^x: .*{reason}") as error:
            read(data, "x")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "zlib"}, {"rowsperstrip": 3}])
def test_cut_file_is_damaged(options):
    for data in (tiff(DEEP, "rgb", ["unassalpha"], **options), tiff(FLAT[..., :3], "rgb", **options)):
        with pytest.raises(UserError, match=r"^x: not a readable image"):
            decode_photo(data[: len(data) * 6 // 10], "x")


def sound():
    return png(big_endian(FLAT[..., :3]), 8, 2)


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        (b"zTXt", b"Notes\0\0" + zlib.compress(bytes(2 << 20)), ""),
        (b"iCCP", b"x\0\0" + zlib.compress(bytes(2 << 20)), "profile"),
        (b"zTXt", b"Notes\0\0" + zlib.compress(bytes(20 << 20)), "zTXt"),
        (b"iTXt", b"Notes\0\1\0\0\0" + zlib.compress(bytes(20 << 20)), "iTXt"),
        (b"iCCP", b"x\0\0no stream", "iCCP"),
    ],
)
def test_long_and_damaged_texts_do_not_harm_the_pixels(kind, content, said):
    data = sound()
    for place in (33, len(data) - 12)[: 1 if kind == b"iCCP" else 2]:  # before the pixels, and behind them
        file = data[:place] + chunk(kind, content) + data[place:]
        photo = decode_photo(file, "x")
        np.testing.assert_array_equal(photo.pixels, FLAT[..., :3])
        assert bool({b"zTXt", b"tEXt"} & set(dict(photo.metadata.chunks))) == (not said)  # a long one is unpacked
        assert said in " ".join(photo.notes)
        assert bool(photo.notes) == bool(said)
        np.testing.assert_array_equal(decode_image(file, "rgb", "x"), FLAT[..., :3])


def test_checksums_count_where_the_pixels_need_them():
    data, text = sound(), bytearray(chunk(b"tEXt", b"Title\0a"))
    text[-1] ^= 1
    photo = decode_photo(data[:33] + text + data[33:], "x")
    np.testing.assert_array_equal(photo.pixels, FLAT[..., :3])
    assert "tEXt" in photo.notes[0]
    assert not photo.metadata.chunks
    with pytest.raises(UserError, match="checksum"):
        decode_photo(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:], "x")


def headers():
    """Files of 40,000 x 40,000 pixels, by what they begin with."""
    side = 40000
    gif = b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0)
    return {
        "PNG": sound().replace(sound()[8:33], chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))),
        "GIF": gif + b"\x08\x01\0\0;",
        "PPM": b"P6\n%d %d\n255\n" % (side, side),
        "BMP": bmp([], 24).replace(struct.pack("<ii", WIDTH, HEIGHT), struct.pack("<ii", side, side)),
        "TIFF": small_tiff(b"", 8, 2, 3).replace(struct.pack("<HHIHH", 256, 3, 1, WIDTH, 0),
                                                 struct.pack("<HHIHH", 256, 3, 1, side, 0))
                                        .replace(struct.pack("<HHIHH", 257, 3, 1, HEIGHT, 0),
                                                 struct.pack("<HHIHH", 257, 3, 1, side, 0)),
    }  # fmt: skip


@pytest.mark.parametrize("kind", headers())
def test_size_is_looked_at_before_anything_is_unpacked(kind):
    for read in (decode_photo, lambda data, name: decode_image(data, "any", name)):
        with pytest.raises(UserError, match=rf"^x: 40000x40000 .*{VARIABLE}"):
            read(headers()[kind], "x")


def test_limit_is_adjustable(monkeypatch):
    assert largest() == LARGEST
    monkeypatch.setenv(VARIABLE, str(WIDTH * HEIGHT))
    assert decode_photo(sound(), "x").pixels.shape == (HEIGHT, WIDTH, 3)
    monkeypatch.setenv(VARIABLE, str(WIDTH * HEIGHT - 1))
    with pytest.raises(UserError, match=f"{WIDTH}x{HEIGHT}"):
        decode_photo(sound(), "x")
    with pytest.raises(UserError, match=f"{WIDTH}x{HEIGHT}"):
        decode_image(sound(), "any", "x")
    monkeypatch.setenv(VARIABLE, "many")
    with pytest.raises(UserError, match=f"{VARIABLE}.*'many'"):
        largest()


@pytest.mark.skipif("AVIF" not in Image.registered_extensions().values(), reason="this Pillow has no AVIF")
def test_ten_bits_of_an_avif_are_said(root):
    assert not decode_photo(by_pillow(Image.fromarray(FLAT[..., :3]), "AVIF"), "x").notes
    photo = decode_photo((root / "tests/data/ten_bits.avif").read_bytes(), "x")
    assert photo.pixels.dtype == np.uint8
    assert "10 bits" in " ".join(photo.notes)


def test_neutral_is_what_has_no_color_that_can_be_seen():
    gray = FLAT[..., :1].repeat(3, 2)
    assert Photo(gray).is_neutral
    assert Photo(FLAT[..., :1]).is_neutral
    colored = gray.copy()
    colored[-1, -1, 0] ^= 1
    assert not Photo(colored).is_neutral
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    assert not Photo(colored, alpha).is_neutral
    alpha[-1, -1] = 0
    assert Photo(colored, alpha).is_neutral


def test_hidden_colors_are_those_of_the_nearest_that_can_be_seen():
    alpha = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    alpha[4:9, 5:20] = 1
    for image in (FLAT, DEEP):
        colors, kind = image[..., :3], image.dtype
        filled = Photo(colors, alpha.astype(kind)).with_hidden_filled()
        np.testing.assert_array_equal(filled.pixels[4:9, 5:20], colors[4:9, 5:20])
        np.testing.assert_array_equal(filled.pixels[0, 0], colors[4, 5])
        np.testing.assert_array_equal(filled.pixels[-1, 12], colors[8, 12])
        assert filled.with_hidden_filled() is filled
    invisible = Photo(FLAT[..., :3], np.zeros_like(alpha))
    assert invisible.with_hidden_filled() is invisible
