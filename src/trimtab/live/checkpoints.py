"""Directories in which trials save their state: kept as long as they are needed, then removed.

What a killed attempt has saved is there for the next attempt, which moves it to a directory of its own
(NUMBER-ATTEMPT). So a process that was presumed dead, and still runs the earlier attempt, can no longer write to it. A
trial with a parent starts with a copy of the parent's directory. Kept are the directories of open trials and of their
parents, those that the strategy may still continue from (see strategies.Continuing), and those of the best
TRIMTAB_CHECKPOINTS_KEEP trials (default 1; keep a few if settings are repeated, since another result of the best one
may make the next one the best).

Directories are in TRIMTAB_CHECKPOINTS, else beside an SQLite file (FILE.checkpoints), else in ./trimtab-checkpoints;
those of a study in memory are removed with the process. Workers on several machines need a folder that all of them see.
A study may fill TRIMTAB_CHECKPOINTS_QUOTA ("20GiB"): at four fifths of it there is a warning. Beyond it, those of good
trials are removed, all but the best one's; then the run ends, since what is needed is never removed.
"""

import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path

from ..engine import incumbents
from ..engine.ledger import Ledger
from ..engine.lineage import parent_of
from ..errors import OverQuota, SpecError
from ..formatting import size
from ..objective.trial import Folders
from ..records import Trial
from ..storage import Storage
from ..units import byte_count

VARIABLE = "TRIMTAB_CHECKPOINTS"
KEEP, QUOTA = f"{VARIABLE}_KEEP", f"{VARIABLE}_QUOTA"
EARLY = 0.8  # share of the quota from which on there is a warning

_log = logging.getLogger(__name__)


class Checkpoints:
    """The directories of one study, by its uid. For a store in memory, they are removed with it."""

    def __init__(self, storage: Storage, uid: str) -> None:
        self._settled: object = None  # what was known when everything was as it should be
        self._warned = False
        place, url = os.environ.get(VARIABLE) or None, storage.url
        if place is None and url != "memory://":
            file = url.removeprefix("sqlite:///")
            place = f"{os.path.expanduser(file)}.checkpoints" if file != url else "trimtab-checkpoints"
        self.root = Path(place or tempfile.gettempdir()).absolute() / f"trimtab-{uid[:16]}"
        if place is None:
            weakref.finalize(storage, shutil.rmtree, self.root, ignore_errors=True)

    def path(self, number: int) -> Path:
        """A trial's directory: that of its last attempt that has one, or where the first attempt would have it."""
        return _last(self.held()).get(number, self._of(number, 1))

    def _of(self, number: int, attempt: int) -> Path:
        return self.root / (str(number) if attempt == 1 else f"{number}-{attempt}")

    def folders(self, trial: Trial) -> Folders:
        """The directories of a trial's attempt."""
        parent = parent_of(trial)
        earlier = [str(self._of(trial.number, k)) for k in range(trial.attempt - 1, 0, -1)]
        return Folders(
            str(self._of(trial.number, trial.attempt)), None if parent is None else str(self.path(parent)), earlier
        )

    def held(self) -> dict[Path, int]:
        """The existing directories and their trials, unfinished copies included."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return {}
        owners = {name: name.removeprefix(".").partition("-")[0] for name in names}
        return {self.root / name: int(owner) for name, owner in owners.items() if owner.isdigit()}

    def collect(self, ledger: Ledger, needed: Callable[[], frozenset[int]] = frozenset) -> None:
        """Remove the directories of ended trials that are no longer needed.

        needed: the trials that the strategy may continue from. Raises OverQuota if what must stay exceeds the quota.
        """
        held = self.held()
        now = (ledger.study.position, frozenset(held))
        if not held or now == self._settled:
            return
        last, gone = _last(held), [path for path, n in held.items() if ledger.has_ended(n)]
        if gone:
            must = needed() | {parent for t in ledger.open.values() if (parent := parent_of(t)) is not None}
            best = _best(ledger, _whole_number(KEEP, 1))
            kept = must | set(best)
            gone = [path for path in gone if held[path] not in kept or last.get(held[path]) != path]
            _remove(gone)
            self._within(best[1:], must)
        self._settled = (ledger.study.position, frozenset(self.held()))

    def remove(self) -> None:
        """Remove all of the study's directories."""
        _remove([self.root])

    def _within(self, spare: list[int], must: frozenset[int]) -> None:
        """Keep the quota, if there is one: as far as necessary, drop the spare directories, the last of them first."""
        quota = byte_count(os.environ.get(QUOTA), QUOTA)
        if quota is None:
            return
        used = {path: _bytes(path) for path in self.held()}
        for path in [self.path(n) for n in reversed(spare) if n not in must]:
            if sum(used.values()) > quota:
                _remove([path])
                used.pop(path, None)
        total = sum(used.values())
        if total > quota:
            raise OverQuota(
                f"checkpoints in {self.root} need {size(total)}, {QUOTA} is {size(quota)}: raise it, save less, or "
                "take a smaller population, and run the same line again"
            )
        if total > EARLY * quota and not self._warned:
            _log.warning("checkpoints in %s fill %s of %s=%s", self.root, size(total), QUOTA, size(quota))
        self._warned = total > EARLY * quota


def _last(held: Mapping[Path, int]) -> dict[int, Path]:
    """The existing directory of each trial's last attempt."""
    whole = [path for path in held if not path.name.startswith(".")]
    return {held[path]: path for path in sorted(whole, key=lambda path: int(path.name.partition("-")[2] or 1))}


def _best(ledger: Ledger, k: int) -> list[int]:
    """The first trials of the k best settings, the best first."""
    goal = ledger.study.spec.goals[0]
    order = sorted((goal.loss(c.metrics), c.number) for c in incumbents.admissible(incumbents.of_ledger(ledger)))
    return [number for _, number in order[:k]]


def _whole_number(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise SpecError(f"{variable}={text!r} must be a whole number of at least 1")
    return int(text)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def _bytes(path: Path) -> int:
    """The size of all files under a directory; files that vanish meanwhile count as nothing."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
    return total
