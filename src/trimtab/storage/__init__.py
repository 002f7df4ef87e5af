"""The Storage protocol, and what every store guarantees (the conformance suite checks it for each):

  * Each method is one transaction; the events of a change commit with it, or neither happens.
  * Trial numbers and event positions are 0, 1, 2, ... and 1, 2, 3, ... without gaps, in the order of commits.
  * A trial ends once. A result from a superseded holder is kept as a `late` event and never told.
  * `enqueue` succeeds only for a caller that knows all existing trials (`at` == count), and within the budget: no leader
    is needed.
  * When a lease expires, its trial can be claimed again; each claim raises `attempt`, the fencing token. When a trial has
    lost MAX_ATTEMPTS workers (its lease expired, or a requeue says that its process was killed), `claim` ends it as
    failed (lost).
  * Records handed out never change. Times come from the `clock` that the store was opened with.
  * Claims and lease renewals are not events and don't touch the study's row.

Private texts (error, output, notes, worker and actor names) enter events only as salted commitments.
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
"""`why` in the body of a requeue: only a trial whose process was killed has lost an attempt."""
LEASE = 15.0  # seconds; renewed every third of it


@dataclass(frozen=True)
class Claim:
    """Who takes how many trials, held for `lease` seconds (None: without expiry)."""

    worker: str
    lease: float | None
    n: int


@dataclass(frozen=True)
class Ending:
    """How a running trial ended, with its last reports; not recorded yet."""

    trial: Trial
    outcome: Outcome
    reports: Sequence[Report] = ()


@dataclass(frozen=True)
class Settled:
    """The result of `settle`: the ended trials (None if the lease was lost), the trials that were enqueued, those that
    were claimed, and an error that prevented enqueueing (the ends are recorded nevertheless)."""

    ended: Sequence[Trial | None]
    made: Sequence[Trial] = ()
    claimed: Sequence[Trial] = ()
    error: Exception | None = None


@dataclass(frozen=True)
class Whole:
    """A study with all that belongs to it, as it stands in one store and is taken over by another. actors: (salt, name) by
    event position."""

    study: StudyRecord
    trials: Sequence[Trial]
    reports: Sequence[Report]
    events: Sequence[Event]
    actors: Mapping[int, tuple[str, str]]


Spoiled = Callable[[Damaged], object]
"""Called with the error of a row that cannot be read."""

Then = Callable[[Changes], tuple[Sequence[Sequence[Proposal]], "Claim | None"]]
"""From what changed to the batches that are to be enqueued because of it, each when those before it exist, and to how many
trials are claimed: search trials that wait, then new ones."""


class Storage(Protocol):
    """Where the record lives."""

    url: str

    def create(self, spec: StudySpec) -> StudyRecord:
        """The unarchived study called spec.name, created with `spec` if there is none (event `create`: the whole spec).

        An existing study is returned as it is; the caller compares specs.
        """
        ...

    def studies(self, name: str | None = None, *, damaged: Spoiled | None = None) -> list[StudyRecord]:
        """All studies (or those of a name), including archived ones, in the order of their creation.

        Raises Damaged for a row that cannot be read; with `damaged`, that is called instead, and the others are
        returned.
        """
        ...

    def study(self, study: int) -> StudyRecord:
        """The study's row, without its trials. Raises StudyNotFound."""
        ...

    def positions(self) -> dict[int, int]:
        """The position of the last event of each open or paused study, by the study's number: shows which studies have
        changed."""
        ...

    def enqueue(
        self, study: int, proposals: Sequence[Proposal], *, at: int, seen: int, claim: Claim | None = None
    ) -> list[Trial]:
        """Add queued trials (event `enqueue`, one per batch: {"at", "seen", "batch", "trials": [[number, digest]]}).
        With `claim`, and if the study is open, the first of them are claimed in the same transaction.

        Raises Stale if `at` is not the number of existing trials, BudgetSpent if the budget of trials (search trials
        that exist and are not cancelled), cpu_hours, gpu_hours or cost has no room (nothing is enqueued then),
        StudyMismatch if the study is archived or cancelled.
        """
        ...

    def claim(
        self,
        studies: Sequence[int],
        worker: str,
        lease: float | None,
        *,
        number: int | None = None,
        purposes: Iterable[str] | None = None,
    ) -> Trial | None:
        """Take the first queued trial (highest priority, then lowest number) of an open study, or a running one whose
        lease has expired; None if there is none.

        lease: in seconds; None holds without expiry. number (with one study): only that trial. purposes: only trials of
        those purposes. Paused, cancelled and archived studies give out nothing; a trial of a cancelled study whose
        lease has expired is cancelled on the way.
        """
        ...

    def report(
        self, trial: Trial, reports: Sequence[Report], lease: float | None, since: int | None = 0
    ) -> list[Report]:
        """Write reports of a running trial and renew its lease (also without reports: the heartbeat).

        Returns, for stopping rules, the reports of the study's search trials that were written after the `since`-th
        (Report.written), in that order, up to those of this call; none if `since` is None. A step reported again by the
        same attempt replaces its report, and counts as written again. Raises LeaseLost if the trial has ended or was
        claimed by another.
        """
        ...

    def finish(self, trial: Trial, outcome: Outcome, reports: Sequence[Report] = ()) -> Trial:
        """Write the last reports of a running trial and end it (event `finish`: {"state", "reason", "metrics",
        "digest", "private"}; adds to `spent` if it is a search trial).

        Raises LeaseLost if the trial has ended or was claimed by another, after recording a `late` event with the
        outcome's metrics and charging its cost (its texts are not kept).
        """
        ...

    def settle(self, study: int, endings: Sequence[Ending], since: int, then: Then) -> Settled:
        """`finish` for several trials of a study, then `enqueue` and `claim` what follows from that, in one
        transaction.

        `then` is told what changed after `since`, including these ends, while nobody else can change the study: it
        should be quick. It is called again if the transaction has to be repeated; what it raises comes back in
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
        run, evidence, holdout, witness, replay, reproduce, inputs, checkpoint, report, enough
                  only say something: change.body

        Raises Stale for an illegal transition, a trial that does not exist, or any change to an archived study; StudyNotFound
        for no study.
        """
        ...

    def trials(self, study: int, since: int = 0) -> Changes:
        """One consistent snapshot: the study, its trials that events after position `since` touched, and all open ones,
        by number."""
        ...

    def outline(self, study: int) -> Outline:
        """One consistent snapshot of a study, small however many of its trials have ended."""
        ...

    def page(self, study: int, first: int, stop: int) -> list[Trial]:
        """The trials with numbers first .. stop-1, in that order; numbers that don't exist are left out."""
        ...

    def results(self, study: int, after: int, upto: int) -> Results:
        """The results that strategies are told, of the search and import trials ended by events at positions after+1 ..
        upto, in the order of these events. Cancelled ones are left out."""
        ...

    def reports(self, study: int, number: int | None = None) -> list[Report]:
        """All reports of a study (or of one trial), in the order of (number, attempt, step)."""
        ...

    def heard(self, study: int, since: int, most: int) -> list[Report]:
        """The first `most` reports that `report` would return after the `since`-th, without blocking writers."""
        ...

    def events(self, study: int, since: int = 0, *, kinds: Collection[str] | None = None) -> list[Event]:
        """The study's events after position `since` (only those of some kinds), in order."""
        ...

    def actors(self, study: int) -> Mapping[int, tuple[str, str]]:
        """(salt, name) by event position: the names behind the `actor` commitments of events (see
        canonical.commitment)."""
        ...

    def witnessed(self, uid: str) -> list[tuple[int, str]]:
        """(position, hash) pairs of the study's chain that were written outside the store; empty if it keeps none."""
        ...

    def adopt(self, whole: Whole) -> StudyRecord:
        """Take over a study from another store as it stands there, under a new number: the same uid, chain and leases.
        Raises StudyMismatch if an unarchived study has its name."""
        ...

    def delete(self, study: int) -> None:
        """Delete a study and everything that belongs to it, for good."""
        ...

    def close(self) -> None: ...


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
