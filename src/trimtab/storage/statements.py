"""A writing transaction on an SQL database: the statements behind `transaction.Transaction`."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Double,
    Select,
    Update,
    and_,
    bindparam,
    case,
    column,
    func,
    insert,
    or_,
    select,
    table,
    text,
    update,
)
from sqlalchemy.sql import ClauseElement

from ..errors import StorageError
from ..records import OPEN, Changes, Event, Purpose, Report, State, StudyRecord, StudyState, Trial
from . import compiled, operations, rows, schema
from .rules import Actor
from .tables import SCHEMA, VERSION_TABLE, events, is_open, private, reports, studies, trials

_MANY = 2000  # how many writes are collected before they are sent

# Statements are built once, since building one takes longer than running it. Parameters by which rows are found are called
# of_..., since the others have the names of columns.
_STUDY: BindParameter[int] = bindparam("of_study")
_NUMBER: BindParameter[int] = bindparam("of_number")
_ATTEMPT: BindParameter[int] = bindparam("of_attempt")
_KEY = and_(trials.c.study == _STUDY, trials.c.number == _NUMBER)
_HELD = and_(
    _KEY,
    trials.c.state == bindparam("of_state"),
    trials.c.attempt == _ATTEMPT,
    trials.c.created == bindparam("of_created"),  # another one if the record was set back and the number given anew
)
_OF_TRIAL = and_(reports.c.study == _STUDY, reports.c.number == _NUMBER)

SCHEMA_NOW = select(table(VERSION_TABLE, column("version_num")).c.version_num).scalar_subquery().label("schema")
"""The database's schema, as a column: it is read along with a study."""

_SELECT_NAMED = select(studies).where(studies.c.active == bindparam("of_name")).with_for_update()
_SELECT_ARCHIVED = (
    select(studies.c.uid)
    .where(studies.c.name == bindparam("of_name"), studies.c.active.is_(None))
    .order_by(studies.c.id)
)
_SELECT_STUDY = select(studies, SCHEMA_NOW).where(studies.c.id == _STUDY).with_for_update()
_SELECT_TRIAL = select(trials).where(_KEY).with_for_update()
_SELECT_OPEN = select(trials).where(trials.c.study == _STUDY, is_open).order_by(trials.c.number).with_for_update()
_COUNT_SEARCHING = select(func.count().label("n")).where(
    trials.c.study == _STUDY, is_open, trials.c.purpose == Purpose.SEARCH.value
)
_TOUCHED = select(trials).where(trials.c.study == _STUDY, trials.c.revision > bindparam("since"))
_SELECT_HASH = select(events.c.hash).where(events.c.study == _STUDY, events.c.position == bindparam("since"))
_unindexed = trials.c.revision + 0  # open trials are few: they are found by their state, not by their revision
_OLDER = select(trials).where(trials.c.study == _STUDY, is_open, _unindexed <= bindparam("since"))
_RUNNING = select(trials).where(
    trials.c.study == _STUDY, trials.c.state == State.RUNNING.value, _unindexed <= bindparam("since")
)
_SELECT_REPORTS = select(reports).where(_OF_TRIAL)
SELECT_NEWER = (
    select(reports)
    .join(trials, and_(trials.c.study == reports.c.study, trials.c.number == reports.c.number))
    .where(reports.c.study == _STUDY, reports.c.written > bindparam("since"), trials.c.purpose == Purpose.SEARCH.value)
    .order_by(reports.c.written)
)
_SELECT_LAST = select(func.coalesce(func.max(reports.c.written), 0).label("last")).where(reports.c.study == _STUDY)
_SELECT_REQUEUES = select(events).where(
    events.c.study == _STUDY, events.c.number == _NUMBER, events.c.kind == "requeue"
)
_INSERT_STUDY = insert(studies).returning(studies.c.id)
_INSERT_TRIALS, _INSERT_REPORTS, _INSERT_EVENTS, _INSERT_ACTORS = map(insert, (trials, reports, events, private))
_UPDATE_STUDY = update(studies).where(studies.c.id == _STUDY)
_UPDATE_TRIAL = update(trials).where(_KEY)
_UPDATE_HELD = update(trials).where(_HELD)
_NOW: BindParameter[float] = bindparam("of_now", type_=Double)
_UNHELD = case((trials.c.lease_until < _NOW, _NOW - trials.c.lease_until), else_=0.0)  # seconds since its lease ran out
_RENEW = _UPDATE_HELD.values(started=trials.c.started + _UNHELD)
# Replaces an earlier report of the same step by an update: a user need not have the right to delete.
_WRITE_REPORTS = text(
    "INSERT INTO reports (study, number, attempt, step, metrics, at, written) "
    "VALUES (:study, :number, :attempt, :step, :metrics, :at, :written) "
    "ON CONFLICT (study, number, attempt, step) "
    "DO UPDATE SET metrics = excluded.metrics, at = excluded.at, written = excluded.written"
)


