"""Directories in which trials save their state: kept as long as somebody needs them, then collected.

A trial has one directory for all its attempts: what a killed attempt has saved is there for the next. It is kept while the
trial is open, and of those that have ended for the best one. Directories lie in TRIMTAB_CHECKPOINTS, else beside an SQLite
file (FILE.checkpoints), else in ./trimtab-checkpoints; those of a study in memory go with the process. Workers on several
machines need a folder that all of them see.
"""

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from .engine import Ledger, baseline_metrics, best, candidates
from .records import OPEN

VARIABLE = "TRIMTAB_CHECKPOINTS"


class Checkpoints:
    """The directories of one study: url of its store, uid of the study."""

    def __init__(self, url: str, uid: str) -> None:
        self._settled: tuple[int, frozenset[int]] = (-1, frozenset())
        place = os.environ.get(VARIABLE)
        if place is None and url != "memory://":
            file = url.removeprefix("sqlite:///")
            place = f"{file}.checkpoints" if file != url else "trimtab-checkpoints"
        self.root = Path(place or tempfile.gettempdir()).absolute() / f"trimtab-{uid[:16]}"
        if place is None:
            weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)

    def path(self, number: int) -> Path:
        """A trial's directory, whether it exists or not."""
        return self.root / str(number)

    def held(self) -> frozenset[int]:
        """The trials that have one."""
        try:
            return frozenset(int(entry.name) for entry in os.scandir(self.root) if entry.name.isdigit())
        except FileNotFoundError:
            return frozenset()

    def collect(self, ledger: Ledger) -> None:
        """Remove the directories of trials that have ended, but for the best one's."""
        ended = frozenset(n for n in self.held() if n in ledger.trials and ledger.trials[n].state not in OPEN)
        if not ended or self._settled == (len(ledger.told), ended):
            return
        spec = ledger.study.spec
        leader = best(spec, candidates(spec, ledger.told, baseline_metrics(spec, ledger.baseline)))
        kept = {leader.trial.number} & ended if leader is not None else set()
        for number in ended - kept:
            shutil.rmtree(self.path(number), ignore_errors=True)
        self._settled = (len(ledger.told), frozenset(kept))
