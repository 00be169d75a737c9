"""Videos that are interrupted go on, with the frames of a run that is not, whatever frames a network sees at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from powerqe.inference.enhance_video import compression_info, enhance_video
from powerqe.inference.model import Model
from powerqe.utils.video import segments
from powerqe.utils.video.container import VideoReader, VideoWriter
from powerqe.utils.video.video_file import open_video_file
from powerqe.utils.video.yuv import Geometry, YUVReader

pytestmark = pytest.mark.slow

ALPHA, COUNT = "Alpha_48x32_9", 9
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def short(videos, monkeypatch) -> None:
    monkeypatch.chdir(videos)
    monkeypatch.setattr(segments, "LENGTH", 2)


def decoded(path: Path) -> bytes:
    if path.suffix == ".yuv":
        return path.read_bytes()
    with VideoReader(path) as video:
        return b"".join(plane.tobytes() for frame in video for plane in frame)


def enhance(model: Model, target: Path, stop: int = COUNT + 1, period: int | None = None):
    """Until a frame is done."""
    seen = []

    def on_frame() -> None:
        seen.append(0)
        if len(seen) == stop:
            raise KeyboardInterrupt

    video = open_video_file(f"qp37/{ALPHA}.yuv")
    return enhance_video(video, model, target, compression_info(video, period).peaks, on_frame=on_frame)


def interrupted(model: Model, target: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        enhance(model, target, 7)


@pytest.mark.parametrize("name", ["a.mkv", f"{ALPHA}.yuv"])
@pytest.mark.parametrize("network", ["luma", "rgb", "stdf", "mfqe"])
def test_frames_do_not_depend_on_interruptions(weights, inference_options, monkeypatch, network, name):
    model, once, again = Model(weights(network), inference_options()), Path("once") / name, Path("again") / name
    whole = enhance(model, once)
    interrupted(model, again)
    assert not again.exists()
    seen, call = [], Model.__call__
    monkeypatch.setattr(Model, "__call__", lambda self, batch: seen.append(0) or call(self, batch))
    result = enhance(model, again)
    assert decoded(again) == decoded(once)
    assert len(seen) in (COUNT - 4 + 1, COUNT - 6 + 1)  # two that wait may not be written
    assert any("frames were done before" in note for note in result.notes)
    assert (result.count, result.shown) == (whole.count, whole.shown)
    assert np.array_equal(result.after.pixels, whole.after.pixels)
    assert list(again.parent.iterdir()) == [again]


def test_another_way_to_enhance_starts_anew(weights, inference_options):
    target, models = Path("out/a.mkv"), {}
    models["weights"] = Model(weights("rgb"), inference_options())
    models["options"] = Model(weights("mfqe"), inference_options(self_ensemble=True))
    models["peaks"] = Model(weights("mfqe"), inference_options())
    for change, model in models.items():
        interrupted(Model(weights("luma" if change == "weights" else "mfqe"), inference_options()), target)
        result = enhance(model, target, period=4 if change == "peaks" else None)
        assert not any("done before" in note for note in result.notes)
        assert list(target.parent.iterdir()) == [target]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_a_killed_command_goes_on(weights, number):
    frames = YUVReader(f"qp37/{ALPHA}.yuv")
    with VideoWriter("a.mkv", Geometry(48, 32)) as writer:
        for place in range(40 * COUNT):
            writer.write(frames[place % COUNT])
    command = [sys.executable, str(ROOT / "enhance.py"), "a.mkv", "--weights", weights("stdf"), "--device", "cpu", "-o"]
    options = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}, "stderr": subprocess.PIPE, "text": True}
    subprocess.run([*command, "once.mkv"], check=True, timeout=60, **options)
    process = subprocess.Popen([*command, "again.mkv"], **options)
    while not Path(".again.mkv.part/000001.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(getattr(signal, number))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == "SIGKILL" else 128 + signal.SIGTERM)
    assert ("run the same command again" in errors) == (number == "SIGTERM")
    assert not Path("again.mkv").exists()
    done = subprocess.run([*command, "again.mkv"], check=True, timeout=60, stdout=subprocess.PIPE, **options)
    assert "frames were done before" in done.stdout
    assert decoded(Path("again.mkv")) == decoded(Path("once.mkv"))
    assert not list(Path().glob(".again*"))
