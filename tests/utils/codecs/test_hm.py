"""Driving an HM encoder: scripts take its place, one of which prints what real ones have printed."""

import sys
from pathlib import Path

import numpy as np
import pytest

from powerqe.utils.codecs.hm import HM
from powerqe.utils.codecs.hm_log import parse_log
from powerqe.utils.codecs.qp_patterns import frame_qps
from powerqe.utils.errors import UserError
from powerqe.utils.video.yuv import Geometry, YUVReader

DATA = Path(__file__).parents[2] / "data/hm"
LOGS = ("hm16_ldp_qp37", "hm1625_ldp_qp37", "hm16_ra_qp37")

# Takes its settings from left to right, as HM does, inverts all samples and logs what that means for the luma.
STANDIN = """#!{python}
import math, sys
SHORT = {{"-i": "InputFile", "-b": "BitstreamFile", "-o": "ReconFile", "-q": "QP", "-wdt": "SourceWidth",
         "-hgt": "SourceHeight", "-f": "FramesToBeEncoded", "-fr": "FrameRate"}}
words, settings = sys.argv[1:], {{"FrameSkip": "0", "InputBitDepth": "8", "OutputBitDepth": "8"}}
while words:
    word = words.pop(0)
    if word == "-c":
        lines = open(words.pop(0)).read().splitlines()
        settings |= {{key.strip(): value.strip() for key, value in (line.split(":") for line in lines)}}
    elif word.startswith("--"):
        settings |= [word[2:].split("=")]
    else:
        settings[SHORT[word]] = words.pop(0)
width, height, count, qp = (int(settings[SHORT[name]]) for name in ("-wdt", "-hgt", "-f", "-q"))
assert settings["FrameRate"] == "30" and settings["IntraPeriod"] == "-1" and settings["Level"]
assert settings.get("ConformanceWindowMode", "0") == "01"[bool(width % 8 or height % 8)]
luma = width * height
size = luma * 3 // 2
print("HM software: Encoder Version [18.0] (including RExt)[Linux][GCC 12.2.0][64 bit]")
print("** WARNING: --SEIDecodedPictureHash is now disabled by default. **", file=sys.stderr)
{first}
with open(settings["InputFile"], "rb") as source, open(settings["ReconFile"], "wb") as target:
    source.seek(size * int(settings["FrameSkip"]))
    for poc in range(count):
        frame = source.read(size)
        target.write(bytes(255 - sample for sample in frame) * (int(settings["OutputBitDepth"]) // 8))
        error = sum((255 - 2 * sample) ** 2 for sample in frame[:luma]) / luma
        print(f"POC {{poc:4}} TId: 0 ( {{'IP'[poc > 0]}}-SLICE, QP {{qp + poc % 3}} ) {{800 + poc}} bits "
              f"[Y {{10 * math.log10(255**2 / error):.4f}} dB    U 40.0 dB    V 40.0 dB] [ET     0 ]")
open(settings["BitstreamFile"], "wb").write(b"stream")
{more}
"""

# Prints a real log and makes luma of the PSNR that it has: by the largest steps that fit into the sum of squares.
RECORDED = """#!{python}
import math, re, sys
assert sys.argv[1] == "-c", sys.argv
log = open({log!r}).read()
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
psnrs = {{int(poc): float(psnr) for poc, psnr in re.findall("POC +([0-9]+) .*\\\\[Y ([0-9.]+) dB", log)}}
with open(given["-i"], "rb") as source, open(given["-o"], "wb") as target:
    for poc in sorted(psnrs):
        frame = bytearray(source.read(6144))
        rest, place = round(4096 * 255**2 / 10 ** (psnrs[poc] / 10)), 0
        while rest:
            step = min(math.isqrt(rest), 127)
            frame[place] += step if frame[place] < 128 else -step
            rest, place = rest - step * step, place + 1
        target.write(frame)
open(given["-b"], "wb").write(b"stream")
print(log)
"""


