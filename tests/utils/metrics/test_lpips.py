"""LPIPS with random backbones made here: what is tested is the wrapper, not the perception."""

import sys
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import lpips
import pytest
import torch
import torchvision

from powerqe.utils.errors import UserError
from powerqe.utils.metrics import MetricUnavailable
from powerqe.utils.metrics.lpips import LPIPS
from powerqe.utils.places import WEIGHTS_VARIABLE

SQUEEZENET_FILE = "squeezenet1_1-b8a52dc0.pth"  # torchvision's name of it
ALEXNET = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of torchvision that holds a random SqueezeNet."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = torchvision.models.squeezenet1_1(weights=None).state_dict()
    file = tmp_path_factory.mktemp("torch") / "hub" / "checkpoints" / SQUEEZENET_FILE
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    return file


@pytest.fixture(scope="module")
def metric(squeezenet: Path) -> LPIPS:
    return LPIPS(net="squeeze", weights=str(squeezenet))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, and empty caches in the returned folder."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise urllib.error.URLError("Name or service\nnot known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    return tmp_path


def make_images(channels: int = 3, side: int = 40) -> torch.Tensor:
    """Two batches of two images, of 8-bit values."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 2, channels, side, side), generator=generator) / 255


def test_equals_a_direct_call_with_the_range_it_wants(metric, squeezenet, offline, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(squeezenet.parents[2]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        direct = lpips.LPIPS(net="squeeze", verbose=False)
    result, target = make_images()
    with torch.no_grad():
        expected = direct(2 * result - 1, 2 * target - 1).flatten().double()
    values = metric(result, target)
    assert values.dtype == torch.float64
    assert (values > 1e-3).all()
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-7)


def test_equal_images_have_no_distance(metric):
    result, _ = make_images()
    assert torch.equal(metric(result, result), torch.zeros(2, dtype=torch.float64))


def test_without_a_path_torchvisions_cache_is_used(metric, squeezenet, offline, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(squeezenet.parents[2]))
    assert torch.equal(LPIPS(net="squeeze")(*make_images()), metric(*make_images()))


def test_fetched_weights_count_before_torchvisions_cache(metric, squeezenet, offline):
    (offline / SQUEEZENET_FILE).write_bytes(squeezenet.read_bytes())
    assert torch.equal(LPIPS(net="squeeze")(*make_images()), metric(*make_images()))


def test_result_is_rounded_and_shaved(metric, squeezenet):
    result, target = make_images()
    assert torch.equal(metric(result + 0.4 / 255, target), metric(result, target))
    shaved = LPIPS(net="squeeze", weights=str(squeezenet), border=3, rounding="float")
    inner = (..., slice(3, -3), slice(3, -3))
    torch.testing.assert_close(shaved(result, target), metric(result[inner], target[inner]), rtol=1e-5, atol=1e-7)


def test_gray_is_three_equal_channels(metric):
    result, target = make_images(channels=1)
    assert torch.equal(metric(result, target), metric(result.expand(-1, 3, -1, -1), target.expand(-1, 3, -1, -1)))


def test_default_is_alexnet(tmp_path: Path):
    generator = torch.Generator().manual_seed(1)
    state = {f"features.{k}.weight": 0.05 * torch.randn(shape, generator=generator) for k, shape in ALEXNET.items()}
    state |= {f"features.{k}.bias": torch.zeros(shape[0]) for k, shape in ALEXNET.items()}
    torch.save(state, tmp_path / "alexnet.pth")
    metric = LPIPS(weights=str(tmp_path / "alexnet.pth"))
    result, target = make_images()
    assert metric.describe(3) == "RGB, uint8, alex v0.1"
    assert (metric(result, target) > 0).all()
    assert torch.equal(metric(target, target), torch.zeros(2, dtype=torch.float64))


def test_makes_no_noise_draws_nothing_and_is_ready_to_judge(squeezenet, capfd):
    before = torch.random.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric = LPIPS(net="squeeze", weights=str(squeezenet))
        value = metric(*make_images().requires_grad_())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")
    assert not value.requires_grad
    assert (metric.unit, metric.higher_is_better) == ("", False)


def test_offline_without_weights_is_unavailable_in_one_line(offline, capfd):
    with pytest.raises(MetricUnavailable, match=r"no squeeze backbone .*Name or service not known") as caught:
        LPIPS(net="squeeze")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_missing_damaged_and_foreign_weights_are_unavailable(tmp_path: Path):
    damaged, foreign, other = (tmp_path / name for name in ("damaged.pth", "foreign.pth", "other.pth"))
    damaged.write_bytes(b"PK\x03\x04 no archive")
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, foreign)
    torch.save([1, 2], other)
    for file, reason in [
        (tmp_path / "none.pth", "no such file"),
        (damaged, ""),
        (foreign, "names are missing, the first is features.0.bias"),
        (other, ""),
    ]:
        with pytest.raises(MetricUnavailable, match=f"{file.name}: .*{reason}") as caught:
            LPIPS(net="squeeze", weights=str(file))
        assert "\n" not in str(caught.value)


def test_missing_package_is_unavailable(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(MetricUnavailable, match="do not work here"):
        LPIPS(net="squeeze")


def test_too_small_or_not_an_image_is_an_error(metric):
    with pytest.raises(UserError, match=r"16x16.*17x17"):
        metric(*make_images(side=16))
    assert metric(*make_images(side=17)).isfinite().all()
    with pytest.raises(UserError, match="found 2 channels"):
        metric(*make_images(channels=2))
