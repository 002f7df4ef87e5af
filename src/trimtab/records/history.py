"""What the events of a study say of its course: the specs in force, and why results may not mean what they seem to.
Values only; no clock, no IO."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from . import Event, StudySpec


def specs_of(events: Iterable[Event]) -> list[tuple[int, StudySpec]]:
    """(position, the spec in force from there on), in order."""
    return [(e.position, StudySpec.from_json(e.body["spec"])) for e in events if e.kind in ("create", "spec")]


def spec_at(specs: Sequence[tuple[int, StudySpec]], position: int) -> StudySpec:
    """The spec in force at an event."""
    return specs_between(specs, position, position)[0]


def specs_between(specs: Sequence[tuple[int, StudySpec]], first: int, last: int) -> list[StudySpec]:
    """The specs in force from one event to another, in order."""
    begin, end = (bisect_right(specs, position, key=lambda s: s[0]) for position in (first, last))
    return [spec for _, spec in specs[begin - 1 : end]]


def doubts(events: Sequence[Event]) -> list[str]:
    """Why results may not mean what they seem to: code or data changed while the study ran; and what is doubtful about the
    data, such as rows on both sides of a split, if what was run last is a cross-validation."""
    made = [e.body.get("protocol", {}) for e in events if e.kind == "run"]
    checks = made[-1]["checks"] if made and made[-1].get("kind") == "cross-validation" else []
    return [*_drift(events), *(f"the data are doubtful: {text}" for text in checks)]


def _drift(events: Sequence[Event]) -> list[str]:
    """A warning if code or data changed while the study ran, as a list of one sentence; empty if no event says so."""
    changes = [e for e in events if e.changed]
    if not changes:
        return []
    which = f"{changes[-1].changed}, at event {changes[-1].position}"
    often = f"{len(changes)} times, the last one " if len(changes) > 1 else ""
    return [f"code or data changed under the study ({often}{which}): results from before and after need not compare"]