@cache
def _select_endings(n: int) -> tuple[Select[Any], Select[Any]]:
    """The statements for n trials of a study, which they lock, and for their reports."""
    wanted: list[BindParameter[int]] = [bindparam(name) for name in _numbers([0] * n)]
    of_study = trials.c.study == _STUDY, trials.c.number.in_(wanted)
    return (
        select(trials).where(*of_study).with_for_update(),
        select(reports).where(reports.c.study == _STUDY, reports.c.number.in_(wanted)),
    )


def _numbers(numbers: Sequence[int]) -> dict[str, int]:
    """Numbers by parameter name. The last is repeated until they are a power of two, so that there are few statements."""
    n = 1 << (len(numbers) - 1).bit_length()
    return {f"of_number_{i}": numbers[min(i, len(numbers) - 1)] for i in range(n)}


def _select_claimable(wanted: ColumnElement[bool]) -> Select[Any]:
    """The statement for the first of the wanted trials that may be claimed, which it locks. Trials that another process
    locks are skipped."""
    is_open_study, is_cancelled = (studies.c.state == s.value for s in (StudyState.OPEN, StudyState.CANCELLED))
    waits = and_(trials.c.state == State.QUEUED.value, is_open_study)
    expired = and_(trials.c.state == State.RUNNING.value, trials.c.lease_until <= bindparam("before"))
    abandoned = and_(expired, or_(is_open_study, is_cancelled))
    return (
        select(trials)
        .join(studies, studies.c.id == trials.c.study)
        .where(trials.c.study == _STUDY, is_open, wanted, or_(waits, abandoned))
        .order_by(trials.c.priority.desc(), trials.c.number)
        .limit(1)
        .with_for_update(of=trials, skip_locked=True)
    )


_CLAIMABLE_SEARCH = _select_claimable(trials.c.purpose == Purpose.SEARCH.value)
_CLAIMABLE_NUMBER = _select_claimable(trials.c.number == _NUMBER)

Writes = Sequence[tuple[ClauseElement, Sequence[compiled.Values]]]


class Known(NamedTuple):
    """The open trials of a study as they were last read, when its last event was at `position` and had the hash `head`."""

    position: int
    head: str
    open: Mapping[int, Trial]

    @staticmethod
    def of(study: StudyRecord, found: Iterable[Trial]) -> "Known":
        return Known(study.position, study.head, {t.number: t for t in found if t.state in OPEN})


UNKNOWN = Known(0, "", {})


def current_study(row: Mapping[str, Any]) -> StudyRecord:
    """The study in a row that was read with SCHEMA_NOW. Raises StorageError if the database was upgraded, or set back to an
    older schema, since this program opened it: what it goes on to write might not be what the new schema means."""
    if row["schema"] != SCHEMA:
        raise StorageError(
            f"the database was changed while this program used it: {schema.mismatch(str(row['schema']))}"
        )
    return rows.study_of(row)


def touched(
    connection: Connection, study: int, since: int, known: Known, writes: Writes = ()
) -> tuple[list[Trial], str]:
    """Trials that events after position `since` have touched, and all open ones, by number; and the hash of that event.

    known: open trials as they were last read. Those that are unchanged are not parsed again. If they were read at `since`,
    queued ones are not even read again: one that no later event has touched, and that is not running, is still queued.
    Unless the record was set back: then they may never have been. writes: statements that are executed first.
    """
    values = {"of_study": study, "since": since}
    reads: list[tuple[ClauseElement, compiled.Values]] = [(_SELECT_HASH, values), (_TOUCHED, values)]
    waiting: dict[int, Trial] = {}
    from_known = 0 < since == known.position
    if from_known:
        waiting = {n: t for n, t in known.open.items() if t.state is State.QUEUED}
        reads.append((_RUNNING, values))
    elif since:  # apart: each has its index
        reads.append((_OLDER, values))
    hashes, *parts = compiled.exchange(connection, writes, reads)
    base = "".join(row["hash"] for row in hashes)
    if from_known and base != known.head:
        return touched(connection, study, since, UNKNOWN)
    found = [row for part in parts for row in part]
    read = {row["number"]: rows.trial_of(row, known.open.get(row["number"])) for row in found}
    return [t for _, t in sorted({**waiting, **read}.items())], base


