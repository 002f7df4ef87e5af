"""One writing transaction on an SQL database: the statements behind `transaction.Transaction`."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from ..records import OPEN, Event, Report, State, StudyRecord, StudyState, Trial
from . import rows
from .rules import Actor
from .tables import events, private, reports, studies, trials


class SqlTransaction:
    """Statements of one transaction. grace: seconds for which a lease is honoured after it ran out. heads: (uid, position,
    hash) of the chains that it has continued."""

    def __init__(self, connection: Connection, now: float, grace: float = 0.0) -> None:
        self.now = now
        self._grace = grace
        self.connection = connection
        self.heads: list[tuple[str, int, str]] = []

    def named(self, name: str) -> StudyRecord | None:
        return self._study(studies.c.active == name)

    def study(self, study: int) -> StudyRecord | None:
        return self._study(studies.c.id == study)

    def _study(self, which: ColumnElement[bool]) -> StudyRecord | None:
        row = self.connection.execute(select(studies).where(which).with_for_update()).mappings().first()
        return None if row is None else rows.study_of(row)

    def trial(self, study: int, number: int) -> Trial | None:
        row = self.connection.execute(select(trials).where(_key(study, number)).with_for_update()).mappings().first()
        return None if row is None else rows.trial_of(row)

    def open_trials(self, study: int) -> list[Trial]:
        of_study = select(trials).where(trials.c.study == study, trials.c.state.in_(sorted(OPEN)))
        wanted = of_study.order_by(trials.c.number).with_for_update()
        return [rows.trial_of(row) for row in self.connection.execute(wanted).mappings()]

    def claimable(self, studies_: Sequence[int], number: int | None, purposes: Collection[str] | None) -> Trial | None:
        waits = and_(trials.c.state == State.QUEUED.value, studies.c.state == StudyState.OPEN.value)
        abandoned = and_(
            trials.c.state == State.RUNNING.value,
            trials.c.lease_until <= self.now - self._grace,
            studies.c.state.in_([StudyState.OPEN.value, StudyState.CANCELLED.value]),
        )
        wanted = (
            select(trials)
            .join(studies, studies.c.id == trials.c.study)
            .where(trials.c.study.in_(studies_), trials.c.state.in_(sorted(OPEN)), or_(waits, abandoned))
            .order_by(trials.c.priority.desc(), trials.c.number, trials.c.study)
            .limit(1)
            .with_for_update(of=trials, skip_locked=True)
        )
        if number is not None:
            wanted = wanted.where(trials.c.number == number)
        if purposes is not None:
            wanted = wanted.where(trials.c.purpose.in_(sorted(str(p) for p in purposes)))
        row = self.connection.execute(wanted).mappings().first()
        return None if row is None else rows.trial_of(row)

    def reports(self, study: int, number: int) -> list[Report]:
        wanted = select(reports).where(reports.c.study == study, reports.c.number == number)
        return [rows.report_of(row) for row in self.connection.execute(wanted).mappings()]

    def reports_since(self, study: int, written: int) -> list[Report]:
        """Reports after the `written`-th writing, in that order."""
        wanted = (
            select(reports).where(reports.c.study == study, reports.c.written > written).order_by(reports.c.written)
        )
        return [rows.report_of(row) for row in self.connection.execute(wanted).mappings()]

    def requeues(self, study: int, number: int) -> list[Event]:
        wanted = select(events).where(events.c.study == study, events.c.number == number, events.c.kind == "requeue")
        return [rows.event_of(row) for row in self.connection.execute(wanted).mappings()]

    def add_study(self, study: StudyRecord) -> StudyRecord:
        row = rows.study_row(study)
        del row["id"]  # the database gives it
        made = self.connection.execute(insert(studies).returning(studies.c.id), row).scalar_one()
        return rows.study_of({**row, "id": made})

    def save_study(self, study: StudyRecord) -> None:
        self.connection.execute(update(studies).where(studies.c.id == study.id), rows.study_row(study))

    def add_trials(self, added: Sequence[Trial]) -> None:
        if added:
            self.connection.execute(insert(trials), [rows.trial_row(t) for t in added])

    def save_trial(self, trial: Trial) -> None:
        self.connection.execute(update(trials).where(_key(trial.study, trial.number)), rows.trial_row(trial))

    def swap_trial(self, before: Trial, after: Trial) -> bool:
        row = rows.trial_row(after)
        held = update(trials).where(_key(before.study, before.number), _still(before.state, before.attempt))
        leased = {k: row[k] for k in ("state", "attempt", "worker", "lease_until", "started")}
        return self.connection.execute(held, leased).rowcount == 1

    def renew(self, trial: Trial, until: float | None) -> bool:
        held = update(trials).where(_key(trial.study, trial.number), _still(State.RUNNING, trial.attempt))
        return self.connection.execute(held, {"lease_until": until}).rowcount == 1

    def write_reports(self, trial: Trial, added: Sequence[Report]) -> None:
        last: int = self.connection.execute(
            select(func.coalesce(func.max(reports.c.written), 0)).where(reports.c.study == trial.study)
        ).scalar_one()
        made: list[dict[str, Any]] = [
            {
                **rows.report_row(replace(report, number=trial.number, attempt=trial.attempt)),
                "study": trial.study,
                "written": written,
            }
            for written, report in enumerate(added, start=last + 1)
        ]
        repeated = and_(
            reports.c.study == trial.study,
            reports.c.number == trial.number,
            reports.c.attempt == trial.attempt,
            reports.c.step.in_([row["step"] for row in made]),
        )
        self.connection.execute(delete(reports).where(repeated))
        self.connection.execute(insert(reports), made)

    def add_events(self, study: StudyRecord, added: Sequence[Event]) -> None:
        self.connection.execute(insert(events), [{"study": study.id, **rows.event_row(e)} for e in added])
        self.heads.append((study.uid, study.position, study.head))

    def add_actors(self, study: int, actors: Sequence[tuple[int, Actor]]) -> None:
        made = [{"study": study, "position": p, "salt": actor.salt, "text": actor.name} for p, actor in actors]
        self.connection.execute(insert(private), made)


def _key(study: int, number: int) -> ColumnElement[bool]:
    return and_(trials.c.study == study, trials.c.number == number)


def _still(state: State, attempt: int) -> ColumnElement[bool]:
    return and_(trials.c.state == state.value, trials.c.attempt == attempt)
