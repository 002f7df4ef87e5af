"""Whether a study's record fits its chain of events. Pure: rows in, findings out; none if the record is intact."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..canonical import commitment, dumps
from ..records import OPEN, Cost, Event, Purpose, Report, State, StudyRecord, Trial
from . import ENDS, commitments, ended, link, proposed


def findings(
    study: StudyRecord,
    trials: Sequence[Trial],
    reports: Iterable[Report],
    events: Sequence[Event],
    witness: Sequence[tuple[int, str]] = (),
    actors: Mapping[int, tuple[str, str]] | None = None,
) -> list[str]:
    """One line for each thing that does not fit, naming the event or the row.

    If the chain itself is broken, its events prove nothing about the rows, and only the chain is judged.

    witness: (position, hash) of events, written outside the store. actors: (salt, name) by event position, as far as they
    have not been erased.
    """
    found, broken = _chain(study, events, witness)
    if broken:
        return found
    by_number: dict[int, list[Report]] = defaultdict(list)
    for r in reports:
        by_number[r.number].append(r)
    found += _actors(events, actors or {})
    found += _study_row(study, trials, events)
    digests, touching = _by_trial(events)
    rows = {t.number: t for t in trials}
    for number in sorted(digests.keys() | rows.keys() | by_number.keys()):
        if number not in rows:
            found.append(f"trial {number}: its row is missing")
        elif number not in digests:
            found.append(f"trial {number}: no event says that it was enqueued")
        else:
            found += _trial(rows[number], digests[number], touching[number], by_number[number])
    return found


def _by_trial(events: Sequence[Event]) -> tuple[dict[int, str], dict[int, list[Event]]]:
    """The digest of each trial as it was enqueued, and the events that touched it."""
    digests: dict[int, str] = {}
    touching: dict[int, list[Event]] = defaultdict(list)
    for e in events:
        if e.kind == "enqueue":
            for number, made in e.body["trials"]:
                digests[number] = made
                touching[number].append(e)
        elif e.number is not None:
            touching[e.number].append(e)
    return digests, touching


def _chain(study: StudyRecord, events: Sequence[Event], witness: Sequence[tuple[int, str]]) -> tuple[list[str], bool]:
    """Findings about the chain itself, and whether it is broken: an event is missing or changed."""
    found: list[str] = []
    previous = study.uid
    for expected, e in enumerate(events, start=1):
        if e.position != expected:
            found.append(f"event {expected}: missing; the next one found is {e.position}")
            break
        if link(previous, e.position, e.kind, e.number, e.at, e.body).hash != e.hash:
            found.append(f"event {e.position} ({e.kind}): its content does not fit its hash")
        previous = e.hash
    broken = bool(found)
    hashes = {e.position: e.hash for e in events}
    found += [
        f"event {p}: the witness file has seen another hash" for p, hash_ in witness if hashes.get(p, hash_) != hash_
    ]
    if lost := sorted({position for position, _ in witness} - hashes.keys()):
        more = f", and {len(lost) - 1} more after it" if len(lost) > 1 else ""
        found.append(f"event {lost[0]}: the witness file has seen it, the record has lost it{more}")
    last = events[-1] if events else None
    if last is None or (study.position, study.head) != (last.position, last.hash):
        found.append(f"study {study.name}: its row does not fit the last event of its chain")
    return found, broken


def _actors(events: Sequence[Event], actors: Mapping[int, tuple[str, str]]) -> list[str]:
    """Names kept with events that do not commit to them."""
    committed = {e.position: e.body["actor"] for e in events if "actor" in e.body}
    wrong = [position for position in sorted(actors) if committed.get(position) != commitment(*actors[position])]
    return [f"event {position}: the actor kept with it is not the one that it commits to" for position in wrong]


_DROPPED = frozenset({"workers"})
"""Fields of older specs that were never used; current specs lack them."""


def _study_row(study: StudyRecord, trials: Sequence[Trial], events: Sequence[Event]) -> list[str]:
    """What in the study's row is not as the events and the trials say."""
    name, spec, created, count, state = None, None, None, 0, "open"
    for e in events:
        if e.kind == "create":
            name, spec, created = e.body["spec"]["name"], e.body["spec"], e.at
        elif e.kind == "spec":
            spec = e.body["spec"]
        elif e.kind == "enqueue":
            count += len(e.body["trials"])
        state = state_after(e) or state
    search = [t for t in trials if t.purpose is Purpose.SEARCH]
    reserved = sum(t.state is not State.CANCELLED for t in search)
    expected: dict[str, Any] = {
        "name": (study.name, name),
        "spec": (study.spec.to_json(), spec and {k: v for k, v in spec.items() if k not in _DROPPED}),
        "created": (study.created, created),
        "count": (study.count, count),
        "state": (str(study.state), state),
        "reserved": (study.reserved, reserved),
        "spent cost": (study.spent.to_json(), spent({t.number: t for t in search}, events).to_json()),
    }
    return [
        f"study {study.name}: its {k} is not what its events say"
        for k, (is_, be) in expected.items()
        if dumps(is_) != dumps(be)
    ]


