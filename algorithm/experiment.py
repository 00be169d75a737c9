"""The folder of an experiment, exp/<name>/: checkpoints, resolved options, TensorBoard curves; and resuming from it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from powerqe.dataset.loader import Batch
from powerqe.evaluation.evaluate import Record, enlarged, enlargement
from powerqe.inference.forward import middle
from powerqe.utils.checkpoint import copy_checkpoint, load_checkpoint, newest_sound, prune, save_checkpoint, set_aside
from powerqe.utils.errors import UserError
from powerqe.utils.file_lock import claimed
from powerqe.utils.files import write_text
from powerqe.utils.leftovers import remove_leftovers
from powerqe.utils.log import logger
from powerqe.utils.options.tree import Options, flat

PARTS: dict[str, type] = {
    "iter": int,
    "samples": int,
    "networks": dict,
    "optimizers": dict,
    "scaler": dict,
    "rng": list,
    "progress": list,
    "best": dict,
    "options": dict,
}
"""What a checkpoint has to have for a training to resume, see `Trainer.state`."""
Best = dict[str, Any]
"""iters: the iterations with the best validation; value: of the metric that judges, None without a validation."""
SAMPLE = 192
"""Side of the sample images in TensorBoard, in pixels."""


class Experiment:
    """Writes an experiment's folder, which is created if missing. Only the main rank writes.

    Args:
        start: iteration at which this run starts. Later points of an earlier run are removed from TensorBoard, and its
            later checkpoints renamed to ckp-<iter>.old.pt: resuming would take them for newer ones.
    """

    def __init__(self, options: Options, start: int, is_main: bool) -> None:
        self.folder = folder = options.folder
        self._writer = None
        if is_main:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / "options.yml", options.to_yaml())
            threading.excepthook = _quiet_about_curves
            if start:
                set_aside(folder, start)
            self._writer = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def save(self, state: dict[str, Any], is_best: bool, keep: int | None) -> Path:
        """Write ckp-<iter>.pt and ckp-last.pt and, if it is the best, ckp-best.pt; remove all but `keep` older ones."""
        path = self.folder / f"ckp-{state['iter']}.pt"
        save_checkpoint(state, path)
        copy_checkpoint(path, self.folder / "ckp-last.pt")
        if is_best:
            copy_checkpoint(path, self.folder / "ckp-best.pt")
        prune(self.folder, keep)
        return path

    def restore_best(self, best: Best) -> bool:
        """Make ckp-best.pt the checkpoint of the best that a run knows of at its start; whether that was possible.

        It may be of another run: of the future of an older checkpoint, or of iterations that damaged ones had.
        """
        target = self.folder / "ckp-best.pt"
        if not best["iters"]:
            return not target.exists()
        for path in (target, *(self.folder / f"ckp-{iteration}.pt" for iteration in best["iters"])):
            try:
                found = load_checkpoint(path)
                same = found["iter"] in best["iters"] and repr(found["best"]["value"]) == repr(best["value"])  # or NaN
            except (UserError, LookupError, TypeError):  # damaged, or of another program
                continue
            if same:
                if path != target:
                    copy_checkpoint(path, target)
                return True
        return False

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add points to TensorBoard's curves."""
        if self._writer is None:
            return
        with self._without_curves():
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def sample_drawer(self, step: int) -> Callable[[Record, Batch, Tensor], None]:
        """A callback that adds lq | enhanced | gt of the first validation image to TensorBoard."""
        drawn = False

        def draw(record: Record, batch: Batch, result: Tensor) -> None:
            nonlocal drawn
            if drawn or self._writer is None:
                return
            drawn = True
            lq = middle(batch["lq"])
            before = enlarged(lq, enlargement(lq, result))
            shown = [before, result, *([batch["gt"]] if "gt" in batch else [])]
            strip = torch.cat([image[0, :, :SAMPLE, :SAMPLE].float().cpu() for image in shown], dim=-1)
            with self._without_curves():
                self._writer.add_image(f"lq | enhanced | gt/{record.name}", strip.clamp(0, 1), step)

        return draw

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self._writer:
            with self._without_curves():
                self._writer.close()

    @contextmanager
    def _without_curves(self) -> Iterator[None]:
        """A full disk ends TensorBoard's curves, and no training."""
        try:
            yield
        except OSError as error:
            self._writer = None
            logger.info(f"warning: no more curves for TensorBoard in {self.folder}: {error.strerror or error}")


