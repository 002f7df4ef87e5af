"""The reference store: rows in dictionaries, private to this process, safe for its threads."""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ..errors import LeaseLost
from ..interrupts import deferred
from ..records import (
    LIVING,
    OPEN,
    TOLD,
    Change,
    Changes,
    Event,
    Outcome,
    Proposal,
    Purpose,
    Report,
    State,
    StudyRecord,
    StudySpec,
    StudyState,
    Trial,
)
from ..records.columns import End, Outline, Results
from . import Claim, CompleteStudy, Ending, OnDamage, Settled, Then, operations, revisions, rows
from .rows import Row
from .rules import Actor


@dataclass
class _Tables:
    """All rows, by study.

    A study's trials are in the order of their revisions, its reports in the order of writing. So what is newer than some
    position is found from the end.
    """

    studies: dict[int, Row] = field(default_factory=dict)
    trials: dict[int, dict[int, Row]] = field(default_factory=lambda: defaultdict(dict))  # by number
    open: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))  # numbers of the open trials
    reports: dict[int, dict[int, Row]] = field(default_factory=lambda: defaultdict(dict))  # by Report.written
    # By study and trial: Report.written of each (attempt, step).
    places: dict[tuple[int, int], dict[tuple[int, float], int]] = field(default_factory=lambda: defaultdict(dict))
    written: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # how often a report was written
    events: dict[int, list[Row]] = field(default_factory=lambda: defaultdict(list))
    actors: dict[int, dict[int, Actor]] = field(default_factory=lambda: defaultdict(dict))  # by event position
    last_id: int = 0  # of the studies
    # The open trials as they were last read, by number: making one from its row takes long, and thousands may wait.
    read: dict[int, dict[int, Trial]] = field(default_factory=lambda: defaultdict(dict))

    def trial(self, study: int, number: int) -> Trial:
        """A trial that exists."""
        made = rows.trial_of(self.trials[study][number], self.read[study].get(number))
        if number in self.open[study]:
            self.read[study][number] = made
        return made

    def ended(self, study: int, number: int) -> None:
        """Note that a trial is no longer open."""
        self.open[study].discard(number)
        self.read[study].pop(number, None)

    def reports_of(self, study: int, number: int) -> list[Report]:
        """A trial's reports, by attempt and step."""
        places = self.places[study, number]
        return [rows.report_of(self.reports[study][places[key]]) for key in sorted(places)]

    def newer_reports(self, study: int, since: int) -> list[Report]:
        """Reports of search trials that were written after the `since`-th, in that order."""
        table, trials, found = self.reports[study], self.trials[study], list[Report]()
        for written in reversed(table):
            if written <= since:
                break
            if trials[table[written]["number"]]["purpose"] == Purpose.SEARCH:
                found.append(rows.report_of(table[written]))
        return found[::-1]