def state_after(e: Event) -> str | None:
    """The state of a study after an event that changes it; None for other events."""
    return _STATE_AFTER.get(e.kind) if e.number is None else None


_STATE_AFTER = {"pause": "paused", "resume": "open", "cancel": "cancelled", "archive": "archived"}


def spent(search: Mapping[int, Trial], events: Sequence[Event]) -> Cost:
    """The cost of the search trials: their own, and that of late results and requeued attempts.

    It is added up in the order of the events, as the store did, so that the sum is the same to the last bit.
    """
    total = Cost()
    for e in events:
        if e.number is None or e.number not in search:
            continue
        if e.kind in ENDS:
            total = total.plus(search[e.number].cost)
        elif "cost" in e.body:
            total = total.plus(Cost(**e.body["cost"]))
    return total


def _trial(t: Trial, enqueued: str, events: Sequence[Event], reports: Sequence[Report]) -> list[str]:
    """What in a trial's row or reports does not fit the events that touched it. enqueued: its digest when enqueued."""
    found = []
    if proposed(t) != enqueued:
        found.append(f"trial {t.number}: its row is not what was enqueued (event {events[0].position})")
    end = next((e for e in events if e.kind in ENDS), None)
    if end is None:
        found += _open(t)
    elif t.state in OPEN:
        found.append(f"trial {t.number}: it is {t.state}, but event {end.position} says that it ended")
    elif ended(t, reports) != end.body["digest"]:
        found.append(
            f"trial {t.number}: its row or its reports are not what event {end.position} ({end.kind}) recorded"
        )
    if end is not None and (t.told != end.position or t.worker is not None or t.lease_until is not None):
        found.append(f"trial {t.number}: its place in the order or its lease does not fit event {end.position}")
    if t.revision != events[-1].position:
        found.append(f"trial {t.number}: its revision is not that of the last event that touched it")
    if commitments(t.private) != _committed(events) or not t.private.keys() <= _PRIVATE:
        found.append(f"trial {t.number}: its private texts are not those that its events commit to")
    return found


def _open(t: Trial) -> list[str]:
    """What is wrong with the row of a trial that has not ended: it has results, or is queued and has a holder."""
    if t.state not in OPEN:
        return [f"trial {t.number}: it is {t.state}, but no event says that it ended"]
    found = []
    if t.metrics or t.verdict or t.cost != Cost() or (t.reason, t.ended, t.told) != (None, None, None):
        found.append(f"trial {t.number}: it is {t.state}, but its row holds results")
    if t.state is State.QUEUED and (t.worker, t.lease_until, t.started) != (None, None, None):
        found.append(f"trial {t.number}: it is queued, but its row names a holder")
    return found


_PRIVATE = frozenset({"error", "output", "worker", "notes"})


def _committed(events: Sequence[Event]) -> dict[str, Any]:
    """The commitments to a trial's private texts in the events that touched it, notes in their order."""
    made: dict[str, Any] = {}
    notes: list[str] = []
    for e in events:
        if e.kind in ENDS:
            made = dict(e.body["private"])
            notes += made["notes"]
        elif e.kind == "note":
            notes.append(e.body["note"])
    return {**made, "notes": notes}
