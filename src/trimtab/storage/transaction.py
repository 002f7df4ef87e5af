"""What a store offers inside one transaction: rows to read, and rows to write. What is done with them is in `operations`."""

from collections.abc import Sequence
from typing import Protocol

from ..records import Changes, Event, Report, StudyRecord, Trial
from .rules import Actor


class Transaction(Protocol):
    """All that is written in it is committed together, or nothing is.

    Reading a study's row locks it: other writers of that study wait until the transaction ends.
    """

    now: float  # the store's time

    def named(self, name: str) -> StudyRecord | None:
        """The unarchived study of that name."""
        ...

    def archived(self, name: str) -> list[str]:
        """The uids of the archived studies of that name, in the order of their creation."""
        ...

    def study(self, study: int) -> StudyRecord | None:
        """The study's row, locked against other writers until the transaction ends."""
        ...

    def trial(self, study: int, number: int) -> Trial | None: ...

    def trials_with_reports(
        self, study: int, numbers: Sequence[int]
    ) -> tuple[StudyRecord | None, dict[int, tuple[Trial, list[Report]]]]:
        """What is needed to end trials: the study's row, locked, and by number the trials that exist, with their
        reports."""
        ...

    def open_trials(self, study: int) -> list[Trial]:
        """Queued and running trials, by number, including those that this transaction has added."""
        ...

    def count_open_search(self, study: int) -> int:
        """The number of search trials that are queued or running, including those that this transaction has added."""
        ...

    def changes(self, study: int, since: int) -> Changes:
        """See Storage.trials. What this transaction has written is included."""
        ...

    def claimable(self, study: int, number: int | None) -> Trial | None:
        """The first trial (see Storage.claim) that is queued, if the study is open, or whose lease has expired, if it is
        open or cancelled."""
        ...

    def reports(self, study: int, number: int) -> list[Report]: ...

    def requeues(self, study: int, number: int) -> list[Event]:
        """The events that returned the trial to the queue."""
        ...

    def add_study(self, study: StudyRecord) -> StudyRecord:
        """Store a new study. Returns it with its id."""
        ...

    def save_study(self, study: StudyRecord) -> None: ...

    def add_trials(self, trials: Sequence[Trial]) -> None: ...

    def save_trial(self, before: Trial, after: Trial) -> None:
        """Save what has changed in a trial: `before` as it was read, `after` as it is to be."""
        ...

    def swap_trial(self, before: Trial, after: Trial) -> bool:
        """Save state, attempt and lease of `after`, if state and attempt are still those of `before`. Returns whether they
        were."""
        ...

    def renew(self, trial: Trial, until: float | None) -> bool:
        """Let the lease run until then, if the trial still runs in this attempt. Returns whether it does.

        If it had run out, the time since then does not count: `started` moves by as much. Then the clock has jumped, the
        machine has slept, or the worker could not write for so long (see rules.end).
        """
        ...

    def write_reports(self, trial: Trial, reports: Sequence[Report]) -> None:
        """Store reports of the trial's attempt, each in place of an earlier one of the same step."""
        ...

    def add_reports(self, study: int, reports: Sequence[Report]) -> None:
        """Store the reports of a study from another store, in the order and with the numbers of their writing there."""
        ...

    def add_events(self, study: StudyRecord, events: Sequence[Event]) -> None: ...

    def add_actors(self, study: int, actors: Sequence[tuple[int, Actor]]) -> None:
        """Store who made the events at these positions."""
        ...
