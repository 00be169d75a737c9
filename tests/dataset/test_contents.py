import cv2
import numpy as np

from powerqe.dataset.contents import contents
from powerqe.dataset.store import write_store


def images(seed: int) -> list[tuple[str, np.ndarray]]:
    random = np.random.default_rng(seed)
    return [(name, random.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for name in ("a", "b")]


def test_names_sizes_and_some_checksums_of_folders(tmp_path):
    for seed in (1, 2):
        (tmp_path / f"{seed}/sub").mkdir(parents=True)
        for name, image in images(1):
            cv2.imwrite(str(tmp_path / f"{seed}/sub/{name}.png"), image)
        (tmp_path / f"{seed}/.hidden").write_text(str(seed) * seed)
    first = contents(tmp_path / "1")
    assert list(first) == ["sub/a.png", "sub/b.png"]
    assert contents(tmp_path / "2") == first
    file = tmp_path / "2/sub/b.png"
    file.write_bytes(bytes(255 - byte for byte in file.read_bytes()))  # of the same size
    assert contents(tmp_path / "2") == first | {"sub/b.png": contents(file)["b.png"]} != first


def test_a_store_is_compared_image_by_image_however_it_was_written(tmp_path):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        write_store(tmp_path / name, images(seed))
    assert list(contents(tmp_path / "one")) == ["a", "b"]
    assert contents(tmp_path / "one") == contents(tmp_path / "same") != contents(tmp_path / "other")
