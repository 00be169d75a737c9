"""Option files: cases over defaults, overrides over both, and one line for every mistake."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import powerqe.algorithm
import powerqe.dataset
import powerqe.net
import powerqe.utils.metrics  # noqa: F401
from powerqe.cli import main
from powerqe.utils.errors import UserError
from powerqe.utils.options.tree import Options, load_options, merge

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an option file x.yml from a text, or from its cases over small defaults."""

    def write(text: str | None = None, defaults: Any = None, **cases: Any) -> Path:
        path = tmp_path / "x.yml"
        content = {"defaults": {"network": {"type": "ARCNN"}, **(defaults or {})}, "cases": cases or {"a": {}}}
        path.write_text(yaml.safe_dump(content) if text is None else text, encoding="utf-8")
        return path

    return write


def mistake(path: Path, case: str | None = "a", *overrides: str) -> str:
    """What is said about a file, without the folder."""
    with pytest.raises(UserError) as caught:
        load_options(path, case, list(overrides))
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{path.parent}/", "")


# ------------------------------------------------------------------ cases


def test_case_over_defaults(write: Write) -> None:
    path = write(defaults={"train": {"niter": 5, "seed": 3}}, a={"train": {"niter": 6}}, b=None)
    assert (load_options(path, "a").train.niter, load_options(path, "a").train.seed) == (6, 3)
    assert (load_options(path, "b").train.niter, load_options(path, "b").train.seed) == (5, 3)
    assert load_options(path, "a").name == "x-a"
    assert load_options(path, "a").folder == Path("exp/x-a")


def test_only_case_needs_no_name(write: Write) -> None:
    assert load_options(write(only={})).name == "x-only"
    assert mistake(write(a={}, b={}), None) == "x.yml: give one of its cases with --case: a, b"


def test_unknown_case_suggests_the_nearest_and_lists_all(write: Write) -> None:
    path = write(**{"div2k-qf10": {}, "b": {}})
    assert (
        mistake(path, "div2k-qf1") == "x.yml: no case 'div2k-qf1' (did you mean 'div2k-qf10'?); it has: b, div2k-qf10"
    )


def test_like_is_the_other_case_first(write: Write) -> None:
    path = write(
        defaults={"train": {"niter": 5}},
        a={"train": {"niter": 6, "seed": 1}, "network": {"residual": True}},
        b={"like": "a", "train": {"seed": 2}},
        c={"like": "b", "network": {"type": "ARCNN", "in_channels": 1, "out_channels": 1}},
    )
    assert (load_options(path, "b").train.niter, load_options(path, "b").train.seed) == (6, 2)
    network = load_options(path, "c").network
    assert (network.residual, network.in_channels) == (True, 1), "an unchanged type keeps its arguments"


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ({"a": {"like": "b"}, "b": {"like": "a"}}, "x.yml: the cases a, b are like each other in a circle"),
        ({"a": {"like": "a"}}, "x.yml: the cases a are like each other in a circle"),
        ({"a": {"like": "bee"}, "bees": {}}, "x.yml: no case 'bee' (did you mean 'bees'?); it has: a, bees"),
        ({"a": {"like": ["b"]}, "b": {}}, 'x.yml, case a: like: found ["b"], expected the name of a case'),
    ],
)
def test_like_that_leads_nowhere(write: Write, cases: dict[str, Any], message: str) -> None:
    assert mistake(write(**cases)) == message


def test_type_that_changes_replaces_the_component(write: Write) -> None:
    path = write(
        defaults={"network": {"type": "ARCNN", "residual": True}},
        a={"network": {"type": "DCAD"}},
        b={"network": {"in_channels": 3}},
    )
    assert load_options(path, "a").network.type == "DCAD"
    assert load_options(path, "b").network.residual is True


def test_type_that_the_name_implied_is_replaced_too(write: Write) -> None:
    path = write(
        defaults={"val": {"criterion": {"PSNRB": {"form": "qgcn"}, "PSNR": {"if_focus": True}}}},
        a={"val": {"criterion": {"PSNRB": {"type": "SSIM"}}}},
        b={"val": {"criterion": {"PSNRB": {"type": "PSNRB", "border": 1}}}},
    )
    assert load_options(path, "a").val.criterion["PSNRB"].type == "SSIM"
    assert load_options(path, "b").val.criterion["PSNRB"].form == "qgcn"


