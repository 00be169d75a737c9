"""The adapters on the real pyiqa, with metrics that need no weights and weights made here. Skipped without it."""

import urllib.error
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from powerqe.utils.image.io import write_image
from powerqe.utils.image.tensors import to_image
from powerqe.utils.metrics import METRICS, MetricUnavailable
from powerqe.utils.metrics.fid import FID, frechet_distance
from powerqe.utils.metrics.iqa import IQA, MA, NIQE

# The extra [iqa] is no part of [test]: it brings transformers, datasets and more, and a non-commercial license.
pyiqa = pytest.importorskip("pyiqa", reason="pyiqa is not installed (pip install 'powerqe[iqa]')")

NAMED = ("NIQE", "MA", "PI", "DISTS", "MUSIQ")
INCEPTION = "pt_inception-2015-12-05-6726825d.pth"  # pyiqa's name of it


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, and an empty cache of pyiqa in the returned folder."""
    from pyiqa.utils import download_util  # pyright: ignore[reportMissingImports]

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(download_util, "download_url_to_file", refuse)
    monkeypatch.setattr(download_util, "DEFAULT_CACHE_DIR", str(tmp_path / "pyiqa"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "pyiqa"


def make_images(height: int = 100, width: int = 197, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth image with 8-bit noise and without."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, channels, 9, 12, generator=generator)
    target = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    result = (target + 0.1 * torch.randn(target.shape, generator=generator)).clamp(0, 1)
    return (255 * result).round() / 255, (255 * target).round() / 255


def test_agrees_with_our_own_metrics():
    result, target = make_images()
    ours = METRICS["PSNR"]()(result, target)
    assert IQA(metric="psnr")(result, target).item() == pytest.approx(ours.item(), abs=1e-4)  # they add 1e-8 to MSE
    gray = make_images(channels=1)
    assert IQA(metric="ssim")(*gray).item() == pytest.approx(METRICS["SSIM"]()(*gray).item(), abs=1e-4)
    inner = METRICS["PSNR"](border=5, rounding="float")(*(image / 2 for image in (result, target)))
    halves = IQA(metric="psnr", border=5, rounding="float")(result / 2, target / 2)
    assert halves.item() == pytest.approx(inner.item(), abs=1e-3)


@pytest.mark.parametrize("name", ["gmsd", "fsim", "vif", "ms_ssim", "piqe", "entropy"])
def test_equals_pyiqa(name):
    result, target = make_images(height=192)
    metric, direct = IQA(metric=name), pyiqa.create_metric(name, device=torch.device("cpu"))
    with torch.no_grad():
        expected = direct(result, target) if direct.metric_mode == "FR" else direct(result)
    assert metric(result, target).item() == pytest.approx(float(expected), rel=1e-6)
    assert metric.needs_target == (direct.metric_mode == "FR")
    assert metric.higher_is_better == (not direct.lower_better)
    assert metric.describe(3) == f"RGB, uint8, pyiqa {pyiqa.__version__} {name}"


def test_named_metrics_are_what_pyiqa_has():
    from pyiqa.default_model_configs import DEFAULT_CONFIGS  # pyright: ignore[reportMissingImports]

    for name in NAMED:
        known = DEFAULT_CONFIGS[METRICS[name].name]
        assert METRICS[name].higher_is_better == (not known.get("lower_better", False))
        assert METRICS[name].needs_target == (known["metric_mode"] == "FR")
    assert "fid" in pyiqa.list_models()


@pytest.mark.parametrize("name", [*NAMED, "FID"])
def test_offline_is_unavailable_and_names_the_file(offline, name, capfd):
    with pytest.raises(MetricUnavailable, match="Name or service not known>; without network, save http") as caught:
        METRICS[name]()
    assert f" as {offline.parent}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def niqe_model(path: Path) -> Path:
    """A model of NIQE that holds natural images to have the features 0 and the covariance 1."""
    import scipy.io

    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"mu_prisparam": np.zeros((1, 36)), "cov_prisparam": np.eye(36)})
    return path


def test_niqe_from_a_file_and_from_the_cache(offline, tmp_path):
    result, _ = make_images()
    from_file = NIQE(weights=str(niqe_model(tmp_path / "mine.mat")))(result)
    assert 1 < from_file.item() < 20
    niqe_model(offline / "niqe_modelparameters.mat")
    assert torch.equal(NIQE()(result), from_file)
    assert torch.equal(NIQE()(result + 0.3 / 255), from_file)
    assert torch.equal(NIQE(border=2)(result), NIQE()(result[..., 2:-2, 2:-2]))
    gray = result[:, :1]
    torch.testing.assert_close(NIQE()(gray), NIQE()(gray.expand(-1, 3, -1, -1)))
    with pytest.raises(MetricUnavailable, match="90x197"):
        NIQE()(result[..., :90, :])


@pytest.mark.parametrize("metric", [NIQE, MA])
def test_damaged_and_missing_weights_are_unavailable(offline, tmp_path, metric):
    (tmp_path / "damaged.mat").write_bytes(b"MATLAB 5.0 MAT-file, or is it")
    with pytest.raises(MetricUnavailable, match=f"{metric.name}"):
        metric(weights=str(tmp_path / "damaged.mat"))
    with pytest.raises(MetricUnavailable, match=rf"{metric.name}.*none\.mat"):
        metric(weights=str(tmp_path / "none.mat"))


def test_fid_has_the_features_of_pyiqas_fid(offline, tmp_path):
    """Through files and Pillow there, through tensors here. The network's weights are random."""
    from pyiqa.archs import fid_arch, inception  # pyright: ignore[reportMissingImports]

    offline.mkdir()
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyiqa calls torchvision by its old argument names
        torch.manual_seed(0)
        patch.setattr(inception, "load_pretrained_network", lambda network, _: _calm(network))
        torch.save(inception.fid_inception_v3().state_dict(), offline / INCEPTION)

    metric = FID()
    pairs = [make_images(100, 197), make_images(640, 401)]  # to be enlarged, to be reduced
    ours = torch.cat([metric(result, target) for result, target in pairs])
    for part, name in enumerate(("result", "target")):
        (tmp_path / name).mkdir()
        for number, pair in enumerate(pairs):
            write_image(tmp_path / name / f"{number}.png", to_image(pair[part][0]))
        theirs = fid_arch.get_folder_features(
            str(tmp_path / name), metric._inception, num_workers=0, device=torch.device("cpu"), verbose=False
        )
        assert ours[:, part].shape == theirs.shape == (2, 2048)
        np.testing.assert_allclose(ours[:, part].numpy(), theirs, atol=1e-3 * np.abs(theirs).max())
    assert (ours[:, 0] - ours[:, 1]).abs().max() > 0.05 * ours.abs().max() > 0


def _calm(network: torch.nn.Module) -> None:
    """Random weights that keep the size of what passes through."""
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
def test_distance_is_pyiqas():
    from pyiqa.archs import fid_arch  # pyright: ignore[reportMissingImports]

    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 6, generator=generator), 2 * torch.randn(30, 6, generator=generator) + 1
    moments = [part for features in (x.double(), y.double()) for part in (features.mean(0), features.T.cov())]
    expected = fid_arch.frechet_distance(*(part.numpy() for part in moments))
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-9)
