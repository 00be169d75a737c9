"""Image files of many kinds, made sample by sample, with the pixels that they mean."""

import io
import struct
import zlib

import cv2
import numpy as np
import tifffile
from PIL import Image

HEIGHT, WIDTH = 20, 36
_RANDOM = np.random.default_rng(0)
DEEP = cv2.resize(_RANDOM.integers(0, 65536, (4, 5, 4), np.uint16), (WIDTH, HEIGHT))
FLAT = (DEEP >> 8).astype(np.uint8)
PALETTE = _RANDOM.integers(0, 256, (256, 3), np.uint8)
UNKNOWN = "samples of no known meaning were left out"


def packed(samples, bits):
    """Rows of bytes of (H, W) samples of fewer than 8 bits or of 12."""
    rows = ((samples[..., None] >> np.arange(bits)[::-1]) & 1).astype(np.uint8).reshape(len(samples), -1)
    return [row.tobytes() for row in np.packbits(rows, axis=1)]


def big_endian(samples):
    return [row.astype(row.dtype.newbyteorder(">")).tobytes() for row in samples]


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(rows, bits, kind, extra=b"", *, after=b""):
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, kind, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + pixels + after + chunk(b"IEND", b"")


def tiff(samples, photometric, extra=(), **options):
    file = io.BytesIO()
    contiguous = {"planarconfig": "contig"} if samples.ndim == 3 and "planarconfig" not in options else {}
    tifffile.imwrite(file, samples, photometric=photometric, extrasamples=extra, metadata=None, **contiguous, **options)
    return file.getvalue()


def planes(samples, **options):
    return tiff(np.ascontiguousarray(np.moveaxis(samples, 2, 0)), "rgb", planarconfig="separate", **options)


def small_tiff(data, bits, photometric, samples=1, extra=()):
    """Uncompressed, as tifffile does not write it: tags of 16-bit values."""
    tags = sorted([(256, [WIDTH]), (257, [HEIGHT]), (258, [bits] * samples), (259, [1]), (262, [photometric]),
                   (273, [8]), (277, [samples]), (278, [HEIGHT]), (279, [len(data)]), *extra])  # fmt: skip
    start, entries, values = 8 + len(data) + len(data) % 2, b"", b""
    behind = start + 2 + 12 * len(tags) + 4
    for tag, numbers in tags:
        content = struct.pack(f"<{len(numbers)}H", *numbers)
        place = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack("<I", behind + len(values))
        values += content if len(content) > 4 else b""
        entries += struct.pack("<HHI", tag, 3, len(numbers)) + place
    directory = struct.pack("<H", len(tags)) + entries + bytes(4) + values
    return b"II*\0" + struct.pack("<I", start) + data + bytes(len(data) % 2) + directory


def bmp(rows, bits, masks=(), header=40, palette=b"", *, top_down=False):
    fields = struct.pack("<4I", *masks, *[0] * (4 - len(masks))) if header > 40 else b""
    size = (WIDTH, -HEIGHT if top_down else HEIGHT)
    info = struct.pack("<IiiHHIIiiII", header, *size, 1, bits, 3 * bool(masks), 0, 2835, 2835, 0, 0) + fields
    info = info.ljust(header, b"\0") + (struct.pack("<3I", *masks) if header == 40 and masks else b"") + palette
    data = b"".join(row + bytes(-len(row) % 4) for row in (rows if top_down else rows[::-1]))
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(data), 0, 0, 14 + len(info)) + info + data