@pytest.fixture
def encoder(tmp_path: Path):
    """Writes a program in the place of the HM."""

    def encoder(more: str = "", first: str = "", script: str = STANDIN, **fields: str) -> str:
        path = tmp_path / "TAppEncoderStatic"
        path.write_text(script.format(python=sys.executable, more=more, first=first, **fields))
        path.chmod(0o755)
        return str(path)

    return encoder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ldp.cfg"
    path.write_text("IntraPeriod : -1\n")
    return path


def compress(codec: HM, source: YUVReader, count: int = 4):
    return codec.compress(source, count, 37, source.path.with_name("out.yuv"), source.path.with_name("out.bin"))


@pytest.mark.parametrize("size", [(64, 48), (36, 18)])
def test_arguments_frames_and_version(sequence, encoder, config, size):
    source = YUVReader(sequence(width=size[0], height=size[1]))
    frames, version = compress(HM(config, encoder()), source)
    assert version == "HM Encoder Version [18.0] (including RExt)[Linux][GCC 12.2.0][64 bit]"
    assert [(frame.poc, frame.type, frame.qp) for frame in frames] == [
        (0, "I", 37),
        (1, "P", 38),
        (2, "P", 39),
        (3, "P", 37),
    ]
    decoded = YUVReader(source.path.with_name("out.yuv"), source.geometry)
    assert len(decoded) == 4
    for frame in frames:
        luma = source.luma(frame.poc)
        assert (decoded.luma(frame.poc) == 255 - luma).all()
        assert frame.bits == 800 + frame.poc
        assert frame.psnr_y == pytest.approx(10 * np.log10(255**2 / np.mean((255 - 2.0 * luma) ** 2)), abs=5.1e-5)


@pytest.mark.parametrize("setting", ["InputFile : no.yuv", "FrameSkip : 2", "OutputBitDepth : 16", "QP : 22"])
def test_the_configuration_does_not_win(sequence, encoder, config, setting):
    source = YUVReader(sequence())
    config.write_text(f"IntraPeriod : -1\n{setting}\n")
    frames, _ = compress(HM(config, encoder()), source)
    assert [frame.qp for frame in frames] == [37, 38, 39, 37]
    decoded = YUVReader(source.path.with_name("out.yuv"), source.geometry)
    assert (decoded.luma(0) == 255 - source.luma(0)).all()


@pytest.mark.parametrize("log", LOGS)
def test_logs_of_real_encoders(sequence, encoder, config, log):
    source = YUVReader(sequence(width=64, height=64, count=8))
    program = encoder(script=RECORDED, log=str(DATA / f"{log}.log"))
    frames, version = compress(HM(config, program), source, 8)
    assert version.startswith(f"HM Encoder Version [16.{'25' if '1625' in log else '0'}]")
    assert frames == parse_log((DATA / f"{log}.log").read_text(), 8, log)
    if "ldp" in log:
        pattern = "ldp-hm18" if "1625" in log else "ldp-hm16"
        assert [frame.qp for frame in frames] == frame_qps(pattern, 37, 8)


@pytest.mark.parametrize("difference", [-0.0002, 0.0002, 1, float("inf")])
def test_another_psnr_than_that_of_the_decoded_file(sequence, encoder, config, difference, tmp_path):
    log = tmp_path / "log"
    program = encoder(script=RECORDED.replace("print(log)", f"print(open({str(log)!r}).read())"), log=str(
        DATA / "hm16_ldp_qp37.log"))  # fmt: skip
    log.write_text((DATA / "hm16_ldp_qp37.log").read_text().replace("Y 28.1527", f"Y {28.1527 + difference:.4f}"))
    with pytest.raises(UserError, match=r"clip.*frame 3 with (28|29|inf).*28\.1527 dB"):
        compress(HM(config, program), YUVReader(sequence(width=64, height=64, count=8)), 8)


def test_a_lossless_frame(sequence, encoder, config):
    program = encoder(script=STANDIN.replace("255 - sample for", "sample for").replace("255 - 2 * sample", "0").replace(
        "{{10 * math.log10(255**2 / error):.4f}}", "999.9900"))  # fmt: skip
    frames, _ = compress(HM(config, program), YUVReader(sequence()))
    assert [frame.psnr_y for frame in frames] == [np.inf] * 4


