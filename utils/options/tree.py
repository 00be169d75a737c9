"""Option files: YAML -> case merged over defaults -> `--set` overrides -> validated, frozen options.

An option file has two keys: `defaults`, a whole option tree, and `cases`, each of which has only what
it changes (relative to another case with `like: NAME`). Everything is validated (see
utils/options/components.py) before anything is built.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

import powerqe.utils.metrics.protocols  # noqa: F401 - makes its registry known
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import (
    Component,
    Section,
    Slot,
    build,
    explain,
    found,
    mistake,
    validate_component,
)
from powerqe.utils.options.option_file import find_option_file, read_option_file
from powerqe.utils.options.plain_yaml import DEEPEST, read_yaml
from powerqe.utils.options.registry import nearest


class TrainData(Component):
    """A data set to train on and how it is loaded."""

    bs_pg: Annotated[PositiveInt, Field(le=1 << 16, description="batch size per rank")] = 8
    nworker_pg: Annotated[
        NonNegativeInt, Field(le=1024, description="loader processes per rank; 0 loads in the trainer")
    ] = 4
    enlarge_ratio: Annotated[
        PositiveInt, Field(description="how often one epoch visits each sample, with another crop each time")
    ] = 1


def _test_sets(specs: Any) -> Any:
    """One set `{type: ...}` is the set called `test`; else a mapping of named sets."""
    return {"test": specs} if isinstance(specs, Mapping) and "type" in specs else specs


class DataOptions(Section):
    """The three data sets."""

    train: Annotated[TrainData, Slot("dataset", TrainData)] | None = Field(
        default=None, description="what `powerqe train` learns from"
    )
    val: Annotated[Component, Slot("dataset")] | None = Field(
        default=None, description="judged every inter_val iterations; null: no"
    )
    test: Annotated[dict[str, Component], Slot("dataset", named=True)] = Field(
        default_factory=dict,
        description="what is tested; a single {type: NAME, ...} is the set called test",
    )

    _name_test_set = field_validator("test", mode="before")(_test_sets)


class LoadState(Section):
    """Resuming a training."""

    if_load: Annotated[bool, Field(description="resume from ckp_load_path")] = False
    ckp_load_path: Annotated[
        str | None, Field(description="checkpoint to resume; null: ckp-last.pt of this experiment")
    ] = None
    if_allow_change: Annotated[
        bool,
        Field(description="resume although network, algorithm or training data changed; the new options count"),
    ] = False


class WarmStart(Section):
    """The first weights of a training that is not resumed."""

    ckp_load_path: Annotated[
        str | None,
        Field(description="weights to start from: any file or name that `powerqe test` could test; null: random ones"),
    ] = None
    skip: Annotated[
        tuple[str, ...],
        Field(description="parts of the network that start at random where the file does not fit, such as [tail]"),
    ] = ()
    if_same_network: Annotated[
        bool,
        Field(
            description="raise an error for weights trained with other options of the network, unless parts are skipped"
        ),
    ] = True
    if_to_gray: Annotated[
        bool,
        Field(
            description="the weights are for RGB and the network is for gray images: sums over the colors of what sees "
            "the image, means of what makes it"
        ),
    ] = False


class TrainOptions(Section):
    """The training loop. Everything is counted in optimizer steps (iterations)."""

    niter: Annotated[PositiveInt, Field(description="optimizer steps in all")] = 100_000
    real_bs_pg: Annotated[
        PositiveInt | None,
        Field(
            le=1 << 20, description="effective batch per rank, a multiple of bs_pg (gradient accumulation); null: bs_pg"
        ),
    ] = None
    inter_print: Annotated[PositiveInt, Field(description="iterations between two log lines")] = 100
    inter_val: Annotated[PositiveInt, Field(description="iterations between two validations and checkpoints")] = 5000
    if_test_baseline: Annotated[bool, Field(description="score lq against gt before the first step")] = True
    keep_ckp: Annotated[
        PositiveInt | None,
        Field(description="numbered checkpoints kept, at least 2 to survive a damaged one; null: all", ge=2),
    ] = 3
    seed: Annotated[NonNegativeInt, Field(description="seed of weights, crops and order")] = 7
    ema: Annotated[
        float | None, Field(gt=0, lt=1, description="decay of the moving average of the weights; null: none")
    ] = None
    clip_grad: Annotated[PositiveFloat | None, Field(description="largest norm of the gradient; null: no limit")] = None
    timeout: Annotated[
        PositiveFloat,
        Field(
            le=1e5,
            description="minutes without an answer after which ranks give up one that is lost, at the start or later; "
            "one that is only slow is waited for",
        ),
    ] = 5.0
    nonfinite: Annotated[
        Literal["stop", "skip"], Field(description="what to do when loss or gradient is NaN or infinite")
    ] = "stop"
    amp: Annotated[Literal["none", "bf16", "fp16"], Field(description="autocast precision of the training step")] = (
        "none"
    )
    channels_last: Annotated[bool, Field(description="NHWC memory layout of network and batch")] = False
    compile: Annotated[bool, Field(description="torch.compile the network")] = False
    deterministic: Annotated[bool, Field(description="deterministic algorithms only (slower on CUDA)")] = False
    warm_start: WarmStart = Field(default_factory=WarmStart, description="starting from the weights of another network")
    load_state: LoadState = Field(default_factory=LoadState, description="resuming; see also --resume")


_PSNR: Any = {"PSNR": {}}  # the criterion where none is given


class ValCriterion(Component):
    """A metric of the validation."""

    if_focus: Annotated[bool, Field(description="this metric chooses ckp-best.pt")] = False


class TileOptions(Section):
    """An image in overlapping tiles, one after another, so that less of it has to fit into memory."""

    size: Annotated[
        PositiveInt, Field(description="largest side of a tile without its overlap, in pixels of lq; halved if need be")
    ] = 512
    overlap: Annotated[
        NonNegativeInt | None,
        Field(
            description="pixels that a tile sees around; null: as many as the whole image's result takes, "
            "or 64 if the network follows motion"
        ),
    ] = None
    exact: Annotated[
        bool | Literal["auto"],
        Field(
            description="true: means over the image are those of the whole image; n of them one after another cost "
            "about n / 2 times the work. auto: more than two are taken over a sample of the image, and tiles overlap "
            "by 64 pixels then. false: each tile has its own; networks that follow motion need it, or auto"
        ),
    ] = True


class ForwardOptions(Section):
    """How a network is applied to whole images."""

    forward: dict[str, Any] = Field(
        default_factory=dict,
        description="arguments of the network's forward besides the image, such as {exit: 2}; {qf: {from: quality}} is "
        "each sample's quality, {qf: {from: dominant}} the JPEG quality factor that is found in lq",
    )
    tile: TileOptions | None = Field(default=None, description="images in tiles; null: as a whole")
    self_ensemble: Annotated[
        bool, Field(description="mean over the eight flips and transpositions of each image: eight times the work")
    ] = False
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        Field(
            description="data type of the computation; auto, as powerqe enhance: bf16 or fp16 if the device computes "
            "in it and the weights are published ones that give nearly the same (65 dB) in it, else fp32"
        ),
    ] = "fp32"
    consistency: Literal["off", "on", "auto"] = Field(
        default="off",
        description="bring results into agreement with the coefficients of the JPEG file, as powerqe enhance does "
        "(+ QCS); auto: unless an earlier, stronger compression shows. Whole images of a data set with JPEG files",
    )


class ValOptions(ForwardOptions):
    """Validation during training."""

    criterion: Annotated[dict[str, ValCriterion], Slot("metric", ValCriterion, named=True)] = Field(
        default=_PSNR, description="metrics of the validation"
    )

    @field_validator("criterion")
    @classmethod
    def _one_focus(cls, criterion: dict[str, ValCriterion]) -> dict[str, ValCriterion]:
        focused = [name for name, metric in criterion.items() if metric.if_focus]
        if not criterion:
            raise mistake("found no metric, expected at least one; it chooses ckp-best.pt")
        if len(focused) > 1 or (len(criterion) > 1 and not focused):
            raise mistake(f"found if_focus: true at {focused or 'none'}, expected exactly one of {list(criterion)}")
        return criterion

    @property
    def focus(self) -> str:
        """Name of the metric that chooses the best checkpoint."""
        return next((name for name, metric in self.criterion.items() if metric.if_focus), next(iter(self.criterion)))


class TestOptions(ForwardOptions):
    """Testing, by `powerqe test`."""

    protocol: Annotated[Component, Slot("protocol")] | None = Field(
        default=None,
        description="the metrics of a family of papers; criterion adds to them and NAME: null takes away",
    )
    criterion: Annotated[dict[str, Component], Slot("metric", named=True)] = Field(
        default=_PSNR, description="metrics of the table; {} only enhances"
    )
    if_save_im: Annotated[bool, Field(description="save the enhanced images in test_im_enhanced/, or videos")] = True
    ckp_load_path: str | None = Field(
        default=None,
        description="weights to test, file or name (powerqe weights list); null: its ckp-best.pt",
    )
    peaks_ckp_load_path: str | None = Field(
        default=None, description="of videos: weights for PQFs, as MFQE 2.0 has two models; null: those of all frames"
    )
    video_format: Literal["yuv", "mp4", "mkv"] = Field(
        default="yuv", description="of enhanced videos in test_video_enhanced/: yuv is raw, mp4 and mkv are lossless"
    )
    if_continue: bool = Field(
        default=True,
        description="of videos: take over frames that a test of the same weights, options and data has done",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_protocol(cls, data: Any) -> Any:
        """The criterion holds the protocol's metrics, under those that the options name themselves."""
        spec = data.get("protocol") if isinstance(data, Mapping) else None
        if spec is None:
            return data
        try:
            protocol = validate_component("protocol", {"type": spec} if isinstance(spec, str) else spec)
        except UserError as error:
            raise mistake(str(error)) from None
        own = data.get("criterion", {})
        criterion = merge(build(protocol), own) if isinstance(own, Mapping) else own
        return {**data, "protocol": protocol, "criterion": criterion}


