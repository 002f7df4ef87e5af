"""Records as rows of plain columns, and back. Columns hold numbers and texts; JSON is canonical text."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

from ..canonical import dumps
from ..checks import is_number
from ..errors import Damaged, UserError
from ..records import Cost, Event, Json, Purpose, Reason, Report, State, StudyRecord, StudySpec, StudyState, Trial

Row = dict[str, Any]
T = TypeVar("T", bound=StrEnum)


@dataclass(frozen=True)
class _Column:
    """How a field is written to its column and read back. `read` raises ValueError for a value that is never written."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _is(kind: type) -> Callable[[Any], Any]:
    """A reader that accepts only values of this very type."""

    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{value!r} is of type {type(value).__name__}, not {kind.__name__}")
        return value

    return read


def _uid(value: Any) -> str:
    """A study's uid. It names folders and lines of files outside the database, so nothing else may get there."""
    if not re.fullmatch("[0-9a-f]{32}", _is(str)(value)):
        raise ValueError(f"{value[:80]!r} is not 32 hexadecimal digits")
    return str(value)


def _member(kind: type[T]) -> Callable[[Any], T]:
    """A reader of members of a string enumeration. It looks them up in a table, since it is called very often."""
    members = {str(member): member for member in kind}

    def read(value: Any) -> T:
        if value not in members:
            raise ValueError(f"{value!r} is none of {', '.join(members)}")
        return members[value]

    return read


def _parse(text: Any) -> dict[str, Any]:
    """A JSON object from its canonical text."""
    if text == "{}":  # the most frequent one
        return {}
    value: dict[str, Any] = _is(dict)(json.loads(_is(str)(text)))
    if dumps(value) != text:
        raise ValueError(f"{text[:80]!r} is not canonical JSON")
    return value


def _optional(column: _Column) -> _Column:
    return _Column(
        lambda value: None if value is None else column.write(value),
        lambda value: None if value is None else column.read(value),
    )


def _numbers(text: Any) -> dict[str, Any]:
    """A JSON object of finite numbers."""
    found = _parse(text)
    if not all(is_number(v) and math.isfinite(v) for v in found.values()):
        raise ValueError(f"{text[:80]!r} holds something else than numbers")
    return found


@lru_cache(maxsize=1024)
def _cost(text: Any) -> Cost:
    return Cost(**_numbers(text))


def _number(value: Any) -> int:
    """A trial's number. Trials are counted from 0, and what is read takes memory up to the largest number."""
    if not 0 <= _is(int)(value) < TRIALS:
        raise ValueError(f"{value} is not from 0 to {TRIALS - 1}")
    return int(value)


TRIALS = 10**8


def _private(text: Any) -> dict[str, Any]:
    """The private texts of a trial (see records.Trial.private)."""
    texts = _parse(text)
    pairs = [*texts.get("notes", []), *(pair for name, pair in texts.items() if name != "notes")]
    if not all(isinstance(pair, list) and [type(part) for part in pair] == [str, str] for pair in pairs):
        raise ValueError("not every private text is a [salt, text]")
    return texts


@lru_cache(maxsize=64)
def _spec(text: str) -> StudySpec:
    return StudySpec.from_json(_parse(text))


_WHOLE = _Column(int, _is(int))
_REAL = _Column(lambda value: float(value) + 0.0, _is(float))  # + 0.0 makes -0.0 a 0.0: not every store keeps the sign
_TEXT = _Column(str, _is(str))
_JSON = _Column(lambda value: dumps(dict(value)), _parse)
_METRICS = _Column(_JSON.write, _numbers)
_NUMBER = _Column(int, _number)
_PRIVATE = _Column(_JSON.write, _private)
_COST = _Column(lambda value: dumps(value.to_json()), _cost)

_CURVE = _Column(
    lambda curve: dumps({repr(float(step)): dict(metrics) for step, metrics in curve.items()}),
    lambda text: {float(step): metrics for step, metrics in sorted(_parse(text).items(), key=lambda p: float(p[0]))},
)

_TRIAL: Mapping[str, _Column] = {
    "study": _WHOLE,
    "number": _NUMBER,
    "state": _Column(str, _member(State)),
    "purpose": _Column(str, _member(Purpose)),
    "params": _JSON,
    "seed": _WHOLE,
    "strategy": _TEXT,
    "version": _TEXT,
    "why": _JSON,
    "seen": _WHOLE,
    "at": _WHOLE,
    "batch": _WHOLE,
    "parent": _optional(_WHOLE),
    "replicate": _optional(_WHOLE),
    "priority": _WHOLE,
    "created": _REAL,
    "attempt": _WHOLE,
    "worker": _optional(_TEXT),
    "lease_until": _optional(_REAL),
    "started": _optional(_REAL),
    "ended": _optional(_REAL),
    "metrics": _METRICS,
    "reason": _optional(_Column(str, _member(Reason))),
    "cost": _COST,
    "private": _PRIVATE,
    "fidelity": _optional(_REAL),
    "curve": _CURVE,
    "verdict": _JSON,
    "told": _optional(_WHOLE),
    "revision": _WHOLE,
}
_CHANGING = ("study", "number", "created", "revision", "state", "attempt", "worker", "lease_until", "started")
"""Columns of which at least one differs if a trial has changed: events change its revision, claims and renewals the others,
and it was created at another time if the record was set back and its number given anew."""
_changing_in_row, _changing_in_trial = itemgetter(*_CHANGING), attrgetter(*_CHANGING)
_STUDY: Mapping[str, _Column] = {
    "id": _WHOLE,
    "uid": _Column(str, _uid),
    "name": _TEXT,
    "spec": _Column(lambda spec: spec.text, lambda text: _spec(_is(str)(text))),
    "state": _Column(str, _member(StudyState)),
    "created": _REAL,
    "count": _WHOLE,
    "reserved": _WHOLE,
    "spent": _COST,
    "position": _WHOLE,
    "head": _TEXT,
}
_REPORT: Mapping[str, _Column] = {
    "number": _NUMBER,
    "attempt": _WHOLE,
    "step": _REAL,
    "metrics": _METRICS,
    "at": _REAL,
}
_WRITTEN = {**_REPORT, "written": _WHOLE}
_EVENT: Mapping[str, _Column] = {
    "position": _WHOLE,
    "kind": _TEXT,
    "number": _optional(_WHOLE),
    "at": _REAL,
    "body": _JSON,
    "hash": _TEXT,
}
_ACTOR: Mapping[str, _Column] = {
    "position": _WHOLE,
    "salt": _TEXT,
    "text": _TEXT,
}


