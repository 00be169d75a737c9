"""Weights of other authors: the entries that are shipped, and how their files get here."""

import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from powerqe import cli
from powerqe.inference import choose as choosing
from powerqe.inference.choose import ImageDescription, choose, choose_for_video
from powerqe.net import NETWORKS, build_network, save_weights
from powerqe.net.weights import Entry, Figure, entries, find, index
from powerqe.net.weights.entry import BACKBONE
from powerqe.utils.errors import UserError
from powerqe.utils.files import sha256_of
from powerqe.utils.options.tree import load_options
from powerqe.utils.places import OFFICIAL, WEIGHTS_VARIABLE

TINY = {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3]}
RIGHT = b"right" * 100


@pytest.fixture(scope="module")
def official(root) -> list[Entry]:
    ours = {entry.name for entry in entries(root / "weights")}
    return [known.entry for name, known in index.known_weights().items() if name not in ours]


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """The user's folder of downloads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def listed(store, monkeypatch) -> Callable[..., Entry]:
    """Makes an entry the only one of the official index."""

    def listed(**facts: object) -> Entry:
        known = {"name": "some", "method": "ARCNN", "task": "jpeg", "color": "rgb", "file": "some.pth", "sha256": ""}
        entry = Entry.model_validate({**known, "license": "MIT", **facts})
        path = store.parent / "official.json"
        path.write_text(f"[{entry.model_dump_json()}]")
        monkeypatch.setattr(index, "OFFICIAL", path)
        return entry

    return listed


@pytest.fixture
def url(url, tmp_path) -> str:
    """A server's address with the file some.pth."""
    (tmp_path / "there/some.pth").write_bytes(RIGHT)
    return url


