"""BPG: how the programs are called. Small scripts stand for them; with the real ones in PATH they are tried, too."""

import pickle
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from powerqe.utils.codecs.bpg import BPG
from powerqe.utils.errors import UserError

# "Codes" a PNG file by a line of text before it; whatever else it is asked is an error.
ENCODER = """
    test $# -eq 13 || fail "$# arguments"
    test "$1 $2 $3 $4 $5 $6 $7 $8 $9" = "-m 1 -b 8 -f 420 -c ycbcr -q" || fail "unexpected arguments"
    sleep 0.02
    { echo "BPG of QP ${10}"; cat "${13}"; } > "${12}"
"""
DECODER = """
    test "$# $1 $2 $3" = "5 -b 8 -o" || fail "unexpected arguments"
    tail -n +2 "$5" > "$4"
"""


def write_program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nfail() {{ echo "bad call: $1" >&2; exit 3; }}\n{body}')
    path.chmod(0o755)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder, with a space in its name, of bpgenc and bpgdec."""
    write_program(tmp_path / "lib bpg/bpgenc", ENCODER)
    write_program(tmp_path / "lib bpg/bpgdec", DECODER)
    return tmp_path / "lib bpg"


@pytest.mark.parametrize("channels", [1, 3])
def test_calls_both_programs(folder, channels, make_image, monkeypatch):
    image = make_image(channels=channels)
    result, size = BPG(folder=str(folder)).compress(image, 42)
    np.testing.assert_array_equal(result, image)
    longer = BPG(folder=str(folder)).compress(image, 7)[1]
    assert size == longer + 1  # "42" is a character more
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    assert BPG().compress(image, 7)[1] == longer
    monkeypatch.chdir(folder)
    assert BPG(folder=".").compress(image, 7)[1] == longer


def test_runs_at_once_do_not_meet_and_leave_nothing(folder, tmp_path, make_image, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    codec = pickle.loads(pickle.dumps(BPG(folder=str(folder))))
    images = [np.roll(make_image(), shift, axis=1) for shift in range(12)]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda image: codec.compress(image, 30)[0], images))
    for image, result in zip(images, results, strict=True):
        np.testing.assert_array_equal(result, image)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["bpgenc", "bpgdec"])
def test_a_program_that_is_missing_or_cannot_be_executed(folder, name, monkeypatch):
    (folder / name).chmod(0o644)
    with pytest.raises(UserError, match=rf"BPG.*{name}.*{folder}"):
        BPG(folder=str(folder))
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"{name}.*{folder}"):
        BPG(folder=str(folder))
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(UserError, match=rf"{name}.*PATH"):
        BPG()


@pytest.mark.parametrize("name", ["bpgenc", "bpgdec"])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo 'Invalid\nbit depth' >&2; exit 1", r"failed \(status 1\): Invalid bit depth$"),
        ("echo usage; exit 1", r"failed \(status 1\): usage$"),
        ("exit 127", r"failed \(status 127\): no output$"),
        ("exit 0", r"failed \(status 0\): no output$"),
        ("kill -11 $$", r"failed \(signal 11, SIGSEGV\): no output$"),
        ("exit 137", r"failed \(signal 9, SIGKILL\): no output$"),
        ("echo banner >&2; echo 'Error: a\nb'; exit 255", r"failed \(status 255\): Error: a b$"),
    ],
)
def test_a_program_that_fails(folder, name, body, message, make_image):
    write_program(folder / name, body)
    with pytest.raises(UserError, match=f"^{folder / name} {message}"):
        BPG(folder=str(folder)).compress(make_image(), 30)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_narrow_image_is_padded(folder, channels, make_image):
    """bpgenc 0.9.8 crashes for widths of 24 or less."""
    body = (folder / "bpgenc").read_text().split("\n", 2)[2]
    read = "import struct, sys; print(struct.unpack('>I', open(sys.argv[1], 'rb').read(20)[16:])[0])"
    crash = f"""test $({sys.executable} -c "{read}" "${{13}}") -gt 24 || kill -11 $$\n"""
    write_program(folder / "bpgenc", crash + body)
    for height, width in ((5, 1), (40, 24), (24, 25)):
        image = make_image(height, width, channels)
        np.testing.assert_array_equal(BPG(folder=str(folder)).compress(image, 30)[0], image)


def test_a_program_for_another_machine(folder, make_image):
    (folder / "bpgenc").write_bytes(b"\x7fELF for something else")
    with pytest.raises(UserError, match=r"bpgenc cannot be run: Exec format error; is it built for this machine\?"):
        BPG(folder=str(folder)).compress(make_image(), 30)


def test_a_decoder_that_gives_another_image(folder, tmp_path, make_image):
    from powerqe.utils.image.io import write_image

    write_image(tmp_path / "other.png", make_image(48, 72))
    write_program(folder / "bpgdec", f"cp '{tmp_path}/other.png' \"$4\"")
    with pytest.raises(UserError, match=r"72x48.*70x50"):
        BPG(folder=str(folder)).compress(make_image(), 30)


@pytest.mark.parametrize("quality", [-1, 52])
def test_quality_out_of_range(folder, quality, make_image):
    with pytest.raises(UserError, match=rf"qp{quality}: BPG.*0 to 51"):
        BPG(folder=str(folder)).compress(make_image(), quality)


@pytest.mark.skipif(not (shutil.which("bpgenc") and shutil.which("bpgdec")), reason="libbpg is not installed here")
@pytest.mark.parametrize("channels", [1, 3])
def test_the_real_programs(channels, make_image, psnr):
    image = make_image(91, 117, channels)
    results = [BPG().compress(image, quality) for quality in (47, 37, 27)]
    figures, sizes = [psnr(result, image) for result, _ in results], [size for _, size in results]
    assert figures == sorted(set(figures))
    assert sizes == sorted(set(sizes))