class _Transaction:
    """A transaction (see transaction.Transaction). It writes on commit; until then it reads the old rows, except that
    trials it has added count as open."""

    def __init__(self, tables: _Tables, now: float) -> None:
        self.now = now
        self._tables = tables
        self._writes: list[Callable[[], None]] = []
        self._added: list[Trial] = []  # those of the added trials that are open

    def commit(self) -> None:
        for write in self._writes:
            write()

    def named(self, name: str) -> StudyRecord | None:
        return next((rows.study_of(r) for r in self._tables.studies.values() if r["active"] == name), None)

    def archived(self, name: str) -> list[str]:
        return [r["uid"] for _, r in sorted(self._tables.studies.items()) if r["name"] == name and r["active"] is None]

    def study(self, study: int) -> StudyRecord | None:
        row = self._tables.studies.get(study)
        return None if row is None else rows.study_of(row)

    def trial(self, study: int, number: int) -> Trial | None:
        return self._tables.trial(study, number) if number in self._tables.trials[study] else None

    def trials_with_reports(
        self, study: int, numbers: Sequence[int]
    ) -> tuple[StudyRecord | None, dict[int, tuple[Trial, list[Report]]]]:
        found = {number: trial for number in numbers if (trial := self.trial(study, number)) is not None}
        return self.study(study), {n: (trial, self.reports(study, n)) for n, trial in found.items()}

    def open_trials(self, study: int) -> list[Trial]:
        kept = [self._tables.trial(study, n) for n in sorted(self._tables.open[study])]
        return kept + [t for t in self._added if t.study == study]

    def count_open_search(self, study: int) -> int:
        table = self._tables.trials[study]
        kept = [table[n]["purpose"] for n in self._tables.open[study]]
        return [*kept, *(t.purpose for t in self._added if t.study == study)].count(Purpose.SEARCH)

    def changes(self, study: int, since: int) -> Changes:
        record = operations.existing_study(self, study)
        table, numbers = self._tables.trials[study], set(self._tables.open[study])
        for number in reversed(table):
            if table[number]["revision"] <= since:
                break
            numbers.add(number)
        found = [self._tables.trial(study, n) for n in sorted(numbers)]
        base = self._tables.events[study][since - 1]["hash"] if 0 < since <= record.position else ""
        return Changes(record, found, self.now, base)

    def claimable(self, study: int, number: int | None) -> Trial | None:
        if study not in self._tables.studies:
            return None
        table, state = self._tables.trials[study], self._tables.studies[study]["state"]
        found = [row for row in map(table.__getitem__, self._tables.open[study]) if self._may_be_claimed(row, state)]
        wanted = [r for r in found if (r["purpose"] == Purpose.SEARCH if number is None else r["number"] == number)]
        first = min(wanted, key=lambda r: (-r["priority"], r["number"]), default=None)
        return None if first is None else self._tables.trial(study, first["number"])

    def _may_be_claimed(self, row: Row, state: str) -> bool:
        if row["state"] == State.QUEUED:
            return state == StudyState.OPEN
        abandoned = row["lease_until"] is not None and row["lease_until"] <= self.now
        return abandoned and state in (StudyState.OPEN, StudyState.CANCELLED)

    def reports(self, study: int, number: int) -> list[Report]:
        return self._tables.reports_of(study, number)

    def requeues(self, study: int, number: int) -> list[Event]:
        return [
            rows.event_of(row)
            for row in self._tables.events[study]
            if row["kind"] == "requeue" and row["number"] == number
        ]

    def add_study(self, study: StudyRecord) -> StudyRecord:
        self._tables.last_id += 1
        added = replace(study, id=self._tables.last_id)
        self.save_study(added)
        return rows.study_of(rows.study_row(added))

    def save_study(self, study: StudyRecord) -> None:
        row = rows.study_row(study)
        self._writes.append(lambda: self._tables.studies.update({study.id: row}))

    def add_trials(self, trials: Sequence[Trial]) -> None:
        self._added += [t for t in trials if t.state in OPEN]
        for trial in trials:
            self._save(trial)

    def save_trial(self, before: Trial, after: Trial) -> None:
        del before  # the whole row is cheap
        self._save(after)

    def _save(self, trial: Trial) -> None:
        row = rows.trial_row(trial)

        def write() -> None:
            table = self._tables.trials[trial.study]
            if trial.number in table and table[trial.number]["revision"] != trial.revision:
                del table[trial.number]  # and add it at the end, to keep the order of revisions
            table[trial.number] = row
            if trial.state in OPEN:
                self._tables.open[trial.study].add(trial.number)
            else:
                self._tables.ended(trial.study, trial.number)

        self._writes.append(write)

    def swap_trial(self, before: Trial, after: Trial) -> bool:
        row = self._tables.trials[before.study].get(before.number)
        if row is None or (row["state"], row["attempt"]) != (before.state, before.attempt):
            return False
        self._save(after)
        return True

    def renew(self, trial: Trial, until: float | None) -> bool:
        row = self._tables.trials[trial.study].get(trial.number)
        if row is None or (row["state"], row["attempt"]) != (State.RUNNING, trial.attempt):
            return False
        unheld = max(0.0, self.now - (row["lease_until"] or math.inf))
        self._writes.append(lambda: row.update(lease_until=until, started=row["started"] + unheld))
        return True

    def write_reports(self, trial: Trial, reports: Sequence[Report]) -> None:
        made = [rows.report_row(r) for r in reports]

        def write() -> None:
            table, places = self._tables.reports[trial.study], self._tables.places[trial.study, trial.number]
            for row in made:
                key = (trial.attempt, row["step"])
                table.pop(places.get(key, 0), None)
                self._tables.written[trial.study] += 1
                places[key] = self._tables.written[trial.study]
                table[places[key]] = {**row, "written": places[key]}

        self._writes.append(write)

    def add_reports(self, study: int, reports: Sequence[Report]) -> None:
        made = [{**rows.report_row(r), "written": r.written} for r in reports]

        def write() -> None:
            for row in made:
                self._tables.reports[study][row["written"]] = row
                self._tables.places[study, row["number"]][row["attempt"], row["step"]] = row["written"]
                self._tables.written[study] = row["written"]

        self._writes.append(write)

    def add_events(self, study: StudyRecord, events: Sequence[Event]) -> None:
        made = [rows.event_row(e) for e in events]
        self._writes.append(lambda: self._tables.events[study.id].extend(made))

    def add_actors(self, study: int, actors: Sequence[tuple[int, Actor]]) -> None:
        self._writes.append(lambda: self._tables.actors[study].update(actors))


