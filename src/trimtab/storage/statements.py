"""One writing transaction on an SQL database: the statements behind `transaction.Transaction`."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.sql import ClauseElement

from ..errors import StudyNotFound
from ..records import Changes, Event, Purpose, Report, State, StudyRecord, StudyState, Trial
from . import compiled, rows
from .rules import Actor
from .tables import events, is_open, private, reports, studies, trials

# Built once: building a statement costs more than running it. Values that are looked for are called of_...
_STUDY: BindParameter[int] = bindparam("of_study")
_NUMBER: BindParameter[int] = bindparam("of_number")
_ATTEMPT: BindParameter[int] = bindparam("of_attempt")
_KEY = and_(trials.c.study == _STUDY, trials.c.number == _NUMBER)
_HELD = and_(_KEY, trials.c.state == bindparam("of_state"), trials.c.attempt == _ATTEMPT)
_OF_TRIAL = and_(reports.c.study == _STUDY, reports.c.number == _NUMBER)

_SELECT_NAMED = select(studies).where(studies.c.active == bindparam("of_name")).with_for_update()
_SELECT_STUDY = select(studies).where(studies.c.id == _STUDY).with_for_update()
_SELECT_TRIAL = select(trials).where(_KEY).with_for_update()
_SELECT_OPEN = select(trials).where(trials.c.study == _STUDY, is_open).order_by(trials.c.number).with_for_update()
_TOUCHED = select(trials).where(trials.c.study == _STUDY, trials.c.revision > bindparam("since"))
_OPEN = select(trials).where(trials.c.study == _STUDY, is_open)
_SELECT_REPORTS = select(reports).where(_OF_TRIAL)
_SELECT_NEWER = (
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
_DELETE_STEP = delete(reports).where(_OF_TRIAL, reports.c.attempt == _ATTEMPT, reports.c.step == bindparam("of_step"))


@cache
def _select_claimable(one: bool, purposes: bool) -> Select[Any]:
    """The first trial that may be claimed, held; rows that another is just taking are passed by."""
    waits = and_(trials.c.state == State.QUEUED.value, studies.c.state == StudyState.OPEN.value)
    abandoned = and_(
        trials.c.state == State.RUNNING.value,
        trials.c.lease_until <= bindparam("before"),
        studies.c.state.in_([StudyState.OPEN.value, StudyState.CANCELLED.value]),
    )
    limits: list[ColumnElement[bool]] = [trials.c.number == _NUMBER] if one else []
    if purposes:
        limits.append(trials.c.purpose.in_(bindparam("purposes", expanding=True)))
    return (
        select(trials)
        .join(studies, studies.c.id == trials.c.study)
        .where(trials.c.study.in_(bindparam("studies", expanding=True)), is_open)
        .where(or_(waits, abandoned), *limits)
        .order_by(trials.c.priority.desc(), trials.c.number, trials.c.study)
        .limit(1)
        .with_for_update(of=trials, skip_locked=True)
    )


def touched(connection: Connection, study: int, since: int) -> list[Trial]:
    """Trials that events after position `since` touched, and all open ones, by number."""
    found = compiled.rows(connection, _TOUCHED, {"of_study": study, "since": since})
    if since:  # apart: each has its index
        opened = compiled.rows(connection, _OPEN, {"of_study": study})
        found += [row for row in opened if row["revision"] <= since]
    return sorted(map(rows.trial_of, found), key=lambda t: t.number)


class SqlTransaction:
    """Statements of one transaction. grace: seconds for which a lease is honoured after it ran out. heads: (uid, position,
    hash) of the chains that it has continued."""

    def __init__(self, connection: Connection, now: float, grace: float = 0.0) -> None:
        self.now = now
        self._grace = grace
        self.connection = connection
        self.heads: list[tuple[str, int, str]] = []
        self._studies: dict[int, StudyRecord] = {}  # rows that are held, as they are to be
        self._unsaved: set[int] = set()
        self._writes: list[tuple[ClauseElement, Sequence[compiled.Values]]] = []  # not yet sent

    def _all(self, statement: ClauseElement, **values: Any) -> Sequence[Any]:
        self._send()
        return compiled.rows(self.connection, statement, values)

    def _later(self, statement: ClauseElement, *values: compiled.Values) -> None:
        """Carry it out before the next look, or at the end: what is sent together costs one round trip."""
        self._writes.append((statement, values))

    def _send(self) -> None:
        writes, self._writes = self._writes, []
        if writes:
            compiled.write_all(self.connection, writes)

    def named(self, name: str) -> StudyRecord | None:
        found = self._all(_SELECT_NAMED, of_name=name)
        return rows.study_of(found[0]) if found else None

    def study(self, study: int) -> StudyRecord | None:
        if study not in self._studies:
            found = self._all(_SELECT_STUDY, of_study=study)
            if not found:
                return None
            self._studies[study] = rows.study_of(found[0])
        return self._studies[study]

    def changes(self, study: int, since: int) -> Changes:
        record = self.study(study)
        if record is None:
            raise StudyNotFound(f"study number {study} is not in this store")
        self._send()
        return Changes(record, touched(self.connection, study, since), self.now)

    def trial(self, study: int, number: int) -> Trial | None:
        found = self._all(_SELECT_TRIAL, of_study=study, of_number=number)
        return rows.trial_of(found[0]) if found else None

    def open_trials(self, study: int) -> list[Trial]:
        return [rows.trial_of(row) for row in self._all(_SELECT_OPEN, of_study=study)]

    def claimable(self, studies_: Sequence[int], number: int | None, purposes: Collection[str] | None) -> Trial | None:
        values: dict[str, Any] = {"studies": list(studies_), "before": self.now - self._grace}
        if number is not None:
            values["of_number"] = number
        if purposes is not None:
            values["purposes"] = sorted(str(p) for p in purposes)
        self._send()
        wanted = _select_claimable(number is not None, purposes is not None)
        found = self.connection.execute(wanted, values).mappings().all()  # its text depends on the length of lists
        return rows.trial_of(found[0]) if found else None

    def reports(self, study: int, number: int) -> list[Report]:
        return [rows.report_of(row) for row in self._all(_SELECT_REPORTS, of_study=study, of_number=number)]

    def reports_since(self, study: int, written: int) -> list[Report]:
        """Reports of search trials after the `written`-th writing, in that order."""
        return [rows.report_of(row) for row in self._all(_SELECT_NEWER, of_study=study, since=written)]

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
        """Write what is not yet written; the rows of studies once, however often they changed."""
        for study in self._unsaved:
            row = rows.study_row(self._studies[study])
            del row["id"]  # writing a key, even as it is, makes the database look at all rows that refer to it
            self._later(_UPDATE_STUDY, {**row, "of_study": study})
        self._unsaved.clear()
        self._send()

    def add_trials(self, added: Sequence[Trial]) -> None:
        if added:
            self._later(_INSERT_TRIALS, *map(rows.trial_row, added))

    def save_trial(self, before: Trial, after: Trial) -> None:
        key = {"of_study": before.study, "of_number": before.number}
        self._later(_UPDATE_TRIAL, {**rows.difference(before, after), **key})

    def swap_trial(self, before: Trial, after: Trial) -> bool:
        row = rows.trial_row(after)
        leased = {k: row[k] for k in ("state", "attempt", "worker", "lease_until", "started")}
        return self._update_held(before, before.state, leased)

    def renew(self, trial: Trial, until: float | None) -> bool:
        return self._update_held(trial, State.RUNNING, {"lease_until": until})

    def _update_held(self, trial: Trial, state: State, values: dict[str, Any]) -> bool:
        """Change the row if it is still in this state and attempt."""
        where = {
            "of_study": trial.study,
            "of_number": trial.number,
            "of_state": state.value,
            "of_attempt": trial.attempt,
        }
        self._send()
        return compiled.write(self.connection, _UPDATE_HELD, {**values, **where}) == 1

    def write_reports(self, trial: Trial, added: Sequence[Report], new: bool = False) -> None:
        of_trial = {"of_study": trial.study, "of_number": trial.number, "of_attempt": trial.attempt}
        (last,) = (row["last"] for row in self._all(_SELECT_LAST, of_study=trial.study))
        made: list[dict[str, Any]] = [
            {
                **rows.report_row(replace(report, number=trial.number, attempt=trial.attempt)),
                "study": trial.study,
                "written": written,
            }
            for written, report in enumerate(added, start=last + 1)
        ]
        if not new:
            self._later(_DELETE_STEP, *({**of_trial, "of_step": row["step"]} for row in made))
        self._later(_INSERT_REPORTS, *made)

    def add_events(self, study: StudyRecord, added: Sequence[Event]) -> None:
        self._later(_INSERT_EVENTS, *({"study": study.id, **rows.event_row(e)} for e in added))
        self.heads.append((study.uid, study.position, study.head))

    def add_actors(self, study: int, actors: Sequence[tuple[int, Actor]]) -> None:
        made = [{"study": study, "position": p, "salt": actor.salt, "text": actor.name} for p, actor in actors]
        self._later(_INSERT_ACTORS, *made)
