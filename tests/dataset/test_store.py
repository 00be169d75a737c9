import json
import multiprocessing
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from powerqe.dataset.lmdb_file import LmdbFile
from powerqe.dataset.store import DATA_FILE, BasicSRStore, ImageStore, open_store, write_store
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import encode_image

ROOT = Path(__file__).resolve().parents[2]
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
IMAGES = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 40), st.sampled_from([1, 3])), elements=st.integers(0, 255)
)


def make_images(count=5, size=40, seed=0):
    rng = np.random.default_rng(seed)
    return {f"{i:03d}": rng.integers(0, 256, (size + i, size, 3), np.uint8) for i in range(count)}


def read_index(path):
    with lmdb.open(str(path), lock=False) as environment, environment.begin() as transaction:
        return json.loads(transaction.get(b"__powerqe__"))


def put_index(path, text):
    with lmdb.open(str(path), lock=False) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"__powerqe__", text)


def change_index(path, **changes):
    put_index(path, json.dumps(read_index(path) | changes).encode())


@settings(max_examples=25, deadline=None)
@given(images=st.dictionaries(KEYS, IMAGES, min_size=1, max_size=6), codec=st.sampled_from(["raw", "png"]))
def test_round_trip(images, codec):
    with tempfile.TemporaryDirectory() as folder:
        assert write_store(Path(folder, "s"), images.items(), codec) == len(images)
        store = open_store(Path(folder, "s"))
        assert store.stems() == sorted(images)
        for key, image in images.items():
            np.testing.assert_array_equal(store[key], image)
        store.verify()


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_crops_equal_slices(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "crops"
    images = make_images(3, 50)
    if not path.exists():
        write_store(path, images.items())
    store = ImageStore(path)
    key = data.draw(st.sampled_from(sorted(images)))
    rows, columns = data.draw(st.slices(images[key].shape[0])), data.draw(st.slices(images[key].shape[1]))
    np.testing.assert_array_equal(store[key][rows, columns], images[key][rows, columns])


def test_raw_images_are_read_only_views_that_outlive_the_store(tmp_path):
    images = make_images()
    write_store(tmp_path / "s", images.items())
    view = ImageStore(tmp_path / "s")["001"]
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0, 0] = 1
    write_store(tmp_path / "s", make_images(seed=9).items())  # replaced while it is in use
    np.testing.assert_array_equal(view, images["001"])
    np.testing.assert_array_equal(ImageStore(tmp_path / "s")["001"], make_images(seed=9)["001"])


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc to see which pages were read")
def test_only_the_rows_of_a_crop_are_touched(tmp_path):
    write_store(tmp_path / "s", [("big", np.ones((4000, 4000, 3), np.uint8))])

    def resident():
        blocks = Path("/proc/self/smaps").read_text().split(str(tmp_path / "s" / DATA_FILE))[1:]
        return 1024 * sum(int(block.split("Rss:")[1].split()[0]) for block in blocks)

    store = ImageStore(tmp_path / "s")
    assert int(store["big"][2000:2016].sum()) == 16 * 4000 * 3
    assert resident() < 12 << 20  # 192 kB of the 48 MB, and what the kernel maps around them (some 2 MB)


def test_tiny_map_grows(tmp_path):
    images = make_images(30)
    write_store(tmp_path / "s", images.items(), map_size=1 << 15)
    store = ImageStore(tmp_path / "s")
    for key, image in images.items():
        np.testing.assert_array_equal(store[key], image)


def test_batches_in_several_transactions(tmp_path, monkeypatch):
    monkeypatch.setattr("powerqe.dataset.store.BATCH_BYTES", 10_000)
    images = make_images(30)
    write_store(tmp_path / "s", images.items(), map_size=1 << 15)
    store = ImageStore(tmp_path / "s")
    for key, image in images.items():
        np.testing.assert_array_equal(store[key], image)


