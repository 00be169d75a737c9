"""Train the network of an option file. Checkpoints, log and TensorBoard curves go to exp/<option file>-<case>/."""

from powerqe.algorithm.experiment import Experiment, archive, find_resume
from powerqe.algorithm.trainer import Trainer
from powerqe.utils.arguments import option_parser, parse_options
from powerqe.utils.errors import command
from powerqe.utils.log import logger, start_log
from powerqe.utils.ranks import leave, start_ranks

EXAMPLES = (
    "python train.py --opt opts/arcnn.yml --case div2k-qf10",
    "python train.py --opt opts/arcnn.yml --case div2k-qf10 --resume auto --set train.niter=1000",
    "torchrun --nproc_per_node=2 train.py --opt opts/arcnn.yml --case div2k-qf10    on two GPUs; docs/multi_node.md",
)


@command
def main() -> None:
    """Parse, load the options, start the ranks, hand over to the trainer."""
    parser = option_parser(__doc__, EXAMPLES)
    resume_help = "auto: go on from the newest sound checkpoint, if there is one; never: start anew (default: never)"
    parser.add_argument("--resume", choices=["auto", "never"], default="never", help=resume_help)
    dry_help = "try it: build everything, do two training steps and one validation image, write nothing"
    parser.add_argument("--dry-run", action="store_true", help=dry_help)
    arguments = parser.parse_args()
    options = parse_options(arguments)
    if options is None:
        return
    with start_ranks(options.device) as ranks:
        start_log(None, ranks.is_main)
        if arguments.dry_run:
            Trainer(options, ranks).dry_run()
            return
        resume = find_resume(options, arguments.resume)
        trainer = Trainer(options, ranks, resumes=resume is not None)
        if resume:
            trainer.load_state(resume.state)
        elif ranks.is_main:
            archive(options.folder)
        start_log(options.folder / "train.log", ranks.is_main)
        for note in resume.notes if resume else []:
            logger.info(note)
        trainer.run(Experiment(options, trainer.step, ranks.is_main))


if __name__ == "__main__":
    leave(main())