class Memory:
    """A store in this process. clock: gives seconds since the epoch."""

    url = "memory://"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._tables = _Tables()

    @contextmanager
    def _transaction(self) -> Iterator[_Transaction]:
        with deferred(), self._lock:
            tx = _Transaction(self._tables, self._clock())
            yield tx
            tx.commit()

    def create(self, spec: StudySpec) -> StudyRecord:
        with self._transaction() as tx:
            return operations.create(tx, spec)

    def studies(self, name: str | None = None, *, damaged: OnDamage | None = None) -> list[StudyRecord]:
        with self._lock:
            return rows.studies_of((r for r in self._tables.studies.values() if name in (None, r["name"])), damaged)

    def study(self, study: int) -> StudyRecord:
        with self._transaction() as tx:
            return operations.existing_study(tx, study)

    def positions(self) -> dict[int, int]:
        with self._lock:
            return {n: row["position"] for n, row in self._tables.studies.items() if row["state"] in LIVING}

    def enqueue(
        self, study: int, proposals: Sequence[Proposal], *, at: int, seen: int, claim: Claim | None = None
    ) -> list[Trial]:
        with self._transaction() as tx:
            return operations.enqueue(tx, study, proposals, at, seen, claim)

    def claim(self, study: int, worker: str, lease: float | None, number: int | None = None) -> Trial | None:
        again = True
        while again:
            with self._transaction() as tx:
                trial, again = operations.claim(tx, study, worker, lease, number)
        return trial

    def report(
        self, trial: Trial, reports: Sequence[Report], lease: float | None, since: int | None = 0
    ) -> list[Report]:
        with self._lock:
            with self._transaction() as tx:
                operations.report(tx, trial, reports, lease)
            return [] if since is None else self._tables.newer_reports(trial.study, since)

    def finish(self, trial: Trial, outcome: Outcome, reports: Sequence[Report] = ()) -> Trial:
        with self._transaction() as tx:
            ended = operations.finish(tx, trial, outcome, reports)
        if ended is None:
            raise LeaseLost(operations.lease_lost(trial))
        return ended

    def settle(self, study: int, endings: Sequence[Ending], since: int, then: Then) -> Settled:
        with deferred(), self._lock:
            with self._transaction() as tx:
                ended = operations.finish_all(tx, study, endings)
            with self._transaction() as tx:  # a second one, which reads what the first has written
                return operations.follow(tx, study, ended, since, then)

    def revise(self, study: int, change: Change) -> StudyRecord:
        with self._transaction() as tx:
            return revisions.revise(tx, study, change)

    def trials(self, study: int, since: int = 0) -> Changes:
        with self._lock:
            return _Transaction(self._tables, self._clock()).changes(study, since)

    def outline(self, study: int) -> Outline:
        changes = self.trials(study)
        ended = sorted((t for t in changes.trials if t.state not in OPEN), key=lambda t: t.told or 0)
        return Outline(
            changes.study, [t for t in changes.trials if t.state in OPEN], [End.of(t) for t in ended], changes.now
        )

    def page(self, study: int, first: int, stop: int) -> list[Trial]:
        with self._lock:
            table = self._tables.trials[study]
            return [self._tables.trial(study, n) for n in range(first, stop) if n in table]

    def results(self, study: int, after: int, upto: int) -> Results:
        found = [t for t in self.trials(study, since=after).trials if t.purpose in TOLD and t.told is not None]
        told = [t for t in found if after < (t.told or 0) <= upto and t.state is not State.CANCELLED]
        return Results.of(sorted(told, key=lambda t: t.told or 0))

    def reports(self, study: int, number: int | None = None) -> list[Report]:
        with self._lock:
            numbers = sorted(self._tables.trials[study]) if number is None else [number]
            return [report for n in numbers for report in self._tables.reports_of(study, n)]

    def reports_since(self, study: int, since: int, most: int) -> list[Report]:
        with self._lock:
            return self._tables.newer_reports(study, since)[:most]

    def events(self, study: int, since: int = 0, *, kinds: Collection[str] | None = None) -> list[Event]:
        with self._lock:
            return [
                rows.event_of(row)
                for row in self._tables.events[study][since:]
                if kinds is None or row["kind"] in kinds
            ]

    def first_events(self) -> dict[int, Event]:
        with self._lock:
            return rows.events_by_study((study, self._tables.events[study][0]) for study in self._tables.studies)

    def actors(self, study: int) -> Mapping[int, tuple[str, str]]:
        with self._lock:
            return {position: (a.salt, a.name) for position, a in self._tables.actors[study].items()}

    def witnessed(self, uid: str) -> list[tuple[int, str]]:
        del uid  # private memory keeps no witness
        return []

    def adopt(self, whole: CompleteStudy) -> StudyRecord:
        with self._transaction() as tx:
            return operations.adopt(tx, whole)

    def delete(self, study: int) -> None:
        with deferred(), self._lock:
            operations.existing_study(_Transaction(self._tables, 0.0), study)
            t = self._tables
            for number in t.trials[study]:
                t.places.pop((study, number), None)
            for table in (t.studies, t.trials, t.open, t.read, t.reports, t.written, t.events, t.actors):
                table.pop(study, None)

    def close(self) -> None:
        """Nothing to close: the records go with the object."""