def test_tiny_images_stay_where_they_are(tmp_path, monkeypatch):
    """LMDB would keep small values inside the pages of its tree, and move them with every transaction."""
    monkeypatch.setattr("powerqe.dataset.store.BATCH_BYTES", 1)
    images = {f"{i:03d}": np.full((2, 2, 3), i % 251, np.uint8) for i in range(200)}
    write_store(tmp_path / "s", images.items())
    with lmdb.open(str(tmp_path / "s"), lock=False) as environment:
        for number in range(5):  # whoever adds a record of his own spoils nothing
            with environment.begin(write=True) as transaction:
                transaction.put(b"other%d" % number, b"x" * 100)
    store = ImageStore(tmp_path / "s")
    store.verify()
    assert all((store[key] == image).all() for key, image in images.items())


def test_is_an_lmdb_that_others_can_read(tmp_path):
    images = make_images()
    write_store(tmp_path / "s", images.items(), "png")
    with lmdb.open(str(tmp_path / "s"), readonly=True, lock=False) as environment, environment.begin() as transaction:
        content = transaction.get(b"002")
    png = encode_image(images["002"])
    assert content[16 : 16 + len(png)] == png
    assert [file.name for file in (tmp_path / "s").iterdir()] == [DATA_FILE]


def _sum(path_or_store, key, results):
    store = path_or_store if isinstance(path_or_store, ImageStore) else ImageStore(path_or_store)
    results.put(int(store[key].sum()))


@pytest.mark.parametrize(("method", "handed_over"), [("fork", True), ("fork", False), ("spawn", True)])
@pytest.mark.slow
def test_fork_and_spawn(tmp_path, method, handed_over):
    images = make_images()
    write_store(tmp_path / "s", images.items())
    store = ImageStore(tmp_path / "s")
    assert store["000"].sum() == images["000"].sum()  # in use here before the other process starts
    context = multiprocessing.get_context(method)
    results = context.Queue()
    process = context.Process(target=_sum, args=(store if handed_over else tmp_path / "s", "003", results), daemon=True)
    process.start()
    assert results.get(timeout=120) == images["003"].sum()
    process.join(60)
    assert process.exitcode == 0


def test_pickles_by_its_path(tmp_path):
    write_store(tmp_path / "s", make_images(100, 60).items())
    data = pickle.dumps(ImageStore(tmp_path / "s"))
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data)["004"], make_images(100, 60)["004"])


def test_an_error_while_building_leaves_nothing(tmp_path):
    def images():
        yield from make_images().items()
        raise UserError("the fifth file is bad")

    with pytest.raises(UserError, match="fifth"):
        write_store(tmp_path / "s", images())
    assert not list(tmp_path.iterdir())


def test_an_error_while_rebuilding_keeps_the_old_store(tmp_path):
    write_store(tmp_path / "s", make_images().items())
    with pytest.raises(UserError, match="no images to store"):
        write_store(tmp_path / "s", [])
    assert len(open_store(tmp_path / "s").stems()) == 5


def test_a_full_disk_leaves_nothing(tmp_path):
    """A limit on the size of files stands in for the disk."""
    resource = pytest.importorskip("resource")
    write_store(tmp_path / "s", make_images(1).items())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write the store .*s: .*; free space, or choose another place"):
            write_store(tmp_path / "s", make_images(60).items())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert ImageStore(tmp_path / "s").stems() == ["000"]


