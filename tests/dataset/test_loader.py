import tempfile
from itertools import islice

import numpy as np
import pytest
import torch

from powerqe.dataset.degrade import DegradedImages
from powerqe.dataset.images import PairedImages
from powerqe.dataset.loader import collate, eval_batches, make_loader, to_device, train_batches
from powerqe.dataset.sampler import TrainSampler
from powerqe.dataset.store import write_store
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import write_image
from powerqe.utils.options.components import validate_component
from powerqe.utils.options.tree import TrainData

CPU = torch.device("cpu")


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("gt", "qf10"):
        write_store(tmp_path / name, [(f"{i}", rng.integers(0, 256, (30, 40, 3), np.uint8)) for i in range(6)])
    return tmp_path


def options(data, **changes):
    spec = {"type": "PairedImages", "gt": str(data / "gt"), "lq": str(data / "qf10"), "patch": 8}
    spec |= {"flip": True, "rotate": True, "bs_pg": 4, "nworker_pg": 0, "enlarge_ratio": 2}
    return validate_component("dataset", spec | changes, TrainData)


def paired(data, **changes):
    return PairedImages(**options(data, **changes).arguments)


def train(data, count, *, seed=1, rank=0, world_size=1, start=0, memory_format=torch.contiguous_format, **changes):
    batches = train_batches(
        paired(data, **changes), options(data, **changes), seed=seed, rank=rank, world_size=world_size, start=start,
        device=CPU, memory_format=memory_format,
    )  # fmt: skip
    return list(islice(batches, count))


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a["name"] == b["name"]
        assert torch.equal(a["lq"], b["lq"])
        assert torch.equal(a["gt"], b["gt"])


def test_batch(data):
    batch = train(data, 1)[0]
    assert batch["lq"].shape == batch["gt"].shape == (4, 3, 8, 8)
    assert batch["lq"].dtype == torch.float32
    assert 0 <= batch["lq"].min() < 0.1 < 0.9 < batch["lq"].max() <= 1
    assert batch["group"] == ["qf10"] * 4
    assert batch["quality"].tolist() == [10] * 4
    assert batch["lq"].is_contiguous()
    assert train(data, 1, memory_format=torch.channels_last)[0]["lq"].is_contiguous(memory_format=torch.channels_last)


def test_workers_change_nothing_not_even_the_global_generator(data):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    in_process = train(data, 7)
    assert_same(in_process, train(data, 7, nworker_pg=2))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.slow
def test_spawned_workers_read_the_same_from_a_store(data):
    dataset = paired(data)
    dataset[0]  # the store is in use in this process already
    loader = make_loader(dataset, TrainSampler(6, 4, seed=1, enlarge_ratio=2), 1, context="spawn")
    spawned = [to_device(batch, CPU) for batch in islice(loader, 4)]
    assert_same(spawned, train(data, 4))


def test_start_equals_going_there(data):
    assert_same(train(data, 3, start=5), train(data, 8)[5:])


def test_two_ranks_see_different_samples(data):
    ranks = [train(data, 3, rank=rank, world_size=2, bs_pg=1, enlarge_ratio=1) for rank in range(2)]
    names = [name for batches in ranks for batch in batches for name in batch["name"]]
    assert sorted(names) == list("012345")


def test_epochs_have_other_crops(data):
    batches = train(data, 12, bs_pg=6, enlarge_ratio=1)  # 12 epochs
    crops = {image.numpy().tobytes() for batch in batches for image in batch["gt"]}
    assert len(crops) == 72


def test_eval_batches_are_whole_images_each_once(data):
    names = []
    for rank in range(4):
        for batch in eval_batches(paired(data), rank, 4, CPU):
            assert batch["lq"].shape == (1, 3, 30, 40)
            names += batch["name"]
    assert sorted(names) == list("012345")
    batch = next(eval_batches(paired(data)))
    expected = torch.from_numpy(paired(data)[0]["gt"].copy()).permute(2, 0, 1)[None]
    assert torch.equal((batch["gt"] * 255).round().to(torch.uint8), expected)