def test_null_removes_a_named_component(write: Write) -> None:
    path = write(defaults={"test": {"criterion": {"PSNR": {}, "SSIM": {}}}}, a={"test": {"criterion": {"PSNR": None}}})
    assert list(load_options(path).test.criterion) == ["SSIM"]


def test_yaml_anchors_and_merge_keys(write: Write) -> None:
    path = write(
        "defaults: {network: {type: ARCNN}}\n"
        "cases:\n  a: &a {train: {niter: 5}, name: one}\n  b: {<<: *a, name: two}\n  c: {<<: *a}\n"
    )
    options = load_options(path, "b")
    assert (options.name, options.train.niter) == ("two", 5)


# ------------------------------------------------------------------ values


@pytest.mark.parametrize("text", ["4e+6", "4e6", "4.0e+6", "!!float 4e+6", "4000000", "4_000_000", "'4e6'"])
def test_format_of_iterations(write: Write, text: str) -> None:
    niter = load_options(write(), None, [f"train.niter={text}"]).train.niter
    assert niter == 4_000_000
    assert type(niter) is int


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", ".0001", "!!float 1e-4", "0.0001"])
def test_format_of_rates(write: Write, text: str) -> None:
    path = write(defaults={"algorithm": {"type": "Regression"}})
    regression: Any = load_options(path, None, [f"algorithm.optimizer={{type: SGD, lr: {text}}}"]).algorithm
    assert regression.optimizer.lr == 1e-4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.niter=true", "train.niter: found true, expected int > 0"),
        ("train.niter=1e-4", 'train.niter: found "1e-4", expected int > 0'),
        ("train.niter=2.5", "train.niter: found 2.5, expected int > 0"),
        ("train.niter=0", "train.niter: found 0, expected int > 0"),
        ("train.niter=many", 'train.niter: found "many", expected int > 0'),
        ("train.niter=", "train.niter: found null, expected int > 0"),
        ("train.niter.x=3", 'train.niter: found {"x": 3}, expected int > 0'),
        ("train.keep_ckp=1", "train.keep_ckp: found 1, expected int >= 2 or null"),
        ("train.ema=1", "train.ema: found 1, expected 0 < number < 1 or null"),
        ("train.clip_grad=.inf", "train.clip_grad: found Infinity, expected number > 0 or null"),
        ("train.compile=maybe", 'train.compile: found "maybe", expected true or false'),
        ("train.amp=bf17", 'train.amp: found "bf17", expected "none", "bf16" or "fp16"'),
        ("test.ckp_load_path=3", "test.ckp_load_path: found 3, expected text or null"),
        ("name=../x", 'name: found "../x", expected text matching'),
        ("name=..", 'name: found "..", expected text matching'),
        ("device=tpu", 'device: found "tpu", expected "auto", "cpu" or "cuda"'),
        ("train.nitr=3", "train: unknown key 'nitr' (did you mean 'niter'?); allowed: niter, real_bs_pg, "),
        ("trian.niter=3", "unknown key 'trian' (did you mean 'train'?); allowed: name, device, dcn, network, "),
        ("train.load_state.if_laod=true", "train.load_state: unknown key 'if_laod' (did you mean 'if_load'?)"),
        ("train=null", "train: found null, expected a mapping with the keys niter, "),
        ("network=null", "network: found null, expected {type: NAME, ...} with a NAME of: ARCNN, "),
        ("network.type=ARCN", "network: unknown network 'ARCN' (did you mean 'ARCNN'?); known: ARCNN, "),
        ("network.hiden_channels=[4]", "network: unknown key 'hiden_channels' (did you mean 'hidden_channels'?)"),
        ("network.hidden_channels=[4, 0]", "network.hidden_channels: found [4, 0], expected list of int > 0"),
        ("network.kernel_sizes=3", "network.kernel_sizes: found 3, expected list of int > 0"),
        ("algorithm={type: Regression, loss: {MSE: {eps: 1}}}", "algorithm.loss.MSE: unknown key 'eps'; allowed: "),
        ("algorithm={type: Regression, optimizer: {lr: 1}}", 'algorithm.optimizer: found {"lr": 1}, expected {type: '),
        ("algorithm={type: Regression, scheduler: {type: MultiStep}}", "algorithm.scheduler.milestones: missing"),
        (
            "dataset.train={type: PairedImages, lq: a, gt: b, bs_pg: 0}",
            "dataset.train.bs_pg: found 0, expected 0 < int <= 65536",
        ),
        ("dataset.train={type: PairedImages, lq: a}", "dataset.train.gt: missing; it has no default"),
        (
            "dataset.train={type: PairedImages, lq: a, gt: b, slice: [3]}",
            "dataset.train.slice: found [3], expected [int",
        ),
        (
            "dataset.test={x: {type: PairedImages, lq: 3, gt: a}}",
            "dataset.test.x.lq: found 3, expected text or list of",
        ),
        ("val.criterion={}", "val.criterion: found no metric"),
        (
            "val.criterion={PSNR: {}, SSIM: {}}",
            "val.criterion: found if_focus: true at none, expected exactly one of [",
        ),
        ("val.criterion={PSNR: {bordr: 1}}", "val.criterion.PSNR: unknown key 'bordr' (did you mean 'border'?)"),
        ("test.criterion={PSNR: {if_focus: true}}", "test.criterion.PSNR: unknown key 'if_focus'; allowed: type, "),
    ],
)
def test_mistakes_name_file_case_key_and_what_is_allowed(write: Write, override: str, message: str) -> None:
    assert mistake(write(), "a", override).startswith(f"x.yml, case a: {message}")


