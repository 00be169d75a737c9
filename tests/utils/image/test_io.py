import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma_uint8
from powerqe.utils.image.io import decode_image, encode_image, list_images, read_image, write_image
from powerqe.utils.image.orientation import oriented

IMAGES = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3])), elements=st.integers(0, 255)
)


def make_image(height=40, width=56, channels=3, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, channels), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


@given(IMAGES)
def test_png_round_trip_is_exact(image):
    np.testing.assert_array_equal(decode_image(encode_image(image), "any", "x"), image)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF", ".Png"])
def test_lossless_files_come_back_as_rgb(tmp_path, suffix):
    image = np.zeros((3, 4, 3), np.uint8)
    image[..., 0] = 200  # red: a swapped channel order would show
    write_image(tmp_path / f"a{suffix}", image)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), image)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


def test_red_is_first_in_the_file(tmp_path):
    write_image(tmp_path / "a.png", np.array([[[255, 0, 0]]], np.uint8))
    assert cv2.imread(str(tmp_path / "a.png"))[0, 0].tolist() == [0, 0, 255]  # OpenCV: BGR


def test_color_y(tmp_path):
    image, gray = make_image(), make_image(channels=1)
    write_image(tmp_path / "color.png", image)
    write_image(tmp_path / "gray.png", gray)
    np.testing.assert_array_equal(read_image(tmp_path / "color.png", "y"), luma_uint8(image))
    np.testing.assert_array_equal(read_image(tmp_path / "gray.png", "y"), gray)
    assert read_image(tmp_path / "gray.png", "any").shape == (40, 56, 1)
    assert read_image(tmp_path / "color.png", "any").shape == (40, 56, 3)


def test_rgb_refuses_gray(tmp_path):
    write_image(tmp_path / "g.png", make_image(channels=1))
    with pytest.raises(UserError, match=r"g\.png.*8-bit gray.*8-bit RGB"):
        read_image(tmp_path / "g.png", "rgb")


@pytest.mark.parametrize("color", ["rgb", "y", "any"])
@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((4, 4, 4), np.uint8), "8-bit RGB with an alpha channel"),
        (np.zeros((4, 4, 3), np.uint16), "16-bit RGB"),
        (np.zeros((4, 4), np.uint16), "16-bit gray"),
    ],
)
def test_alpha_and_16_bit_are_refused(tmp_path, color, image, found):
    path = tmp_path / "bad.png"
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    with pytest.raises(UserError, match=rf"bad\.png.*{found}.*8-bit"):
        read_image(path, color)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("keep", [0, 1, 30, 0.3, 0.7, 0.95, -1])
def test_truncated_file(tmp_path, suffix, keep):
    data = encode_image(make_image(90, 120), suffix)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(UserError, match=rf"cut\{suffix}"):
        read_image(path, "any")


@given(st.integers(9, 100))
def test_every_truncation_of_a_png_and_a_jpeg_is_found(percent):
    for suffix in (".png", ".jpg"):
        data = encode_image(make_image(), suffix)
        with pytest.raises(UserError, match=r"truncated|not a readable image"):
            decode_image(data[: (len(data) - 1) * percent // 100], "any", "x")


def test_damaged_png_is_found():
    data = bytearray(encode_image(make_image()))
    data[len(data) // 2] ^= 1
    with pytest.raises(UserError, match="checksum"):
        decode_image(bytes(data), "any", "x")


def test_jpeg_with_preview_and_bytes_after_the_end():
    data = encode_image(make_image(), ".jpg")
    preview = b"\xff\xe1" + struct.pack(">H", 2 + len(data)) + data  # a whole JPEG inside a segment
    with_preview = data[:2] + preview + data[2:]
    assert decode_image(with_preview + b"\0" * 9, "rgb", "x").shape == (40, 56, 3)
    with pytest.raises(UserError, match="truncated"):  # although the preview's end marker is there
        decode_image(with_preview[:-20], "rgb", "x")


def test_jpeg_with_restart_markers_and_progressive():
    for options in ([cv2.IMWRITE_JPEG_RST_INTERVAL, 1], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]):
        data = cv2.imencode(".jpg", make_image(), options)[1].tobytes()
        assert decode_image(data, "rgb", "x").shape == (40, 56, 3)


def test_camera_rotation_is_carried_out():
    data = encode_image(make_image(40, 56), ".jpg")
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x112, 3, 1, 6, 0)  # orientation 6: turn clockwise
    exif = b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\0\0" + tiff
    turned = decode_image(data[:2] + exif + data[2:], "rgb", "x")
    np.testing.assert_array_equal(turned, np.rot90(decode_image(data, "rgb", "x"), -1))


def test_missing_file_folder_and_text(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UserError, match=r"text\.png"):
        read_image(tmp_path / "text.png")
    with pytest.raises(UserError, match=r"none\.png"):
        read_image(tmp_path / "none.png")
    with pytest.raises(UserError, match="Is a directory"):
        read_image(tmp_path)


def test_write_refuses_unknown_suffix_and_impossible_size(tmp_path):
    with pytest.raises(UserError, match=r"cannot write an image as \.txt"):
        write_image(tmp_path / "a.txt", make_image())
    with pytest.raises(UserError, match="20000x1"):
        write_image(tmp_path / "a.webp", np.zeros((1, 20000, 3), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        write_image(tmp_path / "a.png", np.zeros((4, 4, 3), np.float32))
    assert not list(tmp_path.iterdir())


def test_list_images(tmp_path):
    for name in ("b.PNG", "a.jpeg", "a-qf10.png", "c.d.tif", ".b.123.tmp.png", "notes.txt"):
        (tmp_path / name).touch()  # empty: listing opens no file
    (tmp_path / "sub").mkdir()
    assert list(list_images(tmp_path)) == ["a", "a-qf10", "b", "c.d"]
    assert list_images(tmp_path)["b"] == tmp_path / "b.PNG"


def test_list_images_refuses(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        list_images(tmp_path / "nowhere")
    (tmp_path / "x.txt").touch()
    with pytest.raises(UserError, match=r"no image in .*\(1 other files\)"):
        list_images(tmp_path)
    for name in ("x.png", "x.JPG"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"x\.JPG.*x\.png"):
        list_images(tmp_path)


@given(IMAGES)
def test_oriented_gives_the_eight_symmetries_of_the_square(image):
    expected = {}
    for turns in range(4):
        for mirror in (image, image[:, ::-1]):
            turned = np.rot90(mirror, turns)
            expected[(turned.shape, turned.tobytes())] = True
    found = [oriented(image, symmetry) for symmetry in range(8)]
    assert {(result.shape, result.tobytes()) for result in found} == set(expected)
    assert all(result.flags.c_contiguous for result in found)


def test_png_checksums_are_of_type_and_data():
    """The specification's example: IEND has CRC 0xAE426082."""
    assert zlib.crc32(b"IEND") == 0xAE426082
    assert encode_image(make_image()).endswith(b"IEND\xae\x42\x60\x82")