class Options(Section):
    """A whole, resolved option tree."""

    name: Annotated[
        str,
        Field(
            pattern=r"^\w[\w.+-]*$",
            description="the experiment, a folder in exp/",
            json_schema_extra={"default": "<stem of the file>-<case>"},
        ),
    ]
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto: cuda when there is one")] = "auto"
    dcn: Annotated[
        Literal["auto", "compiled", "torchvision", "reference"],
        Field(description="what computes deformable convolutions; auto: the fastest that is there, or POWERQE_DCN"),
    ] = "auto"
    network: Annotated[Component, Slot("network"), Field(description="what is trained and tested")]
    dataset: DataOptions = Field(default_factory=DataOptions, description="the data sets")
    algorithm: Annotated[Component, Slot("algorithm")] | None = Field(
        default=None, description="how it is trained; needed by `powerqe train`"
    )
    train: TrainOptions = Field(default_factory=TrainOptions, description="the training loop")
    val: ValOptions = Field(default_factory=ValOptions, description="validation during training")
    test: TestOptions = Field(default_factory=TestOptions, description="testing")

    @property
    def folder(self) -> Path:
        """The experiment's folder."""
        return Path("exp") / self.name

    @property
    def accumulation(self) -> int:
        """Batches per optimizer step: real_bs_pg / bs_pg."""
        return (
            1
            if self.dataset.train is None
            else (self.train.real_bs_pg or self.dataset.train.bs_pg) // self.dataset.train.bs_pg
        )

    @model_validator(mode="after")
    def _whole_batches(self) -> "Options":
        real, data = self.train.real_bs_pg, self.dataset.train
        if real and data and real % data.bs_pg:
            raise mistake(f"train.real_bs_pg: found {real}, expected a multiple of dataset.train.bs_pg = {data.bs_pg}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain data (for YAML and checkpoints) from which the same options can be validated again."""
        return self.model_dump(mode="json", serialize_as_any=True)

    def to_yaml(self) -> str:
        """A whole option file with this one case."""
        return yaml.safe_dump({"defaults": self.to_dict(), "cases": {"resolved": {}}}, sort_keys=False)


def load_options(path: str | Path, case: str | None = None, overrides: list[str] | None = None) -> Options:
    """Read one case of an option file.

    Args:
        path: the YAML file, or the name of one of PowerQE's own, such as arcnn.
        case: its case; may be left out when the file has only one.
        overrides: `a.b=value` each, the value in YAML.

    Raises:
        UserError: naming file, case, key path, what was found and what is allowed.
    """
    path = find_option_file(path)
    file = read_option_file(path)
    cases = file["cases"]
    if case is None:
        if len(cases) != 1:
            raise UserError(f"{path}: give one of its cases with --case: {', '.join(cases)}")
        case = next(iter(cases))
    tree = {"name": f"{path.stem}-{case}", **(file["defaults"] or {})}
    for changes in [*_changes(path, cases, case), *map(_parse_override, overrides or [])]:
        tree = merge(tree, changes)
    try:
        return Options.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}, case {case}: {explain(error)}") from None


