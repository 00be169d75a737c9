import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from powerqe.utils.image.exif import PREFIX, orientation_of
from powerqe.utils.image.photo import decode_photo
from powerqe.utils.image.png_metadata import png_chunk
from powerqe.utils.image.write import encode_photo, losses

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
GRAY = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
GRAY[16:20] = b"GRAY"
RGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
IPTC = b"\x1c\x02x\x00\tA caption"
SUFFIXES = [".png", ".jpg", ".webp", ".tif"]


def saved(file_format, mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, file_format, **options)
    return file.getvalue()


def exif_of(orientation=None, width=20, thumbnail=b""):
    """With sizes, and with a directory for a thumbnail."""
    tags = [(0x0112, 3, 1, orientation)] if orientation else []
    camera = 8 + 2 + 12 * (len(tags) + 1) + 4
    after = camera + 2 + 24 + 4
    entries = [*tags, (0x8769, 4, 1, camera)]
    pack = struct.pack
    main = pack("<H", len(entries)) + b"".join(pack("<HHII", *entry) for entry in entries)
    sizes = pack("<H", 2) + pack("<HHIIHHII", 0xA002, 3, 1, width, 0xA003, 4, 1, 12) + bytes(4)
    place = after + 2 + 24 + 4
    second = pack("<H", 2) + pack("<HHIIHHII", 0x0201, 4, 1, place, 0x0202, 4, 1, len(thumbnail)) + bytes(4)
    following = pack("<I", after) if thumbnail else bytes(4)
    return b"II*\0\x08\0\0\0" + main + following + sizes + (second + thumbnail if thumbnail else b"")


def xmp_of(attributes="", elements="", namespaces=""):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:e="http://ns.adobe.com/exif/1.0/"'
        f" {namespaces} {attributes}>{elements}<dc:title>Kept</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def with_chunks(*chunks, behind=False):
    png = saved("PNG")
    at = len(png) - 12 if behind else 33
    return png[:at] + b"".join(png_chunk(kind, content) for kind, content in chunks) + png[at:]


def again(photo, suffix):
    return decode_photo(encode_photo(photo, suffix), f"again{suffix}")


XMP_FORMS = {
    "attribute": xmp_of('tiff:Orientation="6" e:PixelXDimension="20"'),
    "element": xmp_of(elements="<tiff:Orientation>6</tiff:Orientation><e:PixelXDimension> 20 </e:PixelXDimension>"),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", XMP_FORMS)
@pytest.mark.parametrize("exif", [b"", exif_of(), exif_of(6)])
def test_nobody_can_turn_a_result_again(suffix, form, exif):
    xmp = XMP_FORMS[form]
    photo = decode_photo(saved("JPEG", exif=PREFIX + exif, xmp=xmp) if exif else saved("JPEG", xmp=xmp), "a.jpg")
    assert photo.orientation == 6
    data = encode_photo(photo, suffix)
    result = decode_photo(data, "x")
    assert result.pixels.shape == (20, 12, 3)
    assert (result.orientation, orientation_of(result.metadata.exif) or 1) == (1, 1)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get(0x0112, 1) == 1
    assert xmp.replace(b'n="6"', b'n="1"').replace(b">6<", b">1<").split(b"e:Pixel")[0] in result.metadata.xmp
    assert b"Kept" in result.metadata.xmp
    assert result.metadata.xmp.count(b"12") == xmp.count(b"20")  # its new width


def test_exif_wins_over_xmp():
    photo = decode_photo(saved("JPEG", exif=PREFIX + exif_of(8), xmp=XMP_FORMS["attribute"]), "a.jpg")
    assert photo.orientation == 8


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_rotation_of_an_avif_file():
    data = saved("AVIF", exif=PREFIX + exif_of(6), xmp=xmp_of('tiff:Orientation="3"'))
    photo = decode_photo(data, "a.avif")
    assert photo.orientation == 6
    assert again(photo, ".png").pixels.shape == (20, 12, 3)
    assert b"irot" in data
    assert decode_photo(saved("AVIF", xmp=xmp_of('tiff:Orientation="3"')), "a.avif").orientation == 1


def test_exif_of_the_result_has_its_size_and_no_old_thumbnail():
    thumbnail = b"\xff\xd8 an old image \xff\xd9"
    photo = decode_photo(saved("JPEG", exif=PREFIX + exif_of(6, thumbnail=thumbnail)), "a.jpg")
    assert thumbnail in photo.metadata.exif
    larger = photo.with_pixels(np.zeros((24, 70000, 3), np.uint8))
    with Image.open(io.BytesIO(encode_photo(photo, ".jpg"))) as image:
        exif = image.getexif()
        assert (exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003]) == (12, 20)
        assert not exif.get_ifd(1)
        assert thumbnail not in image.info["exif"]
    settled = larger.metadata.upright(70000, 24).exif  # more than 16 bits
    exif = Image.Exif()
    exif.load(settled)
    assert (exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003]) == (70000, 24)