def _quiet_about_curves(args: threading.ExceptHookArgs) -> None:
    """TensorBoard's thread hands its error on to the next call, where it becomes one line."""
    if type(args.thread).__name__ != "_AsyncWriterThread" or not isinstance(args.exc_value, OSError):
        threading.__excepthook__(args)


def archive(folder: Path) -> None:
    """Rename the folder of an earlier run: exp/x becomes exp/x-v1, or the next free number.

    Raises:
        UserError: a test writes into it.
    """
    if not folder.exists():
        return
    number = 1
    while (target := folder.with_name(f"{folder.name}-v{number}")).exists():
        number += 1
    with claimed(folder, "tested", "wait for it, or use another name (--set name=NEW)"):
        remove_leftovers(folder)
        folder.rename(target)
    logger.info(f"renamed the folder of an earlier run to {target}")


class Resume(NamedTuple):
    """The checkpoint from which a training resumes."""

    path: Path
    state: dict[str, Any]
    notes: list[str]
    """Lines for the log."""


def find_resume(options: Options, resume: str) -> Resume | None:
    """The checkpoint to resume from, or None to start a new training.

    Args:
        resume: "auto": the newest valid checkpoint of the experiment, if there is one; "never": as the options
            train.load_state.

    Raises:
        UserError: the named checkpoint is missing or damaged, or all checkpoints are, or options changed.
    """
    load, notes = options.train.load_state, []
    if resume == "auto":
        found = newest_sound(options.folder, PARTS)
        if found is None:
            return None
        path, state, complaints = found
        notes = [f"warning: {complaint}; falling back" for complaint in complaints]
    elif load.if_load:
        path = Path(load.ckp_load_path or options.folder / "ckp-last.pt")
        state = load_checkpoint(path, PARTS)
    else:
        return None
    notes += check_unchanged(path, state["options"], options)
    return Resume(path, state, [*notes, f"resuming from {path} at iter {state['iter']}"])


def is_judged_alike(old: Mapping[str, Any], options: Options) -> bool:
    """Whether best values under the old options and under these can be compared: same metric, data and application."""
    try:
        return _judgment(_with_defaults(old)) == _judgment(options.to_dict())
    except (LookupError, TypeError, AttributeError, StopIteration):  # options that are not valid any more
        return False


def _judgment(options: Mapping[str, Any]) -> dict[str, Any]:
    val = options["val"]
    criterion = val["criterion"]
    focus = next((name for name, metric in criterion.items() if metric["if_focus"]), next(iter(criterion)))
    judge = {key: value for key, value in criterion[focus].items() if key != "if_focus"}
    applied = {key: val[key] for key in ("forward", "self_ensemble")}
    return {"name": focus, "metric": judge, "data": options["dataset"]["val"], **applied}


def check_unchanged(path: Path, old: Mapping[str, Any], options: Options) -> list[str]:
    """Check that the options that determine the training are the same; returns a line about allowed changes.

    Raises:
        UserError: options changed and train.load_state.if_allow_change is false.
    """
    now = flat(_essence(options.to_dict()))
    try:
        before = flat(_essence(_with_defaults(old)))
        keys = [key for key in now | before if before.get(key) != now.get(key)]
    except RuntimeError:  # tensors, or mappings without end
        raise UserError(f"checkpoint {path} is damaged: its options are none; resume from another one") from None
    changes = "; ".join(f"{key} {before.get(key)!r} -> {now.get(key)!r}" for key in keys)
    if keys and not options.train.load_state.if_allow_change:
        raise UserError(
            f"{path} was trained with other options: {changes}; restore them, use another name (--set name=NEW), "
            "or set train.load_state.if_allow_change=true"
        )
    return [f"options changed since {path}: {changes}"] if keys else []


def _with_defaults(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options of an earlier version, completed by defaults of newer options; unchanged if invalid now."""
    try:
        return Options.model_validate(options).to_dict()
    except (ValidationError, UserError):
        return options


_ESSENTIAL = ("niter", "real_bs_pg", "seed", "ema", "clip_grad", "amp")
_FREE = ("nworker_pg",)


def _essence(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that determine what is learned, as far as they are there."""
    data, train = _section(_section(options, "dataset"), "train"), _section(options, "train")
    return {
        "network": options.get("network"),
        "algorithm": options.get("algorithm"),
        "dataset": {"train": {key: value for key, value in data.items() if key not in _FREE}},
        "train": {key: train.get(key) for key in _ESSENTIAL},
    }


def _section(options: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = options.get(key)
    return section if isinstance(section, Mapping) else {}
