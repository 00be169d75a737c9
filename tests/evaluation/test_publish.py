import hashlib
import json
import math

import pytest
import torch
from safetensors.torch import load_file

from powerqe.algorithm.experiment import Experiment
from powerqe.algorithm.trainer import Trainer
from powerqe.evaluation.publish import figures_of, publish
from powerqe.evaluation.results import Average, Metric, Results, Video
from powerqe.evaluation.tester import test as run_test
from powerqe.evaluation.video_scores import FLUCTUATIONS
from powerqe.net import build_network, load_weights
from powerqe.net.arcnn import ARCNN
from powerqe.net.weights import entries, find, read_metadata
from powerqe.utils.errors import UserError
from powerqe.utils.files import sha256_of
from powerqe.utils.options.tree import Options, load_options
from powerqe.utils.ranks import Ranks

ALONE = Ranks(0, 0, 1, torch.device("cpu"))


@pytest.fixture
def options(opt, pairs, monkeypatch) -> Options:
    monkeypatch.chdir(pairs)
    return load_options(opt)


@pytest.fixture
def trained(options) -> Trainer:
    trainer = Trainer(options, ALONE)
    trainer.run(Experiment(options, 0, is_main=True))
    return trainer


def test_weights_are_the_average_of_the_best_checkpoint_and_the_card_has_their_training(options, trained):
    table = run_test(options, ALONE)
    path = publish(options, "--opt tiny.yml --case c")
    spec = json.loads(read_metadata(path)["network"])
    network = build_network(spec)
    load_weights(network, path)
    expected = trained.ema.module.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())
    card = path.with_suffix(".md").read_text()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert "powerqe train --opt tiny.yml --case c" in card
    assert table.mean_rows()[0][5] in card
    assert "8 of 8 iterations, 16 patches of 16 x 16; best validation at iteration 8" in card


def test_half_precision_is_half_the_size(options, trained):
    run_test(options, ALONE)
    full = publish(options, "").stat().st_size
    path = publish(options, "", half=True)
    tensors = load_file(path)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert full - path.stat().st_size == sum(2 * tensor.numel() for tensor in tensors.values())
    network = build_network(json.loads(read_metadata(path)["network"]))
    load_weights(network, path)
    expected = trained.ema.module.state_dict()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name].half().float(), rtol=0, atol=0)


def test_the_card_of_a_mixture_names_its_sources(opt, pairs, monkeypatch):
    monkeypatch.chdir(pairs)
    options = load_options(opt)
    gt, lq = (options.dataset.train.arguments[key] for key in ("gt", "lq"))
    source = f"{{type: PairedImages, gt: {gt}, lq: {lq}, patch: 16, weight: "
    mixture = f"{{type: MixedImages, sources: {{a: {source}3}}, b: {source}1}}}}, bs_pg: 2}}"
    options = load_options(opt, overrides=[f"dataset.train={mixture}"])
    Trainer(options, ALONE).run(Experiment(options, 0, is_main=True))
    run_test(options, ALONE)
    card = publish(options, "").with_suffix(".md").read_text()
    assert f"data: {gt} (weight 3), {gt} (weight 1), validation " in card
    assert " of 16 x 16;" in card


def test_the_card_has_the_range_of_images(opt, pairs, monkeypatch):
    monkeypatch.chdir(pairs)
    options = load_options(opt, overrides=["dataset.train.slice=[0,1]"])
    Trainer(options, ALONE).run(Experiment(options, 0, is_main=True))
    run_test(options, ALONE)
    card = publish(options, "").with_suffix(".md").read_text()
    assert f"data: {options.dataset.train.arguments['gt']} 0 to 0, validation " in card


def test_the_card_has_the_initial_weights(options, trained):
    run_test(options, ALONE)
    start = str(options.folder / "ckp-best.pt")
    assert "starts from" not in publish(options, "").with_suffix(".md").read_text()
    second = load_options("tiny.yml", overrides=["name=second", f"train.warm_start={{ckp_load_path: {start}}}"])
    Trainer(second, ALONE).run(Experiment(second, 0, is_main=True))
    run_test(second, ALONE)
    assert f"- starts from `{start}`" in publish(second, "").with_suffix(".md").read_text()


def test_needs_a_training_and_a_test(options):
    with pytest.raises(UserError, match="no checkpoint"):
        publish(options, "")


def test_needs_a_test(options, trained):
    with pytest.raises(UserError, match=r"results\.json.*`powerqe test`"):
        publish(options, "")


def test_the_entry_has_the_network_as_tested(options, trained, monkeypatch):
    monkeypatch.setattr(ARCNN, "free_options", ("residual",), raising=False)
    tested = load_options("tiny.yml", overrides=["network.residual=false"])
    run_test(tested, ALONE)
    assert json.loads(read_metadata(publish(tested, ""))["network"])["residual"] is False


def test_figures_of_a_test_on_videos():
    known = {"set": "clips", "group": "qp37", "baseline": {"PSNR": 30.0, "SSIM": math.nan}, "seconds": 1.0}
    fluctuation = dict.fromkeys(FLUCTUATIONS, math.nan) | {"sd_lq": 2.0, "sd": 1.0, "delta_peaks": 0.25}
    video = Video(**known, result={"PSNR": 31.0}, name="a", height=4, width=4, frames=2, lq="a.yuv")
    averages = [
        Average(
            **known, result={"PSNR": 30.778, "SSIM": math.nan}, count=1, frames=2, over=over, fluctuation=fluctuation
        )
        for over in ("all sequences", "all frames")
    ]
    metrics = {name: Metric(name=name, unit=unit, convention="Y") for name, unit in (("PSNR", "dB"), ("SSIM", ""))}
    results = Results(experiment="x", network={"type": "STDF"}, parameters=1, weights={}, metrics=metrics,
                      videos=[video], averages=averages)  # fmt: skip
    psnr, sd, peaks, *_ = found = list(figures_of(results))
    assert [each.over for each in found] == ["all sequences"] * 3 + ["all frames"] * 3
    assert (psnr.convention, psnr.before, psnr.after, psnr.gain) == ("Y", 30.0, 30.778, 0.778)
    assert (sd.metric, sd.before, sd.after, sd.gain) == ("SD", 2.0, 1.0, None)
    assert (peaks.metric, peaks.gain, peaks.count) == ("PSNR of PQFs", 0.25, 1)


def test_the_index_has_the_weights_which_can_be_tested_by_name(options, trained):
    table = run_test(options, ALONE)
    path = publish(options, "", "https://host.example/tiny.safetensors")
    (entry,) = entries("weights")
    network = build_network(json.loads(read_metadata(path)["network"]))
    assert find("tiny-c") == path
    assert (entry.name, entry.method, entry.task, entry.color) == ("tiny-c", "ARCNN", "other", "rgb")
    assert entry.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert (entry.bytes, entry.sha256) == (path.stat().st_size, sha256_of(path))
    assert entry.url == "https://host.example/tiny.safetensors"
    assert entry.training.data == f"{options.dataset.train.arguments['gt']} 0 to 5"
    assert f"{entry.figures[0].after:.3f}" == table.mean_rows()[0][5]
    (options.folder / "ckp-best.pt").unlink()
    again = run_test(load_options("tiny.yml", overrides=["test.ckp_load_path=tiny-c"]), ALONE)
    assert again.mean_rows()[0][:7] == table.mean_rows()[0][:7]


def test_publishing_again_replaces_the_entry(options, trained):
    run_test(options, ALONE)
    publish(options, "", "https://host.example/tiny.safetensors")
    publish(options, "")
    (entry,) = entries("weights")
    assert entry.url is None
