import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from powerqe.dataset import DATASETS, Draw
from powerqe.dataset.images import PairedImages
from powerqe.dataset.store import write_store
from powerqe.utils.codecs.jpeg_tables import quant_tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma_uint8
from powerqe.utils.image.io import read_image, write_image
from powerqe.utils.image.orientation import oriented
from powerqe.utils.options.components import build, validate_component

STEMS = ["001", "002", "003", "004"]


def clean(stem, height=24, width=36):
    """Every pixel tells its own place and image."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, np.full_like(rows, int(stem))], axis=-1)


def damaged(stem, quality=10):
    image = clean(stem)
    image[..., 2] += quality
    return image


@pytest.fixture
def data(tmp_path):
    """gt/ and qf10/, qf20/, a combined folder, and stores of the first two."""
    for stem in STEMS:
        write_image(tmp_path / f"gt/{stem}.png", clean(stem))
        for quality in (10, 20):
            write_image(tmp_path / f"qf{quality}/{stem}.bmp", damaged(stem, quality))
            write_image(tmp_path / f"combined/{stem}-qf{quality}.png", damaged(stem, quality))
    write_store(tmp_path / "gt.lmdb", [(stem, clean(stem)) for stem in STEMS])
    write_store(tmp_path / "qf10.lmdb", [(stem, damaged(stem)) for stem in STEMS], "png")
    return tmp_path


def pairs(data, lq="qf10", gt="gt", **options):
    paths = str(data / lq) if isinstance(lq, str) else [str(data / name) for name in lq]
    return PairedImages(gt=gt and str(data / gt), lq=paths, **options)


@pytest.mark.parametrize(("gt", "lq"), [("gt", "qf10"), ("gt.lmdb", "qf10.lmdb"), ("gt", "qf10.lmdb")])
def test_whole_images(data, gt, lq):
    dataset = pairs(data, lq, gt, patch=8, flip=True, rotate=True)
    assert len(dataset) == 4
    for index, stem in enumerate(STEMS):
        sample = dataset[index]
        assert (sample["name"], sample["group"], sample["quality"]) == (stem, "qf10", 10)
        np.testing.assert_array_equal(sample["gt"], clean(stem))
        np.testing.assert_array_equal(sample["lq"], damaged(stem))


@pytest.mark.parametrize("lq", [["qf10", "qf20"], "combined"])
def test_blind_set(data, lq):
    dataset = pairs(data, lq)
    names = [dataset[index]["name"] for index in range(len(dataset))]
    assert names == [f"{stem}-qf{quality}" for stem in STEMS for quality in (10, 20)]
    sample = dataset[3]
    assert (sample["group"], sample["quality"]) == ("qf20", 20)
    np.testing.assert_array_equal(sample["lq"], damaged("002", 20))
    np.testing.assert_array_equal(sample["gt"], clean("002"))


@pytest.mark.parametrize("gt", ["gt", None])
@pytest.mark.parametrize("lq", [["qf10", "qf20"], "combined"])
def test_slice_counts_images_so_that_all_qualities_stay_together(data, lq, gt):
    dataset = pairs(data, lq, gt, slice=(1, 3))
    names = [dataset[index]["name"] for index in range(len(dataset))]
    assert names == ["002-qf10", "002-qf20", "003-qf10", "003-qf20"]


def test_combined_gt_folder_of_the_same_names(data):
    for stem in STEMS:
        for quality in (10, 20):
            write_image(data / f"combined_gt/{stem}-qf{quality}.png", clean(stem))
    dataset = pairs(data, "combined", "combined_gt")
    assert [dataset[i]["quality"] for i in range(8)] == [10, 20] * 4
    np.testing.assert_array_equal(dataset[7]["gt"], clean("004"))


def test_qp_groups_and_folders_without_a_setting(data):
    for name in ("bpg_QP37", "some photos"):
        for stem in STEMS:
            write_image(data / f"{name}/{stem}.png", damaged(stem))
    sample = pairs(data, "bpg_QP37")[0]
    assert (sample["group"], sample["quality"]) == ("qp37", 37)
    sample = pairs(data, "some photos")[0]
    assert (sample["name"], sample["group"], sample["quality"]) == ("001", "", -1)
    sample = pairs(data, ["some photos", "bpg_QP37"])[0]
    assert (sample["name"], sample["group"], sample["quality"]) == ("001-some photos", "some photos", -1)


def test_without_ground_truth(data):
    dataset = pairs(data, gt=None, patch=8)
    assert "gt" not in dataset[0]
    assert "gt" not in dataset[Draw(0, 1)]
    assert dataset[Draw(0, 1)]["lq"].shape == (8, 8, 3)


@settings(deadline=None)
@given(index=st.integers(0, 3), seed=st.integers(0, 2**64 - 1))
def test_random_patches_match_and_are_real_patches(index, seed, tmp_path_factory):
    root = tmp_path_factory.getbasetemp() / "patches"
    if not root.exists():
        write_store(root / "gt", [(stem, clean(stem)) for stem in STEMS])
        write_store(root / "qf10", [(stem, damaged(stem)) for stem in STEMS])
    dataset = PairedImages(gt=str(root / "gt"), lq=str(root / "qf10"), patch=8, flip=True, rotate=True)
    sample = dataset[Draw(index, seed)]
    assert sample["lq"].flags.c_contiguous
    assert sample["gt"].flags.c_contiguous
    np.testing.assert_array_equal(sample["lq"][..., :2], sample["gt"][..., :2])  # crop and symmetry alike
    assert (sample["lq"][..., 2] == sample["gt"][..., 2] + 10).all()
    top, left = (int(sample["gt"][..., channel].min()) for channel in (0, 1))
    patch = clean(STEMS[index])[top : top + 8, left : left + 8]
    assert patch.shape == (8, 8, 3)
    assert any(np.array_equal(oriented(patch, symmetry), sample["gt"]) for symmetry in range(8))
    np.testing.assert_array_equal(dataset[Draw(index, seed)]["lq"], sample["lq"])


@pytest.mark.parametrize(
    ("flip", "rotate", "count"), [(False, False, 1), (True, False, 4), (False, True, 2), (True, True, 8)]
)
def test_symmetries_that_occur(data, flip, rotate, count):
    dataset = pairs(data, "qf10.lmdb", "gt.lmdb", patch=24, flip=flip, rotate=rotate)
    directions = set()  # where rows and columns of the image run to
    for seed in range(200):
        image = dataset[Draw(0, seed)]["gt"].astype(int)
        directions.add((*np.sign(image[0, 1, :2] - image[0, 0, :2]), *np.sign(image[1, 0, :2] - image[0, 0, :2])))
    assert len(directions) == count


def test_scale(data):
    for stem in STEMS:
        write_image(data / f"large/{stem}.png", np.repeat(np.repeat(clean(stem), 3, axis=0), 3, axis=1))
    dataset = pairs(data, "qf10", "large", scale=3, patch=6, flip=True, rotate=True)
    assert dataset[0]["gt"].shape == (72, 108, 3)
    for seed in range(50):
        sample = dataset[Draw(1, seed)]
        assert sample["gt"].shape == (18, 18, 3)
        np.testing.assert_array_equal(sample["gt"][::3, ::3, :2], sample["lq"][..., :2])


def test_color_y(data):
    dataset = pairs(data, patch=8, color="y")
    np.testing.assert_array_equal(dataset[0]["gt"], luma_uint8(clean("001")))
    color = pairs(data, patch=8)
    for seed in range(5):
        np.testing.assert_array_equal(dataset[Draw(0, seed)]["lq"], luma_uint8(color[Draw(0, seed)]["lq"]))


def test_without_patch_a_draw_is_a_whole_image(data):
    dataset = pairs(data, flip=True)
    assert {dataset[Draw(0, seed)]["lq"].shape for seed in range(20)} == {(24, 36, 3)}


def test_as_a_component(data):
    spec = {"type": "PairedImages", "gt": str(data / "gt"), "lq": [str(data / "qf10")], "slice": [0, 2], "patch": "8"}
    dataset = build(validate_component("dataset", spec))
    assert len(dataset) == 2
    assert "PairedImages" in DATASETS.names()
    for wrong in ({"patch": 0}, {"slice": [1]}, {"color": "bgr"}, {"lq": 3}, {"crop": 3}, {"scale": 0}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            validate_component("dataset", spec | wrong)


# --------------------------------------------------------------------------- quantization tables


@pytest.fixture
def jpegs(tmp_path):
    """gt/ and jpeg_qf30/ (64x80 RGB, 001.jpg of quality 30, 002.jpg of 70 and progressive, 003.jpg gray of 20)."""
    photo = skimage.data.astronaut()[100:164, 100:180]
    for stem, quality in (("001", 30), ("002", 70), ("003", 20)):
        write_image(tmp_path / f"gt/{stem}.png", photo)
        image = Image.fromarray(photo).convert("L" if stem == "003" else "RGB")
        (tmp_path / "jpeg_qf30").mkdir(exist_ok=True)
        image.save(tmp_path / f"jpeg_qf30/{stem}.jpg", quality=quality, progressive=stem == "002")
    return tmp_path


def test_tables_of_the_files(jpegs):
    dataset = pairs(jpegs, "jpeg_qf30", tables="file", patch=16)
    for request in (0, Draw(0, 5)):
        assert dataset[request]["tables"].dtype == np.float32
        np.testing.assert_array_equal(dataset[request]["tables"], quant_tables(30, 3))
        np.testing.assert_array_equal(dataset[1]["tables"], quant_tables(70, 3))
    gray = pairs(jpegs, "jpeg_qf30", tables="file", color="y")
    for index, quality in enumerate((30, 70, 20)):
        np.testing.assert_array_equal(gray[index]["tables"], quant_tables(quality, 1))
    assert "tables" not in pairs(jpegs, "jpeg_qf30")[0]


@pytest.mark.parametrize("lq", ["png_qf30", "qf30.lmdb", "jpeg_qf30"])
def test_tables_of_the_pixels(lq, jpegs):
    decoded = {stem: read_image(jpegs / f"jpeg_qf30/{stem}.jpg", "any") for stem in ("001", "002")}
    write_store(jpegs / "qf30.lmdb", list(decoded.items()))
    for stem, image in decoded.items():
        write_image(jpegs / f"png_qf30/{stem}.png", image)
    for name in ("gt/003.png", "jpeg_qf30/003.jpg"):
        (jpegs / name).unlink()
    for color, channels in (("rgb", 3), ("y", 1)):
        dataset = pairs(jpegs, lq, tables="estimate", patch=16, color=color)
        for index, quality in enumerate((30, 70)):
            for request in (Draw(index, 3), index, index):
                np.testing.assert_array_equal(dataset[request]["tables"], quant_tables(quality, channels))


def test_pixels_are_judged_once(jpegs, monkeypatch):
    dataset = pairs(jpegs, "jpeg_qf30", tables="estimate", patch=16)
    first = dataset[Draw(0, 1)]["tables"]
    monkeypatch.setattr("powerqe.dataset.table_source.last_compression", None)
    np.testing.assert_array_equal(dataset[0]["tables"], first)
    with pytest.raises(TypeError):
        dataset[1]


def test_patches_with_tables_begin_where_blocks_do(jpegs):
    dataset = pairs(jpegs, "jpeg_qf30", tables="file", patch=20)
    image = dataset[0]["lq"]
    places = {
        image[row : row + 20, column : column + 20].tobytes(): (row, column)
        for row in range(45)
        for column in range(61)
    }
    assert len(places) == 45 * 61
    samples = [dataset[Draw(0, seed)] for seed in range(300)]
    assert {sample["gt"].shape for sample in samples} == {(20, 20, 3)}
    found = {places[sample["lq"].tobytes()] for sample in samples}
    assert found == {(row, column) for row in range(0, 45, 8) for column in range(0, 61, 8)}


@pytest.mark.parametrize("turned", [{"flip": True}, {"rotate": True}, {"flip": True, "rotate": True}])
@pytest.mark.parametrize("tables", ["file", "estimate"])
def test_tables_and_turned_patches(tables, turned, jpegs):
    with pytest.raises(UserError, match=f"tables: {tables}"):
        pairs(jpegs, "jpeg_qf30", tables=tables, **turned)


def test_no_tables_in_a_store(data):
    with pytest.raises(UserError, match=r"qf10\.lmdb"):
        pairs(data, ["qf20", "qf10.lmdb"], tables="file")


def test_no_tables_in_another_format(jpegs):
    for stem in ("001", "002", "003"):
        write_image(jpegs / f"png/{stem}.png", read_image(jpegs / f"jpeg_qf30/{stem}.jpg", "any"))
    with pytest.raises(UserError, match=r"png/001\.png.*JPEG"):
        pairs(jpegs, "png", tables="file")[0]
    with pytest.raises(UserError, match=r"gt/001\.png.*JPEG.*5 to 98"):
        pairs(jpegs, "gt", None, tables="estimate")[0]


def test_file_without_readable_tables(jpegs):
    path = jpegs / "jpeg_qf30/001.jpg"
    image = Image.open(path)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    with pytest.raises(UserError, match=r"001\.jpg.*EXIF"):
        pairs(jpegs, "jpeg_qf30", None, tables="file")[0]
    exif[0x0112] = 1
    image.save(path, exif=exif)
    assert "tables" in pairs(jpegs, "jpeg_qf30", None, tables="file")[0]
    image.convert("CMYK").save(path)
    with pytest.raises(UserError, match=r"jpeg_qf30/001\.jpg.*JPEG.*4 components"):
        pairs(jpegs, "jpeg_qf30", None, tables="file")[0]
    dataset = pairs(jpegs, "jpeg_qf30", None, tables="file")
    path.unlink()
    with pytest.raises(UserError, match=r"001\.jpg"):
        dataset[0]


# --------------------------------------------------------------------------- bad input


def test_unpaired_lq(data):
    for name in ("x", "w", "y", "z"):
        write_image(data / f"qf10/{name}.png", damaged("001"))
    with pytest.raises(UserError) as error:
        pairs(data)
    text = str(error.value)
    assert text.startswith(f"4 of the 8 images in {data / 'qf10'} have no partner among the 4 in {data / 'gt'}")
    assert "w, x, y, ...;" in text


@pytest.mark.parametrize("lq", ["qf20", ["qf10", "qf20"]])
def test_unpaired_gt(data, lq):
    (data / "qf20/002.bmp").unlink()
    with pytest.raises(UserError, match=r"1.*4 images.*3.*qf20: 002"):
        pairs(data, lq)


def test_blind_set_without_gt_must_be_complete(data):
    (data / "qf20/002.bmp").unlink()
    with pytest.raises(UserError, match=r"3.*qf20: 002"):
        pairs(data, ["qf10", "qf20"], None)


def test_the_same_folder_name_twice_or_none(data):
    with pytest.raises(UserError, match="folders of different names"):
        pairs(data, ["qf10", "qf10.lmdb"])
    with pytest.raises(UserError, match="at least one folder"):
        pairs(data, [])


def test_missing_and_empty_folder(data):
    with pytest.raises(UserError, match=r"cannot read the image folder .*nothing"):
        pairs(data, "nothing")
    (data / "empty").mkdir()
    with pytest.raises(UserError, match="empty"):
        pairs(data, gt="empty")


@pytest.mark.parametrize("limits", [(0, 5), (2, 2), (3, 1), (-1, 2)])
def test_slice_outside(data, limits):
    with pytest.raises(UserError, match=r"slice: \[.*4 images"):
        pairs(data, slice=limits)


@pytest.mark.parametrize("request_", [1, Draw(1, 0)])
def test_sizes_differ(data, request_):
    write_image(data / "qf10/002.bmp", clean("002", 24, 35))
    with pytest.raises(UserError, match=r"gt/002\.png.*36x24.*qf10/002\.bmp 35x24.*same"):
        pairs(data, patch=8)[request_]
    with pytest.raises(UserError, match="2 times"):
        pairs(data, patch=8, scale=2)[request_]


def test_smaller_than_the_patch(data):
    with pytest.raises(UserError, match=r"qf10/001\.bmp.*36x24.*25"):
        pairs(data, patch=25)[Draw(0, 0)]


def test_truncated_file_is_named(data):
    path = data / "gt/003.png"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"gt/003\.png: truncated PNG"):
        pairs(data, patch=8)[Draw(2, 0)]


def test_gray_where_rgb_is_expected(data):
    write_image(data / "gt/001.png", clean("001")[..., :1])
    with pytest.raises(UserError, match=r"gt/001\.png.*8-bit gray.*8-bit RGB"):
        pairs(data)[0]
    with pytest.raises(UserError, match=r"gt/001\.png.*8-bit gray"):
        pairs(data, patch=8)[Draw(0, 0)]
