"""The reports of running trials: one process writes those of its own trials, reads those of others, and applies the rules.

Writing a report and reading what others have written is one transaction. So the rules judge a report by exactly what
was written before it, and a verdict can be derived again from the record.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from ..engine import stopping_rules
from ..goals import Metrics
from ..records import GOOD, Outcome, Purpose, Report, State, StudySpec, Trial
from ..stopping.rules import StoppingRules, Verdict
from ..storage import Storage

PART = 10_000  # earlier reports that are read at a time

Now = Callable[[], float]
Key = tuple[int, int]  # number and attempt of a trial


def key_of(trial: Trial) -> Key:
    """What identifies this attempt at a trial within its study."""
    return trial.number, trial.attempt


class Referee:
    """Takes the reports of trials of one study that run in this process. Thread-safe.

    spec_of: gives the study's current spec. now: gives seconds since the epoch. together: reports to which no rule
    objects are held for up to so many seconds, and written at once.
    """

    def __init__(
        self,
        storage: Storage,
        study: int,
        spec_of: Callable[[], StudySpec],
        now: Now = time.time,
        together: float = 0.0,
    ) -> None:
        self._together = together
        self._storage, self._study, self._spec_of, self._now = storage, study, spec_of, now
        self._spec = spec_of()
        self._rules: StoppingRules | None = None  # made at the first report, when there is a trial 0
        self._lock = threading.RLock()  # held while reports are written or judged
        # Held while new rules catch up, which may take long; others write meanwhile.
        self._rules_lock = threading.Lock()
        self._waiting: dict[Key, list[Report]] = {}  # reports to be written with the next one, or at the end
        self._written: dict[Key, float] = {}  # when reports of a trial were last written
        self._stops: dict[int, Verdict] = {}  # what trials were told, by number: the rules may be revised since

    def report(self, trial: Trial, step: float, metrics: Metrics, lease: float | None) -> Verdict | None:
        """Take a report: write it and renew the lease, or hold it for the next one.

        Returns the verdict if a rule says that the trial should stop. Raises LeaseLost.
        """
        now, rules = self._now(), self._current()
        with self._lock:
            key = key_of(trial)
            waiting = self._waiting.setdefault(key, [])
            waiting.append(Report(trial.number, trial.attempt, step, metrics, now))
            ruled = bool(self._spec.stopping) and trial.purpose is Purpose.SEARCH
            idle = not ruled or rules.idle(trial.number, step)
            if idle and now - self._written.setdefault(key, now) < self._together:
                return self._verdict(rules, trial.number) if ruled else None
            for r in self._write(trial, lease, rules.seen if ruled else None):
                rules.update(r.number, r.step, r.metrics, r.written)
            return self._verdict(rules, trial.number)

    def _verdict(self, rules: StoppingRules, number: int) -> Verdict | None:
        """The verdict that a trial is told, if there is one; it is kept for the record."""
        verdict = rules.verdicts.get(number)
        if verdict is not None:
            self._stops[number] = verdict
        return verdict

    def renew(self, trial: Trial, lease: float | None) -> None:
        """Renew the lease, and write the reports that are held. Raises LeaseLost."""
        with self._lock:
            self._write(trial, lease, None)

    def _write(self, trial: Trial, lease: float | None, since: int | None) -> list[Report]:
        """Write the held reports; returns those of all trials written after the `since`-th (see Storage.report)."""
        key = key_of(trial)
        waiting = self._waiting.get(key, [])
        new = self._storage.report(trial, waiting, lease, since=since)
        self._waiting[key], self._written[key] = [], self._now()
        return new

    def take_held(self, trial: Trial) -> list[Report]:
        """Take out the reports that are still held when a trial ends: the caller writes them."""
        key = key_of(trial)
        with self._lock:
            self._written.pop(key, None)
            return self._waiting.pop(key, [])

    def _current(self) -> StoppingRules:
        """The rules; new ones, which have seen all reports so far, if those of the study were revised."""
        with self._rules_lock:
            spec = self._spec_of()
            if self._rules is None or spec is not self._spec:
                first = self._storage.page(self._study, 0, 1) if spec.stopping else []
                fresh = stopping_rules(spec, first[0] if first else None)
                if self._rules is None or fresh.key != self._rules.key:
                    self._catch_up(fresh, spec)
                    self._rules = fresh
                self._spec = spec
            return self._rules

    def _catch_up(self, fresh: StoppingRules, spec: StudySpec) -> None:
        """Show new rules all earlier reports, in parts, since there may be very many."""
        while spec.stopping and (earlier := self._storage.reports_since(self._study, fresh.seen, PART)):
            for r in earlier:
                fresh.update(r.number, r.step, r.metrics, r.written)

    def stopped(self, trial: Trial, outcome: Outcome) -> Outcome:
        """The outcome of a trial that ended after it was told to stop, with the rule's verdict for the record."""
        verdict = self._stops.pop(trial.number, None)
        if verdict is None or outcome.state not in GOOD:
            return outcome
        return replace(outcome, state=State.STOPPED, verdict=verdict.to_json())