def test_exif_that_ends_behind_its_entries():
    exif = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x0112, 3, 1, 6)
    photo = decode_photo(saved("JPEG", exif=PREFIX + exif), "a.jpg")
    assert photo.orientation == 6
    assert photo.upright().metadata.exif == exif[:18] + b"\1\0\0\0" + bytes(4)


@pytest.mark.parametrize("behind", [False, True])
def test_chunks_before_and_behind_the_pixels(behind):
    data = with_chunks((b"eXIf", exif_of(6)), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp_of()), behind=behind)
    photo = decode_photo(data, "a.png")
    assert photo.orientation == 6
    for suffix in SUFFIXES:
        assert b"Kept" in again(photo, suffix).metadata.xmp


def test_raw_profiles_of_other_programs():
    def raw(name, content):
        text = b"\n%s\n%8d\n%s\n" % (name, len(content), content.hex().encode())
        return b"zTXt", b"Raw profile type " + name + b"\0\0" + zlib.compress(text)

    resources = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC
    photo = decode_photo(with_chunks(raw(b"exif", PREFIX + exif_of(6)), raw(b"iptc", resources)), "a.png")
    assert (photo.orientation, photo.metadata.iptc) == (6, IPTC)
    result = again(photo, ".png")
    assert (result.orientation, result.metadata.iptc) == (1, IPTC)


@pytest.mark.parametrize("comment", [b"plain", "größer".encode(), "größer".encode("latin-1")])
def test_iptc_and_comments(comment):
    resources = b"8BIM\x04\x05\3abc\0\0\0\2xx8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC
    segment = b"\xff\xed" + struct.pack(">H", 16 + len(resources)) + b"Photoshop 3.0\0" + resources
    jpeg = saved("JPEG", comment=comment)
    photo = decode_photo(jpeg[:2] + segment + jpeg[2:], "a.jpg")
    assert (photo.metadata.iptc, photo.metadata.comments) == (IPTC, (comment,))
    assert again(photo, ".jpg").metadata == again(again(photo, ".jpg"), ".jpg").metadata
    for suffix in (".png", ".jpg", ".tif"):
        assert again(photo, suffix).metadata.iptc == IPTC
    assert again(photo, ".jpg").metadata.comments == (comment,)
    (text,) = again(photo, ".png").metadata.comments
    assert text.decode() in ("plain", "größer")
    assert not losses(photo, ".png")
    assert "comments" in losses(photo, ".tif")
    assert "IPTC" in losses(photo, ".webp")


@pytest.mark.parametrize(("mode", "profile"), [("L", RGB), ("RGB", bytes(GRAY))])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_profile_of_another_kind_of_pixels_is_no_profile_of_the_result(mode, profile, suffix):
    photo = decode_photo(saved("JPEG", mode, icc_profile=profile), "a.jpg")
    kept = suffix == ".webp" and mode == "L"  # whose gray is RGB
    assert again(photo, suffix).metadata.icc == (profile if kept else b"")
    assert ("profile" in losses(photo, suffix)) != kept


def test_a_profile_of_gray_pixels():
    photo = decode_photo(saved("JPEG", "L", icc_profile=bytes(GRAY)), "a.jpg")
    assert again(photo, ".png").metadata.icc == bytes(GRAY)
    assert again(photo, ".webp").metadata.icc == b""
    assert "GRAY" in losses(photo, ".webp")


def test_bytes_that_are_no_profile():
    photo = decode_photo(saved("JPEG", icc_profile=bytes(500)), "a.jpg")
    assert photo.metadata.icc == b""
    assert any("profile" in note for note in photo.notes)


