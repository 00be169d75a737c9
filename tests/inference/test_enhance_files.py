"""Many files: their order, what goes wrong, what is left alone; and the real script."""

import re
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from powerqe.inference import enhance_files as run_module
from powerqe.inference.comparison import draw_comparison, most_changed
from powerqe.inference.enhance_files import Models, enhance_files
from powerqe.inference.input_files import EnhanceJob, find_jobs
from powerqe.utils import memory
from powerqe.utils.image.photo import Photo, read_photo


def test_summary_line(go):
    (result,) = go("photos/a.jpg")
    line = r"photos/a\.jpg: 56x40, JPEG quality 10, arcnn, \d+\.\d s -> out/a\.png"
    assert re.fullmatch(line, result.summary)
    assert not result.error
    assert read_photo("out/a.png").pixels.shape == (40, 56, 3)


def test_bad_files_hinder_no_other_one(go, photos):
    (photos / "a0.jpg").write_bytes(b"")
    (photos / "b0.png").write_text("no image")
    results = go("photos")
    assert [str(result.job.source) for result in results] == [
        "photos/a.jpg", "photos/a0.jpg", "photos/b.png", "photos/b0.png", "photos/sub/c.jpg"
    ]  # fmt: skip
    assert [bool(result.error) for result in results] == [False, True, False, True, False]
    assert results[1].error.startswith("photos/a0.jpg: ")
    assert sorted(str(path) for path in Path("out").rglob("*.*")) == ["out/a.png", "out/b.png", "out/sub/c.png"]


