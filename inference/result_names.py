"""What results are called: no two alike, and none as a file that is enhanced. All names are known before any work."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from powerqe.utils.errors import UserError
from powerqe.utils.file_names import place_finder, with_suffix, within
from powerqe.utils.video.suffixes import is_video

_LEVELS = 4
"""Of names, see `_Namer`."""


class EnhanceJob(NamedTuple):
    """A file, an image or a video, and the name of its result.

    spare: the name of a result that the format of `target` cannot hold, as PNG; None: `target` with that suffix.
    """

    source: Path
    target: Path
    spare: Path | None = None

    @property
    def is_video(self) -> bool:
        """Whether it is a video."""
        return is_video(self.source)

    @property
    def comparison(self) -> Path:
        """The name of its comparison; for videos with their suffix, to differ from images of the same stem."""
        stem = self.target.name if is_video(self.target) else self.target.stem
        return self.target.with_name(within(stem, ".compare.png"))

    def results(self, compare: bool) -> list[Path]:
        """What is written, but for `spare`."""
        return [self.target, self.comparison] if compare else [self.target]


class Wanted(NamedTuple):
    """A file, and the name of its result if no other one has it: `place` with the suffix."""

    source: Path
    place: Path
    suffix: str


def named_apart(wanted: Sequence[Wanted], output: Path, *, compare: bool) -> list[EnhanceJob]:
    """Give each file the first of its names that no other one has: a.png, a.jpg.png, x/a.png, x/a.jpg.png.

    x is its folder, as seen from the one that all files have in common. A file that is there under two names which
    would be called alike (a link, another case) is enhanced once.

    Args:
        output: the folder of all results.
        compare: whether comparisons are drawn, which are results, too.

    Raises:
        UserError: two results would still be called alike.
    """
    levels = dict.fromkeys(range(len(wanted)), 0)
    namer = _Namer(wanted, output, compare)
    while groups := namer.alike(levels):
        if repeated := {each for group in groups for each in namer.repeated(group)}:
            levels = {each: level for each, level in levels.items() if each not in repeated}
            continue
        lowest = {each for group in groups for each in group if levels[each] == min(levels[one] for one in group)}
        if stuck := [each for each in lowest if levels[each] + 1 == _LEVELS]:
            group = next(group for group in groups if stuck[0] in group)
            raise UserError(f"the results of {wanted[group[0]].source} and {wanted[group[1]].source} would have one "
                            "name; enhance them in two runs, each with a folder of its own (-o)")  # fmt: skip
        levels |= {each: levels[each] + 1 for each in lowest}
    return namer.with_spares([namer.job(each, level) for each, level in levels.items()])


def check_sources(jobs: Sequence[EnhanceJob], *, compare: bool = False) -> None:
    """Raises `UserError` if a result would take the place of a file that is enhanced."""
    sources = {there: job.source for job in jobs if (there := _identity(job.source))}
    for job in jobs:
        for path in job.results(compare):
            if (there := _identity(path)) and (source := sources.get(there)):
                whose = "its own result" if source == job.source else f"the result of {job.source}"
                raise UserError(f"{source} would be written over by {whose}; choose another folder with -o")


class _Namer:
    """The names of results, each with a level: 0, 1 with the suffix of the source, 2 and 3 below its folder.

    Args:
        wanted: the files, called by their numbers from here on. There may be a million: `Path` is slow.
    """

    def __init__(self, wanted: Sequence[Wanted], output: Path, compare: bool) -> None:
        self._wanted, self._output, self._compare = wanted, output, compare
        self._place = place_finder()
        self._simple = [EnhanceJob(each.source, _named(each.place, each.place.stem, each.suffix)) for each in wanted]

    @cached_property
    def _common(self) -> Path | None:
        return _common([each.source for each in self._wanted])

    def job(self, number: int, level: int) -> EnhanceJob:
        if not level:
            return self._simple[number]
        source, place, suffix = self._wanted[number]
        in_folder, with_source_suffix = divmod(level, 2)
        if in_folder:
            whole = _absolute(source)
            place = self._output / (whole.relative_to(self._common) if self._common else Path(*whole.parts[1:]))
        return EnhanceJob(source, _named(place, source.name if with_source_suffix else place.stem, suffix))

    def alike(self, levels: dict[int, int]) -> list[list[int]]:
        """Groups of files of which a result has one name."""
        found: dict[str, list[int]] = {}
        for number, level in levels.items():
            for path in self.job(number, level).results(self._compare):
                found.setdefault(self._place(path), []).append(number)
        return [group for group in found.values() if len(group) > 1]

    def repeated(self, group: Sequence[int]) -> list[int]:
        """Those that are the same file as an earlier one."""
        first: dict[object, int] = {}
        return [each for each in group if first.setdefault(self._file(each), each) != each]

    def _file(self, number: int) -> object:
        """What is equal for names of one file."""
        source = self._wanted[number].source
        return _identity(source) or source

    def with_spares(self, jobs: Sequence[EnhanceJob]) -> list[EnhanceJob]:
        """The jobs with names of PNG files that are neither another result nor a source."""
        if all(job.is_video or job.target.suffix.lower() == ".png" for job in jobs):
            return list(jobs)
        taken = {self._place(path) for job in jobs for path in (job.source, *job.results(self._compare))}
        return [
            job if job.is_video or job.target.suffix.lower() == ".png" else job._replace(spare=self._spare(job, taken))
            for job in jobs
        ]

    def _spare(self, job: EnhanceJob, taken: set[str]) -> Path:
        names = (with_suffix(job.target, ".png"), job.target.with_name(within(job.target.name, ".png")))
        last = job.target.with_name(within(f"{job.target.name}.spare", ".png"))
        spare = next((name for name in names if self._place(name) not in taken), last)
        taken.add(self._place(spare))
        return spare


def _named(place: Path, stem: str, suffix: str) -> Path:
    return place.with_name(within(stem, suffix))


def _common(sources: Sequence[Path]) -> Path | None:
    """The folder below which all files are; None if they are on several drives."""
    try:
        return Path(os.path.commonpath([_absolute(source).parent for source in sources]))
    except ValueError:
        return None


def _absolute(path: Path) -> Path:
    """Without .., and with links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _identity(path: Path) -> tuple[int, int] | None:
    """The file that is there; None if there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino
