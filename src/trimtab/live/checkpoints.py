"""Directories in which trials save their state: kept as long as they are needed, then removed.

Each attempt at a trial has its own directory, NUMBER or NUMBER-ATTEMPT. What a killed attempt has saved is moved to the
directory of the next one. So a process that was presumed dead, and still runs the earlier attempt, can no longer write
to it. A trial with a parent starts with a copy of the parent's directory.

Kept are the directories of open trials and their parents, those from which the strategy may still continue (see
strategies.Continuing), and those of the best trials: TRIMTAB_CHECKPOINTS_KEEP of them (default 1). These are the best
by their values, which are cheap to compare whenever a trial has ended. If results are noisy or settings are repeated,
keep a few: later results may make another one the best (see `standing`).

Directories are in TRIMTAB_CHECKPOINTS, else beside the SQLite file (FILE.checkpoints), else in ./trimtab-checkpoints;
those of a study in memory are removed with the process. Workers on several machines need a folder that all of them see.

A study may fill TRIMTAB_CHECKPOINTS_QUOTA ("20GiB"). At four fifths of that there is a warning. Beyond it, directories
of good trials are removed, except for the best one's. If that is not enough, the run ends, since what is needed is
never removed.
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
EARLY = 0.8  # share of the quota above which there is a warning

_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoint directories of the study with this uid. Those of a study in memory are removed with the store."""

    def __init__(self, storage: Storage, uid: str) -> None:
        self._collected: object = None  # the position of the record and the directories after the last collection
        self._warned = False  # whether the last collection warned of the quota
        place, url = os.environ.get(VARIABLE) or None, storage.url
        if place is None and url != "memory://":
            file = url.removeprefix("sqlite:///")
            place = f"{os.path.expanduser(file)}.checkpoints" if file != url else "trimtab-checkpoints"
        self.root = Path(place or tempfile.gettempdir()).absolute() / f"trimtab-{uid[:16]}"
        if place is None:
            weakref.finalize(storage, shutil.rmtree, self.root, ignore_errors=True)

    def path(self, number: int) -> Path:
        """A trial's directory: that of its latest attempt that has one; else that of a first attempt, which may not exist."""
        return _last(self.held()).get(number, self._of(number, 1))

    def _of(self, number: int, attempt: int) -> Path:
        return self.root / (str(number) if attempt == 1 else f"{number}-{attempt}")

    def folders(self, trial: Trial) -> Folders:
        """The directories that matter to the present attempt at a trial."""
        parent = parent_of(trial)
        earlier = [str(self._of(trial.number, k)) for k in range(trial.attempt - 1, 0, -1)]
        return Folders(
            str(self._of(trial.number, trial.attempt)), None if parent is None else str(self.path(parent)), earlier
        )

    def held(self) -> dict[Path, int]:
        """The existing directories, unfinished copies included, and the number of the trial to which each belongs."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return {}
        owners = {name: name.removeprefix(".").partition("-")[0] for name in names}
        return {self.root / name: int(owner) for name, owner in owners.items() if owner.isdigit()}

    def collect(self, ledger: Ledger, needed: Callable[[], frozenset[int]] = frozenset) -> None:
        """Remove the directories of ended trials that are no longer needed.

        needed: gives the trials from which the strategy may continue. Raises OverQuota if what is needed exceeds the
        quota.
        """
        held = self.held()
        now = (ledger.study.position, frozenset(held))
        if not held or now == self._collected:
            return
        last, gone = _last(held), [path for path, n in held.items() if ledger.has_ended(n)]
        if gone:
            must = needed() | {parent for t in ledger.open.values() if (parent := parent_of(t)) is not None}
            best = _best(ledger, _whole_number(KEEP, 1))
            kept = must | set(best)
            gone = [path for path in gone if held[path] not in kept or last.get(held[path]) != path]
            _remove(gone)
            self._within(best[1:], must)
        self._collected = (ledger.study.position, frozenset(self.held()))

    def remove(self) -> None:
        """Remove all of the study's directories."""
        _remove([self.root])

    def _within(self, spare: list[int], must: frozenset[int]) -> None:
        """Keep within the quota, if there is one.

        spare: trials whose directories may be removed for that, the last one first, except for those in `must`.
        """
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
    """By trial: the directory of its latest attempt, among existing ones. Unfinished copies are left out."""
    whole = [path for path in held if not path.name.startswith(".")]
    return {held[path]: path for path in sorted(whole, key=lambda path: int(path.name.partition("-")[2] or 1))}


def _best(ledger: Ledger, k: int) -> list[int]:
    """The numbers of the first trials of the k settings with the best values, the best first."""
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
    """The size of all files below a directory. Files that vanish meanwhile do not count."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
    return total