def test_order_is_kept_and_nobody_gets_the_pixels_of_another_one(go, photos, jpeg, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for number in range(8):
        (photos / f"x{number}.jpg").write_bytes(jpeg(seed=number, height=40 + 8 * number))
    read, threads = run_module.read_photo, set()

    def slow_read(path):
        threads.add(threading.current_thread().name)
        time.sleep(0.05 if path.stem < "x3" else 0)
        return read(path)

    monkeypatch.setattr(run_module, "read_photo", slow_read)
    results = go("photos/x*.jpg")
    names = [f"x{number}" for number in range(8)]
    assert [result.job.source.stem for result in results] == names
    assert len(threads) > 1
    for name in names:
        pixels = [read(Path(file)).pixels.astype(int) for file in (f"photos/{name}.jpg", f"out/{name}.png")]
        assert np.corrcoef(pixels[0].ravel(), pixels[1].ravel())[0, 1] > 0.9


def test_nothing_is_written_over_without_force(go):
    Path("out").mkdir()
    Path("out/a.png").write_bytes(b"precious")
    results = go("photos")
    assert re.match(r"photos/a\.jpg: out/a\.png .*--force", results[0].error)
    assert [bool(result.error) for result in results] == [True, False, False]
    assert Path("out/a.png").read_bytes() == b"precious"
    assert not go("photos/a.jpg", force=True)[0].error
    first = Path("out/a.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    Path("out/b.compare.png").touch()
    results = go("photos/b.png", output="out2", compare=True)
    assert not results[0].error
    Path("out2/b.png").unlink()
    assert "b.compare.png" in go("photos/b.png", output="out2", compare=True)[0].error


def test_what_a_format_cannot_hold_becomes_png(go, photos, image):
    deep = cv2.imencode(".png", image().astype(np.uint16) * 257)[1].tobytes()
    (photos / "deep.png").write_bytes(deep)
    (result,) = go("photos/deep.png", file_format="jpeg")
    assert result.summary.endswith("-> out/deep.png (JPEG is not written with 16 bits: saved as PNG)")
    assert read_photo("out/deep.png").pixels.dtype == np.uint16
    (result,) = go("photos/deep.png", file_format="jpeg")
    assert "out/deep.png" in result.error
    (result,) = go("photos/deep.png", output="photos", file_format="jpeg", force=True)
    assert "-> photos/deep.jpg.png " in result.summary
    assert (photos / "deep.png").read_bytes() == deep


def test_file_that_cannot_be_written(go):
    Path("out/a.png").mkdir(parents=True)
    results = go("photos/a.jpg", "photos/b.png", force=True)
    assert results[0].error.startswith("photos/a.jpg: cannot write ")
    assert not results[1].error


def test_weights_that_suit_each_file(photos, monkeypatch, inference_options):
    monkeypatch.chdir(photos.parent)
    results = []
    enhance_files(find_jobs(["photos"], Path("out")), Models(None, inference_options()), results.append)
    said = [result.summary for result in results]
    assert "JPEG quality 10, restore-color" in said[0]
    assert "restore-color" in said[1]
    assert "(nothing is known of the damage in PNG files" in said[1]
    assert "JPEG quality 30" in said[2]
    assert "-gray" in said[2]
    assert read_photo("out/sub/c.png").is_gray


def test_a_large_image_has_a_note_on_tiles(photos, monkeypatch, weights, inference_options, jpeg):
    monkeypatch.chdir(photos.parent)
    Path("large.jpg").write_bytes(jpeg(height=300, width=400))
    results = []
    for name, options in (("tiles", {"memory": 4 << 20}), ("whole", {})):
        models = Models(weights("arcnn"), inference_options(**options))
        enhance_files([EnhanceJob(Path("large.jpg"), Path(f"{name}.png"))], models, results.append)
    assert "(in tiles of " in results[0].summary
    assert "tiles of" not in results[1].summary
    assert Path("tiles.png").read_bytes() == Path("whole.png").read_bytes()


def test_windows_of_most_change(image):
    before = image(300, 400)
    after = before.copy()
    for row, column, change in ((0, 48, 40), (144, 240, 60), (192, 0, 50)):
        part = after[row : row + 96, column : column + 96].astype(int)
        after[row : row + 96, column : column + 96] = np.where(part < 128, part + change, part - change)
    corners, side = most_changed(before, after)
    assert (corners, side) == ([(144, 240), (192, 0), (0, 48)], 96)
    assert most_changed(before[:20, :50], after[:20, :50])[1] == 20
    assert most_changed(before[:1, :1], before[:1, :1]) == ([(0, 0)], 1)


@pytest.mark.parametrize(("height", "width"), [(40, 56), (1, 90), (200, 30)])
@pytest.mark.parametrize("alpha", [False, True])
def test_comparison_is_drawn(tmp_path, image, height, width, alpha):
    pixels = image(height, width)
    opacity = np.full((height, width, 1), 100, np.uint8) if alpha else None
    after = Photo(np.repeat(np.repeat(255 - pixels, 2, 0), 2, 1), None)  # enlarged, and of another kind
    draw_comparison(tmp_path / "c.png", Photo(pixels, opacity), after, ("left title", "right title"))
    shown = read_photo(tmp_path / "c.png").pixels
    assert shown.shape[1] > 1400
    assert shown.std() > 10
    assert [path.name for path in tmp_path.iterdir()] == ["c.png"]


@pytest.mark.slow
def test_the_script(run, pairs, weights, jpeg):
    """As a user calls it: results, what fails, and both ways of ending."""
    (pairs / "bad.jpg").write_bytes(jpeg()[:200])
    path = weights("arcnn")
    done = run("enhance.py", "lq", "bad.jpg", "--weights", path, "--device", "cpu", "--compare", "--memory", "0.5")
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [f"lq/{number}.png" for number in range(8)]
    assert "failed: bad.jpg: truncated JPEG file; replace the file\nerror: 1 of 9 files failed\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    assert len(list((pairs / "enhanced").iterdir())) == 16
    wrong = run("enhance.py", "lq/0.png", "--weights", "nothing-like-it")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: no weights")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        cv2.error("OpenCV error: (-4:Insufficient memory) Failed to allocate 2700000000 bytes"),
        ZeroDivisionError("a defect"),
    ],
)
@pytest.mark.parametrize("step", ["read_photo", "enhance_photo", "write_photo"])
def test_whatever_one_file_does_stops_no_other(go, monkeypatch, error, step):
    do = getattr(run_module, step)

    def failing(*arguments, **named):
        if any("b.png" in str(each) for each in arguments):
            raise error
        return do(*arguments, **named)

    monkeypatch.setattr(run_module, step, failing)
    results = go("photos")
    assert [bool(result.error) for result in results] == [False, True, False]
    assert results[1].error.startswith("photos/b.png: ")
    assert "\n" not in results[1].error
    assert ("memory" in results[1].error) is not isinstance(error, ZeroDivisionError)
    assert not Path("out/b.png").exists()


def test_an_image_too_large_for_the_memory_is_not_tried(go, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 60_000)  # 56 x 40 x 3 x 10 bytes are more
    results = go("photos")
    assert [bool(result.error) for result in results] == [True, True, False]
    assert "memory" in results[0].error


@pytest.mark.parametrize("name", ["cash$$", "b$\\frac$", "caf\udce9", "中文", "x" * 245, "new\nline"])
def test_names_of_any_kind(go, photos, name, recwarn):
    (photos / "a.jpg").rename(photos / f"{name}.jpg")
    results = go("photos", compare=True)
    assert not any(result.error for result in results)
    assert Path(f"out/{name}.png").is_file()
    assert len(list(Path("out").rglob("*.compare.png"))) == 3
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_the_line_says_what_of_a_file_is_lost(go, photos):
    file = photos / "a.jpg"
    whole = file.read_bytes()
    file.write_bytes(whole[:2] + b"\xff\xfe\0\4Hi" + whole[2:] + b"a video")  # a comment, and bytes behind the end
    (photos / "damaged.jpg").write_bytes(whole[:-2] + b"x7y9z" + whole[-2:])
    result, damaged = go("photos/a.jpg", "photos/damaged.jpg", file_format="webp")
    assert "7 bytes behind the image" in result.summary
    assert "comments" in result.summary
    assert "damaged" in damaged.summary
