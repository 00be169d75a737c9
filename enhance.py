"""Enhance pictures and videos: python enhance.py photo.jpg writes enhanced/photo.png; --help says more."""

import sys

from tqdm import tqdm

from powerqe.inference.enhance_arguments import applying, parser
from powerqe.inference.enhance_files import Models, Result, enhance_files
from powerqe.inference.jobs import check_crf, find_jobs, make_folder
from powerqe.utils.errors import command
from powerqe.utils.log import progress_bar, start_log
from powerqe.utils.memory import keep_freed_memory


@command
def main() -> None:
    """Parse, find the files, enhance one after another, say what became of each."""
    args = parser().parse_args()
    jobs = find_jobs(args.inputs, args.output, args.format)
    check_crf(jobs, args.crf)
    models = Models(args.weights, applying(args), args.pqf_period)
    models.check(jobs)
    make_folder(args.output)
    start_log(None, timed=False)
    keep_freed_memory()
    results: list[Result] = []
    with progress_bar(None, "files", len(jobs), len(jobs) > 1, leave=False) as bar:

        def tell(result: Result) -> None:
            results.append(result)
            tqdm.write(f"failed: {result.error}" if result.error else result.summary,
                       sys.stderr if result.error else sys.stdout)  # fmt: skip
            bar.update()

        enhance_files(jobs, models, tell, force=args.force, compare=args.compare, crf=args.crf)
    if failures := sum(bool(result.error) for result in results):
        sys.exit(f"{failures} of {len(jobs)} files failed")


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        print("interrupted; the files that were written are whole", file=sys.stderr)
        code = 130
    sys.exit(code)
