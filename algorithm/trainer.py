"""The training loop for all algorithms. An iteration is one optimizer step of each phase."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from powerqe.algorithm.distributed import distributed, unused_explained, without_exchange
from powerqe.algorithm.experiment import Best, Experiment, is_judged_alike
from powerqe.algorithm.moving_average import MovingAverage
from powerqe.algorithm.phase import Algorithm, Phase, Setting
from powerqe.algorithm.preparation import has_one_size, set_up_torch, warm_start
from powerqe.algorithm.progress import Progress
from powerqe.algorithm.signals import StopSignals
from powerqe.algorithm.trial import trial_batch, try_phases
from powerqe.algorithm.updates import Updates
from powerqe.algorithm.validation import Validation
from powerqe.dataset import build_dataset
from powerqe.dataset.loader import Batch, to_device, train_batches
from powerqe.evaluation.evaluate import StoppedError
from powerqe.inference.precision import computes_in, tell_emulation
from powerqe.utils.errors import UserError
from powerqe.utils.log import logger, progress_bar
from powerqe.utils.options.components import build
from powerqe.utils.options.tree import Options
from powerqe.utils.ranks import Ranks
from powerqe.utils.seed import rng_state, seed_everything, set_rng_state
from powerqe.utils.torch_settings import cudnn_search

_PRECISION = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """A training; everything is built and checked before the first step.

    Args:
        options: with `dataset.train` and `algorithm`.
        ranks: the processes of the training.
        resumes: a state will be loaded; the weights of `train.warm_start` are not.

    Raises:
        UserError: invalid data, network or device.
    """

    def __init__(self, options: Options, ranks: Ranks, *, resumes: bool = False) -> None:
        if options.dataset.train is None or options.algorithm is None:
            raise UserError(f"{options.name}: training needs the options dataset.train and algorithm")
        self._options, self._train, self._data = options, options.train, options.dataset.train
        self._ranks = ranks
        self._experiment: Experiment | None = None
        set_up_torch(options, ranks)

        with ranks.together():
            self._train_set = build_dataset(self._data, "dataset.train")
            self._signals = StopSignals()
            self._validation = Validation(options, ranks, lambda: self._signals.received)
            seed_everything(self._train.seed)  # the same first weights on every rank
            network: nn.Module = self._placed(build(options.network))
            self._warm_start_note = "" if resumes else warm_start(network, self._train.warm_start)
            self.ema = MovingAverage(network, self._train.ema) if self._train.ema else None
            setting = Setting(self._train.niter, ranks.device, self._prepare)
            self.algorithm: Algorithm = build(options.algorithm, network, setting)
        for optimizer in self.algorithm.optimizers.values():
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]  # multiplied by the schedule
        self._network = network
        seed_everything(self._train.seed + 1 + ranks.rank)  # different noise on every rank

        self._updates = Updates(self._train, ranks)
        self._progress = Progress(self._train.niter)
        self._searches = has_one_size(self._data) and not self._train.deterministic
        self._stop = False
        self.step, self._samples = 0, 0  # samples: seen by all ranks, whatever their number and batch were
        self.best: Best = {"iters": [], "value": None}
        self._judged = 0  # the step of the last validation
        self._try()

    # ------------------------------------------------------------------ the loop

    def run(self, experiment: Experiment | None, until: int | None = None) -> None:
        """Train to the end, to iteration `until`, or until a signal to stop; then save a checkpoint.

        Args:
            experiment: receives checkpoints and curves; None writes nothing.
        """
        self._experiment = experiment
        self._describe()
        end = min(until or self._train.niter, self._train.niter)
        self._advise()
        if self.step:
            self._settle(end)
        elif self._validation and self._train.if_test_baseline:
            self._log_scores("baseline (lq)", self._validate(None))
        batches = self._batches()
        bar = progress_bar(None, None, self._train.niter, self._ranks.is_main, initial=self.step)
        with self._signals, bar:
            self._progress.start_clock()
            while self.step < end and not self._stop:
                self._iterate(batches)
                bar.update()
                is_due, is_reported = self._is_due(end), self.step % self._train.inter_print == 0
                now = is_due or is_reported  # nothing is saved or told before it is known to be finite
                self._stop = self._updates.check(self.step, now=now, stop=self._signals.received)
                if is_reported:
                    self._report()
                started = time.perf_counter()
                if self._stop or (is_due and self._validation):  # first, for a validation may last, or fail
                    self._save()
                if is_due and not self._stop:
                    self._judge()
                self._progress.add_pause(time.perf_counter() - started)
        self._log_end()

    def dry_run(self) -> None:
        """Two training steps and one validation image; nothing is written."""
        batches = self._batches()
        for _ in range(2):
            self._iterate(batches)
        self._updates.check(self.step, now=True, stop=False)
        if self._validation:
            self._validation.try_one(self._validated_network())
        logger.info(f"dry run of {self._options.name}: two training steps and one validation image succeeded")

    def _try(self) -> None:
        """Find what does not fit before the first step, on every rank."""
        with self._ranks.together():
            self._batches()
            batch = to_device(trial_batch(self._train_set, self._data.bs_pg), self._ranks.device, self._memory_format)
            try_phases(self.algorithm, batch, (0, self._train.niter - 1), self._alone)
            if self._validation:
                self._validation.check(self._validated_network())
                self._network.train()

    def _iterate(self, batches: Iterator[Batch]) -> None:
        """One iteration: load k batches, then losses, gradients and update of each phase."""
        started = time.perf_counter()
        micro = [next(batches) for _ in range(self._options.accumulation)]
        self._progress.add_step(time.perf_counter() - started)
        images = ", ".join(name for batch in micro for name in batch["name"])
        with cudnn_search(self._searches):
            for phase in self.algorithm.phases(self.step):
                for group in phase.optimizer.param_groups:
                    group["lr"] = group["initial_lr"] * phase.schedule(self.step)
                self._updates.apply(phase, self._backward(phase, micro), images, self.step + 1)
        if self.ema:
            self.ema.update_parameters(self._network)
        self.step += 1
        self._samples += len(micro) * self._batch_of_all

    def _backward(self, phase: Phase, micro: list[Batch]) -> torch.Tensor:
        """Accumulate the gradient of the mean loss over the batches; ranks synchronize at the last one."""
        total = torch.zeros((), device=self._ranks.device)
        for number, batch in enumerate(micro, 1):
            with without_exchange(phase.network) if number < len(micro) else nullcontext():
                with self._autocast(), unused_explained(phase.network):
                    loss = phase.loss(batch)
                self._updates.backward(loss.total, len(micro))
            total += loss.total.detach() / len(micro)
            self._progress.add_losses(loss.parts)
        return total

    # ------------------------------------------------------------------ validation and checkpoints

    def _is_due(self, end: int) -> bool:
        return self.step % self._train.inter_val == 0 or self.step == end

    def _settle(self, end: int) -> None:
        """After resuming: make ckp-best.pt the best of this run, and judge a network that was saved but not judged."""
        is_known = self._experiment is None or not self._ranks.is_main or self._experiment.restore_best(self.best)
        [is_unknown] = self._ranks.any(not is_known)
        if is_unknown:
            self.best = {"iters": [], "value": None}
        if is_unknown or (self._is_due(end) and self._judged != self.step):
            self._judge()

    def _judge(self) -> None:
        """Validate the network, note whether it is the best so far, as always without a validation set, and save it."""
        if not self._validation:
            is_best, self.best = True, {"iters": [self.step], "value": None}
        else:
            try:
                scores = self._validate(self._validated_network())
            except StoppedError:
                self._stop = True
                return
            self._log_scores("validation", scores)
            is_best = self._is_better(scores[self._options.val.focus])
            logger.info(f"  best {self.best['value']:.4f} at {self.best['iters']}")
        self._judged = self.step
        self._save(is_best=is_best)

    def _save(self, *, is_best: bool = False) -> None:
        if self._experiment is None:
            return
        state = self.state()  # collective: every rank takes part
        if self._ranks.is_main:
            logger.info(f"  saved {self._experiment.save(state, is_best, self._train.keep_ckp)}")
        self._ranks.barrier()
        self._advise()

    def _advise(self) -> None:
        """What to do if a rank is lost: there is a checkpoint of this step, unless it is the first."""
        if self._experiment:
            last = f"the last checkpoint is that of iter {self.step} in {self._experiment.folder}"
            self._ranks.advise(
                f"{last if self.step else 'no checkpoint yet'}; start all ranks again with --resume auto"
            )

    def _validate(self, network: nn.Module | None) -> dict[str, float]:
        """Mean scores over the validation set, of lq if there is no network."""
        draw = self._experiment.sample_drawer(self.step) if self._experiment and self._ranks.is_main else None
        judge = self._validation
        scores = judge.scores(network, draw) if network else judge.baseline(self._validated_network())
        self._network.train()
        return scores

    def _is_better(self, value: float) -> bool:
        """Update the best score. The first one is always the best, so that ckp-best.pt always exists."""
        better = self._validation.is_better(value, self.best["value"])
        if better:
            self.best = {"iters": [self.step], "value": value}
        elif value == self.best["value"]:
            self.best["iters"].append(self.step)
        return better

    def _validated_network(self) -> nn.Module:
        """The network for validation, in evaluation mode: the moving average if there is one.

        On the CPU each rank has the statistics of its own batches (BatchNorm); those of the main rank are saved.
        """
        network = self.ema.module if self.ema else self._network
        self._ranks.equalize(network.buffers())
        return network.eval()

    def state(self) -> dict[str, Any]:
        """The state for exact resuming. Every rank must call this."""
        return {
            "iter": self.step,
            "samples": self._samples,
            "networks": {name: network.state_dict() for name, network in self.algorithm.networks.items()},
            "ema": {"net": self.ema.state_dict()} if self.ema else None,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.algorithm.optimizers.items()},
            "scaler": self._updates.scaler.state_dict(),
            "rng": self._ranks.gather(rng_state()),
            "progress": self._ranks.gather(self._progress.state()),
            "best": self.best,
            "judged": self._judged,
            "options": self._options.to_dict(),
            "versions": {"torch": str(torch.__version__)},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore `state`. Current options replace those of the state; the caller checks whether they may differ.

        Raises:
            UserError: it is not of this training; the trainer is then of no more use.
        """
        try:
            self._restore(state)
        except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError) as error:
            reason = (str(error) or type(error).__name__).strip().splitlines()[0]
            raise UserError(
                f"the checkpoint is damaged or does not fit this training ({type(error).__name__}: {reason}); "
                "remove it, and --resume auto takes an earlier one"
            ) from None

    def _restore(self, state: dict[str, Any]) -> None:
        for name, network in self.algorithm.networks.items():
            network.load_state_dict(state["networks"][name])
        if self.ema and state["ema"]:
            self.ema.load_state_dict(state["ema"]["net"])
        for name, optimizer in self.algorithm.optimizers.items():
            mine = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
            optimizer.load_state_dict(state["optimizers"][name])
            for group, values in zip(optimizer.param_groups, mine, strict=True):
                group.update(values)
        self._updates.scaler.load_state_dict(state["scaler"])
        self.step, self._judged = state["iter"], state.get("judged", state["iter"])
        if is_judged_alike(state["options"], self._options):
            self.best = {"iters": list(map(int, state["best"]["iters"])), "value": state["best"]["value"]}
        if len(state["rng"]) == self._ranks.world_size:
            set_rng_state(state["rng"][self._ranks.rank])
            self._progress.load_state(state["progress"][self._ranks.rank], self._ranks.device)
        else:
            logger.info(f"trained by {len(state['rng'])} ranks before and {self._ranks.world_size} now: not bit-exact")
        self._samples = state["samples"]

    @property
    def _batch_of_all(self) -> int:
        return self._data.bs_pg * self._ranks.world_size

    @property
    def _memory_format(self) -> torch.memory_format:
        return torch.channels_last if self._train.channels_last else torch.contiguous_format

    def _batches(self) -> Iterator[Batch]:
        return train_batches(
            self._train_set,
            self._data,
            seed=self._train.seed,
            rank=self._ranks.rank,
            world_size=self._ranks.world_size,
            start=self._samples // self._batch_of_all,
            device=self._ranks.device,
            memory_format=self._memory_format,
        )

    def _placed(self, network: nn.Module) -> nn.Module:
        return network.to(self._ranks.device).to(memory_format=self._memory_format)  # pyright: ignore[reportCallIssue]

    def _prepare(self, network: nn.Module) -> nn.Module:
        """Move a network to the device; compile and distribute its forward pass according to the options."""
        self._placed(network)
        if self._train.compile:
            network.compile()
        return distributed(network, self._ranks)

    @contextmanager
    def _alone(self, network: nn.Module) -> Iterator[None]:
        """Where a trial computes: in the precision of the training, without the other ranks."""
        with without_exchange(network), self._autocast():
            yield

    def _autocast(self) -> torch.autocast:
        precision = _PRECISION[self._train.amp]
        return torch.autocast(self._ranks.device.type, precision, enabled=precision is not None)

    def _report(self) -> None:
        rates = {name: opt.param_groups[0]["lr"] for name, opt in self.algorithm.optimizers.items()}
        losses = self._progress.report(self.step, rates, self._ranks)
        if self._experiment and self._ranks.is_main:
            self._experiment.scalars({**{f"loss/{k}": v for k, v in losses.items()},
                                      **{f"lr/{k}": v for k, v in rates.items()}}, self.step)  # fmt: skip

    def _log_scores(self, title: str, scores: dict[str, float]) -> None:
        unit = self._validation.metrics.unit
        text = ", ".join(f"{name} {value:.4f} {unit(name)}".rstrip() for name, value in scores.items())
        logger.info(f"{title} at iter {self.step}: {text}")
        if self._experiment and self._ranks.is_main:
            self._experiment.scalars({f"val/{name}": value for name, value in scores.items()}, self.step)

    def _describe(self) -> None:
        for name, network in self.algorithm.networks.items():
            count = sum(p.numel() for p in network.parameters())
            logger.info(f"network {name}: {type(network).__name__}, {count:,} parameters")
        if self._warm_start_note:
            logger.info(self._warm_start_note)
        if (amp := self._train.amp) != "none" and not computes_in(amp, self._ranks.device):
            tell_emulation(amp)
        batch = self._batch_of_all * self._options.accumulation
        steps = len(self._train_set) * self._data.enlarge_ratio / batch
        logger.info(
            f"training: {len(self._train_set)} samples, {self._ranks.world_size} rank(s) on {self._ranks.device.type}, "
            f"batch {self._data.bs_pg} x {self._options.accumulation} x {self._ranks.world_size} = {batch}, "
            f"iterations {self.step} to {self._train.niter}, one epoch is {steps:.4g} iterations"
        )

    def _log_end(self) -> None:
        if self._signals.received or self._stop:
            logger.info(f"stopped by a signal at iter {self.step}; use --resume auto to continue")
        else:
            logger.info(f"finished at iter {self.step}")