def by_pillow(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def multiplied(colors, alpha):
    """Associated colors, and what can be known of the colors from them."""
    peak = np.iinfo(colors.dtype).max
    stored = (colors.astype(np.int64) * alpha // peak).astype(colors.dtype)
    divisor = np.maximum(alpha, 1).astype(np.int64)
    return stored, np.where(alpha > 0, (stored.astype(np.int64) * peak + divisor // 2) // divisor, 0)


def scaled(samples, maximum, peak):
    return (samples.astype(np.int64) * peak + maximum // 2) // maximum


def with_few_bits():
    """Name -> (file, colors, alpha), of 1, 2 and 4 bits."""
    for bits in (1, 2, 4):
        samples = FLAT[..., 0] >> (8 - bits)
        rows, most, gray = packed(samples, bits), (1 << bits) - 1, scaled(samples, (1 << bits) - 1, 255)[..., None]
        hidden = int(samples[3, 3])
        alpha = np.where(samples == hidden, 0, 255)[..., None]
        colors, table = PALETTE[: most + 1], chunk(b"PLTE", PALETTE[: most + 1].tobytes())
        opacity = np.arange(most + 1, dtype=np.uint8) * 3
        yield f"gray {bits} PNG", (png(rows, bits, 0), gray, None)
        yield f"gray {bits} tRNS PNG", (png(rows, bits, 0, chunk(b"tRNS", struct.pack(">H", hidden))), gray, alpha)
        yield f"palette {bits} PNG", (png(rows, bits, 3, table), colors[samples], None)
        yield f"palette {bits} tRNS PNG", (png(rows, bits, 3, table + chunk(b"tRNS", opacity.tobytes())),
                                           colors[samples], opacity[samples][..., None])  # fmt: skip
        yield f"white is zero {bits} TIFF", (small_tiff(b"".join(rows), bits, 0), 255 - gray, None)
        yield f"black is zero {bits} TIFF", (small_tiff(b"".join(rows), bits, 1), gray, None)
        tags = [(320, (colors.T.astype(int) * 257).reshape(-1).tolist())]
        yield f"palette {bits} TIFF", (small_tiff(b"".join(rows), bits, 3, extra=tags), colors[samples], None)


def with_whole_bytes():
    """As above, of 8 and 16 bits."""
    for image in (FLAT, DEEP):
        bits, peak = 8 * image.itemsize, np.iinfo(image.dtype).max
        gray, colors, alpha = image[..., :1], image[..., :3], image[..., 3:]
        hidden = [int(value) for value in colors[3, 3]]
        transparent = np.where((colors == colors[3, 3]).all(2, keepdims=True), 0, peak)
        key = chunk(b"tRNS", struct.pack(">3H", *hidden))
        yield f"gray {bits} PNG", (png(big_endian(gray), bits, 0), gray, None)
        yield f"gray {bits} tRNS PNG", (png(big_endian(gray), bits, 0, chunk(b"tRNS", struct.pack(">H", hidden[0]))),
                                        gray, np.where(gray == hidden[0], 0, peak))  # fmt: skip
        yield f"RGB {bits} PNG", (png(big_endian(colors), bits, 2), colors, None)
        yield f"RGB {bits} tRNS PNG", (png(big_endian(colors), bits, 2, key), colors, transparent)
        yield f"LA {bits} PNG", (png(big_endian(image[..., (0, 3)]), bits, 4), gray, alpha)
        yield f"RGBA {bits} PNG", (png(big_endian(image), bits, 6), colors, alpha)
        yield f"white is zero {bits} TIFF", (tiff(gray[..., 0], "miniswhite"), peak - gray, None)
        for name, options in {"": {}, " tiles": {"tile": (16, 16)}, " big": {"bigtiff": True},
                              " deflate": {"compression": "zlib", "predictor": True}}.items():  # fmt: skip
            yield f"RGB {bits} TIFF{name}", (tiff(colors, "rgb", **options), colors, None)
            yield f"gray {bits} TIFF{name}", (tiff(gray[..., 0], "minisblack", **options), gray, None)
        yield f"RGB {bits} TIFF big endian", (tiff(colors, "rgb", byteorder=">"), colors, None)
        yield f"RGB {bits} TIFF planes", (planes(colors), colors, None)
        yield f"RGB {bits} TIFF planes tiles", (planes(colors, tile=(16, 16)), colors, None)
        stored, known = multiplied(colors, alpha)
        for kind, samples, expected in (
            ("unassalpha", image, colors),
            ("assocalpha", np.dstack([stored, alpha]), known),
        ):
            yield f"RGBA {bits} TIFF {kind}", (tiff(samples, "rgb", [kind]), expected, alpha)
            yield f"RGBA {bits} TIFF planes {kind}", (planes(samples, extra=[kind]), expected, alpha)
            pair = samples[..., (0, 3)]
            yield f"LA {bits} TIFF {kind}", (tiff(pair, "minisblack", [kind]), expected[..., :1], alpha)
        yield f"RGB {bits} TIFF unknown", (tiff(image, "rgb", ["unspecified"]), colors, None)
        yield f"gray {bits} TIFF unknown", (tiff(image[..., (0, 3)], "minisblack", ["unspecified"]), gray, None)
        two = tiff(np.dstack([image, gray]), "rgb", ["unassalpha", "unspecified"])
        yield f"RGBA {bits} TIFF and unknown", (two, colors, alpha)
    samples = DEEP[..., 0] >> 4
    yield (
        "gray 12 TIFF",
        (small_tiff(b"".join(packed(samples, 12)), 12, 1), scaled(samples, 4095, 65535)[..., None], None),
    )
    lzw = cv2.imencode(".tif", DEEP[..., 2::-1].copy(), [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()
    yield "RGB 16 TIFF LZW", (lzw, DEEP[..., :3], None)
    lzw = {"compression": "tiff_lzw"}
    yield "RGBA 8 TIFF LZW", (by_pillow(Image.fromarray(FLAT), "TIFF", **lzw), FLAT[..., :3], FLAT[..., 3:])
    pair = Image.fromarray(FLAT[..., (0, 3)].copy())
    yield "LA 8 TIFF LZW", (by_pillow(pair, "TIFF", **lzw), FLAT[..., :1], FLAT[..., 3:])
    stored, known = multiplied(FLAT[..., :3], FLAT[..., 3:])
    data = by_pillow(Image.fromarray(np.dstack([stored, FLAT[..., 3:]])), "TIFF", **lzw)
    tag = struct.pack("<HHIHH", 338, 3, 1, 2, 0)  # ExtraSamples, of which Pillow writes 2 only
    assert tag in data
    yield "RGBA 8 TIFF LZW associated", (data.replace(tag, tag[:8] + b"\1\0\0\0"), known, FLAT[..., 3:])
    for name in ("tiff_lzw", "packbits", "zstd", "lzma"):
        if name != "zstd" or "zstd" in _libtiff():
            data = by_pillow(Image.fromarray(FLAT[..., :3]), "TIFF", compression=name)
            yield f"RGB 8 TIFF {name}", (data, FLAT[..., :3], None)


def _libtiff():
    try:
        by_pillow(Image.new("RGB", (1, 1)), "TIFF", compression="zstd")
    except OSError:
        return ()
    return ("zstd",)


def maps():
    """As above, of Netpbm and Windows."""
    for maximum in (1, 99, 255, 1023, 65535):
        peak, kind = (255, ">u1") if maximum < 256 else (65535, ">u2")
        for number, channels in ((5, 1), (6, 3)):
            samples = scaled(DEEP[..., :channels], 65535, maximum)
            expected = scaled(samples, maximum, peak).astype(np.uint8 if peak == 255 else np.uint16)
            header = b"P%d\n# a remark\n%d %d\n%d\n"
            size = (WIDTH, HEIGHT, maximum)
            yield f"P{number} {maximum}", (header % (number, *size) + samples.astype(kind).tobytes(), expected, None)
            text = b"\n".join(b" ".join(b"%d" % value for value in row) for row in samples.reshape(HEIGHT, -1))
            yield f"P{number - 3} {maximum}", (header % (number - 3, *size) + text, expected, None)
    colors, alpha = FLAT[..., :3], FLAT[..., 3:]
    bgr, bgra = [row.tobytes() for row in colors[..., ::-1]], [row.tobytes() for row in FLAT[..., (2, 1, 0, 3)]]
    masks = (0xFF0000, 0xFF00, 0xFF)
    yield "BMP 24", (bmp(bgr, 24), colors, None)
    yield "BMP 24 top down", (bmp(bgr, 24, top_down=True), colors, None)
    yield "BMP 32", (bmp(bgra, 32), colors, None)
    yield "BMP 32 masks", (bmp(bgra, 32, masks), colors, None)
    yield "BMP 32 V5 without alpha", (bmp(bgra, 32, masks, 124), colors, None)
    for version, header in ((4, 108), (5, 124)):
        yield f"BMP 32 V{version}", (bmp(bgra, 32, (*masks, 0xFF000000), header), colors, alpha)
    table = np.dstack([PALETTE[None, :, ::-1], np.zeros((1, 256, 1), np.uint8)]).tobytes()
    yield "BMP 8", (bmp([row.tobytes() for row in FLAT[..., 0]], 8, palette=table), PALETTE[FLAT[..., 0]], None)