def _write(record: object, columns: Mapping[str, _Column]) -> Row:
    return {name: column.write(getattr(record, name)) for name, column in columns.items()}


def _read(row: Mapping[Any, Any], columns: Mapping[str, _Column], what: Callable[[], str]) -> dict[str, Any]:
    """The fields in a row. Raises Damaged, which names the row by `what`, if one cannot be read."""
    name = ""
    try:
        values = {}
        for name, column in columns.items():
            values[name] = column.read(row[name])
        return values
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, UserError) as error:
        raise Damaged(
            f"{what()}: its column {name!r} cannot be read ({error}); a newer version of Trimtab wrote it, then upgrade "
            "trimtab, or it was changed outside Trimtab, then restore the store from a backup"
        ) from None


def trial_row(trial: Trial) -> Row:
    return _write(trial, _TRIAL)


def difference(before: Trial, after: Trial) -> Row:
    """The columns in which two states of a trial differ."""
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in _TRIAL)
    return {name: _TRIAL[name].write(b) for name, a, b in pairs if a is not b and a != b}


def trial_of(row: Mapping[Any, Any], known: Trial | None = None) -> Trial:
    """The trial in a row. known: the trial as it was last read; if nothing has changed, that is returned, and nothing is
    parsed."""
    if known is not None and _changing_in_row(row) == _changing_in_trial(known):
        return known
    return Trial(**_read(row, _TRIAL, lambda: f"trial {row['number']} of study {row['study']}"))


def fields_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Some fields of the trial in a row that holds only their columns."""
    return _read(row, {name: _TRIAL[name] for name in row}, lambda: f"trial {row['number']}")


def study_row(study: StudyRecord) -> Row:
    """The study's columns. `active` is its name while no other study may have it, NULL once it is archived."""
    row = _write(study, _STUDY)
    return {**row, "active": None if study.state is StudyState.ARCHIVED else row["name"]}


def study_of(row: Mapping[Any, Any]) -> StudyRecord:
    study = StudyRecord(**_read(row, _STUDY, lambda: f"study {row['id']} ({row['name']})"))
    if row["active"] != (None if study.state is StudyState.ARCHIVED else study.name):
        raise Damaged(
            f"study {study.id} ({study.name}): its column 'active' is {row['active']!r}, which does not fit its name and "
            f"state {study.state}; the row was changed outside Trimtab, restore the store from a backup"
        )
    return study


def studies_of(found: Iterable[Mapping[Any, Any]], damaged: Callable[[Damaged], object] | None) -> list[StudyRecord]:
    """The studies in rows. A row that cannot be read raises Damaged, or is given to `damaged` and left out."""
    made = []
    for row in found:
        try:
            made.append(study_of(row))
        except Damaged as error:
            if damaged is None:
                raise
            damaged(error)
    return made


def report_row(report: Report) -> Row:
    return _write(report, _REPORT)


def report_of(row: Mapping[Any, Any]) -> Report:
    return Report(
        **_read(row, _WRITTEN, lambda: f"trial {row['number']}, attempt {row['attempt']}, report at {row['step']}")
    )


def event_row(event: Event) -> Row:
    return _write(event, _EVENT)


def event_of(row: Mapping[Any, Any]) -> Event:
    return Event(**_read(row, _EVENT, lambda: f"event {row['position']} ({row['kind']})"))


def events_by_study(found: Iterable[tuple[int, Mapping[Any, Any]]]) -> dict[int, Event]:
    """The events in (study, row) pairs, by study. Those that cannot be read are left out."""
    made = dict[int, Event]()
    for study, row in found:
        with suppress(Damaged):
            made[study] = event_of(row)
    return made


def actor_of(row: Mapping[Any, Any]) -> tuple[int, tuple[str, str]]:
    """(position, (salt, name)) of who made an event."""
    values = _read(row, _ACTOR, lambda: f"event {row['position']}, its actor")
    return values["position"], (values["salt"], values["text"])


def stored_fields(**values: Any) -> dict[str, Any]:
    """Fields of a trial as they will be read back: plain JSON values, floats if columns hold floats."""
    return {name: _TRIAL[name].read(_TRIAL[name].write(value)) for name, value in values.items()}


def stored_json(body: Json) -> dict[str, Any]:
    """The JSON object as it will be read back."""
    value: dict[str, Any] = json.loads(dumps(dict(body)))
    return value