CLAIMS = {
    "motion": (
        'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"',
        'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="4000" GCamera:BurstID="7"',
        "<GCamera:MotionPhoto>1</GCamera:MotionPhoto>",
        "motion photo",
    ),
    "gain map": (
        'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"',
        "hdrgm:Version='1.0'",
        "<hdrgm:GainMapMax><rdf:Seq><rdf:li>2</rdf:li></rdf:Seq></hdrgm:GainMapMax>",
        "gain map",
    ),
    "container": (
        'xmlns:C="http://ns.google.com/photos/1.0/container/" xmlns:I="http://ns.google.com/photos/1.0/container/item/"',
        "",
        '<C:Directory><rdf:Seq><C:Item I:Length="626"/><C:Item I:Length="1"></C:Item></rdf:Seq></C:Directory>',
        "further images",
    ),
}


@pytest.mark.parametrize("kind", CLAIMS)
@pytest.mark.parametrize("source", ["JPEG", "PNG"])
def test_what_a_result_does_not_hold_is_not_promised(kind, source):
    namespaces, attributes, elements, words = CLAIMS[kind]
    xmp = xmp_of(attributes, elements, namespaces)
    chunk = b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    photo = decode_photo(saved("JPEG", xmp=xmp) + b"a video" if source == "JPEG" else with_chunks(chunk), "a")
    assert any(words in note for note in photo.notes)
    for word in (b"Motion", b"Micro", b"hdrgm", b"C:", b"I:", b"container"):
        assert word not in photo.metadata.xmp
    assert b"Kept" in photo.metadata.xmp
    assert (b'GCamera:BurstID="7"' in photo.metadata.xmp) == (kind == "motion")


def test_bytes_behind_an_image_and_further_images():
    assert "7 bytes behind" in str(decode_photo(saved("JPEG") + b"a video", "a.jpg").notes)
    assert not decode_photo(saved("JPEG") + bytes(100), "a.jpg").notes
    several = saved("MPO", save_all=True, append_images=[Image.fromarray(PIXELS)])
    assert "1 further image" in str(decode_photo(several, "a.jpg").notes)


COLORS = {
    "code points": [(b"cICP", bytes([9, 16, 0, 1])), (b"cLLI", struct.pack(">II", 10_000_000, 1_000_000))],
    "gamma": [(b"gAMA", struct.pack(">I", 100_000))],
}
PLAIN = [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 45455)), (b"pHYs", struct.pack(">IIB", 3, 3, 0))]


@pytest.mark.parametrize("kind", COLORS)
def test_color_descriptions_are_kept_or_missed(kind):
    photo = decode_photo(with_chunks(*COLORS[kind], (b"tEXt", b"Title\0One")), "a.png")
    assert again(photo, ".png").metadata.chunks == (*COLORS[kind], (b"tEXt", b"Title\0One"))
    assert not losses(photo, ".png")
    for suffix in (".jpg", ".webp", ".tif", ".bmp"):
        assert ("PQ" if kind == "code points" else "gamma") in losses(photo, suffix)
        assert "Title" in losses(photo, suffix)
    assert not losses(decode_photo(with_chunks(*PLAIN), "a.png"), ".jpg")


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_color_description_of_an_avif_file():
    data = saved("AVIF")
    at = data.index(b"colrnclx") + 8
    described = data[:at] + struct.pack(">HHH", 12, 13, 6) + data[at + 6 :]
    assert decode_photo(described, "a.avif").metadata.chunks == ((b"cICP", bytes([12, 13, 0, 1])),)
    assert decode_photo(data[:at] + struct.pack(">HHH", 1, 13, 6) + data[at + 6 :], "a.avif").metadata.chunks == ()


def test_camera_data_that_are_too_long_for_a_jpeg_file():
    photo = decode_photo(with_chunks((b"eXIf", exif_of(6) + bytes(70000))), "a.png")
    assert losses(photo, ".jpg") == "JPEG does not hold its camera data"
    assert again(photo, ".jpg").pixels.shape == (20, 12, 3)


def test_long_texts_are_kept_in_a_file_that_others_read():
    text = "wörkflow ".encode("latin-1") * 150_000
    photo = decode_photo(with_chunks((b"zTXt", b"workflow\0\0" + zlib.compress(text))), "a.png")
    with Image.open(io.BytesIO(encode_photo(photo, ".png"))) as image:
        image.load()
        assert image.text["workflow"].encode("latin-1") == text
