"""The sources of a document's statements: ids of records, as the evidence record maps them to hashes.

An event is `event:POSITION`, a trial `trial:NUMBER`, what was passed in for the document `data`. A figure over the
whole record comes from the last event: its hash covers everything before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..records import Event, StudyRecord

Source = tuple[str, ...]


def of_event(e: Event) -> Source:
    """One event."""
    return (f"event:{e.position}",)


@dataclass(frozen=True)
class Origins:
    """The records of one study as of an event."""

    study: StudyRecord
    events: Sequence[Event]

    @property
    def now(self) -> Source:
        """The record as it stands."""
        return (f"event:{self.study.position}",)

    @property
    def spec(self) -> Source:
        """The spec in force."""
        return self.last("create", "spec")

    @property
    def run(self) -> Source:
        """The last call of run or evidence: code and machine."""
        return self.last("run")

    @property
    def evidence(self) -> Source:
        return self.last("evidence")

    def last(self, *kinds: str) -> Source:
        """The last event of these kinds; the record as it stands if there is none."""
        found = [e for e in self.events if e.kind in kinds]
        return of_event(found[-1]) if found else self.now

    def trial(self, number: int | str | None) -> Source:
        """A trial; the whole record if there is none."""
        return self.now if number is None else (f"trial:{number}",)

    def trial_of(self, row: Sequence[str]) -> Source:
        """The trial of a row that begins with a trial number."""
        return self.trial(row[0])

    def event_of(self, row: Sequence[str]) -> Source:
        """The event of a row that begins with an event position."""
        return (f"event:{row[0]}",)
