"""Hears the reports of running trials for one process: writes them, reads what others wrote, and applies the rules.

A report and the look at those of others are one transaction: what the rules know when they judge a report is exactly
what was written before it, so that a verdict can be derived again from the record.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from .engine import jury
from .goals import Metrics
from .records import Outcome, Purpose, Report, State, StudySpec, Trial
from .stopping.jury import Jury, Verdict
from .storage import Storage

Now = Callable[[], float]


class Referee:
    """Takes reports for trials of one study; threads take turns. `now` gives seconds since the epoch."""

    def __init__(self, storage: Storage, study: int, spec_of: Callable[[], StudySpec], now: Now = time.time) -> None:
        self._storage, self._study, self._spec_of, self._now = storage, study, spec_of, now
        self._spec = spec_of()
        self._jury = jury(self._spec)
        self._turn = threading.RLock()

    def report(self, trial: Trial, step: float, metrics: Metrics, lease: float | None) -> Verdict | None:
        """Write a report and renew the lease; the verdict, if the trial should stop. Raises LeaseLost."""
        report = Report(trial.number, trial.attempt, step, metrics, self._now())
        with self._turn:
            judged = self._current()
            since = judged.heard if self._spec.stopping and trial.purpose is Purpose.SEARCH else None
            for r in self._storage.report(trial, [report], lease, since=since):
                judged.hear(r.number, r.step, r.metrics, r.written)
            return judged.verdicts.get(trial.number)

    def _current(self) -> Jury:
        """The jury; a new one, which has heard nothing yet, when the study's rules were revised."""
        spec = self._spec_of()
        if spec is not self._spec:
            fresh = jury(spec)
            if fresh.key != self._jury.key:
                self._jury = fresh
            self._spec = spec
        return self._jury

    def stopped(self, trial: Trial, outcome: Outcome) -> Outcome:
        """The outcome of a trial that heeded a rule, with the verdict for the record."""
        verdict = self._jury.verdicts.get(trial.number)
        if verdict is None or outcome.state not in (State.DONE, State.STOPPED):
            return outcome
        return replace(outcome, state=State.STOPPED, verdict=verdict.to_json())
