"""What a store offers inside one transaction: rows to read, rows to write. `operations` has the rules of the record."""

from collections.abc import Collection, Sequence
from typing import Protocol

from ..records import Changes, Event, Report, StudyRecord, Trial
from .rules import Actor


class Transaction(Protocol):
    """Everything in it is committed, or nothing. Writers of one study queue from their first read of its row on."""

    now: float

    def named(self, name: str) -> StudyRecord | None:
        """The unarchived study of that name."""
        ...

    def study(self, study: int) -> StudyRecord | None:
        """The study's row, locked against other writers until the transaction ends."""
        ...

    def trial(self, study: int, number: int) -> Trial | None: ...

    def endings(
        self, study: int, numbers: Sequence[int]
    ) -> tuple[StudyRecord | None, dict[int, tuple[Trial, list[Report]]]]:
        """The study's row, locked, and the existing ones among these trials with their reports: what is needed to end
        them."""
        ...

    def open_trials(self, study: int) -> list[Trial]:
        """Queued and running trials, by number, including those that this transaction has added."""
        ...

    def searching(self, study: int) -> int:
        """How many search trials are queued or running, including those that this transaction has added."""
        ...

    def changes(self, study: int, since: int) -> Changes:
        """See Storage.trials; includes what this transaction has written."""
        ...

    def claimable(self, studies: Sequence[int], number: int | None, purposes: Collection[str] | None) -> Trial | None:
        """The first trial that is queued in an open study, or whose lease has expired in an open or cancelled one."""
        ...

    def reports(self, study: int, number: int) -> list[Report]: ...

    def requeues(self, study: int, number: int) -> list[Event]:
        """The events that returned the trial to the queue."""
        ...

    def add_study(self, study: StudyRecord) -> StudyRecord:
        """Store a new study; returned with its id."""
        ...

    def save_study(self, study: StudyRecord) -> None: ...

    def add_trials(self, trials: Sequence[Trial]) -> None: ...

    def save_trial(self, before: Trial, after: Trial) -> None:
        """Save what differs between a trial as read and as it is to be."""
        ...

    def swap_trial(self, before: Trial, after: Trial) -> bool:
        """Save the lease columns of `after` if state and attempt are still those of `before`."""
        ...

    def renew(self, trial: Trial, until: float | None) -> bool:
        """Renew the lease if the trial still runs in this attempt."""
        ...

    def write_reports(self, trial: Trial, reports: Sequence[Report], new: bool = False) -> None:
        """Store reports of the trial's attempt, replacing reports of the same step. new: there are none yet."""
        ...

    def add_reports(self, study: int, reports: Sequence[Report]) -> None:
        """Keep all reports of a new study, in the order of their writing, as they were written elsewhere."""
        ...

    def add_events(self, study: StudyRecord, events: Sequence[Event]) -> None: ...

    def add_actors(self, study: int, actors: Sequence[tuple[int, Actor]]) -> None:
        """Store who made the events at these positions."""
        ...