def test_mistake_of_the_file_itself_is_reported_alike(write: Write) -> None:
    path = write(a={"train": {"niter": 0}}, b={"train": {"nitre": 5}})
    assert mistake(path, "a") == "x.yml, case a: train.niter: found 0, expected int > 0"
    assert mistake(path, "b").startswith("x.yml, case b: train: unknown key 'nitre' (did you mean 'niter'?); allowed: ")


def test_effective_batch_is_whole_batches(write: Write) -> None:
    path = write(defaults={"dataset": {"train": {"type": "PairedImages", "lq": "a", "gt": "b", "bs_pg": 4}}})
    assert load_options(path).accumulation == 1
    assert load_options(path, None, ["train.real_bs_pg=12"]).accumulation == 3
    said = mistake(path, "a", "train.real_bs_pg=6")
    assert said == "x.yml, case a: train.real_bs_pg: found 6, expected a multiple of dataset.train.bs_pg = 4"


def test_one_test_set_is_called_test(write: Write) -> None:
    images = {"type": "PairedImages", "lq": "a", "gt": "b"}
    path = write(a={"dataset": {"test": images}}, b={"dataset": {"test": {"one": images, "two": images}}})
    assert list(load_options(path, "a").dataset.test) == ["test"]
    assert list(load_options(path, "b").dataset.test) == ["one", "two"]


# ------------------------------------------------------------------ files and overrides


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yml: found NoneType at the top, expected the keys defaults and cases"),
        ("[1]", "x.yml: found list at the top, expected the keys defaults and cases"),
        ("a: b", 'x.yml: found ["a"] at the top, expected the keys defaults and cases'),
        ("{defaults: {}, cases: {a: }, x: 1}", 'x.yml: found ["defaults", "cases", "x"] at the top'),
        ("{defaults: {}, cases: }", "x.yml: cases: found null, expected a mapping with at least one case"),
        ("{defaults: {}, cases: {}}", "x.yml: cases: found {}, expected a mapping with at least one case"),
        ("{defaults: {}, cases: [a]}", 'x.yml: cases: found ["a"], expected a mapping with at least one case'),
        ("{defaults: {}, cases: {a: 5}}", "x.yml, case a: found 5, expected a mapping of what it changes"),
        ("{defaults: {}, cases: {10: }}", "x.yml: cases: found 10 as a name, expected text; put it in quotes"),
        ("{defaults: [1], cases: {a: }}", "x.yml: defaults: found [1], expected a mapping with all options"),
        ("{defaults: , cases: {a: }}", "x.yml, case a: network: missing; it has no default"),
        ("{defaults: {network: {type: ARCNN}, 3: 4}, cases: {a: }}", "x.yml, case a: unknown key 3; allowed: "),
        ("{defaults: {}, cases: {a: , a: }}", "x.yml is no valid YAML: key 'a' stands twice"),
        ("{defaults: {name: x, 'name': y}, cases: {a: }}", "x.yml is no valid YAML: key 'name' stands twice"),
        ("defaults: [", "x.yml is no valid YAML: while parsing"),
        ("defaults:\n\tname: x", "x.yml is no valid YAML: while scanning"),
        ("{defaults: !!python/name:os.system , cases: {a: }}", "x.yml is no valid YAML: could not determine"),
        ("{defaults: {network: {type: ARCNN}, device: off}, cases: {a: }}", 'x.yml, case a: device: found "off"'),
    ],
)
def test_file_that_is_none(write: Write, text: str, message: str) -> None:
    assert mistake(write(text)).startswith(message)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_bytes(b"\xff\xfe\x00defaults")
    assert mistake(tmp_path / "x.yml").startswith("x.yml is no valid YAML: ")


