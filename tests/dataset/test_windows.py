"""Windows: which frames belong to a sample, and which frames are samples."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.dataset.peaks import Track, folder_of, local_peaks, read_labels
from powerqe.dataset.windows import WINDOWS, PeakFrames, Sliding
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import validate_component
from powerqe.utils.video.frame_records import FrameInfo, write_record

qualities = st.lists(st.integers(0, 3) | st.just(math.inf), min_size=1, max_size=14)


def track(length: int, file: str | Path = "qp37/a_8x8_9.yuv", target: int | None = None, errors=None) -> Track:
    file = Path(file)
    return Track(str(file), file.stem.rpartition("_")[0], file.stem, file, length, target, errors)


def described(path: Path, qps: list[int], psnrs: list[float] | None = None) -> None:
    psnrs = psnrs or [30.0] * len(qps)
    frames = [FrameInfo(poc, "P", qp, 100, psnr) for poc, (qp, psnr) in enumerate(zip(qps, psnrs, strict=True))]
    write_record(path, {}, frames)


# --------------------------------------------------------------------------- sliding


@given(st.integers(1, 12), st.integers(0, 5), st.booleans())
def test_sliding_repeats_the_ends(length, radius, inside):
    window = Sliding(radius=radius, inside=inside)
    marked = window.mark(track(length))
    expected = [t for t in range(length) if not inside or radius <= t < length - radius]
    assert list(marked.frames) == expected
    assert window.size == 2 * radius + 1
    for t in expected:
        assert window.around(t, marked) == tuple(
            sorted(min(max(i, 0), length - 1) for i in range(t - radius, t + radius + 1))
        )
        assert marked.is_peak(t) == -1
    assert [window.drawn(place, 5, marked) for place in range(len(expected))] == expected


@pytest.mark.parametrize(
    ("role", "expected"), [("all", range(9)), ("peaks", [0, 4, 8]), ("others", [1, 2, 3, 5, 6, 7])]
)
def test_sliding_over_one_role(role, expected):
    window = Sliding(radius=1, source="period", period=(1, 0, 0, 0), role=role)
    marked = window.mark(track(9))
    assert list(marked.frames) == list(expected)
    assert [marked.is_peak(t) for t in range(9)] == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert window.around(4, marked) == (3, 4, 5)
    inner = Sliding(radius=1, inside=True, source="period", period=(1, 0, 0, 0), role=role).mark(track(9))
    assert list(inner.frames) == [t for t in expected if 0 < t < 8]


def test_the_only_target(tmp_path):
    assert list(Sliding(radius=3).mark(track(7, target=3)).frames) == [3]
    assert list(Sliding(source="period", period=(1, 0), role="peaks").mark(track(7, target=3)).frames) == []
    with pytest.raises(UserError, match=r"frame 4.*7.*4 reaches.*be 3"):
        Sliding(radius=4).mark(track(7, target=3))
    with pytest.raises(UserError, match="PeakFrames"):
        PeakFrames(source="period", period=(1, 0)).mark(track(7, target=3))


# --------------------------------------------------------------------------- peaks


def is_peak(values: list[float], t: int) -> bool:
    """The rule as it is said, for one frame."""
    if t > 0 and values[t - 1] >= values[t]:
        return False
    end = t
    while end + 1 < len(values) and values[end + 1] == values[t]:
        end += 1
    lower_after = end + 1 < len(values) and values[end + 1] < values[t]
    return lower_after or (end + 1 == len(values) and t > 0)


@given(qualities)
def test_peaks(values):
    expected = [t for t in range(len(values)) if is_peak(values, t)]
    assert local_peaks(np.array(values, dtype=float)).tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 1, 2, 1, 2], [0, 2, 4]),
        ([1, 2, 2, 1], [1]),
        ([2, 2, 1, 3, 3], [0, 3]),
        ([1, 2, 2, 3], [3]),
        ([5], []),
        ([5, 5], []),
        ([math.inf, math.inf, 1], [0]),
    ],
)
def test_plateaus_and_ends(values, expected):
    assert local_peaks(np.array(values, dtype=float)).tolist() == expected


@given(st.lists(st.booleans(), min_size=1, max_size=14).filter(any), st.sampled_from(["all", "peaks", "others"]))
def test_neighbors_of_peak_quality(labels, role):
    window = PeakFrames(source="period", period=tuple(map(int, labels)), role=role)
    marked = window.mark(track(len(labels)))
    expected = [t for t, peak in enumerate(labels) if role == "all" or peak == (role == "peaks")]
    assert list(marked.frames) == expected
    for t, peak in enumerate(labels):
        before = [i for i in range(t) if labels[i]]
        after = [i for i in range(t + 1, len(labels)) if labels[i]]
        assert window.around(t, marked) == (before[-1] if before else t, t, after[0] if after else t)
        assert marked.is_peak(t) == peak


def test_inside_of_the_peaks():
    labels = (0, 1, 0, 0, 1, 0, 1, 0)
    for role, expected in (("all", [2, 3, 4, 5]), ("peaks", [4]), ("others", [2, 3, 5])):
        window = PeakFrames(source="period", period=labels, role=role, inside=True)
        assert list(window.mark(track(8)).frames) == expected


def test_one_of_the_frames_between_two_peaks():
    labels = (0, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0)
    window = PeakFrames(source="period", period=labels, role="others", draw="pair")
    marked = window.mark(track(11))
    places = len(marked.frames)
    drawn = [window.drawn(place, seed, marked) for place in range(places) for seed in range(300)]
    assert set(drawn) == {3, 4, 5, 6, 8}
    share = {t: drawn.count(t) / len(drawn) for t in set(drawn)}
    assert share[8] == pytest.approx(3 / 7, abs=0.001)  # of 7 places the last 3 belong to the second pair
    assert all(share[t] == pytest.approx(1 / 7, abs=0.03) for t in (3, 4, 5, 6))
    assert window.drawn(0, 7, marked) == window.drawn(0, 7, marked)
    alone = window.mark(track(2))  # one peak: no pair
    assert [window.drawn(place, 1, alone) for place in range(len(alone.frames))] == [0]


# --------------------------------------------------------------------------- labels


def test_labels_of_the_qp(tmp_path):
    described(tmp_path / "a_8x8_9.frames.json", [36, 45, 44, 45, 44, 38, 45])
    for path in (None, str(tmp_path)):
        file = tmp_path / "a_8x8_9.yuv" if path is None else "elsewhere/a_8x8_9.yuv"
        assert PeakFrames(path=path).mark(track(7, file)).peaks.tolist() == [0, 2, 5]
    assert PeakFrames().mark(track(4, tmp_path / "a_8x8_9.yuv")).peaks.tolist() == [0, 2]  # of the first frames only


def test_labels_of_the_psnr(tmp_path):
    errors = np.array([3.0, 4, 1, 1, 2, 0, 0])
    video = track(7, tmp_path / "a_8x8_9.yuv", errors=lambda: errors)
    assert PeakFrames(source="psnr").mark(video).peaks.tolist() == [0, 2, 5]
    described(tmp_path / "a_8x8_9.frames.json", [37] * 7, [30, 31, 30, math.inf, 30, 29, 30])
    assert PeakFrames(source="psnr").mark(video).peaks.tolist() == [1, 3, 6]
    with pytest.raises(UserError, match=r"none.*7 frames.*QP"):
        PeakFrames(source="qp").mark(video)


@pytest.mark.parametrize("text", ["1 0 0 1 0", "1\n0\n0\n1\n0\n", "1,0, 0,1,0", "1.0 0.0 0 1 0"])
def test_labels_of_a_text(tmp_path, text):
    (tmp_path / "a_8x8_9.txt").write_text(text)
    marked = PeakFrames(source="file", pattern="{stem}.txt").mark(track(5, tmp_path / "a_8x8_9.yuv"))
    assert marked.peaks.tolist() == [0, 3]


def test_labels_of_other_files(tmp_path):
    np.save(tmp_path / "a_8x8_9.npy", np.array([[0.0], [1.0], [0.0]]))
    assert PeakFrames(source="file").mark(track(3, tmp_path / "a_8x8_9.yuv")).peaks.tolist() == [1]
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/PQF-a_8x8.json").write_text(json.dumps([True, False, 1, 0]))
    window = PeakFrames(source="file", path=str(tmp_path / "labels"), pattern="PQF-{name}.json")
    assert window.mark(track(3, "x/a_8x8_9.yuv")).peaks.tolist() == [0, 2]


def test_labels_next_to_a_folder_of_frames(tmp_path):
    assert folder_of(Path("a/00001/0001"), "00001/0001") == Path("a")
    (tmp_path / "00001").mkdir()
    (tmp_path / "00001/0001.txt").write_text("1 0 1")
    video = Track("v", "00001_0001", "00001/0001", tmp_path / "00001/0001", 3)
    assert PeakFrames(source="file", pattern="{stem}.txt").mark(video).peaks.tolist() == [0, 2]
    described(tmp_path / "00001/0001.frames.json", [30, 31, 30])
    for path in (None, str(tmp_path)):
        assert PeakFrames(path=path).mark(video).peaks.tolist() == [0, 2]


# --------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "period"}, "source"),
        ({"source": "qp", "period": (1, 0)}, "go together"),
        ({"source": "period", "period": (0, 0)}, "at least one 1"),
        ({"source": "period", "period": ()}, "at least one 1"),
        ({"source": "period", "period": (2, 0)}, "0 and 1"),
        ({"source": "file", "pattern": "{sequence}.npy"}, r"\{stem\}.*\{name\}"),
        ({"source": "file", "pattern": "{stem}.mat"}, r"\.npy, \.txt, \.json"),
        ({"draw": "pair"}, "it needs role: others"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(UserError, match=message):
        PeakFrames(**arguments)


def test_a_role_needs_a_source():
    with pytest.raises(UserError, match="role: peaks needs a source"):
        Sliding(role="peaks")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"a_8x8_9\.txt"),
        ("1 0", r"a_8x8_9\.txt.*2 frames.*5"),
        ("1 0 2 0 0", "0 and 1"),
        ("1 0 nan 0 0", "0 and 1"),
        ("one zero", r"a_8x8_9\.txt"),
        ("0 0 0 0 0", r"none.*5 frames"),
    ],
)
def test_label_files_that_do_not_fit(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a_8x8_9.txt").write_text(content)
    with pytest.raises(UserError, match=message):
        PeakFrames(source="file", pattern="{stem}.txt").mark(track(5, tmp_path / "a_8x8_9.yuv"))


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_label_files_that_are_no_lists(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for content in (b"", b"nonsense", b'{"a": 1}', b"[[1], [0, 1]]", "é".encode("latin-1")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.(npy|json)"):
            read_labels(path, 2)
    np.save(tmp_path / "objects.npy", np.array([{}, []], dtype=object))
    with pytest.raises(UserError, match=r"objects\.npy"):
        read_labels(tmp_path / "objects.npy", 2)


def test_descriptions_that_do_not_fit(tmp_path):
    video = track(3, tmp_path / "a_8x8_9.yuv")
    with pytest.raises(UserError, match=r"cannot read .*a_8x8_9\.frames\.json"):
        PeakFrames().mark(video)
    with pytest.raises(UserError, match=r"source.*a_8x8_9\.frames\.json"):
        PeakFrames(source="psnr").mark(video)
    described(tmp_path / "a_8x8_9.frames.json", [36, 45])
    with pytest.raises(UserError, match=r"2 frames.*3"):
        PeakFrames().mark(video)


def test_as_components():
    assert WINDOWS.names() == ["PeakFrames", "Sliding"]
    for wrong in ({"type": "Sliding", "radius": -1}, {"type": "PeakFrames", "source": "lstm"}):
        with pytest.raises(UserError, match=list(wrong)[1]):
            validate_component("window", wrong)