def test_without_ground_truth(data):
    assert "gt" not in train(data, 1, gt=None)[0]


def test_on_the_fly_degradation_in_workers(data):
    spec = {"type": "DegradedImages", "gt": str(data / "gt"), "quality": {"min": 5, "max": 50}, "patch": 8, "bs_pg": 3}
    batches = []
    for workers in (0, 1):
        component = validate_component("dataset", spec | {"nworker_pg": workers}, TrainData)
        dataset = DegradedImages(**component.arguments)
        batches.append(list(islice(train_batches(dataset, component, seed=1, device=CPU), 3)))
    assert_same(*batches)
    assert len(set(batches[0][0]["quality"].tolist())) > 1


def test_collate_is_uint8():
    samples = [{"lq": np.full((2, 3, 3), i, np.uint8), "name": str(i), "group": "", "quality": -1} for i in range(2)]
    batch = collate(samples)
    assert batch["lq"].shape == (2, 3, 2, 3)
    assert batch["lq"].dtype == torch.uint8
    assert batch["quality"].dtype == torch.int64
    assert batch["lq"][1].unique().tolist() == [1]
    assert "gt" not in batch


def test_conversion_is_exact():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    batch = collate([{"lq": values, "name": "", "group": "", "quality": 0}])
    assert torch.equal(to_device(batch, CPU)["lq"].flatten(), torch.arange(256) / 255)


# --------------------------------------------------------------------------- bad input


def test_smaller_than_a_batch_is_an_early_error(data):
    with pytest.raises(UserError, match=r"6 samples.*enlarge_ratio 1.*bs_pg 8 x 1 ranks"):
        train_batches(paired(data), options(data, bs_pg=8, enlarge_ratio=1), seed=0, device=CPU)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_workers_mistake_is_one_clean_line(data, workers):
    with pytest.raises(UserError) as error:
        train(data, 1, patch=31, nworker_pg=workers)
    assert "\n" not in str(error.value)
    assert "patch: 31" in str(error.value)
    assert "Traceback" not in str(error.value)


def test_other_sizes_in_one_batch(data):
    write_image(data / "a/1.png", np.zeros((4, 4, 3), np.uint8))
    write_image(data / "a/2.png", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(UserError, match="bs_pg: 1"):
        train(data, 1, gt=None, lq=str(data / "a"), patch=None, bs_pg=2)


def test_workers_need_a_temporary_folder_with_a_short_name(data, monkeypatch):
    folder = data / ("x" * (76 - len(str(data))) if len(str(data)) < 76 else "x")
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(UserError, match="TMPDIR"):
        train(data, 1, nworker_pg=1)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp" + "/." * 33)
    assert len(train(data, 1, nworker_pg=1)) == 1


@pytest.mark.cuda
def test_cuda_batches_equal_those_of_the_cpu(data):
    device = torch.device("cuda")
    batches = train_batches(paired(data), options(data, nworker_pg=1), seed=1, device=device)
    found = [{**batch, "lq": batch["lq"].cpu(), "gt": batch["gt"].cpu()} for batch in islice(batches, 7)]
    assert_same(found, train(data, 7))


def test_tables_and_scale_go_with_the_batch():
    image = np.zeros((8, 8, 3), np.uint8)
    tables = np.ones((2, 8, 8), np.float32)
    samples = [
        {"lq": image, "clean": image + k, "name": "a", "group": "", "quality": k, "tables": tables * k, "scale": 3}
        for k in (1, 2)
    ]
    batch = to_device(collate(samples), CPU)
    assert batch["scale"] == 3
    assert batch["tables"][:, 1, 0, 0].tolist() == [1, 2]
    assert batch["clean"].dtype == torch.float32
    assert batch["clean"].amax(dim=(1, 2, 3)).tolist() == pytest.approx([1 / 255, 2 / 255])
