"""evaluation/report/reader.py: results in, mixtures refused."""

import pytest

from powerqe.evaluation.report.reader import collect, speed
from powerqe.utils.errors import UserError


def test_methods_sets_and_qualities_in_their_order(experiment):
    comparison = collect([experiment("b-qf20", ["qf20"]), experiment("blind", ["qf40", "qf10", "qf20"]),
                          experiment("b-qf10")])  # fmt: skip
    assert comparison.methods == ["b", "blind"]
    assert comparison.groups("live1") == ["qf10", "qf20", "qf40"]
    assert [test.group for test in comparison.of("b")] == ["qf10", "qf20"]
    assert comparison.common("live1") == "qf10"
    (b, blind) = comparison.at("live1", "qf20")
    assert set(b.items) == set(blind.items) == {"a-qf20", "b-qf20", "c-qf20"}  # by label, however they are called
    assert b.average.gain("PSNR") == pytest.approx(1.0)


def test_an_experiment_of_several_qualities_is_one_method(experiment):
    comparison = collect([experiment("arcnn-qf10", ["qf10", "qf20"])])
    assert comparison.methods == ["arcnn-qf10"]


def test_speed_is_of_all_pixels_and_all_seconds(experiment):
    comparison = collect([experiment("a", seconds=0.25), experiment("b", seconds=0)])
    fast, unknown = (speed(comparison.of(method)) for method in comparison.methods)
    assert fast == pytest.approx((0.02 / 0.25, 4.0))
    assert unknown != pytest.approx(unknown)  # NaN


def test_infinite_and_missing_scores_come_back(experiment):
    folder = experiment("a", scores={"SSIM": float("nan")}, criterion={"PSNR": {}, "SSIM": {}}, before=float("inf"))
    (test,) = collect([folder]).tests
    image = test.items["a-qf10"]
    assert image.baseline["PSNR"] == float("inf")
    assert image.baseline["SSIM"] != image.baseline["SSIM"]


@pytest.mark.parametrize(
    ("other", "match"),
    [
        ({"images": ("a", "x")}, r"b-qf10, c-qf10, x-qf10.*live1 qf10"),
        ({"before": 26.1}, r"a-qf10.*live1 qf10.*PSNR 26.0000.*26.1000"),
        ({"before": float("inf")}, "PSNR 26.0000"),
        ({"width": 201}, r"200x100x3.*1 times.*201x100x3"),
        ({"criterion": {"PSNR": {"channel": "y"}}}, r"PSNR.*RGB, uint8.*uint8"),
    ],
)
def test_results_that_do_not_belong_together(experiment, other, match):
    folders = [experiment("a"), experiment("b", **other)]
    with pytest.raises(UserError, match=match) as error:
        collect(folders)
    assert str(error.value).startswith("exp/a and exp/b do not belong together: ")
    assert "\n" not in str(error.value)


def test_other_conventions_at_other_qualities_are_refused_too(experiment):
    folders = [experiment("a"), experiment("b", ["qf20"], criterion={"PSNR": {"border": 4}})]
    with pytest.raises(UserError, match="judged in two ways"):
        collect(folders)


def test_chosen_metrics_only_must_fit(experiment):
    both, other = {"PSNR": {}, "SSIM": {}}, {"PSNR": {}, "SSIM": {"window": "uniform8"}}
    folders = [experiment("a", criterion=both, scores={"SSIM": 0.5})]
    folders.append(experiment("b", criterion=other, scores={"SSIM": 0.6}))
    with pytest.raises(UserError, match="--metric PSNR"):
        collect(folders)
    assert [metric.name for metric in collect(folders, ["PSNR"]).metrics] == ["PSNR"]
    with pytest.raises(UserError, match=r"LPIPS.*PSNR, SSIM"):
        collect(folders, ["LPIPS"])


def test_two_of_the_same_method_and_quality(experiment):
    folder = experiment("a-qf10")
    assert len(collect([folder, folder]).tests) == 1
    with pytest.raises(UserError, match="live1 qf10"):
        collect([folder, experiment("a")])


def test_the_main_metric_is_the_first_that_images_have(experiment):
    nothing = experiment("a", criterion={"SSIM": {}, "PSNR": {}})
    main = collect([nothing]).main
    assert main is not None
    assert main.name == "PSNR"