def _changes(path: Path, cases: Mapping[str, Any], name: Any) -> list[dict[str, Any]]:
    """The changes of one case, after those of the case it is `like`."""
    chain: dict[str, dict[str, Any]] = {}
    while name is not None:
        if not isinstance(name, str):
            raise UserError(f"{path}, case {[*chain][-1]}: like: {found(name)}, expected the name of a case")
        if name not in cases:
            raise UserError(f"{path}: no case {name!r}{nearest(name, cases)}; it has: {', '.join(cases)}")
        if name in chain:
            raise UserError(f"{path}: the cases {', '.join(chain)} are like each other in a circle")
        chain[name] = dict(cases[name] or {})
        name = chain[name].pop("like", None)
    return [*reversed(chain.values())]


def merge(base: Mapping[str, Any], changes: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """`changes` over `base`, key by key.

    A component whose `type` changes is replaced whole: the arguments of another type mean nothing to it.
    Without a `type` it has the type `name`, the key under which it stands.
    """
    if "type" in changes and changes["type"] != base.get("type", name):
        return dict(changes)
    merged = dict(base)
    for key, value in changes.items():
        old = base.get(key)
        merged[key] = merge(old, value, key) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _parse_override(text: str) -> dict[str, Any]:
    path, equals, value = text.partition("=")
    keys = path.split(".")
    if not equals or not all(keys) or len(keys) > DEEPEST:
        raise UserError(f"--set {text[:200]}: expected key.path=value")
    tree = read_yaml(value, f"--set {text[:80]}: the value")
    for key in reversed(keys):
        tree = {key: tree}
    return tree


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Options by their whole key: {"train.niter": 1000, ...}."""
    values: dict[str, Any] = {}
    for key, value in tree.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return values
