import numpy as np
import pytest
import yaml

from powerqe.dataset import Draw
from powerqe.dataset.augment import mix
from powerqe.dataset.degrade import DegradedImages
from powerqe.dataset.loader import collate, make_loader
from powerqe.dataset.mixed_images import MixedImages
from powerqe.dataset.sampler import TrainSampler
from powerqe.dataset.store import write_store
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import build, validate_component
from powerqe.utils.options.tree import TrainData


def make_image(seed):
    return np.random.default_rng(seed).integers(0, 256, (40, 48, 3), np.uint8)


@pytest.fixture
def sources(tmp_path):
    """Photos of one quality, and fewer graphics of two; both have an image called 0."""
    write_store(tmp_path / "photos", [(f"{i}", make_image(i)) for i in range(5)])
    write_store(tmp_path / "graphics", [(f"{i}", make_image(9 + i)) for i in range(2)])
    common = {"type": "DegradedImages", "patch": 16, "flip": True}
    return {
        "photos": {"weight": 3, "gt": str(tmp_path / "photos"), "quality": 10, **common},
        "graphics": {"gt": str(tmp_path / "graphics"), "quality": [20, 30], **common},
    }


def test_for_tests_all_samples_come_in_order_under_the_name_of_their_source(sources):
    dataset = MixedImages(sources=sources)
    assert len(dataset) == 9
    samples = [dataset[index] for index in range(len(dataset))]
    assert [sample["name"] for sample in samples[3:7]] == [
        "photos-3", "photos-4", "graphics-0-qf20", "graphics-0-qf30"
    ]  # fmt: skip
    assert [sample["group"] for sample in samples[4:7]] == ["photos-qf10", "graphics-qf20", "graphics-qf30"]
    assert len({sample["name"] for sample in samples}) == 9
    np.testing.assert_array_equal(samples[8]["gt"], make_image(10))


def test_the_weights_decide_and_all_images_of_a_source_are_equally_likely(sources):
    dataset = MixedImages(sources=sources)
    names = [dataset[Draw(0, mix(seed))]["name"] for seed in range(2000)]
    counts = {name: names.count(name) for name in set(names)}
    assert sum(count for name, count in counts.items() if "photos" in name) / 2000 == pytest.approx(0.75, abs=0.03)
    assert all(250 < count < 350 for name, count in counts.items() if "photos" in name)
    assert all(90 < count < 160 for name, count in counts.items() if "graphics" in name)
    assert len(counts) == 9


def test_a_sample_is_one_of_its_source(sources):
    alone = DegradedImages(**{key: value for key, value in sources["photos"].items() if key not in ("type", "weight")})
    sample = MixedImages(sources={"only": sources["photos"]})[Draw(0, 5)]
    again = MixedImages(sources={"only": sources["photos"]})[Draw(3, 5)]  # the index says nothing
    np.testing.assert_array_equal(sample["lq"], again["lq"])
    assert sample["lq"].shape == alone[Draw(0, 5)]["lq"].shape


def test_batches_are_the_same_for_any_number_of_workers_and_after_a_jump(sources):
    dataset = MixedImages(sources=sources)

    def batches(workers, start, count):
        loader = iter(make_loader(dataset, TrainSampler(9, 4, enlarge_ratio=3, seed=1, start=start), workers))
        return [next(loader) for _ in range(count)]

    here, there, later = batches(0, 0, 8), batches(2, 0, 8), batches(0, 5, 3)
    for one, other in [*zip(here, there, strict=True), *zip(here[5:], later, strict=True)]:
        assert one["name"] == other["name"]
        assert (one["lq"] == other["lq"]).all()
    assert len({name.partition("-")[0] for batch in here for name in batch["name"]}) == 2


def test_what_only_some_sources_have_is_no_part_of_a_batch(sources):
    dataset = MixedImages(sources={**sources, "own": {**sources["photos"], "grid": "patch"}})
    samples = [dataset[Draw(0, seed)] for seed in range(20)]
    with_tables = [sample for sample in samples if "tables" in sample]
    assert 0 < len(with_tables) < 20
    assert "tables" not in collate(samples)
    assert len(collate(with_tables)["tables"]) == len(with_tables)


def test_as_a_component(sources):
    component = validate_component("dataset", {"type": "MixedImages", "sources": sources})
    again = validate_component("dataset", component.model_dump(mode="json", serialize_as_any=True))
    for seed in range(5):
        one, other = build(component)[Draw(0, seed)], build(again)[Draw(0, seed)]
        assert one["name"] == other["name"]
        np.testing.assert_array_equal(one["lq"], other["lq"])
    for wrong, place in (({"weight": 0}, "weight"), ({"qualty": 3}, "qualty"), ({"type": "DegradedImage"}, "Degraded")):
        spec = {"type": "MixedImages", "sources": {**sources, "photos": {**sources["photos"], **wrong}}}
        with pytest.raises(UserError, match=rf"sources\.photos.*{place}"):
            validate_component("dataset", spec)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 24}, r"sources: patch.*photos 24, graphics 16"),
        ({"color": "y"}, "sources: color"),
        ({"gt": "nowhere"}, r"sources\.photos: .*nowhere"),
    ],
)
def test_mistakes(sources, change, message):
    with pytest.raises(UserError, match=message):
        MixedImages(sources={**sources, "photos": {**sources["photos"], **change}})
    with pytest.raises(UserError, match="sources: found none"):
        MixedImages(sources={"photos": None})


def test_sources_with_and_without_gt_are_not_mixed(sources):
    lq_only = {"type": "PairedImages", "gt": None, "lq": sources["photos"]["gt"], "patch": 16}
    with pytest.raises(UserError, match=r"bare.*gt: null"):
        MixedImages(sources={**sources, "bare": lq_only})


def test_the_example_of_the_documents(root):
    text = (root / "docs/data.md").read_text(encoding="utf-8")
    (block,) = (block for block in text.split("```yaml\n")[1:] if "MixedImages" in block)
    train = validate_component("dataset", yaml.safe_load(block.partition("```")[0])["train"], TrainData)
    photos, graphics = train.arguments["sources"].values()
    assert (photos.weight, graphics.weight) == (3, 1)
    assert [step.share for step in graphics.chain] == [0.15, 1]
    assert graphics.chain[1].tables.share == 0.1
    assert graphics.gt != photos.gt