def test_the_reason_of_a_refusal(sequence, encoder, config):
    """HM says it on its standard output; on the other one there is always a banner."""
    said, banner = ((DATA / f"hm16_refused.{name}").read_text() for name in ("stdout", "stderr"))
    first = f"print({said!r}); print({banner!r}, file=sys.stderr); sys.exit(1)"
    with pytest.raises(UserError) as caught:
        compress(HM(config, encoder(first=first)), YUVReader(sequence()))
    assert str(caught.value).endswith(
        "TAppEncoderStatic failed (status 1): Error: Intra period must be larger than GOP size for periodic IDR "
        "pictures"
    )


def test_parameters_name_the_configuration_by_its_content(encoder, config):
    codec, geometry = HM(config, encoder()), Geometry(1920, 1080)
    text = codec.parameters(32, geometry, 300)
    assert text.startswith("-c ldp.cfg (SHA-256 ")
    assert text.endswith(" -q 32 -wdt 1920 -hgt 1080 -f 300 -fr 30 --Level=4.1")
    assert codec.parameters(32, Geometry(36, 18), 3).endswith("--Level=3.1 --ConformanceWindowMode=1")
    config.write_text("IntraPeriod : 32\n")
    assert HM(config, encoder()).parameters(32, geometry, 300) != text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("sys.exit('Error: cannot open the file')", r"TAppEncoderStatic.*status 1\): Error: cannot open the file$"),
        ("sys.exit(3)", r"failed \(status 3\): .*POC"),
        ("import os; os.kill(os.getpid(), 11)", r"failed \(signal 11, SIGSEGV\)"),
        ("open(settings['ReconFile'], 'ab').write(bytes(size))", "another number of frames than 4"),
        ("open(settings['ReconFile'], 'ab').write(bytes(3))", "3 left over"),
        ("open(settings['ReconFile'], 'r+b').write(bytes(size))", r"frame 0 with .* dB.*InternalBitDepth"),
        ("import os; os.remove(settings['BitstreamFile'])", "has written no sequence or no stream"),
        ("print('POC    4 TId: 0 ( P-SLICE, QP 37 ) 8 bits [Y 1.0 dB')", r"has 5 .*of 4 "),
    ],
)
def test_what_goes_wrong_is_one_line(sequence, encoder, config, more, message):
    with pytest.raises(UserError, match=message):
        compress(HM(config, encoder(more)), YUVReader(sequence()))


def test_a_file_that_it_cannot_open_ends_it_with_status_0(sequence, encoder, config):
    first = "print('failed to open Input YUV file'); sys.exit(0)"
    with pytest.raises(UserError, match=r"failed \(status 0\): .*failed to open Input YUV file"):
        compress(HM(config, encoder(first=first)), YUVReader(sequence()))


def test_no_program_or_configuration(encoder, config, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"TAppEncoderStatic.*TAppEncoder.*HM_ENCODER"):
        HM(config)
    with pytest.raises(UserError, match="hm needs the program no/hm, which is not there"):
        HM(config, "no/hm")
    monkeypatch.setenv("HM_ENCODER", encoder())
    HM(config)
    with pytest.raises(UserError, match=r"HM.*no\.cfg"):
        HM(config.with_name("no.cfg"))


def test_a_program_for_another_machine(encoder, config, sequence):
    codec, path = HM(config, encoder()), Path(encoder())
    path.write_bytes(b"\x7fELF, perhaps")
    with pytest.raises(UserError, match="TAppEncoderStatic"):
        compress(codec, YUVReader(sequence()))


def test_other_samples_are_refused(encoder, config, sequence):
    geometry = Geometry(64, 48, "420", 10)
    source = YUVReader(sequence(depth=10), geometry)
    with pytest.raises(UserError, match=r"4:2:0.*8 bit"):
        compress(HM(config, encoder()), source)
