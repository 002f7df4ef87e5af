"""The store in an SQL database, by SQLAlchemy Core. One method of Storage is one transaction."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, delete, select

from ..errors import LeaseLost, StudyNotFound
from ..records import OPEN, Change, Changes, Event, Outcome, Proposal, Report, StudyRecord, StudySpec, Trial
from . import operations, revisions, rows, schema, sqlite, witness
from .interrupts import deferred
from .statements import SqlTransaction
from .tables import events, private, reports, studies, trials


class Sql:
    """The store at `url` ("sqlite:///file.db"), made when there is none.

    timeout: seconds to wait for another program that writes. clock: seconds since the epoch. Safe for threads, for
    several processes, and after fork. Raises StorageError for what is no database of ours.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, clock: Callable[[], float] = time.time) -> None:
        self.url = url
        self._clock = clock
        self._database = sqlite.locate(url, timeout)
        self._begin()
        self._prepare()

    def _begin(self) -> None:
        """Connections and turns of this process; what a parent process had stays its own."""
        self._process = os.getpid()
        self._turn = threading.Lock()
        self._engine = sqlite.connect(self._database)

    def _prepare(self) -> None:
        database, place = self._database, str(self._database.file)
        with sqlite.explained(database):
            with self._engine.begin() as connection:
                found = schema.ready(connection, place)
            if database.writable:
                sqlite.write_ahead(self._engine, database)
            if not found:
                with self._writing() as connection:
                    if not schema.ready(connection, place):  # another process may have been faster
                        schema.make(connection)

    def _current(self) -> Engine:
        if os.getpid() != self._process:
            _inherited.append(self._engine)  # closing them here could disturb the parent's locks
            self._begin()
        return self._engine

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """One consistent snapshot."""
        with deferred(), sqlite.explained(self._database), self._current().begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """The only writer. Threads of this process queue here, which is fairer than polling the file's lock."""
        engine = self._current().execution_options(**{sqlite.WRITES: True})
        with deferred(), sqlite.explained(self._database), self._turn, engine.begin() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[SqlTransaction]:
        with self._writing() as connection:
            tx = SqlTransaction(connection, self._clock())
            yield tx
        if tx.heads:
            witness.append(self._database.witness, tx.heads)

    def create(self, spec: StudySpec) -> StudyRecord:
        with self._transaction() as tx:
            return operations.create(tx, spec)

    def studies(self) -> list[StudyRecord]:
        with self._reading() as connection:
            found = connection.execute(select(studies).order_by(studies.c.id)).mappings().all()
        return [rows.study_of(row) for row in found]

    def enqueue(self, study: int, proposals: Sequence[Proposal], *, at: int, seen: int) -> list[Trial]:
        with self._transaction() as tx:
            return operations.enqueue(tx, study, proposals, at, seen)

    def claim(
        self,
        studies: Sequence[int],
        worker: str,
        lease: float | None,
        *,
        number: int | None = None,
        purposes: Iterable[str] | None = None,
    ) -> Trial | None:
        wanted = None if purposes is None else frozenset(purposes)
        again = True
        while again:
            with self._transaction() as tx:
                trial, again = operations.claim(tx, studies, worker, lease, number, wanted)
        return trial

    def report(self, trial: Trial, reports: Sequence[Report], lease: float | None, since: int = 0) -> list[Report]:
        with self._transaction() as tx:
            operations.report(tx, trial, reports, lease)
            return tx.reports_since(trial.study, since)

    def finish(self, trial: Trial, outcome: Outcome) -> Trial:
        with self._transaction() as tx:
            ended = operations.finish(tx, trial, outcome)
        if ended is None:
            raise LeaseLost(operations.lost(trial))
        return ended

    def revise(self, study: int, change: Change) -> StudyRecord:
        with self._transaction() as tx:
            return revisions.revise(tx, study, change)

    def trials(self, study: int, since: int = 0) -> Changes:
        of_study = select(trials).where(trials.c.study == study)
        touched = of_study.where(trials.c.revision > since)
        still_open = of_study.where(trials.c.state.in_(sorted(OPEN)))  # apart: each has its index
        with self._reading() as connection:
            record = connection.execute(select(studies).where(studies.c.id == study)).mappings().first()
            if record is None:
                raise StudyNotFound(operations.unknown(study))
            found = list(connection.execute(touched).mappings())
            if since:
                found += [row for row in connection.execute(still_open).mappings() if row["revision"] <= since]
        return Changes(rows.study_of(record), sorted(map(rows.trial_of, found), key=lambda t: t.number))

    def reports(self, study: int, number: int | None = None) -> list[Report]:
        wanted = select(reports).where(reports.c.study == study)
        if number is not None:
            wanted = wanted.where(reports.c.number == number)
        wanted = wanted.order_by(reports.c.number, reports.c.attempt, reports.c.step)
        with self._reading() as connection:
            return [rows.report_of(row) for row in connection.execute(wanted).mappings()]

    def events(self, study: int, since: int = 0) -> list[Event]:
        wanted = select(events).where(events.c.study == study, events.c.position > since).order_by(events.c.position)
        with self._reading() as connection:
            return [rows.event_of(row) for row in connection.execute(wanted).mappings()]

    def actors(self, study: int) -> Mapping[int, tuple[str, str]]:
        wanted = select(private).where(private.c.study == study).order_by(private.c.position)
        with self._reading() as connection:
            return dict(rows.actor_of(row) for row in connection.execute(wanted).mappings())

    def witnessed(self, uid: str) -> list[tuple[int, str]]:
        return witness.read(self._database.witness, uid)

    def delete(self, study: int) -> None:
        with self._transaction() as tx:
            operations.known(tx, study)
            for table in (private, reports, events, trials):
                tx.connection.execute(delete(table).where(table.c.study == study))
            tx.connection.execute(delete(studies).where(studies.c.id == study))

    def close(self) -> None:
        """Close the connections of this process; the store opens new ones if it is used again."""
        if os.getpid() == self._process:
            self._engine.dispose()


_inherited: list[Engine] = []
"""Engines of parent processes: kept from being closed, never used."""
