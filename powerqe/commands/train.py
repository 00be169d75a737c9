"""Train the network of an option file. Checkpoints, log and TensorBoard curves go to exp/<option file>-<case>/."""

import argparse
from contextlib import ExitStack

from powerqe.arguments.option_file import add_option_file, read_options
from powerqe.utils.errors import UserError

EXAMPLES = (
    "%(prog)s --opt opts/arcnn.yml --case div2k-qf10",
    "%(prog)s --opt opts/arcnn.yml --case div2k-qf10 --resume auto --set train.niter=1000",
    "torchrun --nproc_per_node=2 train.py --opt opts/arcnn.yml --case div2k-qf10    on two GPUs: docs/multi_node.md",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option file, --resume and --dry-run."""
    add_option_file(parser)
    resume_help = "auto: resume from the newest valid checkpoint, if any; never: start a new training (default: never)"
    parser.add_argument("--resume", choices=["auto", "never"], default="never", help=resume_help)
    dry_help = "build everything, run two training steps and validate one image, but write nothing"
    parser.add_argument("--dry-run", action="store_true", help=dry_help)


def run(args: argparse.Namespace) -> None:
    """Train, from the start or from a checkpoint."""
    options = read_options(args)
    if options is None:
        return
    from powerqe.algorithm.experiment import Experiment, archive, find_resume
    from powerqe.algorithm.trainer import Trainer
    from powerqe.evaluation.agreement import agree_to_train
    from powerqe.utils.file_lock import claimed
    from powerqe.utils.launcher import is_restarted
    from powerqe.utils.log import logger, start_log
    from powerqe.utils.ranks import start_ranks
    from powerqe.utils.torch_settings import be_deterministic

    be_deterministic(options.train.deterministic)  # before ranks start, and CUDA with them
    with start_ranks(options.device, options.train.timeout) as ranks, ExitStack() as stack:
        start_log(None, ranks.is_main)
        agree_to_train(options, ranks, resume=args.resume, dry_run=args.dry_run)
        if args.dry_run:
            Trainer(options, ranks).dry_run()
            return
        with ranks.together():
            if ranks.is_main:
                stack.enter_context(claimed(options.folder, "trained", "stop it, or use another name (--set name=NEW)"))
        start = "auto" if is_restarted() else args.resume
        resume = ranks.decided(lambda: find_resume(options, start))
        trainer = Trainer(options, ranks, resumes=resume is not None)
        if resume:
            try:
                trainer.load_state(resume.state)
            except UserError as error:
                raise UserError(f"{resume.path}: {error}") from None
        elif ranks.is_main:
            archive(options.folder)
        start_log(options.folder / "train.log", ranks.is_main)
        for note in resume.notes if resume else []:
            logger.info(note)
        trainer.run(Experiment(options, trainer.step, ranks.is_main))
