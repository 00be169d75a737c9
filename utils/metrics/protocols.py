"""Test protocols: the metrics that a family of papers reports, with their conventions, under one name.

A protocol defines how images are evaluated. Which images, in which color and by which encoder, is up to the data
set; the docstrings list those of the papers.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from powerqe.utils.options.registry import Registry

PROTOCOLS = Registry("protocol")

Criterion = dict[str, dict[str, Any]]
"""Name of a metric -> its options."""


@PROTOCOLS.register()
def fbcnn_gray() -> Criterion:
    """PSNR, SSIM and PSNR-B as the FBCNN paper reports them for gray JPEG (ICCV 2021, tables 1 and 2).

    Data: `color: y`, codec JPEG as OpenCV writes it; Classic5, LIVE1, BSDS500 test.
    """
    return {"PSNR": {}, "SSIM": {}, "PSNRB": {}}


@PROTOCOLS.register()
def fbcnn_color() -> Criterion:
    """As fbcnn_gray, over RGB; the block edges of PSNR-B are those of the luma.

    Data: RGB, codec JPEG as OpenCV writes it (4:2:0).
    """
    return {"PSNR": {}, "SSIM": {}, "PSNRB": {"form": "fbcnn"}}


@PROTOCOLS.register()
def qgcn_gray() -> Criterion:
    """PSNR, SSIM in 8x8 windows and PSNR-B, as QGCN's table for gray JPEG.

    Data: `color: y`, codec `{type: JPEG, encoder: pillow}`; LIVE1, BSDS500 test.
    """
    return {"PSNR": {}, "SSIM": {"window": "uniform8"}, "PSNRB": {}}


@PROTOCOLS.register()
def qgcn_color(
    *,
    window: Annotated[Literal["uniform7", "uniform8"], Field(description="of SSIM; uniform8 for BSDS500")] = "uniform7",
) -> Criterion:
    """As QGCN's table for color JPEG; PSNR-B sums the block edges of R, G and B.

    Data: RGB, codec `{type: JPEG, encoder: pillow}`. The printed figures come from a Pillow before 9.1, whose
    libjpeg scaled the chroma in another way: its JPEGs are 0.09 to 0.12 dB worse than today's.
    """
    return {"PSNR": {}, "SSIM": {"window": window}, "PSNRB": {"form": "qgcn"}}


@PROTOCOLS.register()
def sr_y(*, scale: Annotated[PositiveInt, Field(description="pixels that are left out at each side")]) -> Criterion:
    """PSNR and SSIM of unrounded luma, as super-resolution papers report them on Set5, Set14, B100 and Urban100."""
    return {"PSNR": {"channel": "y", "border": scale}, "SSIM": {"channel": "y", "border": scale}}


@PROTOCOLS.register()
def sr_rgb(
    *,
    scale: PositiveInt,
    extra: Annotated[NonNegativeInt, Field(description="pixels left out besides scale; BasicSR and mmagic: 0")] = 6,
) -> Criterion:
    """PSNR and SSIM of RGB without a border of scale + 6 pixels, as EDSR's code judges DIV2K.

    Args:
        scale: of the network.
    """
    return {"PSNR": {"border": scale + extra}, "SSIM": {"border": scale + extra}}


@PROTOCOLS.register()
def mfqe_y() -> Criterion:
    """PSNR and SSIM of luma as MFQE and MFQE 2.0 report them, and the PSNR of the 8-bit video that is written.

    PSNR-float and SSIM judge the network's own values, neither rounded nor clamped, as the authors' code does; SSIM is
    scikit-image's default (7x7 window). Data: 4:2:0 sequences coded by HM 16.5 in low-delay P, `color: y`; the
    mean over a sequence is that of its frames' values, the overall one that of the 18 sequences.
    """
    own = {"channel": "y", "rounding": "unclamped"}
    return {
        "PSNR": {"channel": "y"},
        "PSNR-float": {"type": "PSNR", **own},
        "SSIM": {**own, "window": "uniform7"},
    }


@PROTOCOLS.register()
def stdf_y() -> Criterion:
    """PSNR of luma as STDF's code computes it (PSNR-float, neither rounded nor clamped), and that of the written video.

    Data: as of mfqe_y. The code computes no SSIM and the paper does not specify the one it reports: here it is the
    original's (11x11 Gaussian window), of the 8-bit video; `SSIM: {window: uniform7}` is MFQE's.
    """
    return {
        "PSNR": {"channel": "y"},
        "PSNR-float": {"type": "PSNR", "channel": "y", "rounding": "unclamped"},
        "SSIM": {"channel": "y"},
    }
