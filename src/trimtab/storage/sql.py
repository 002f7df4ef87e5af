"""The store in an SQL database, by SQLAlchemy Core."""

import math
import os
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine, bindparam, case, delete, or_, select

from ..canonical import storable
from ..errors import LeaseLost, StorageError, StudyNotFound
from ..interrupts import deferred
from ..records import (
    LIVING,
    TOLD,
    Change,
    Changes,
    Event,
    Outcome,
    Proposal,
    Report,
    State,
    StudyRecord,
    StudySpec,
    Trial,
)
from ..records.columns import Outline, Results
from . import (
    LEASE,
    Claim,
    CompleteStudy,
    Ending,
    OnDamage,
    Settled,
    Then,
    bulk,
    compiled,
    operations,
    revisions,
    rows,
    schema,
    witness,
)
from .database import FAULTS, WRITES
from .statements import SCHEMA_NOW, SELECT_NEWER, UNKNOWN, Known, SqlTransaction, current_study, touched
from .tables import events, is_open, private, reports, studies, trials
from .urls import locate

T = TypeVar("T")


_POSITIONS = (
    select(studies.c.id, studies.c.position)
    .where(or_(*(studies.c.state == state.value for state in LIVING)))
    .order_by(studies.c.id)
)
_STUDY = select(studies, SCHEMA_NOW).where(studies.c.id == bindparam("study"))
_OPEN = select(trials).where(trials.c.study == bindparam("study"), is_open)
_PAGE = (
    select(trials)
    .where(trials.c.study == bindparam("study"), trials.c.number >= bindparam("first"))
    .where(trials.c.number < bindparam("stop"))
    .order_by(trials.c.number)
)
_REPORTS_SINCE = SELECT_NEWER.limit(bindparam("most"))
_ENDS = (
    select(*(trials.c[name] for name in bulk.ENDS))
    .where(trials.c.study == bindparam("study"), trials.c.told.is_not(None))
    .order_by(trials.c.told)
)
_FIRST_EVENTS = (
    select(events)
    .join_from(studies, events, (events.c.study == studies.c.id) & (events.c.position == 1))  # by the key of each
    .order_by(studies.c.id)
)
_RESULTS = (
    select(*(trials.c[name] for name in bulk.RESULTS), case((trials.c.why.contains('"member"'), trials.c.why)))
    # Not needed, since told <= revision; but revisions are indexed.
    .where(trials.c.study == bindparam("study"), trials.c.revision > bindparam("after"))
    .where(trials.c.told > bindparam("after"), trials.c.told <= bindparam("upto"))
    .where(or_(*(trials.c.purpose == p.value for p in sorted(TOLD))), trials.c.state != State.CANCELLED.value)
    .order_by(trials.c.told)
)