@pytest.mark.slow
def test_a_kill_while_building_leaves_no_store(tmp_path):
    program = f"""
import itertools, sys, time, numpy as np
sys.path.insert(0, {str(ROOT)!r})
import powerqe.dataset.store as store
store.BATCH_BYTES = 1
def images():
    for number in itertools.count():
        yield str(number), np.ones((64, 64, 3), np.uint8)
        if number == 3:
            print("writing", flush=True)
        if number > 3:
            time.sleep(0.01)
store.write_store({str(tmp_path / "s")!r}, images())
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (tmp_path / "s").exists()
    write_store(tmp_path / "s", make_images().items())
    assert len(ImageStore(tmp_path / "s").stems()) == 5


@pytest.mark.parametrize("codec", ["raw", "png"])
def test_verify_finds_one_wrong_bit(tmp_path, codec):
    images = make_images()
    write_store(tmp_path / "s", images.items(), codec)
    data = bytearray((tmp_path / "s" / DATA_FILE).read_bytes())
    content = images["002"].tobytes() if codec == "raw" else encode_image(images["002"])
    data[data.index(content) + len(content) // 2] ^= 1
    (tmp_path / "s" / DATA_FILE).write_bytes(data)
    with pytest.raises(UserError, match=r"s\[002\] is damaged"):
        open_store(tmp_path / "s").verify()
    if codec == "png":
        with pytest.raises(UserError, match=r"s\[002\]: damaged PNG"):
            open_store(tmp_path / "s")["002"]


def test_missing_key_names_store_key_and_nearest(tmp_path):
    write_store(tmp_path / "s", make_images().items())
    with pytest.raises(UserError, match=r"no image '0003' in the store .*s; the nearest is '003'"):
        open_store(tmp_path / "s")["0003"]


def test_half_built(tmp_path):
    write_store(tmp_path / "s", make_images().items())
    with lmdb.open(str(tmp_path / "s"), lock=False) as environment, environment.begin(write=True) as transaction:
        transaction.delete(b"__powerqe__")
    with pytest.raises(UserError, match="PowerQE"):
        open_store(tmp_path / "s")


def test_wrong_version_and_count(tmp_path):
    write_store(tmp_path / "s", make_images().items())
    change_index(tmp_path / "s", count=6)
    with pytest.raises(UserError, match=r"5.*6 images"):
        open_store(tmp_path / "s")
    change_index(tmp_path / "s", format=99)
    with pytest.raises(UserError, match=r"format 99.*reads 1"):
        open_store(tmp_path / "s")


def test_not_an_lmdb(tmp_path):
    (tmp_path / "s").mkdir()
    for content in (b"", b"no data base" * 1000):
        (tmp_path / "s" / DATA_FILE).write_bytes(content)
        with pytest.raises(UserError, match="s is not an LMDB that can be read"):
            open_store(tmp_path / "s")
    with pytest.raises(UserError, match="nowhere is not an LMDB that can be read"):
        open_store(tmp_path / "nowhere")


@pytest.mark.parametrize("keep", [0.2, 0.7, 0.99])
def test_cut_off_file(tmp_path, keep):
    write_store(tmp_path / "s", make_images().items())
    data = (tmp_path / "s" / DATA_FILE).read_bytes()
    (tmp_path / "s" / DATA_FILE).write_bytes(data[: int(keep * len(data))])
    with pytest.raises(UserError, match="is cut off"):
        open_store(tmp_path / "s")


def test_a_compacting_copy_is_noticed(tmp_path):
    write_store(tmp_path / "s", make_images(30).items(), map_size=1 << 15)
    (tmp_path / "copy").mkdir()
    with lmdb.open(str(tmp_path / "s"), readonly=True, lock=False) as environment:
        environment.copy(str(tmp_path / "copy"), compact=True)
    with pytest.raises(UserError, match="rewritten by another program"):
        open_store(tmp_path / "copy")
    shutil.copytree(tmp_path / "s", tmp_path / "plain")
    open_store(tmp_path / "plain").verify()


def test_keys_that_cannot_be(tmp_path):
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(UserError, match="two images are called a"):
        write_store(tmp_path / "s", [("a", image), ("a", image)])
    for key in ("", "x" * 512, "__powerqe__"):
        with pytest.raises(UserError, match="cannot be a key"):
            write_store(tmp_path / "s", [(key, image)])
    with pytest.raises(ValueError, match="uint8"):
        write_store(tmp_path / "s", [("a", image.astype(np.float32))])
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------- BasicSR's layout


def write_basicsr(path, images):
    """As BasicSR writes it, with its lock file, and with a wrong shape as in its own test data."""
    with lmdb.open(str(path), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for key, image in images.items():
            transaction.put(key.encode(), encode_image(image))
    (path / "meta_info.txt").write_text("".join(f"{key}.png (80,60,3) 1\n" for key in images))


def test_basicsr_layout(tmp_path):
    images = make_images() | {
        "000/00000001": np.zeros((3, 4, 1), np.uint8),
        "with (brackets)": np.ones((2, 2, 3), np.uint8),
    }
    write_basicsr(tmp_path / "s.lmdb", images)
    store = open_store(tmp_path / "s.lmdb")
    assert isinstance(store, BasicSRStore)
    assert store.stems() == sorted(images)
    for key, image in images.items():
        np.testing.assert_array_equal(store[key], image)
    store.verify()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))["001"], images["001"])


def test_basicsr_missing_key_and_strange_list(tmp_path):
    write_basicsr(tmp_path / "s", make_images())
    with (tmp_path / "s/meta_info.txt").open("a") as file:
        file.write("900.png (1,1,3) 1\n")
    store = open_store(tmp_path / "s")
    with pytest.raises(UserError, match=r"s\[900\] is listed in meta_info.txt"):
        store.verify()
    with pytest.raises(UserError, match=r"no image '901' in the store .*s; the nearest is '900'"):
        store["901"]
    (tmp_path / "s/meta_info.txt").write_text("what is this\n")
    with pytest.raises(UserError, match=r"meta_info\.txt: expected lines"):
        open_store(tmp_path / "s")


# --------------------------------------------------------------------------- damage


@pytest.mark.parametrize(
    "index",
    [
        b"{",
        b"null",
        b"[]",
        b"\xff",
        b"{}",
        b'{"format": 1}',
        b'{"format": 1, "codec": "raw", "count": 0, "records": {}}',
    ],
)
def test_index_that_is_none(tmp_path, index):
    write_store(tmp_path / "s", make_images().items())
    put_index(tmp_path / "s", index)
    with pytest.raises(UserError, match=r"s .*build it again"):
        open_store(tmp_path / "s")


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("value", [-1, -(1 << 40), 1 << 20, 1 << 62, 1 << 70, 0.5, "x", None])
@pytest.mark.parametrize("codec", ["raw", "png"])
def test_every_entry_of_the_index_is_checked(tmp_path, place, value, codec):
    if place >= 6 - 3 * (codec == "png"):
        value = -1  # shapes count for raw pixels only, and the checksum for `verify`
    write_store(tmp_path / "s", make_images().items(), codec)
    records = read_index(tmp_path / "s")["records"]
    records["002"][place] = value
    change_index(tmp_path / "s", records=records)
    with pytest.raises(UserError, match=r"build (it|the store) again|damaged PNG"):
        open_store(tmp_path / "s")["002"]


@pytest.mark.parametrize("values", [[], [1, 2], None, "abcdefg", {}])
def test_entry_of_another_length(tmp_path, values):
    write_store(tmp_path / "s", make_images().items())
    records = read_index(tmp_path / "s")["records"]
    change_index(tmp_path / "s", records=records | {"002": values})
    with pytest.raises(UserError, match=r"s has a damaged index"):
        open_store(tmp_path / "s")


@pytest.mark.parametrize("kind", ["raw", "png", "basicsr"])
def test_damaged_bytes_lead_nowhere(tmp_path, kind):
    """LMDB's library would end the process by SIGSEGV or SIGBUS for some of them."""
    images = make_images(30)
    (write_basicsr if kind == "basicsr" else lambda path, images: write_store(path, images.items(), kind))(
        tmp_path / "s", images
    )
    file, chance, refused = tmp_path / "s" / DATA_FILE, random.Random(1), []
    sound = file.read_bytes()
    for _ in range(60):
        data = bytearray(sound)
        for _ in range(chance.choice((1, 8))):
            data[chance.choice((chance.randrange(8192), chance.randrange(len(data))))] = chance.choice((0, 255, 37))
        file.write_bytes(data)
        try:
            open_store(tmp_path / "s").verify()
        except UserError as error:
            refused.append(str(error))
    assert 20 < len(refused) < 60
    assert all(str(tmp_path / "s") in message for message in refused)


def test_keys_in_a_deep_tree(tmp_path):
    keys = [f"key{number * 7919 % 20_000}".encode() for number in range(20_000)]
    with lmdb.open(str(tmp_path), map_size=1 << 26) as environment:
        with environment.begin(write=True) as transaction:
            for key in keys:
                transaction.put(key, key * 3)
        assert environment.stat()["depth"] == 3
    file = LmdbFile(tmp_path)
    assert all(file.get(key) == key * 3 for key in keys[::7])
    assert [file.get(key) for key in (b"", b"a", b"key1x", b"zzz")] == [None] * 4
