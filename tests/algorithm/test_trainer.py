"""The training loop in one process; tests/test_train.py has the command line and several ranks."""

import errno
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from powerqe.algorithm.experiment import Experiment, check_unchanged, find_resume
from powerqe.algorithm.trainer import Trainer
from powerqe.evaluation.tester import trained_network
from powerqe.inference.precision import tell_emulation
from powerqe.inference.tiled import Tiled
from powerqe.net import build_network, save_weights
from powerqe.net.ops import dcn
from powerqe.net.weights import Entry
from powerqe.utils.checkpoint import load_checkpoint, save_checkpoint
from powerqe.utils.errors import UserError
from powerqe.utils.files import sha256_of
from powerqe.utils.options.tree import Options, load_options
from powerqe.utils.ranks import Ranks

ALONE = Ranks(0, 0, 1, torch.device("cpu"))


@pytest.fixture(autouse=True)
def _in_folder(pairs, monkeypatch):
    monkeypatch.chdir(pairs)


def train(options: Options, until: int | None = None, resume: str = "never") -> Trainer:
    found = find_resume(options, resume)
    trainer = Trainer(options, ALONE, resumes=found is not None)
    if found:
        trainer.load_state(found.state)
    experiment = Experiment(options, trainer.step, is_main=True)
    trainer.run(experiment, until)
    experiment.close()
    return trainer


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.algorithm.networks["net"].parameters()])