@pytest.fixture
def command(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run `powerqe weights` in this process; exit status, output, errors."""
    return lambda *arguments: (cli.main(["weights", *arguments]), *capsys.readouterr())


def sha256(content: bytes, folder: Path) -> str:
    (folder / "content").write_bytes(content)
    return sha256_of(folder / "content")


def row_of(name: str, table: str) -> list[str]:
    """The words of a row."""
    return next(line.split() for line in table.splitlines() if line.startswith(f"{name} "))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --------------------------------------------------------------------------- what is shipped


def test_entries_are_consistent(official):
    assert {"fbcnn-color", "fbcnn-gray", "dncnn3", "stdf-r3-mfqev2", "edsr-baseline-x2", "alexnet", "vgg19"} <= {
        entry.name for entry in official
    }
    digits = {"computed": 64, "independent records": 64, "one record": 64, "prefix only": 8, "none": 0}
    for entry in official:
        assert len(entry.sha256) == digits[entry.certainty], entry.name
        assert entry.url or entry.link, entry.name
        assert all(each.startswith("https://") for each in (entry.url, *entry.mirrors, entry.link) if each), entry.name
        assert bool(entry.figures) == bool(entry.figures_from) == bool(entry.test), entry.name
        if entry.sha256[:8] in entry.file:
            assert entry.file.rpartition("-")[2].startswith(entry.sha256[:8])
    assert len({entry.file for entry in official}) == len(official)


def test_published_figures_can_be_measured(official, root):
    for entry in official:
        if entry.test is None:
            continue
        words = shlex.split(entry.test)
        overrides = words[words.index("--set") + 1 :] if "--set" in words else []
        options = load_options(root / f"opts/{words[1]}.yml", words[3], overrides)
        assert {figure.set for figure in entry.figures} <= set(options.dataset.test), entry.name
        assert {figure.metric for figure in entry.figures} <= set(options.test.criterion), entry.name
        for figure in entry.figures:
            if figure.before is not None and figure.after is not None:
                assert figure.gain == pytest.approx(figure.after - figure.before, abs=1e-6)


def test_parameters_are_those_of_the_network(official):
    known = {entry.name: entry.parameters for entry in official}
    dncnn = build_network({"type": "DnCNN", "in_channels": 1, "out_channels": 1, "depth": 20, "share_weights": False})
    stdf = build_network({"type": "STDF", "radius": 3})
    for name, network in (("dncnn3", dncnn), ("stdf-r3-mfqev2", stdf)):
        assert known[name] == sum(p.numel() for p in network.parameters())


# --------------------------------------------------------------------------- the automatic choice


@pytest.mark.parametrize(
    ("file", "name", "is_gray", "quality"),
    [
        ("fbcnn_gray.pth", "fbcnn-gray", True, 10),
        ("dncnn3.pth", "dncnn3", True, 40),
        ("fbcnn_color.pth", "fbcnn-color", False, 30),
    ],
)
def test_images_get_what_is_here(store, file, name, is_gray, quality):
    image = ImageDescription("JPEG", is_gray, quality, True)
    assert choose(image)[0].name != name
    (store / file).touch()
    assert choose(image)[0].name == name


@pytest.mark.parametrize(
    "file",
    [
        "drunet_deblocking_color.pth",  # made for no quality that is known
        "006_colorCAR_DFWB_s126w7_SwinIR-M_jpeg40.pth",  # no gain of it is known
        "alexnet-owt-7be5be79.pth",
    ],
)
def test_weights_without_a_known_gain_come_last(store, file):
    image = ImageDescription("JPEG", False, 40, True)
    before = choose(image)
    (store / file).touch()
    assert choose(image) == before


def test_videos_get_the_official_network_if_it_is_here(store):
    assert "stdf-r3" not in choose_for_video(37, False)[0].name
    (store / "stdf_mfqev2_r3.safetensors").touch()
    (store / "stdf_vimeo90k_r3.safetensors").touch()
    for has_peaks in (False, True):
        assert choose_for_video(37, has_peaks)[0].name == "stdf-r3-mfqev2"


def test_networks_of_the_library_are_chosen_only_with_it(store, listed, monkeypatch):
    gain = Figure(set="live1", quality="qf10", metric="PSNR", gain=9.0)
    qualities = {"unit": "qf", "values": [5, 95], "span": True}
    listed(method="SwinIR", qualities=qualities, figures=[gain.model_dump()])
    (store / "some.pth").touch()
    image = ImageDescription("JPEG", False, 60, True)
    assert choose(image)[0].name == "some"
    monkeypatch.setattr(choosing, "has_library", lambda: False)
    assert choose(image)[0].name != "some"


# --------------------------------------------------------------------------- fetch


def test_a_new_sha256_is_recorded_and_checked_from_then_on(store, listed, url, command):
    listed(url=f"{url}/some.pth", certainty="none")
    assert row_of("some", command("list")[1])[-2] == "fetch"
    status, output, errors = command("fetch", "some")
    assert (status, errors, names(store)) == (0, "", ["some.pth", "some.pth.sha256"])
    digest = sha256_of(store / "some.pth")
    assert digest in output
    assert "was not known" in output
    assert (store / "some.pth.sha256").read_text().split() == [digest, "some.pth"]
    assert find("some") == store / "some.pth"
    assert "as recorded" in command("fetch", "some")[1]
    assert digest in command("show", "some")[1]
    (store / "some.pth").write_bytes(b"wrong" * 100)
    with pytest.raises(UserError, match="SHA-256 differs"):
        find("some")
    assert command("fetch", "some")[0] == 0
    assert find("some").read_bytes() == RIGHT


@pytest.mark.parametrize("is_right", [True, False])
def test_the_first_digits_are_checked(store, listed, url, command, is_right):
    start = sha256(RIGHT if is_right else b"", store.parent)[:8]
    listed(url=f"{url}/some.pth", sha256=start, certainty="prefix only")
    status, _, errors = command("fetch", "some")
    assert (status, names(store)) == ((0, ["some.pth", "some.pth.sha256"]) if is_right else (2, []))
    assert errors.count("\n") == (0 if is_right else 1)


def test_another_address_is_tried(store, listed, url, command):
    listed(url=f"{url}/gone.pth", mirrors=[f"{url}/some.pth"], sha256=sha256(RIGHT, store.parent), bytes=len(RIGHT))
    status, output, errors = command("fetch", "some")
    assert (status, errors, names(store)) == (0, "", ["some.pth"])
    assert f"from {url}/some.pth, SHA-256 is right" in output


def test_a_web_page_is_not_taken_for_the_file(store, listed, url, command):
    (store.parent / "there/share.html").write_text("<!DOCTYPE html><title>Sign in</title>")
    listed(url=f"{url}/share.html", link="https://host/share", certainty="none")
    status, _, errors = command("fetch", "some")
    assert (status, errors.count("\n"), names(store)) == (2, 1, [])
    assert all(word in errors for word in ("web page", "https://host/share", "powerqe weights add FILE --name some"))


def test_what_only_a_browser_can_get(store, listed, command):
    listed(link="https://host/share", certainty="none")
    assert row_of("some", command("list")[1])[-3:-1] == ["by", "hand"]
    assert "https://host/share" in command("show", "some")[1]
    status, _, errors = command("fetch", "some")
    assert (status, errors.count("\n")) == (2, 1)
    assert "https://host/share" in errors
    with pytest.raises(UserError, match="powerqe weights show some"):
        find("some")


@pytest.fixture
def archive(tmp_path, url) -> str:
    """The address of a zip archive with exp/some.pt."""
    with zipfile.ZipFile(tmp_path / "there/exp.zip", "w") as file:
        file.writestr("exp/some.pt", RIGHT)
    return f"{url}/exp.zip"


def test_a_member_of_an_archive(store, listed, archive, command):
    listed(url=archive, member="exp/some.pt", sha256=sha256(RIGHT, store.parent))
    status, output, errors = command("fetch", "some")
    assert (status, errors, names(store)) == (0, "", ["some.pth"])
    assert "SHA-256 is right" in output
    assert (store / "some.pth").read_bytes() == RIGHT


@pytest.mark.parametrize(
    ("member", "content", "words"),
    [
        ("exp/other.pt", None, ("no member exp/other.pt", "exp/some.pt")),
        ("exp/some.pt", b"PK no archive", ("no zip archive",)),
        ("exp/some.pt", None, ("another file", "SHA-256")),
    ],
)
def test_an_archive_without_the_member(store, listed, archive, command, member, content, words):
    if content:
        (store.parent / "there/exp.zip").write_bytes(content)
    listed(url=archive, member=member, sha256="0" * 64)
    status, _, errors = command("fetch", "some")
    assert (status, errors.count("\n"), names(store)) == (2, 1, [])
    assert all(word in errors for word in words)


# --------------------------------------------------------------------------- add


@pytest.fixture
def downloaded(tmp_path) -> Path:
    """Weights of a tiny AR-CNN that know their network."""
    path = tmp_path / "downloaded.safetensors"
    save_weights(build_network(TINY), path, {"network": '{"type": "ARCNN"}'})
    return path


def test_the_right_file_is_added(store, listed, downloaded, command):
    listed(file="some.safetensors", sha256=sha256_of(downloaded))
    status, output, errors = command("add", str(downloaded), "--name", "some")
    assert (status, errors, names(store)) == (0, "", ["some.safetensors"])
    assert "SHA-256 is right" in output
    assert find("some").read_bytes() == downloaded.read_bytes()


def test_another_file_is_added_only_on_demand(store, listed, downloaded, command):
    listed(file="some.safetensors", sha256="0" * 64)
    status, _, errors = command("add", str(downloaded), "--name", "some")
    assert (status, errors.count("\n"), names(store)) == (2, 1, [])
    assert all(word in errors for word in ("another file", "0" * 64, "--any-file"))
    status, output, _ = command("add", str(downloaded), "--name", "some", "--any-file")
    assert status == 0
    assert "is not that of the release" in output
    assert find("some") == store / "some.safetensors"
    assert f"the file here has {sha256_of(downloaded)}" in command("show", "some")[1]


def test_another_network_is_not_added(store, listed, downloaded, command):
    listed(file="some.safetensors", method="DnCNN", certainty="none")
    status, _, errors = command("add", str(downloaded), "--name", "some")
    assert (status, errors.count("\n"), names(store)) == (2, 1, [])
    assert all(word in errors for word in ("ARCNN", "DnCNN"))


@pytest.mark.parametrize(
    ("file", "content", "word"),
    [
        ("page.pth", b"\n<html><body>quota", "web page"),
        ("gone.pth", None, "gone.pth"),
        ("some.safetensors", b"", "some.pth"),
        ("damaged.pth", b"PK\x03\x04", "damaged.pth"),
    ],
)
def test_what_is_no_file_of_weights_is_not_added(store, listed, command, file, content, word):
    listed(certainty="none")
    if content is not None:
        (store.parent / file).write_bytes(content)
    status, _, errors = command("add", file, "--name", "some")
    assert (status, errors.count("\n"), names(store)) == (2, 1, [])
    assert word in errors


def test_an_unknown_name(store, downloaded, command):
    status, _, errors = command("add", str(downloaded), "--name", "fbcnn-colour")
    assert (status, errors.count("\n")) == (2, 1)
    assert "'fbcnn-color'" in errors


def test_all_methods_are_networks_or_of_the_library(official):
    library = pytest.importorskip("spandrel")
    known = {each.architecture.id for each in library.MAIN_REGISTRY.architectures("detection")}
    methods = {entry.method for entry in official if entry.task != BACKBONE}
    assert methods <= {*NETWORKS.names(), *known}
    assert OFFICIAL.is_file()
