"""Compare experiments in one page: python -m powerqe.evaluation.report exp/arcnn-qf10 exp/dncnn-qf10 ... -o report.html

The folders are those of experiments that test.py has tested. The page holds tables (methods x qualities, with the
differences from the compressed pictures), plots, and crops of all methods side by side, and needs nothing but itself:
it opens from the disk and can be sent around. The tables are written beside it as Markdown and LaTeX. Experiments whose
names differ in the quality only (arcnn-qf10, arcnn-qf20) are one method. The page stays below about 10 MB.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from powerqe.evaluation import video_comparison
from powerqe.evaluation.report.page import to_html
from powerqe.evaluation.report.reader import RESULTS, Comparison, collect
from powerqe.evaluation.report.summary import grid_to_latex, to_latex, to_markdown
from powerqe.evaluation.video_comparison import VideoTable
from powerqe.utils.errors import UserError, command
from powerqe.utils.files import atomic_path
from powerqe.utils.parser import Parser

VIDEO_REPORT = "report.json"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Read the results, write the page and the tables."""
    arguments = _parser().parse_args(argv)
    page: Path = arguments.output
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"-o: {page} must end in .html; .md and .tex are written beside it")
    images, videos = _read(arguments.experiments, arguments.metric)
    html, notes = to_html(arguments.title, images, videos)
    texts = {page: html, page.with_suffix(".md"): _markdown(arguments.title, images, videos, notes)}
    texts[page.with_suffix(".tex")] = _latex(images, videos, notes)
    for path, text in texts.items():
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for note in notes:
        print(f"note: {note}")
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB), {page.with_suffix('.md').name} and "
          f"{page.with_suffix('.tex').name} beside it")  # fmt: skip


def _read(folders: Sequence[Path], metrics: Sequence[str]) -> tuple[Comparison | None, VideoTable | None]:
    """Tests on images and on videos; a folder may have both."""
    of_images = [folder for folder in folders if (folder / RESULTS).is_file()]
    of_videos = [folder for folder in folders if (folder / VIDEO_REPORT).is_file()]
    for folder in folders:
        if folder not in of_images and folder not in of_videos:
            what = f"{folder} has no {RESULTS}" if folder.is_dir() else f"there is no folder {folder}"
            raise UserError(
                f"{what}; give folders of experiments that test.py has tested, such as exp/arcnn-div2k-qf10"
            )
    return (
        collect(of_images, metrics) if of_images else None,
        video_comparison.collect(dict.fromkeys(of_videos)) if of_videos else None,
    )


def _markdown(title: str, images: Comparison | None, videos: VideoTable | None, notes: Sequence[str]) -> str:
    parts = [f"# {title}\n"]
    parts += [to_markdown(images, notes)] if images else []
    parts += [videos.to_markdown()] if videos else []
    return "\n".join(parts)


def _latex(images: Comparison | None, videos: VideoTable | None, notes: Sequence[str]) -> str:
    parts = [to_latex(images, notes)] if images else []
    if videos:
        parts += [grid_to_latex(title, grid) for title, grid in videos.blocks()]
        parts += [grid_to_latex(title, grid) for title, grid, _ in videos.bd_rates()]
    return "\n".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__)
    parser.add_argument(
        "experiments", nargs="+", type=Path, metavar="FOLDER", help="of experiments that test.py has tested, exp/<name>"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="the page; the tables are written beside it with the endings .md and .tex (default: %(default)s)",
    )
    parser.add_argument(
        "--title",
        default="Comparison of experiments",
        metavar="TEXT",
        help="heading of the page (default: %(default)s)",
    )
    parser.add_argument(
        "--metric",
        nargs="+",
        default=[],
        metavar="NAME",
        help="compare these metrics only, as results.json calls them; plots and crops are of the first (default: all)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
