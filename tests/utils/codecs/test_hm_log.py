"""The log of an HM encoder, in the forms that its versions have; lines written here by the format."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.utils.codecs.hm_log import parse_log, parse_version
from powerqe.utils.errors import UserError
from powerqe.utils.video.frame_records import FrameInfo

LOG = """
HM software: Encoder Version [16.5] (including RExt)[Linux][GCC 4.8.4][64 bit]

Input          File          : raw/POC_416x240_3.yuv
RateControl                  : 0
Non-environment-variable-controlled macros set as follows:

POC    0 TId: 0 ( I-SLICE, nQP 37 QP 37 )      15168 bits [Y 33.0218 dB    U 39.1501 dB    V 40.2417 dB] [ET     1 ] \
[L0 ] [L1 ] [MD5:0123456789abcdef0123456789abcdef,(unk),(unk)]
POC    2 TId: 0 ( P-SLICE, QP 39 )        504 bits [Y 999.9900 dB    U 40.0 dB    V inf dB] [ET     1 ] [L0 0 1c ] [L1 ]
POC    1 TId: 1 ( p-SLICE, QP 40 )       1024 bits [Y 31.5 dB    U 38.0 dB    V 39.0 dB] [xY 403f ] [ET   0.4 ]

SUMMARY --------------------------------------------------------
\tTotal Frames |   Bitrate     Y-PSNR    U-PSNR    V-PSNR    YUV-PSNR
\t        3    a     166.96   32.26     38.57     39.6      33.9
Bytes written to file: 2087 (166.960 kbps)
"""


def test_all_forms_of_a_line():
    assert parse_log(LOG, 3, "x") == [
        FrameInfo(0, "I", 37, 15168, 33.0218),
        FrameInfo(1, "P", 40, 1024, 31.5),
        FrameInfo(2, "P", 39, 504, math.inf),
    ]


def test_version():
    assert parse_version(LOG) == "HM Encoder Version [16.5] (including RExt)[Linux][GCC 4.8.4][64 bit]"
    assert parse_version("") == "HM"


@pytest.mark.parametrize("count", [2, 4])
def test_another_number_of_images(count):
    with pytest.raises(UserError, match=rf"raw/a: .* 3 .* 3 .* {count} "):
        parse_log(LOG, count, "raw/a")


def test_numbers_that_start_again():
    with pytest.raises(UserError, match=r" 3 .* 2 .* 3 .*IntraPeriod"):
        parse_log(LOG.replace("POC    2", "POC    0"), 3, "raw/a")


@pytest.mark.parametrize(
    ("old", "new"),
    [("P-SLICE", "X-SLICE"), ("39 )", "? )"), (" 504 bits", ""), ("[Y 999.9900 dB", "[Y dB"), ("999.9900", "nan")],
)
def test_a_line_of_another_form_is_shown(old, new):
    with pytest.raises(UserError, match=r"raw/a.*POC +2 TId: 0"):
        parse_log(LOG.replace(old, new, 1), 3, "raw/a")


@given(
    st.lists(
        st.tuples(st.sampled_from("IPBipb"), st.integers(-12, 51), st.integers(1, 10**9), st.integers(0, 10**6)),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_what_is_printed_is_read(frames, nqp, random):
    lines = [
        f"POC {poc:4} TId: 0 ( {kind}-SLICE,{f' nQP {qp}' if nqp else ''} QP {qp} ) {bits:10} bits "
        f"[Y {psnr / 1e4:6.4f} dB    U 1.0000 dB    V 1.0000 dB] [ET {poc:5} ]"
        for poc, (kind, qp, bits, psnr) in enumerate(frames)
    ]
    random.shuffle(lines)
    expected = [
        FrameInfo(poc, kind.upper(), qp, bits, float(f"{psnr / 1e4:6.4f}"))
        for poc, (kind, qp, bits, psnr) in enumerate(frames)
    ]
    assert parse_log("\n".join(lines), len(frames), "x") == expected