def assert_equal(a: Any, b: Any, where: str = "") -> None:
    """Bit for bit, through dicts and lists."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for number, (left, right) in enumerate(zip(a, b, strict=True)):
            assert_equal(left, right, f"{where}.{number}")
    else:
        assert a == b, where


def test_learns(opt):
    trainer = train(
        load_options(opt, overrides=["train.niter=60", "train.inter_val=20", "train.if_test_baseline=false"])
    )
    values = [load_checkpoint(f"exp/tiny-c/ckp-{step}.pt")["best"]["value"] for step in (20, 40, 60)]
    assert values[0] < values[1] < values[2]
    assert trainer.best["iters"] == [60]


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["train.real_bs_pg=6", "algorithm.scheduler={type: Cosine, warmup: 2}", "train.inter_print=3"],
        ["algorithm.optimizer={type: SGD, momentum: 0.9}", "train.ema=null", "train.clip_grad=0.01"],
        ["network={type: DnCNN, num_features: 4, depth: 4, batch_norm: true}"],
    ],
)
def test_n_steps_resume_and_n_steps_equal_2n_steps_bit_for_bit(opt, overrides):
    whole = load_options(opt, overrides=[*overrides, "name=whole"])
    parts = load_options(opt, overrides=[*overrides, "name=parts"])
    train(whole)
    train(parts, until=4)
    torch.manual_seed(12345)  # a new process has other generators
    train(parts, resume="auto")
    a, b = (load_checkpoint(f"exp/{name}/ckp-last.pt") for name in ("whole", "parts"))
    assert a["iter"] == b["iter"] == 8
    for state in (a, b):
        del state["options"]["name"]
    assert_equal(a, b)


def test_without_resume_the_second_half_differs(opt):
    """The comparison above would notice: another data order gives other weights."""
    first = train(load_options(opt, overrides=["train.seed=1", "name=a"]))
    second = train(load_options(opt, overrides=["train.seed=2", "name=b"]))
    assert not torch.equal(weights(first), weights(second))


def test_accumulated_batches_equal_one_large_batch(opt):
    small = ["train.ema=null", "algorithm.optimizer={type: SGD, lr: 0.1}", "train.niter=5"]
    one = train(load_options(opt, overrides=[*small, "name=one", "dataset.train.bs_pg=4"]))
    two = train(load_options(opt, overrides=[*small, "name=two", "dataset.train.bs_pg=2", "train.real_bs_pg=4"]))
    torch.testing.assert_close(weights(one), weights(two), rtol=1e-5, atol=1e-7)


def test_counts_optimizer_steps_not_batches(opt):
    train(load_options(opt, overrides=["train.real_bs_pg=6", "train.niter=4", "train.inter_val=2"]))
    assert sorted(path.name for path in Path("exp/tiny-c").glob("ckp-*.pt")) == [
        "ckp-2.pt",
        "ckp-4.pt",
        "ckp-best.pt",
        "ckp-last.pt",
    ]
    assert load_checkpoint("exp/tiny-c/ckp-last.pt")["samples"] == 4 * 6


def test_best_exists_even_if_the_network_makes_things_worse(opt):
    worse = ["algorithm.optimizer={type: SGD, lr: 1.0e-9}", "network.residual=false"]
    train(load_options(opt, overrides=[*worse, "train.niter=2", "train.inter_val=1"]))
    assert load_checkpoint("exp/tiny-c/ckp-best.pt")["best"]["value"] < 15


def test_keeps_the_given_number_of_checkpoints(opt):
    train(load_options(opt, overrides=["train.inter_val=1", "train.keep_ckp=2"]))
    assert {path.name for path in Path("exp/tiny-c").glob("ckp-?.pt")} == {"ckp-7.pt", "ckp-8.pt"}


def test_average_is_what_is_validated_and_it_lags(opt):
    trainer = train(load_options(opt, overrides=["train.ema=0.99"]))
    own = trainer.algorithm.networks["net"].state_dict()
    average = trainer.ema.module.state_dict()
    assert any(not torch.equal(own[name], average[name]) for name in own)


def test_average_follows_its_definition(opt):
    trainer = Trainer(load_options(opt, overrides=["train.ema=0.75"]), ALONE)
    batches, expected = trainer._batches(), None
    for _ in range(4):
        trainer._iterate(batches)
        now = weights(trainer)
        expected = now if expected is None else 0.75 * expected + 0.25 * now
    average = torch.cat([p.detach().flatten() for p in trainer.ema.module.parameters()])
    torch.testing.assert_close(average, expected)


def warm(path: str, *skip: str) -> str:
    return f"train.warm_start={{ckp_load_path: {path}, skip: [{', '.join(skip)}]}}"


def test_starts_from_the_weights_of_another_network(opt, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("powerqe"), "propagate", True)
    train(load_options(opt, overrides=["name=first", "train.niter=4"]))
    average = load_checkpoint("exp/first/ckp-last.pt")["ema"]["net"]
    other = load_options(
        opt, overrides=["name=other", "network.kernel_sizes=[3, 1, 5]", warm("exp/first/ckp-last.pt", "layers.4")]
    )
    trainer = Trainer(other, ALONE)
    for state in (trainer.algorithm.networks["net"].state_dict(), trainer.ema.module.state_dict()):
        equal = {name for name, tensor in state.items() if torch.equal(tensor, average.get(f"module.{name}"))}
        assert equal == set(state) - {"layers.4.weight"}
    with caplog.at_level(logging.INFO, "powerqe"):
        trainer._describe()
    assert "exp/first/ckp-last.pt; 1 tensors of layers.4" in caplog.text


def test_starts_from_published_weights_by_their_name(opt, tree):
    save_weights(build_network(tree["network"]), "weights/a.safetensors")
    entry = Entry(task="jpeg", color="rgb", name="start", method="ARCNN", parameters=1, training={"data": ""},
                  file="a.safetensors", bytes=1, sha256=sha256_of("weights/a.safetensors"), license="MIT")  # fmt: skip
    Path("weights/index.json").write_text(f"[{entry.model_dump_json()}]")
    state = Trainer(load_options(opt, overrides=[warm("start")]), ALONE).algorithm.networks["net"].state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in load_file("weights/a.safetensors").items())


def test_warm_start_from_other_options_only_if_allowed(opt):
    train(load_options(opt, overrides=["name=first", "train.niter=4"]))
    sets = ["name=other", "network.residual=false", warm("exp/first/ckp-last.pt")]
    with pytest.raises(UserError, match=r"residual: true.*false.*if_same_network"):
        Trainer(load_options(opt, overrides=sets), ALONE)
    Trainer(load_options(opt, overrides=[*sets, "train.warm_start.if_same_network=false"]), ALONE)


@pytest.mark.slow
def test_resumed_training_needs_the_first_weights_no_more(opt, run):
    train(load_options(opt, overrides=["name=first", "train.niter=4"]))
    sets = ["name=second", warm("exp/first/ckp-last.pt")]
    options = load_options(opt, overrides=sets)
    whole = train(options)
    train(options, until=4)
    shutil.rmtree("exp/first")
    with pytest.raises(UserError, match=r"exp/first/ckp-last\.pt"):
        Trainer(options, ALONE)
    result = run("train.py", "--opt", opt, "--resume", "auto", "--set", *sets)
    assert result.returncode == 0, result.stderr
    resumed = load_checkpoint("exp/second/ckp-last.pt")["networks"]["net"]
    # another process may have other threads, so sums of other order
    torch.testing.assert_close(resumed, dict(whole.algorithm.networks["net"].state_dict()), rtol=1e-3, atol=1e-5)


def test_first_weights_that_do_not_fit(opt):
    train(load_options(opt, overrides=["name=first", "train.niter=4"]))
    other = ["network.kernel_sizes=[3, 3, 3]", warm("exp/first/ckp-last.pt", "layers.4")]
    with pytest.raises(UserError, match="ARCNN: 1"):
        Trainer(load_options(opt, overrides=other), ALONE)


def test_several_ranks_train_a_network_of_which_a_batch_uses_a_part(opt, tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        trainer = Trainer(load_options(opt), Ranks(0, 0, 2, torch.device("cpu")))
        network = build_network({"type": "MDSR", "num_features": 2, "num_blocks": 1})
        prepared = trainer._prepare(network)
        for scale in (2, 4, 3):
            prepared(torch.rand(1, 3, 4, 4), scale=scale).sum().backward()
        assert all(p.grad is not None for p in network.parameters() if p.requires_grad)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("amp", ["none", "bf16", "fp16"])
def test_precisions_and_layout(opt, amp):
    trainer = train(load_options(opt, overrides=[f"train.amp={amp}", "train.channels_last=true", "train.niter=2"]))
    assert all(p.dtype == torch.float32 for p in trainer.algorithm.networks["net"].parameters())
    assert torch.isfinite(weights(trainer)).all()


@pytest.mark.parametrize(
    ("amp", "computes", "is_told"), [("bf16", False, True), ("bf16", True, False), ("none", False, False)]
)
def test_an_emulated_precision_is_said(opt, monkeypatch, caplog, amp, computes, is_told):
    """bf16 on a processor without it made a training seven times as slow, without a word."""
    monkeypatch.setattr("powerqe.algorithm.trainer.computes_in", lambda *_: computes)
    tell_emulation.cache_clear()
    with caplog.at_level("INFO"):
        train(load_options(opt, overrides=[f"train.amp={amp}", "train.niter=1"]))
    assert ("emulates bf16" in caplog.text) == is_told


@pytest.mark.slow
def test_compiled_network_learns_the_same_and_keeps_its_names(opt):
    plain = train(load_options(opt, overrides=["train.niter=2", "name=plain"]))
    compiled = train(load_options(opt, overrides=["train.niter=2", "name=compiled", "train.compile=true"]))
    torch.testing.assert_close(weights(plain), weights(compiled), rtol=1e-4, atol=1e-6)
    names = [load_checkpoint(f"exp/{name}/ckp-last.pt")["networks"]["net"].keys() for name in ("plain", "compiled")]
    assert names[0] == names[1]


def test_gradient_is_clipped(opt):
    limit = 1e-3
    sgd = "algorithm.optimizer={type: SGD, lr: 1.0, momentum: 0}"
    trainer = Trainer(load_options(opt, overrides=[sgd, f"train.clip_grad={limit}"]), ALONE)
    before = weights(trainer)
    trainer._iterate(trainer._batches())
    assert (weights(trainer) - before).norm().item() == pytest.approx(limit, rel=1e-3)


EXPLODE = ["algorithm.optimizer={type: SGD, lr: 1.0e+30}", "train.if_test_baseline=false"]


def test_stops_before_a_step_that_is_not_finite(opt):
    with pytest.raises(UserError, match="iteration 2"):
        train(load_options(opt, overrides=EXPLODE))


def test_skips_steps_that_are_not_finite_if_set(opt):
    options = load_options(opt, overrides=[*EXPLODE, "train.nonfinite=skip", "train.niter=3"])
    trainer = Trainer(options, ALONE)
    batches = trainer._batches()
    trainer._iterate(batches)
    before = weights(trainer)
    trainer._iterate(batches)
    assert torch.equal(weights(trainer), before)
    assert trainer.step == 2


def test_changed_options_are_refused_on_resume_or_count_if_allowed(opt):
    train(load_options(opt), until=4)
    changed = ["algorithm.optimizer.lr=0.5"]
    with pytest.raises(UserError, match=r"algorithm\.optimizer\.lr 0\.001 -> 0\.5.*if_allow_change"):
        find_resume(load_options(opt, overrides=changed), "auto")
    options = load_options(opt, overrides=[*changed, "train.load_state.if_allow_change=true"])
    trainer = train(options, until=5, resume="auto")
    assert trainer.algorithm.optimizers["net"].param_groups[0]["lr"] == 0.5


def test_an_option_that_an_earlier_version_did_not_have_is_no_change_at_its_default(opt):
    options = load_options(opt)
    old = options.to_dict()
    del old["algorithm"]["optimizer"]["eps"]
    assert check_unchanged(Path("old.pt"), old, options) == []
    changed = load_options(opt, overrides=["algorithm.optimizer.eps=0.1"])
    with pytest.raises(UserError, match=r"algorithm\.optimizer\.eps .*-> 0\.1"):
        check_unchanged(Path("old.pt"), old, changed)


def test_free_options_may_change_on_resume(opt):
    train(load_options(opt), until=4)
    assert find_resume(load_options(opt, overrides=["dataset.train.nworker_pg=1", "train.inter_print=1"]), "auto")


def test_damaged_newest_checkpoint(opt):
    train(load_options(opt))
    newest = Path("exp/tiny-c/ckp-8.pt")
    newest.write_bytes(newest.read_bytes()[:1000])
    found = find_resume(load_options(opt), "auto")
    assert found.state["iter"] == 4
    assert "damaged" in found.notes[0] or "truncated" in found.notes[0]


@pytest.mark.parametrize(
    "change",
    [{"options": None}, {"options": "x"}, {"iter": "8"}, {"networks": [1]}, {"rng": {}}, {"format": True}],
    ids=str,
)
def test_newest_checkpoint_with_a_part_of_another_type(opt, change):
    train(load_options(opt))
    state = load_checkpoint("exp/tiny-c/ckp-8.pt") | change
    for name in ("ckp-8.pt", "ckp-last.pt"):
        torch.save(state, f"exp/tiny-c/{name}")
    found = find_resume(load_options(opt), "auto")
    assert found.state["iter"] == 4
    assert len([note for note in found.notes if "falling back" in note]) == 2
    named = ["train.load_state={if_load: true, ckp_load_path: exp/tiny-c/ckp-8.pt}"]
    with pytest.raises(UserError, match=r"exp/tiny-c/ckp-8\.pt"):
        find_resume(load_options(opt, overrides=named), "never")


@pytest.mark.parametrize(
    "change",
    [
        {"networks": {}},
        {"networks": {"net": {"x": 3}}},
        {"optimizers": {"net": {}}},
        {"optimizers": {"net": [3]}},
        {"rng": [None]},
        {"progress": [3]},
    ],
    ids=str,
)
def test_state_of_another_training(opt, change):
    train(load_options(opt), until=4)
    with pytest.raises(UserError, match="checkpoint"):
        Trainer(load_options(opt), ALONE).load_state(load_checkpoint("exp/tiny-c/ckp-last.pt") | change)


@pytest.mark.parametrize("options", [{}, {"network": torch.ones(3)}, {"train": 3, "dataset": {"train": 5}}])
def test_options_that_are_none(opt, options):
    with pytest.raises(UserError, match=r"old\.pt"):
        check_unchanged(Path("old.pt"), options, load_options(opt))


def test_a_full_disk_ends_the_curves_and_no_training(opt, caplog, capfd):
    options = load_options(opt)
    experiment = Experiment(options, 0, is_main=True)
    recorder = experiment._writer._get_file_writer().event_writer._async_writer._writer
    recorder.write = recorder.flush = lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))
    trainer = Trainer(options, ALONE)
    with caplog.at_level("INFO"):
        trainer.run(experiment)
    experiment.close()
    assert load_checkpoint("exp/tiny-c/ckp-last.pt")["iter"] == 8
    assert len([line for line in caplog.messages if "No space left on device" in line]) == 1
    assert "Traceback" not in capfd.readouterr().err


def test_load_state_needs_its_checkpoint(opt):
    options = load_options(opt, overrides=["train.load_state={if_load: true, ckp_load_path: exp/none/ckp-last.pt}"])
    with pytest.raises(UserError, match=r"no checkpoint exp/none/ckp-last\.pt"):
        find_resume(options, "never")


def test_checkpoint_of_another_network(opt, tree):
    train(load_options(opt, overrides=["name=x"]), until=4)
    other = ["name=x", "network.hidden_channels=[5, 5]"]
    with pytest.raises(UserError, match=r"network\.hidden_channels"):
        find_resume(load_options(opt, overrides=other), "auto")


def of_two_ranks(path: str) -> None:
    """Make a checkpoint of one rank one that two would have written."""
    state = load_checkpoint(path)
    save_checkpoint(
        state | {"rng": state["rng"] * 2, "progress": state["progress"] * 2, "samples": state["samples"] * 2},
        path,
    )


@pytest.mark.parametrize(
    ("change", "samples"),
    [
        ("dataset.train.bs_pg=3", (8, 8 + 4 * 3)),
        ("train.real_bs_pg=4", (8, 8 + 4 * 4)),
        ("ranks", (16, 16 + 4 * 2)),
    ],
)
def test_after_a_change_of_batch_or_ranks_samples_are_counted_and_resuming_is_exact(opt, change, samples):
    allow = "train.load_state.if_allow_change=true"
    changed = [allow] if change == "ranks" else [allow, change]
    ends = []
    for name, stops in (("whole", ()), ("parts", (5, 7))):
        train(load_options(opt, overrides=[f"name={name}"]), until=4)
        if change == "ranks":
            of_two_ranks(f"exp/{name}/ckp-last.pt")
        assert load_checkpoint(f"exp/{name}/ckp-last.pt")["samples"] == samples[0]
        for until in (*stops, None):
            torch.manual_seed(12345)  # a new process has other generators
            train(load_options(opt, overrides=[*changed, f"name={name}"]), until=until, resume="auto")
        ends.append(load_checkpoint(f"exp/{name}/ckp-last.pt"))
        assert (ends[-1]["iter"], ends[-1]["samples"]) == (8, samples[1])
    assert_equal(ends[0]["networks"], ends[1]["networks"])
    assert_equal(ends[0]["rng"], ends[1]["rng"])


def test_tensorboard_curves_and_images(opt):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(load_options(opt))
    events = EventAccumulator("exp/tiny-c")
    events.Reload()
    assert {"loss/MSE", "lr/net", "val/PSNR"} <= set(events.Tags()["scalars"])
    assert [point.step for point in events.Scalars("val/PSNR")] == [0, 4, 8]
    assert len(events.Tags()["images"]) == 1


def test_dry_run_writes_nothing(opt, pairs):
    before = sorted(pairs.rglob("*"))
    trainer = Trainer(load_options(opt), ALONE)
    trainer.dry_run()
    assert trainer.step == 2
    assert sorted(pairs.rglob("*")) == before


def test_training_needs_data(opt, tree):
    options = load_options(opt, overrides=["dataset.train=null"])
    with pytest.raises(UserError, match=r"dataset\.train"):
        Trainer(options, ALONE)


def test_best_follows_the_direction_of_the_metric_and_forgets_nan(opt):
    trainer = Trainer(load_options(opt), ALONE)
    verdicts = []
    for trainer.step, value in enumerate([float("nan"), 20.0, 19.0, 20.0, 21.0]):
        verdicts.append(trainer._is_better(value))
    assert verdicts == [True, True, False, False, True]
    assert trainer.best == {"iters": [4], "value": 21.0}


def test_a_metric_of_sets_can_choose_the_best(opt, standin):
    criterion = "val.criterion={PSNR: {}, FID: {if_focus: true}}"
    trainer = Trainer(load_options(opt, overrides=[criterion, "dataset.val.slice=[5, 8]"]), ALONE)
    before = trainer._validate(None)
    with torch.no_grad():
        for parameter in trainer.algorithm.networks["net"].parameters():
            parameter.zero_()  # the network only copies
    trainer.ema = None
    after = trainer._validate(trainer._validated_network())
    assert before == pytest.approx(after, rel=1e-6)
    assert before["FID"] > 0
    verdicts = [trainer._is_better(value) for value in (before["FID"], before["FID"] - 0.01, before["FID"])]
    assert verdicts == [True, True, False]  # lower is better


def test_a_stop_does_not_wait_for_a_validation(opt, monkeypatch):
    trainer = Trainer(load_options(opt, overrides=["train.if_test_baseline=false"]), ALONE)
    monkeypatch.setattr(trainer, "_validate", lambda network: pytest.fail("validated"))
    trainer._signals.received = True
    experiment = Experiment(load_options(opt), 0, is_main=True)
    trainer.run(experiment)
    assert load_checkpoint("exp/tiny-c/ckp-last.pt")["iter"] == 1


def test_validation_in_tiles_and_eight_orientations(opt, monkeypatch):
    seen: list[tuple[int, ...]] = []
    call = Tiled.__call__
    monkeypatch.setattr(Tiled, "__call__", lambda self, x: seen.append((self.size, *x.shape)) or call(self, x))
    overrides = ["train.niter=1", "train.if_test_baseline=false", "val.tile.size=16", "val.self_ensemble=true"]
    train(load_options(opt, overrides=overrides))
    assert len(seen) == 8 * 2  # one image, once before the first step
    assert set(seen) == {(16, 1, 3, 48, 56), (16, 1, 3, 56, 48)}


@pytest.fixture
def own_choice():
    """The back-end of the deformable convolution is the process's own again when the test is over."""
    yield
    dcn.force_backend("auto")


@pytest.mark.parametrize("build", [lambda options: Trainer(options, ALONE), lambda o: trained_network(o, ALONE.device)])
def test_option_dcn_chooses_the_back_end(opt, own_choice, build):
    train(load_options(opt))
    build(load_options(opt, overrides=["dcn=reference"]))
    assert dcn.status() == "deformable convolution: reference on cpu: requested by force_backend"
    build(load_options(opt))
    assert "requested" not in dcn.status()
