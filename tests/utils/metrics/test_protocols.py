import pytest
import torch
import yaml
from skimage.metrics import structural_similarity

from powerqe.utils.errors import UserError
from powerqe.utils.metrics import METRICS
from powerqe.utils.metrics.protocols import PROTOCOLS
from powerqe.utils.options.tree import Options, load_options

NEEDS = {"sr_y": {"scale": 2}, "sr_rgb": {"scale": 3}}


def options_with(tmp_path, test) -> Options:
    file = {"defaults": {"network": {"type": "ARCNN"}, "test": test}, "cases": {"c": {}}}
    (tmp_path / "x.yml").write_text(yaml.safe_dump(file))
    return load_options(tmp_path / "x.yml")


@pytest.mark.parametrize("name", PROTOCOLS.names())
def test_every_protocol_is_a_criterion(name, tmp_path):
    options = options_with(tmp_path, {"protocol": {"type": name, **NEEDS.get(name, {})}})
    assert set(options.test.criterion) >= {"PSNR", "SSIM"}
    for metric in options.test.criterion.values():
        METRICS[metric.type](**metric.arguments)
    assert Options.model_validate(options.to_dict()) == options


def test_conventions(tmp_path):
    criterion = options_with(tmp_path, {"protocol": "qgcn_color"}).test.criterion
    assert criterion["SSIM"].arguments["window"] == "uniform7"
    assert criterion["PSNRB"].arguments["form"] == "qgcn"
    criterion = options_with(tmp_path, {"protocol": {"type": "sr_y", "scale": 3}}).test.criterion
    assert (criterion["SSIM"].arguments["channel"], criterion["SSIM"].arguments["border"]) == ("y", 3)
    criterion = options_with(tmp_path, {"protocol": {"type": "sr_rgb", "scale": 4}}).test.criterion
    assert (criterion["PSNR"].arguments["channel"], criterion["PSNR"].arguments["border"]) == ("all", 10)


def test_video_protocols_judge_what_the_papers_code_judged_and_what_is_written(tmp_path):
    images = torch.rand(2, 1, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    result, target = images[0], (images[1].clamp(0, 1) * 255).round() / 255
    criterion = options_with(tmp_path, {"protocol": "mfqe_y"}).test.criterion
    own = {name: float(METRICS[each.type](**each.arguments)(result, target)) for name, each in criterion.items()}
    written = ((result.clamp(0, 1) * 255).round() / 255).double()
    assert own["PSNR"] == pytest.approx(float(-10 * (written - target).square().mean().log10()), abs=1e-4)
    assert own["PSNR-float"] == pytest.approx(float(-10 * (result - target).double().square().mean().log10()), abs=1e-4)
    result, target = (image[0, 0].double().numpy() for image in (result, target))
    assert own["SSIM"] == pytest.approx(structural_similarity(result, target, data_range=1), abs=1e-5)
    assert options_with(tmp_path, {"protocol": "stdf_y"}).test.criterion["SSIM"].arguments["rounding"] == "uint8"


def test_criterion_adds_changes_and_takes_away(tmp_path):
    own = {"SSIM": {"rounding": "float"}, "PSNRB": None, "LPIPS": {}}
    criterion = options_with(tmp_path, {"protocol": "qgcn_gray", "criterion": own}).test.criterion
    assert list(criterion) == ["PSNR", "SSIM", "LPIPS"]
    assert criterion["SSIM"].arguments["window"] == "uniform8"
    assert criterion["SSIM"].arguments["rounding"] == "float"


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("sr_z", r"test.*unknown.*'sr_z'.*'sr_y'"),
        ("sr_y", "scale: missing"),
        ({"type": "sr_y", "scale": 0}, r"scale.*0.*0"),
        ({"type": "qgcn_color", "window": "gaussian11"}, "window: found"),
        (3, "expected {type: NAME"),
    ],
)
def test_mistakes(tmp_path, protocol, message):
    with pytest.raises(UserError, match=message):
        options_with(tmp_path, {"protocol": protocol})