def test_missing_file_suggests_the_nearest(write: Write) -> None:
    near = write().with_name("y.yml")
    assert mistake(near) == "no option file y.yml (did you mean 'x.yml'?); give one with --opt"
    assert mistake(near.parent).startswith("no option file ")
    assert "did you mean" not in mistake(near.parent / "nowhere/y.yml")


def test_overrides_go_last_and_in_order(write: Write) -> None:
    path = write(defaults={"train": {"niter": 5}}, a={"train": {"niter": 6}})
    options = load_options(path, "a", ["train.niter=7", "train={niter: 8, seed: 1}", "network.type=DCAD", "name=a"])
    assert (options.train.niter, options.train.seed, options.network.type, options.name) == (8, 1, "DCAD", "a")
    assert load_options(path, "a", ["test.ckp_load_path=a=b.pt"]).test.ckp_load_path == "a=b.pt"


@pytest.mark.parametrize("text", ["train.niter", "=5", "train..niter=5", ".niter=5", "train.=5", ""])
def test_override_that_is_none(write: Write, text: str) -> None:
    assert mistake(write(), "a", text) == f"--set {text}: expected key.path=value"


def test_override_that_is_no_yaml(write: Write) -> None:
    assert mistake(write(), "a", "train.niter=[1").startswith("--set train.niter=[1: the value is no valid YAML: ")


# ------------------------------------------------------------------ resolved options


def test_options_are_frozen(write: Write) -> None:
    options = load_options(write())
    for section, key in ((options, "name"), (options.train, "niter"), (options.network, "residual")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, key, 1)


FILES = sorted(path.name for path in (Path(__file__).resolve().parents[3] / "opts").glob("*.yml"))


@pytest.mark.parametrize("name", FILES)
def test_every_case_of_every_file_is_valid_and_survives_yaml(root: Path, tmp_path: Path, name: str) -> None:
    for case in yaml.safe_load((root / "opts" / name).read_text(encoding="utf-8"))["cases"]:
        options = load_options(root / "opts" / name, case)
        saved = tmp_path / "options.yml"
        saved.write_text(options.to_yaml(), encoding="utf-8")
        assert load_options(saved) == options
        assert Options.model_validate(options.to_dict()) == options


