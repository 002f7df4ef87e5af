"""The Storage protocol: where records live, and what every store guarantees.

The conformance suite checks these guarantees for each store:

  * Each method is one transaction: a change and its events are committed together, or neither happens.
  * Trial numbers are 0, 1, 2, ... and event positions 1, 2, 3, ... without gaps, in the order of commits.
  * A trial ends once. A result from a worker that has lost the lease is kept as a `late` event, and never told.
  * `enqueue` succeeds only for a caller that knows all existing trials (`at` == count), and within the budget. So
    processes that propose need no leader.
  * When a lease expires, its trial can be claimed again (event `takeover`: {"attempt", "held": [from, until]} of the
    attempt that was lost). Each claim raises `attempt`, the fencing token. A trial that has lost MAX_ATTEMPTS attempts
    (its lease expired, or it was requeued because its process was killed), none of which got further than those before
    (`lost_attempts`), is ended by `claim` as failed (lost).
  * Records that were handed out never change. Times come from the `clock` that the store was opened with.
  * Other claims and lease renewals are not events, and do not touch the study's row.

Private texts (error, output, notes, worker and actor names) enter events only as salted commitments.

    memory                  the reference store: rows in dictionaries
    sql                     the store in an SQL database; `sqlite` and `postgres` are what differs between databases
    operations, revisions   what each method reads and writes, for all stores
    rules                   what a change does to rows and chain: pure
    transaction             the reads and writes that `operations` needs; `statements` has them in SQL
    rows, tables, schema    records as rows of plain columns; the tables; the version of the schema
    bulk, compiled          many rows at once; statements that are compiled once
    database, urls          what a kind of database must offer; which one a URL names
    copying                 a study copied from one store into another
    witness                 heads of chains outside the database
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..checks import shown
from ..errors import Damaged, StorageError
from ..records import Change, Changes, Event, Outcome, Proposal, Report, StudyRecord, StudySpec, Trial
from ..records.columns import Outline, Results

MAX_ATTEMPTS = 3
KILLED, INTERRUPTED, RETRY = "killed", "interrupted", "retry"
"""Why a trial is requeued (`why` in the event's body). Only KILLED counts as a lost attempt."""
LEASE = 15.0  # seconds for which a worker holds a trial; renewed when a third of it has passed


@dataclass(frozen=True)
class Claim:
    """A wish to take up to n trials for a worker, held for `lease` seconds (None: without expiry)."""

    worker: str
    lease: float | None
    n: int


@dataclass(frozen=True)
class Ending:
    """How a running trial has ended, with reports that are not written yet: to be recorded."""

    trial: Trial
    outcome: Outcome
    reports: Sequence[Report] = ()


@dataclass(frozen=True)
class Settled:
    """The result of `settle`."""

    ended: Sequence[Trial | None]  # the trials whose ends were recorded; None where the lease was lost
    made: Sequence[Trial] = ()  # the trials that were enqueued
    claimed: Sequence[Trial] = ()  # the trials that were claimed: earlier ones, then new ones
    error: Exception | None = None  # what prevented enqueueing; the ends are recorded nevertheless


@dataclass(frozen=True)
class CompleteStudy:
    """A study with all that belongs to it, to be taken over by another store."""

    study: StudyRecord
    trials: Sequence[Trial]
    reports: Sequence[Report]
    events: Sequence[Event]
    actors: Mapping[int, tuple[str, str]]  # (salt, name) by event position


OnDamage = Callable[[Damaged], object]
"""Called with the error of a row that cannot be read."""


def skip(_: Damaged) -> None:
    """Leaves out a row that cannot be read, as in `studies(damaged=skip)`."""


Then = Callable[[Changes], tuple[Sequence[Sequence[Proposal]], "Claim | None"]]
"""Decides what follows from the changes that it is given: batches of proposals to enqueue, one after the other, and a claim
on search trials, first those that wait, then the new ones."""


class Storage(Protocol):
    """Where the record lives."""

    url: str

    def create(self, spec: StudySpec) -> StudyRecord:
        """The unarchived study called spec.name, created with `spec` if there is none (event `create`: the whole spec).

        An existing study is returned as it is; the caller compares specs.
        """
        ...

    def studies(self, name: str | None = None, *, damaged: OnDamage | None = None) -> list[StudyRecord]:
        """All studies (or those of a name), including archived ones, in the order of their creation.

        Raises Damaged for a row that cannot be read. If `damaged` is given, it is called with that error instead, and the
        other studies are returned.
        """
        ...

    def study(self, study: int) -> StudyRecord:
        """The study's row, without its trials. Raises StudyNotFound."""
        ...

    def positions(self) -> dict[int, int]:
        """The position of the last event of each open or paused study, by study. It shows which studies have changed."""
        ...

    def enqueue(
        self, study: int, proposals: Sequence[Proposal], *, at: int, seen: int, claim: Claim | None = None
    ) -> list[Trial]:
        """Add proposals as queued trials (one event `enqueue`: {"at", "seen", "batch", "trials": [[number, digest]]}).

        at: how many trials existed when they were proposed. seen: the position of the last event that their proposer had
        read. claim: if the study is open, the first of them are claimed in the same transaction.

        Raises Stale if `at` is not the number of existing trials, BudgetSpent if the budget has no room for them (of
        trials, all search trials count that are not cancelled), StudyMismatch if the study is archived or cancelled. Then
        nothing is enqueued.
        """
        ...

    def claim(self, study: int, worker: str, lease: float | None, number: int | None = None) -> Trial | None:
        """Take the first search trial of an open study that is queued, or whose lease has expired; None if there is none.

        The first is the one of highest priority, then of lowest number. lease: in seconds; None: without expiry. number:
        only that trial, whatever its purpose. Trials of a cancelled study whose lease has expired are cancelled on the
        way.
        """
        ...

    def report(
        self, trial: Trial, reports: Sequence[Report], lease: float | None, since: int | None = 0
    ) -> list[Report]:
        """Write reports of a running trial and renew its lease. Without reports, it only renews.

        Returns what stopping rules need to hear: the reports of the study's search trials from number `since` + 1
        (Report.written) up to those of this call, in that order; none if `since` is None. If an attempt reports a step
        again, that replaces the earlier report, and is written anew. Raises LeaseLost if the trial has ended or was
        claimed by another worker.
        """
        ...

    def finish(self, trial: Trial, outcome: Outcome, reports: Sequence[Report] = ()) -> Trial:
        """Write the last reports of a running trial and end it.

        The event is `finish`: {"state", "reason", "metrics", "digest", "private"}. The cost of a search trial is added to
        the study's `spent`. Raises LeaseLost if the trial has ended or was claimed by another worker; the outcome is then
        recorded as a `late` event and its cost is charged, but its texts are not kept.
        """
        ...

    def settle(self, study: int, endings: Sequence[Ending], since: int, then: Then) -> Settled:
        """`finish` several trials of a study, then `enqueue` and `claim` what follows from that, in one transaction.

        `then` gets what has changed after event `since`, including these ends. It must be quick, because nobody else can
        change the study meanwhile. It is called again if the transaction has to be repeated. What it raises comes back in
        Settled.error.
        """
        ...

    def revise(self, study: int, change: Change) -> StudyRecord:
        """An audited change: one event of kind change.kind, {"actor": commitment, ...change.body}. Kinds:

        spec      change.spec replaces the spec: {"spec": ...}
        pause, resume
        cancel    of the study: its queued trials are cancelled, one `cancel` event each, and running ones may end; with a
                  number, of that open trial: event `cancel` with its digest
        archive   open trials are cancelled, and the name is free again
        requeue   running trial `number`, if its attempt is change.attempt, goes back to queued; change.body["why"] is KILLED,
                  INTERRUPTED or RETRY. In a cancelled study, where nobody would take it, it is cancelled. Either way the
                  study is charged change.cost
        note      change.text is appended to the notes of trial `number`: {"note": commitment}
        import    change.trials are recorded as ended trials of purpose `import`: events `enqueue` and `import` for each
        run, evidence, holdout, replay, reproduce, inputs, checkpoint, report, enough
                  change nothing else: the event holds change.body

        Raises Stale for an illegal transition, a trial that does not exist, or any change to an archived study; StudyNotFound
        for no study.
        """
        ...

    def trials(self, study: int, since: int = 0) -> Changes:
        """What has changed after event `since`, as one consistent snapshot: the study; by number, the trials that later
        events have touched, and all open ones; and the hash of event `since`. If the record was set back, that is the
        hash of another event, or ""."""
        ...

    def outline(self, study: int) -> Outline:
        """The study, its open trials, and a few numbers of each ended one, as one consistent snapshot."""
        ...

    def page(self, study: int, first: int, stop: int) -> list[Trial]:
        """The trials with numbers first .. stop-1, in that order; numbers that don't exist are left out."""
        ...

    def results(self, study: int, after: int, upto: int) -> Results:
        """The results that strategies are told: those of search and import trials that were ended, but not cancelled, by
        events at positions after+1 .. upto, in the order of these events."""
        ...

    def reports(self, study: int, number: int | None = None) -> list[Report]:
        """All reports of a study (or of one trial), in the order of (number, attempt, step)."""
        ...

    def reports_since(self, study: int, since: int, most: int) -> list[Report]:
        """The first `most` of the reports that `report` would return. Does not block writers."""
        ...

    def events(self, study: int, since: int = 0, *, kinds: Collection[str] | None = None) -> list[Event]:
        """The study's events after position `since`, in order. kinds: only events of these kinds."""
        ...

    def first_events(self) -> dict[int, Event]:
        """The event that created each study, by study. Those that cannot be read are left out."""
        ...

    def actors(self, study: int) -> Mapping[int, tuple[str, str]]:
        """The names behind the `actor` commitments of events: (salt, name) by event position (see
        canonical.commitment)."""
        ...

    def witnessed(self, uid: str) -> list[tuple[int, str]]:
        """(position, hash) of events of the study's chain, as written outside the store; empty if it keeps no witness."""
        ...

    def adopt(self, whole: CompleteStudy) -> StudyRecord:
        """Take over a study from another store, under a new number but with the same uid, chain and leases. Raises
        StudyMismatch if an unarchived study has its name."""
        ...

    def delete(self, study: int) -> None:
        """Delete a study and everything that belongs to it, for good."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


def lost_attempts(trial: Trial, requeues: Iterable[Event], reports: Iterable[Report]) -> int:
    """How many attempts at a trial have lost their worker or their process without getting further, its present one
    included.

    One that begins its reports later than all before has gone on from a checkpoint: what was lost earlier does not count.

    requeues: the events that returned it to the queue. reports: of all its attempts.
    """
    starts: dict[int, float] = {}
    for r in reports:
        starts[r.attempt] = min(r.step, starts.get(r.attempt, r.step))
    further, latest = 1, starts[min(starts)] if starts else 0.0  # the attempt that has got furthest, and where it began
    for attempt in sorted(starts):
        if starts[attempt] > latest:
            further, latest = attempt, starts[attempt]
    given_back = sum(1 for e in requeues if e.body.get("why") != KILLED and e.body["attempt"] >= further)
    return trial.attempt - further + 1 - given_back


def missing_file(url: object) -> bool:
    """Whether a URL names a SQLite file that does not exist: opening it would create it."""
    path = url.removeprefix("sqlite:///") if isinstance(url, str) else ""
    return path not in (url, "") and not os.path.exists(os.path.expanduser(path))


def open_storage(url: "str | Storage | None") -> Storage:
    """The store at `url`: None or "memory://" is private memory, "sqlite:///file.db" a file,
    "postgresql://user@host/name" a database on a server. A store object is returned as it is.

    Raises StorageError for an invalid URL, or a file that is not ours.
    """
    if url is None or (isinstance(url, str) and url == "memory://"):
        from .memory import Memory

        return Memory()
    if isinstance(url, os.PathLike):
        raise StorageError(f"storage {str(url)!r} is a path, no URL; for a file write 'sqlite:///{url}'")
    if not isinstance(url, str):
        if not callable(getattr(url, "enqueue", None)):
            raise StorageError(
                f"storage={shown(url)} is no URL; write 'sqlite:///file.db', or leave it out for private memory"
            )
        return url
    from .sql import Sql

    return Sql(url)