class SqlTransaction:
    """One writing transaction (see transaction.Transaction).

    Writes are collected and sent together before the next read, or by `flush`, since each round trip to a server costs time.
    grace: seconds for which expired leases are still honoured. known: by study.
    """

    def __init__(
        self,
        connection: Connection,
        now: float,
        grace: float,
        known: Mapping[int, Known],
    ) -> None:
        self.now = now
        self._grace = grace
        self.connection = connection
        self.heads: dict[str, tuple[int, str]] = {}  # by uid: (position, hash) of the chains that it has continued
        self._studies: dict[int, StudyRecord] = {}  # the rows that it has locked, as they will be
        self._unsaved: set[int] = set()  # those of them that have changed
        self._known = known
        self.known_after = UNKNOWN  # of the study whose `changes` it has read: to be known from then on
        self._reported: dict[int, int] = {}  # by study: Report.written of the last report
        # Writes that are not sent yet, by statement and the names of its values.
        self._writes: dict[tuple[ClauseElement, tuple[str, ...]], list[compiled.Values]] = {}
        self._waiting = 0  # how many they are
        self._saved: dict[tuple[int, int], Trial] = {}  # by study and number: the trials that they save

    def _all(self, statement: ClauseElement, **values: Any) -> Sequence[Any]:
        (found,) = compiled.exchange(self.connection, self._due(), [(statement, values)])
        return found

    def _later(self, statement: ClauseElement, *values: compiled.Values) -> None:
        """Collect writes, to be sent together before the next read or at the end."""
        for v in values:
            self._writes.setdefault((statement, tuple(v)), []).append(v)
        self._waiting += len(values)
        if self._waiting >= _MANY:  # a server ends a transaction in which it hears nothing for long
            self._send()

    def _due(self) -> Writes:
        """The collected writes, which the caller sends."""
        due = [(statement, values) for (statement, _), values in self._writes.items()]
        self._writes, self._saved, self._waiting = {}, {}, 0
        return due

    def _send(self) -> None:
        if self._writes:
            compiled.exchange(self.connection, self._due(), [])

    def named(self, name: str) -> StudyRecord | None:
        found = self._all(_SELECT_NAMED, of_name=name)
        return rows.study_of(found[0]) if found else None

    def archived(self, name: str) -> list[str]:
        return [row["uid"] for row in self._all(_SELECT_ARCHIVED, of_name=name)]

    def study(self, study: int) -> StudyRecord | None:
        if study not in self._studies:
            found = self._all(_SELECT_STUDY, of_study=study)
            if not found:
                return None
            self._studies[study] = current_study(found[0])
        return self._studies[study]

    def changes(self, study: int, since: int) -> Changes:
        record = operations.existing_study(self, study)
        saved = {t.number: t for t in self._saved.values() if t.study == study}
        before = self._known.get(study, UNKNOWN)
        known = before._replace(open={**before.open, **saved})
        found, base = touched(self.connection, study, since, known, self._due())
        self.known_after = Known.of(record, found)
        return Changes(record, found, self.now, base)

    def trial(self, study: int, number: int) -> Trial | None:
        found = self._all(_SELECT_TRIAL, of_study=study, of_number=number)
        return rows.trial_of(found[0]) if found else None

    def trials_with_reports(
        self, study: int, numbers: Sequence[int]
    ) -> tuple[StudyRecord | None, dict[int, tuple[Trial, list[Report]]]]:
        if not numbers:
            return self.study(study), {}
        which = {"of_study": study, **_numbers(numbers)}
        select_trials, select_reports = _select_endings(len(which) - 1)
        reads: list[tuple[ClauseElement, compiled.Values]] = [
            (_SELECT_STUDY, {"of_study": study}),
            (select_trials, which),
            (select_reports, which),
            (_SELECT_LAST, {"of_study": study}),
        ]
        record, ended, written, (last,) = compiled.exchange(self.connection, self._due(), reads)
        if not record:
            return None, {}
        self._studies.setdefault(study, current_study(record[0]))
        self._reported.setdefault(study, last["last"])
        found = {t.number: (t, list[Report]()) for t in map(rows.trial_of, ended)}
        for report in map(rows.report_of, written):
            found[report.number][1].append(report)
        return self._studies[study], found

    def open_trials(self, study: int) -> list[Trial]:
        return [rows.trial_of(row) for row in self._all(_SELECT_OPEN, of_study=study)]

    def count_open_search(self, study: int) -> int:
        (found,) = self._all(_COUNT_SEARCHING, of_study=study)
        return int(found["n"])

    def claimable(self, study: int, number: int | None) -> Trial | None:
        wanted = {"of_study": study, "before": self.now - self._grace}
        if number is None:
            found = self._all(_CLAIMABLE_SEARCH, **wanted)
        else:
            found = self._all(_CLAIMABLE_NUMBER, **wanted, of_number=number)
        return rows.trial_of(found[0]) if found else None

    def reports(self, study: int, number: int) -> list[Report]:
        return [rows.report_of(row) for row in self._all(_SELECT_REPORTS, of_study=study, of_number=number)]

    def reports_since(self, study: int, written: int) -> list[Report]:
        """Reports of search trials that were written after the `written`-th, in that order."""
        return [rows.report_of(row) for row in self._all(SELECT_NEWER, of_study=study, since=written)]

    def requeues(self, study: int, number: int) -> list[Event]:
        return [rows.event_of(row) for row in self._all(_SELECT_REQUEUES, of_study=study, of_number=number)]

    def add_study(self, study: StudyRecord) -> StudyRecord:
        row = rows.study_row(study)
        del row["id"]  # the database gives it
        made = self.connection.execute(_INSERT_STUDY, row).scalar_one()
        return rows.study_of({**row, "id": made})

    def save_study(self, study: StudyRecord) -> None:
        self._studies[study.id] = study
        self._unsaved.add(study.id)

    def flush(self) -> None:
        """Send all collected writes. The row of a study is written once, however often it has changed."""
        for study in self._unsaved:
            row = rows.study_row(self._studies[study])
            del row["id"]  # if a key is written, even unchanged, the database checks all rows that refer to it
            self._later(_UPDATE_STUDY, {**row, "of_study": study})
        self._unsaved.clear()
        self._send()

    def add_trials(self, added: Sequence[Trial]) -> None:
        if added:
            self._later(_INSERT_TRIALS, *map(rows.trial_row, added))

    def save_trial(self, before: Trial, after: Trial) -> None:
        key = {"of_study": before.study, "of_number": before.number}
        if (before.study, before.number) in self._saved:  # statements are grouped, but its changes must stay in order
            self._send()
        self._saved[before.study, before.number] = after
        self._later(_UPDATE_TRIAL, {**rows.difference(before, after), **key})

    def swap_trial(self, before: Trial, after: Trial) -> bool:
        row = rows.trial_row(after)
        leased = {k: row[k] for k in ("state", "attempt", "worker", "lease_until", "started")}
        return self._update_held(before, before.state, leased)

    def renew(self, trial: Trial, until: float | None) -> bool:
        return self._update_held(trial, State.RUNNING, {"lease_until": until, "of_now": self.now}, _RENEW)

    def _update_held(self, trial: Trial, state: State, values: dict[str, Any], change: Update = _UPDATE_HELD) -> bool:
        """Change the row if it is still in this state and attempt."""
        where = {
            "of_study": trial.study,
            "of_number": trial.number,
            "of_state": state.value,
            "of_attempt": trial.attempt,
            "of_created": trial.created,
        }
        self._send()
        return compiled.write(self.connection, change, {**values, **where}) == 1

    def write_reports(self, trial: Trial, added: Sequence[Report]) -> None:
        if trial.study not in self._reported:
            (last,) = self._all(_SELECT_LAST, of_study=trial.study)
            self._reported[trial.study] = last["last"]
        made: list[dict[str, Any]] = [
            {
                **rows.report_row(report),
                "study": trial.study,
                "written": written,
            }
            for written, report in enumerate(added, start=self._reported[trial.study] + 1)
        ]
        self._reported[trial.study] += len(made)
        self._later(_WRITE_REPORTS, *made)

    def add_reports(self, study: int, added: Sequence[Report]) -> None:
        made = [{**rows.report_row(report), "study": study, "written": report.written} for report in added]
        self._later(_INSERT_REPORTS, *made)

    def add_events(self, study: StudyRecord, added: Sequence[Event]) -> None:
        self._later(_INSERT_EVENTS, *({"study": study.id, **rows.event_row(e)} for e in added))
        self.heads[study.uid] = (study.position, study.head)

    def add_actors(self, study: int, actors: Sequence[tuple[int, Actor]]) -> None:
        made = [{"study": study, "position": p, "salt": actor.salt, "text": actor.name} for p, actor in actors]
        self._later(_INSERT_ACTORS, *made)
