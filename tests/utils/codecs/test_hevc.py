"""HEVC: what is in the bit stream, read by the rules of ITU-T H.265, and what must be there to make one."""

import sys

import numpy as np
import pytest
from skimage.data import coffee

from powerqe.utils.codecs.hevc import HEVC
from powerqe.utils.errors import UserError

av = pytest.importorskip("av")
SPS, PPS, IDR = 33, 34, 20  # table 7-1; the slice is one of an IDR picture without leading pictures


class Bits:
    """Reads the payload of a NAL unit (7.3.1.1: emulation prevention removed)."""

    def __init__(self, data: bytes) -> None:
        self.bits = "".join(f"{byte:08b}" for byte in data.replace(b"\0\0\3", b"\0\0"))
        self.position = 0

    def u(self, count: int) -> int:
        self.position += count
        return int(self.bits[self.position - count : self.position], 2)

    def ue(self) -> int:
        """Unsigned Exp-Golomb code (9.2)."""
        zeros = self.bits.index("1", self.position) - self.position
        self.position += zeros
        return self.u(zeros + 1) - 1

    def se(self) -> int:
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def units(stream: bytes) -> dict[int, Bits]:
    """NAL unit type -> payload."""
    return {unit[0] >> 1 & 63: Bits(unit[2:]) for unit in stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]}


def quantization(stream: bytes) -> tuple[int, bool]:
    """QP of the slice, and whether blocks may have another one (7.3.2.3 and 7.3.6.1; SAO is on)."""
    pps, header = units(stream)[PPS], units(stream)[IDR]
    pps.ue(), pps.ue(), pps.u(1)
    output_flag, extra_bits = pps.u(1), pps.u(3)
    pps.u(2), pps.ue(), pps.ue()
    initial = 26 + pps.se()
    pps.u(2)
    varies = bool(pps.u(1))
    assert (header.u(1), header.u(1), header.ue(), header.u(extra_bits) if extra_bits else 0) == (1, 0, 0, 0)
    assert header.ue() == 2  # slice_type I
    header.u(output_flag) if output_flag else None
    assert header.u(2) == 3  # SAO of luma and of chroma
    return initial + header.se(), varies


@pytest.mark.parametrize("quality", [0, 1, 22, 37, 42, 51])
def test_the_qp_is_the_given_one_in_the_whole_image(quality, make_image):
    assert quantization(HEVC().encode(make_image(90, 70), quality)) == (quality, False)


def test_profile_is_main_still_picture_of_all_sizes(make_image):
    for shape in ((1, 1), (90, 71)):
        sps = units(HEVC().encode(make_image(*shape), 30))[SPS]
        sps.u(11)
        assert sps.u(5) == 3  # general_profile_idc, A.3.4


def test_every_step_of_the_qp_has_an_effect(make_image, psnr):
    image = make_image(128, 128)
    image ^= np.random.default_rng(0).integers(0, 8, image.shape, np.uint8)
    results = [HEVC().compress(image, quality) for quality in range(10, 52, 3)]
    figures, sizes = [psnr(result, image) for result, _ in results], [size for _, size in results]
    assert figures == sorted(set(figures), reverse=True)
    assert sizes == sorted(set(sizes), reverse=True)


def test_a_photograph(psnr):
    """As measured with x265 4.1; other versions decide a little differently."""
    image = coffee()
    result, size = HEVC().compress(image, 37)
    assert psnr(result, image) == pytest.approx(29.79, abs=0.1)
    assert size == pytest.approx(7844, rel=0.03)


def test_the_stream_has_the_colors():
    """Another decoder, which goes by the range and the matrix in the stream, sees the same color."""
    image = np.full((64, 64, 3), [200, 60, 30], np.uint8)
    decoder = av.CodecContext.create("hevc", "r")
    (frame,) = (frame for item in (av.Packet(HEVC().encode(image, 4)), None) for frame in decoder.decode(item))
    np.testing.assert_allclose(frame.to_ndarray(format="rgb24").astype(int), image, atol=3)


def test_presets_matter_and_nothing_is_printed(make_image, capfd):
    image = make_image(128, 128)
    assert HEVC(preset="slow").encode(image, 30) != HEVC(preset="ultrafast").encode(image, 30)
    assert capfd.readouterr() == ("", "")


def test_without_pyav(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"HEVC.*PyAV"):
        HEVC()


def test_without_x265(monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"hevc", "libx264"})
    with pytest.raises(UserError, match=r"HEVC.*x265.*PyAV"):
        HEVC()


def test_what_x265_refuses(make_image):
    with pytest.raises(UserError, match=r"HEVC.*70x50"):
        HEVC(preset="no such").compress(make_image(), 30)  # type: ignore[arg-type]
