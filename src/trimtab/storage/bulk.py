"""Many rows read at once, column by column: takes one second for a hundred thousand trials, not ten."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import NoneType
from typing import Any

from ..errors import Damaged
from ..records import GOOD, Purpose, State
from ..records.columns import End, Results
from .rows import TRIALS, fields_of

ENDS = ("number", "told", "state", "purpose", "started", "ended")
RESULTS = ("number", "state", "params", "metrics", "cost", "parent", "fidelity", "curve")
"""The columns that `ends_of` and `results_of` read, in this order. After those of RESULTS comes `why`, which is NULL unless it
names a member of a population."""

_BLOCK = 10_000  # how many JSON texts are parsed together
_STATES = {str(state): state for state in State}
_PURPOSES = {str(purpose): purpose for purpose in Purpose}
_WHOLE: frozenset[type] = frozenset({int})
_REAL: frozenset[type] = frozenset({float, NoneType})
_TYPES: Mapping[str, frozenset[type]] = {  # of the columns that hold neither JSON nor a state
    **dict.fromkeys(("number", "told"), _WHOLE),
    "parent": _WHOLE | {NoneType},
    **dict.fromkeys(("started", "ended", "fidelity"), _REAL),
}


def _odd(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[str]:
    """The names of columns in which a value has a type that is never written."""
    known = [(name, column) for name, column in zip(names, columns, strict=False) if name in _TYPES]
    return [name for name, column in known if not _TYPES[name].issuperset(map(type, column))]


def ends_of(found: Sequence[Sequence[Any]]) -> list[End]:
    """The ends of trials, from rows with the columns ENDS.

    Raises Damaged, which names the trial: a study with a damaged end cannot be opened, so that `verify` could not name it.
    """
    if not _odd(ENDS, [*zip(*found, strict=True)]) and all(0 <= row[0] < TRIALS for row in found):
        with suppress(KeyError):  # an unknown state or purpose
            return [
                End(number, told, _STATES[state], _PURPOSES[purpose], started, ended)
                for number, told, state, purpose, started, ended in found
            ]
    return [End(**fields_of(dict(zip(ENDS, row, strict=True)))) for row in found]


def results_of(found: Sequence[Sequence[Any]]) -> Results:
    """The results that strategies are told, from rows with the columns RESULTS and `why`. Raises Damaged."""
    columns = [*zip(*found, strict=True)] or [()] * (len(RESULTS) + 1)
    for name in _odd(RESULTS, columns):
        raise _damaged(name, "not every value is of its type")
    number, state, params, metrics, cost, parent, fidelity, curve, why = map(list, columns)
    counts = [s in _GOOD for s in state]
    return Results(
        number=number,
        done=[s == _DONE for s in state],
        params=_parsed("params", params),
        metrics=[m if good else {} for m, good in zip(_parsed("metrics", metrics), counts, strict=True)],
        cost=_parsed("cost", cost),
        parent=parent,
        fidelity=fidelity,
        curve=_curves(curve),
        member=[w.get("member") for w in _parsed("why", [text or "{}" for text in why])],
    )


_GOOD, _DONE = frozenset(map(str, GOOD)), str(State.DONE)


def _curves(texts: Sequence[str]) -> list[dict[float, Any]]:
    curves = _parsed("curve", texts)
    try:
        return [{float(step): metrics for step, metrics in curve.items()} for curve in curves]
    except ValueError as error:
        raise _damaged("curve", error) from None


def _parsed(column: str, texts: Sequence[str]) -> list[dict[str, Any]]:
    """The objects in a column of JSON texts."""
    values: list[dict[str, Any]] = []
    for i in range(0, len(texts), _BLOCK):
        block = texts[i : i + _BLOCK]
        try:
            made = json.loads(f"[{','.join(block)}]", parse_constant=_refuse)
        except (ValueError, TypeError, RecursionError) as error:
            raise _damaged(column, error) from None
        if len(made) != len(block) or not all(type(value) is dict for value in made):
            raise _damaged(column, "not every text is one object")
        values += made
    return values


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no canonical JSON")


def _damaged(column: str, error: object) -> Damaged:
    return Damaged(
        f"trials: the column {column!r} cannot be read ({error}); a row was changed outside Trimtab: `trimtab verify` names "
        "it, restore the store from a backup"
    )
