"""Driving an HM encoder, with a script that takes its arguments in its place."""

import sys
from pathlib import Path

import pytest

from powerqe.utils.codecs.hm import HM
from powerqe.utils.errors import UserError
from powerqe.utils.video.yuv import Geometry, YUVReader

STANDIN = """#!{python}
import sys
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
single = [word for word in sys.argv[1:] if word.startswith("--")]
width, height, count, qp = (int(arguments[name]) for name in ("-wdt", "-hgt", "-f", "-q"))
assert arguments["-fr"] == "30" and open(arguments["-c"]).read() == "IntraPeriod : -1\\n"
assert any(word.startswith("--Level=") for word in single)
assert ("--ConformanceWindowMode=1" in single) == bool(width % 8 or height % 8)
size = width * height * 3 // 2
with open(arguments["-i"], "rb") as source, open(arguments["-o"], "wb") as target:
    for _ in range(count):
        target.write(bytes(255 - sample for sample in source.read(size)))
open(arguments["-b"], "wb").write(b"stream")
print("HM software: Encoder Version [18.0] (including RExt)[Linux][GCC 12.2.0][64 bit]")
for poc in range(count):
    print(f"POC {{poc:4}} TId: 0 ( {{'IP'[poc > 0]}}-SLICE, QP {{qp + poc % 3}} ) {{800 + poc}} bits "
          f"[Y 30.{{poc:04}} dB    U 40.0 dB    V 40.0 dB] [ET     0 ]")
{more}
"""


@pytest.fixture
def encoder(tmp_path: Path):
    """Writes the stand-in, which inverts all samples."""

    def encoder(more: str = "") -> str:
        path = tmp_path / "TAppEncoderStatic"
        path.write_text(STANDIN.format(python=sys.executable, more=more))
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
    assert [(frame.bits, frame.psnr_y) for frame in frames] == [(800 + n, 30 + n / 10000) for n in range(4)]
    decoded = YUVReader(source.path.with_name("out.yuv"), source.geometry)
    assert len(decoded) == 4
    assert (decoded.luma(3) == 255 - source.luma(3)).all()


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
        ("sys.exit('Error: cannot open the file')", r"TAppEncoderStatic.*1"),
        ("sys.exit(3)", r"failed \(status 3\): HM software|failed \(status 3\): .*POC"),
        ("open(arguments['-o'], 'ab').write(bytes(size))", "another number of frames than 4"),
        ("open(arguments['-o'], 'ab').write(bytes(3))", "3 left over"),
        ("import os; os.remove(arguments['-b'])", "has written no sequence or no stream"),
        ("print('POC    4 TId: 0 ( P-SLICE, QP 37 ) 8 bits [Y 1.0 dB')", r"has 5 .*of 4 "),
    ],
)
def test_what_goes_wrong_is_one_line(sequence, encoder, config, more, message):
    with pytest.raises(UserError, match=message):
        compress(HM(config, encoder(more)), YUVReader(sequence()))


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