def test_print_options_prints_a_whole_option_file(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(a={"train": {"niter": 6}}, b={})
    line = [
        "--opt",
        str(path),
        "--case",
        "a",
        "--print-options",
        "--set",
        "train.seed=1",
        "name=n",
        "--set",
        "device=cpu",
    ]
    assert main(["train", *line]) == 0
    printed = capsys.readouterr().out
    options = load_options(write(printed))
    assert (options.name, options.train.niter, options.train.seed, options.device) == ("n", 6, 1, "cpu")


@pytest.mark.parametrize("spelling", ["--local-rank", "--local_rank"])
def test_launcher_may_pass_the_local_rank(write: Write, spelling: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--opt", str(write()), f"{spelling}=1", "--print-options"]) == 0
    assert "name: x-a" in capsys.readouterr().out


# ------------------------------------------------------------------ properties

steady = settings(deadline=None, derandomize=True)
keys = st.sampled_from(["type", "a", "b", "c"])
leaves = st.none() | st.integers(0, 3) | st.sampled_from(["x", "y"])
trees = st.recursive(
    st.dictionaries(keys, leaves, max_size=3), lambda inner: st.dictionaries(keys, leaves | inner, max_size=3)
)


def is_replaced(base: dict[str, Any], changes: dict[str, Any]) -> bool:
    return "type" in changes and changes["type"] != base.get("type", "")


@steady
@given(trees)
def test_merging_nothing_changes_nothing(tree: dict[str, Any]) -> None:
    assert merge(tree, {}) == tree
    assert merge({}, tree) == tree
    assert merge(tree, tree) == tree


@steady
@given(trees, trees)
def test_later_wins_and_the_rest_stays(base: dict[str, Any], changes: dict[str, Any]) -> None:
    before, said = repr(base), repr(changes)
    merged = merge(base, changes)
    assert (repr(base), repr(changes)) == (before, said), "neither is touched"
    if is_replaced(base, changes):
        assert merged == changes
        return
    assert set(merged) == set(base) | set(changes)
    for key in set(base) - set(changes):
        assert merged[key] == base[key]
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        assert merged[key] == (merge(base[key], value, key) if both else value)


@steady
@given(trees, trees)
def test_the_same_changes_twice_are_once(base: dict[str, Any], changes: dict[str, Any]) -> None:
    assert merge(merge(base, changes), changes) == merge(base, changes)


positive = st.integers(1, 10**9)
paths = st.none() | st.text("ab01é: {}[]()#'\"\\\n\t=,|>&*!%@`-?~.", max_size=12)
VALUES = {
    "train.niter": positive,
    "train.real_bs_pg": st.none() | st.integers(1, 1 << 20),
    "train.keep_ckp": st.none() | st.integers(2, 99),
    "train.seed": st.integers(0, 2**40),
    "train.ema": st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
    "train.clip_grad": st.none() | st.floats(0, exclude_min=True, allow_infinity=False),
    "train.amp": st.sampled_from(["none", "bf16", "fp16"]),
    "train.compile": st.booleans(),
    "train.load_state.ckp_load_path": paths,
    "test.ckp_load_path": paths,
    "test.criterion": st.dictionaries(st.sampled_from(["PSNR", "SSIM", "PSNRB"]), st.just({"border": 1})),
    "network.hidden_channels": st.lists(positive, max_size=4),
    "network.residual": st.booleans(),
    "algorithm.optimizer.lr": st.floats(0, exclude_min=True, allow_infinity=False),
    "algorithm.optimizer.betas": st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=2),
    "algorithm.loss": st.just({"L1": {"weight": -2}, "two": {"type": "Charbonnier", "eps": 1e-3}}),
    "name": st.text("aZ0_é", min_size=1).map(lambda text: text + ".+-"),
}
overrides = st.lists(st.sampled_from(sorted(VALUES)), unique=True).flatmap(
    lambda chosen: st.fixed_dictionaries({key: VALUES[key] for key in chosen})
)


@steady
@given(values=overrides)
def test_valid_overrides_arrive_and_survive_yaml(tmp_path_factory: pytest.TempPathFactory, values: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "property.yml"
    defaults = {"network": {"type": "ARCNN"}, "algorithm": {"type": "Regression", "optimizer": {"type": "Adam"}}}
    path.write_text(yaml.safe_dump({"defaults": defaults, "cases": {"a": {}}}))
    texts = [f"{key}={yaml.safe_dump(value, default_flow_style=True, width=10**9)}" for key, value in values.items()]
    options = load_options(path, "a", texts)
    for key, value in values.items():
        found: Any = options
        for part in key.split("."):
            found = getattr(found, part)
        if not isinstance(value, dict):
            assert (list(found) if isinstance(found, tuple) else found) == value, key
    path.write_text(options.to_yaml(), encoding="utf-8")
    assert load_options(path) == options


def test_a_long_chain_of_cases(write: Write) -> None:
    cases = {f"c{n}": {"like": f"c{n + 1}"} for n in range(3000)}
    assert load_options(write(**cases, c3000={"train": {"niter": 5}}), "c0").train.niter == 5


def test_names_are_text(write: Write) -> None:
    said = mistake(write(a={"dataset": {"test": {1: {"type": "PairedImages"}}}}))
    assert said.startswith("x.yml, case a: dataset.test: found 1 as a name")
