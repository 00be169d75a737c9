"""What is counted, and where a program under attack may write."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from powerqe.benchmarks.attacks.children import Outcome

FAULTS = ("lost", "tracebacks", "hangs", "leftovers", "outside")
"""Each of them ought to be 0."""
_PYTORCHS = ("torchelastic_", "pytorch-errorfile-", "torchinductor_")
"""Temporary files of torchrun's own, which it leaves, and the cache of PyTorch's compiler."""
_SHOWN = 600
_TEMPORARY = re.compile(r"\..*\.(tmp|old|part)\b.*|\.tmp|.*\.tmp|tmp\w{8}")


@dataclass
class Tally:
    """The counts of one part.

    Attributes:
        title: of the row in the table.
        counts: tried; exact; refused; those of `FAULTS`.
        findings: a line per fault, which names the case.
        note: what was done otherwise on this machine.
    """

    title: str
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    note: str = ""
    seconds: float = 0.0

    def add(self, name: str, amount: int = 1) -> None:
        """Count."""
        self.counts[name] += amount

    def fault(self, name: str, case: object, detail: str) -> None:
        """Count a fault and keep why."""
        self.counts[name] += 1
        self.findings.append(f"{self.title}, {case}: {name}: {' '.join(detail.split())[-_SHOWN:]}")

    def judge(self, outcome: Outcome, case: object) -> bool:
        """Count hang and traceback; returns whether there was neither."""
        if outcome.code is None:
            self.fault("hangs", case, outcome.text)
        elif not outcome.is_clean:
            self.fault("tracebacks", case, f"{outcome.code} {outcome.text}")
        else:
            return True
        return False

    @property
    def is_good(self) -> bool:
        """No fault, and whatever ought to be exact is."""
        return not self.findings


class Sandbox:
    """A folder in which each case has a place of its own; whatever is written beside it, or left in it, is found.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.temporary, self.home = root, root / "tmp", root / "home"
        self.inside = root / "a/b/c/inside"  # deep, so that ../../../x is still in the root
        self.log = root / "log"
        for folder in (self.inside, self.temporary, self.home):
            folder.mkdir(parents=True)
        self.environment = {"TMPDIR": str(self.temporary), "HOME": str(self.home)}
        self._known = {self.root / part for part in ("a", "a/b", "a/b/c", "tmp", "home", "log", "log-0", "log-1")}

    def check(self, tally: Tally, case: object) -> None:
        """Count what is outside, and what was left; it is removed, so that it counts once."""
        for path in self._all(self.root, without=self.inside):
            if path not in self._known and self.temporary not in path.parents:
                tally.fault("outside", case, str(path.relative_to(self.root)))
                self._known.add(path)
        left = [path for path in self._all(self.inside) if _TEMPORARY.fullmatch(path.name)]
        for path in [*left, *self._all(self.temporary)]:
            if path not in self._known:
                tally.fault("leftovers", case, str(path.relative_to(self.root)))
                self._known.add(path)

    def _all(self, folder: Path, without: Path | None = None) -> list[Path]:
        found = []
        for path in sorted(folder.iterdir()):
            if path != without and not path.name.startswith(_PYTORCHS):
                found += [path, *(self._all(path, without) if path.is_dir() and not path.is_symlink() else ())]
        return found