class Sql:
    """The store at `url`, "sqlite:///file.db" or "postgresql://user@host/name". Creates the tables if there are none.

    timeout: seconds to wait for other writers. clock: gives seconds since the epoch; default: the database's own time, or
    this machine's.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._database = locate(url, timeout)
        self.url = self._database.url
        self._known: dict[int, Known] = {}  # by study
        self._away = (-math.inf, 0.0)  # when the last wait for the database ended, and how long it took
        self._begin()
        try:
            self._retrying(self._prepare, opening=True)
        except BaseException:
            self._engine.dispose()
            raise

    def _begin(self) -> None:
        """Make connections and locks for this process. After a fork, those of the parent process are left to it."""
        self._process = os.getpid()
        self._write_lock = self._database.write_lock()
        self._engine = self._database.connect()
        self._writer = self._engine.execution_options(**{WRITES: True})
        weakref.finalize(self, _retire, self._engine, self._process).atexit = False

    def _prepare(self) -> None:
        """Check that the database is ours, and create our tables if it is empty."""
        with self._reading() as connection:
            found = schema.ready(connection, self._database.place)
        self._database.prepare(self._engine)
        if not found:
            with self._writing() as connection:
                self._database.lock(connection)
                if not schema.ready(connection, self._database.place):  # another process may have been faster
                    schema.make(connection)

    def _current(self) -> Engine:
        """The engine of this process."""
        if os.getpid() != self._process:
            _inherited.append(self._engine)  # not closed: that could release locks of the parent process
            self._begin()
        return self._engine

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A reading transaction: one consistent snapshot."""
        with deferred(), self._current().begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A writing transaction; threads of this process may have to wait for it."""
        self._current()
        with deferred(), self._write_lock, self._writer.begin() as connection:
            yield connection

    def _retrying(self, step: Callable[[], T], opening: bool = False) -> T:
        """The result of `step`, tried again as long as the database says that waiting helps. Raises StorageError."""
        began = time.monotonic()
        while True:
            try:
                return step()
            except FAULTS as error:
                waited = time.monotonic() - began
                pause = self._database.retry_after(error, waited, opening)
                if pause is None:
                    raise StorageError(self._database.explain(error)) from None
            time.sleep(pause)
            self._known.clear()  # it may come back as an older copy
            self._away = (time.monotonic(), waited + pause)

    def _read(self, look: Callable[[Connection], T]) -> T:
        """What `look` finds in one consistent snapshot."""

        def step() -> T:
            with self._reading() as connection:
                return look(connection)

        return self._retrying(step)

    def _write(self, work: Callable[[SqlTransaction], T]) -> T:
        """Do `work` in one transaction: exactly once, even if the server goes away during the commit."""
        done: list[tuple[str, SqlTransaction, T]] = []

        def step() -> None:
            if done and self._database.committed(self._current(), done[0][0]):
                return
            done.clear()
            with self._writing() as connection:
                now, ticket = self._database.ticket(connection)
                tx = SqlTransaction(connection, self._now(now), self._grace(), self._known)
                result = work(tx)
                tx.flush()
                done.append((ticket, tx, result))

        self._retrying(step)
        _, tx, result = done[0]
        if tx.heads and self._database.witness is not None:
            witness.append(self._database.witness, [(uid, *head) for uid, head in tx.heads.items()])
        return result

    def _now_of(self, connection: Connection) -> float:
        return self._now(self._database.now(connection))

    def _now(self, of_database: float | None) -> float:
        if self._clock is not None:
            return self._clock()
        return time.time() if of_database is None else of_database

    def _grace(self) -> float:
        """Seconds for which expired leases are still honoured, because nobody could renew them while the server was away."""
        back, seconds = self._away
        return seconds + 1.0 if seconds > 1.0 and time.monotonic() - back < LEASE else 0.0

    def create(self, spec: StudySpec) -> StudyRecord:
        return self._write(lambda tx: operations.create(tx, spec))

    def studies(self, name: str | None = None, *, damaged: OnDamage | None = None) -> list[StudyRecord]:
        if name is not None and name != storable(name):
            return []
        wanted = select(studies) if name is None else select(studies).where(studies.c.name == name)
        found = self._read(lambda c: c.execute(wanted.order_by(studies.c.id)).mappings().all())
        return rows.studies_of(found, damaged)

    def study(self, study: int) -> StudyRecord:
        return self._read(lambda c: _record(c, study))

    def positions(self) -> dict[int, int]:
        return dict(self._read(lambda c: compiled.table(c, _POSITIONS, {})))

    def enqueue(
        self, study: int, proposals: Sequence[Proposal], *, at: int, seen: int, claim: Claim | None = None
    ) -> list[Trial]:
        return self._write(lambda tx: operations.enqueue(tx, study, proposals, at, seen, claim))

    def claim(self, study: int, worker: str, lease: float | None, number: int | None = None) -> Trial | None:
        again = True
        while again:
            trial, again = self._write(lambda tx: operations.claim(tx, study, worker, lease, number))
        return trial

    def report(
        self, trial: Trial, reports: Sequence[Report], lease: float | None, since: int | None = 0
    ) -> list[Report]:
        def work(tx: SqlTransaction) -> list[Report]:
            operations.report(tx, trial, reports, lease)
            return [] if since is None else tx.reports_since(trial.study, since)

        return self._write(work)

    def finish(self, trial: Trial, outcome: Outcome, reports: Sequence[Report] = ()) -> Trial:
        ended = self._write(lambda tx: operations.finish(tx, trial, outcome, reports))
        if ended is None:
            raise LeaseLost(operations.lease_lost(trial))
        return ended

    def settle(self, study: int, endings: Sequence[Ending], since: int, then: Then) -> Settled:
        settled, tx = self._write(lambda tx: (operations.settle(tx, study, endings, since, then), tx))
        self._known[study] = tx.known_after
        return settled

    def revise(self, study: int, change: Change) -> StudyRecord:
        return self._write(lambda tx: revisions.revise(tx, study, change))

    def trials(self, study: int, since: int = 0) -> Changes:
        def look(connection: Connection) -> Changes:
            record = _record(connection, study)
            found, base = touched(connection, study, since, self._known.get(study, UNKNOWN) if since else UNKNOWN)
            return Changes(record, found, self._now_of(connection), base)

        changes = self._read(look)
        self._known[study] = Known.of(changes.study, changes.trials)
        return changes

    def outline(self, study: int) -> Outline:
        def look(connection: Connection) -> Outline:
            record = _record(connection, study)
            opened = compiled.rows(connection, _OPEN, {"study": study})
            ends = bulk.ends_of(compiled.table(connection, _ENDS, {"study": study}))
            waiting = sorted(map(rows.trial_of, opened), key=lambda t: t.number)
            return Outline(record, waiting, ends, self._now_of(connection))

        return self._read(look)

    def page(self, study: int, first: int, stop: int) -> list[Trial]:
        span = {"study": study, "first": first, "stop": stop}
        return [rows.trial_of(row) for row in self._read(lambda c: compiled.rows(c, _PAGE, span))]

    def results(self, study: int, after: int, upto: int) -> Results:
        span = {"study": study, "after": after, "upto": upto}
        return bulk.results_of(self._read(lambda c: compiled.table(c, _RESULTS, span)))

    def reports(self, study: int, number: int | None = None) -> list[Report]:
        wanted = select(reports).where(reports.c.study == study)
        if number is not None:
            wanted = wanted.where(reports.c.number == number)
        wanted = wanted.order_by(reports.c.number, reports.c.attempt, reports.c.step)
        return self._read(lambda c: [rows.report_of(row) for row in c.execute(wanted).mappings()])

    def reports_since(self, study: int, since: int, most: int) -> list[Report]:
        values = {"of_study": study, "since": since, "most": most}
        return [rows.report_of(row) for row in self._read(lambda c: compiled.rows(c, _REPORTS_SINCE, values))]

    def events(self, study: int, since: int = 0, *, kinds: Collection[str] | None = None) -> list[Event]:
        wanted = select(events).where(events.c.study == study, events.c.position > since).order_by(events.c.position)
        if kinds is not None:
            wanted = wanted.where(events.c.kind.in_(sorted(kinds)))
        return self._read(lambda c: [rows.event_of(row) for row in c.execute(wanted).mappings()])

    def first_events(self) -> dict[int, Event]:
        found = self._read(lambda c: c.execute(_FIRST_EVENTS).mappings().all())
        return rows.events_by_study((row["study"], row) for row in found)

    def actors(self, study: int) -> Mapping[int, tuple[str, str]]:
        wanted = select(private).where(private.c.study == study).order_by(private.c.position)
        return dict(rows.actor_of(row) for row in self._read(lambda c: c.execute(wanted).mappings().all()))

    def witnessed(self, uid: str) -> list[tuple[int, str]]:
        return [] if self._database.witness is None else witness.read(self._database.witness, uid)

    def adopt(self, whole: CompleteStudy) -> StudyRecord:
        return self._write(lambda tx: operations.adopt(tx, whole))

    def delete(self, study: int) -> None:
        def work(tx: SqlTransaction) -> None:
            operations.existing_study(tx, study)
            for table in (private, reports, events, trials):
                tx.connection.execute(delete(table).where(table.c.study == study))
            tx.connection.execute(delete(studies).where(studies.c.id == study))

        self._write(work)

    def close(self) -> None:
        """Close this process's connections; the store opens new ones if it is used again."""
        if os.getpid() == self._process:
            self._engine.dispose()


def _record(connection: Connection, study: int) -> StudyRecord:
    found = compiled.rows(connection, _STUDY, {"study": study})
    if not found:
        raise StudyNotFound(operations.not_found(study))
    return current_study(found[0])


def _retire(engine: Engine, process: int) -> None:
    """Close the connections of a store that is no longer used, if this is the process that made them."""
    if os.getpid() == process:
        engine.dispose()


_inherited: list[Engine] = []
"""Engines of parent processes: never used, but referenced, so that they are not closed."""
