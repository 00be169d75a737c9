"""The files of a report: an HTML page, and its tables as Markdown and LaTeX."""

from collections.abc import Sequence
from pathlib import Path

from powerqe.evaluation import video_comparison
from powerqe.evaluation.report.page import to_html
from powerqe.evaluation.report.reader import Comparison, collect
from powerqe.evaluation.report.summary import grid_to_latex, to_latex, to_markdown
from powerqe.evaluation.results import read_results
from powerqe.evaluation.video_comparison import VideoTable
from powerqe.utils.errors import UserError
from powerqe.utils.files import write_text


def build_report(experiments: Sequence[Path], page: Path, title: str, metrics: Sequence[str] = ()) -> list[str]:
    """Read the results of experiments, write the page and the tables.

    Args:
        experiments: folders with the results of tests on images, on videos, or on both.
        page: path of the page (.html); the tables have the same name with .md and .tex.
        metrics: names of the metrics to compare; empty: all.

    Returns:
        Notes on what could not be compared or shown.

    Raises:
        UserError: no results, results that do not belong together, or a page of another ending.
    """
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"-o: {page} must end in .html; .md and .tex are written next to it")
    images, videos = _read(experiments, metrics)
    html, notes = to_html(title, images, videos)
    texts = {page: html, page.with_suffix(".md"): _markdown(title, images, videos, notes)}
    texts[page.with_suffix(".tex")] = _latex(images, videos, notes)
    for path, text in texts.items():
        write_text(path, text)
    return notes


def _read(folders: Sequence[Path], metrics: Sequence[str]) -> tuple[Comparison | None, VideoTable | None]:
    """Tests on images and on videos; a folder may have both."""
    results = {folder: read_results(folder) for folder in folders}
    with_images = [folder for folder, found in results.items() if any(each.images for each in found)]
    with_videos = [folder for folder, found in results.items() if any(each.videos for each in found)]
    return (
        collect(with_images, metrics) if with_images else None,
        video_comparison.collect(with_videos) if with_videos else None,
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
