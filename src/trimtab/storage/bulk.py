"""Many rows read at once, column by column: takes one second for a hundred thousand trials, not ten."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import Damaged
from ..records import GOOD, Purpose, State
from ..records.columns import End, Results

ENDS = ("number", "told", "state", "purpose", "started", "ended")
RESULTS = ("number", "state", "params", "seed", "metrics", "cost", "parent", "fidelity", "curve")
"""The columns that `ends_of` and `results_of` read, in this order. After those of RESULTS comes `why`, which is NULL unless it
names a member of a population."""

_BLOCK = 10_000  # how many JSON texts are parsed together
_STATES = {str(state): state for state in State}
_PURPOSES = {str(purpose): purpose for purpose in Purpose}


def ends_of(found: Iterable[Sequence[Any]]) -> list[End]:
    """The ends of trials, from rows with the columns ENDS."""
    rows = list(found)
    try:
        return [
            End(number, told, _STATES[state], _PURPOSES[purpose], started, ended)
            for number, told, state, purpose, started, ended in rows
        ]
    except KeyError:
        raise _unknown(rows) from None


def _unknown(rows: Iterable[Sequence[Any]]) -> Damaged:
    """The error that names the first trial with an unknown state or purpose: studies with one cannot be opened, so that
    `verify` could not name it."""
    wrong = (
        (number, column, value)
        for number, _, state, purpose, *_ in rows
        for column, value, known in (("state", state, _STATES), ("purpose", purpose, _PURPOSES))
        if value not in known
    )
    number, column, value = next(wrong)
    return Damaged(
        f"trial {number}: its column {column!r} cannot be read ({value!r}); the row was changed outside Trimtab, restore the "
        "store from a backup"
    )


def results_of(found: Sequence[Sequence[Any]]) -> Results:
    """The results that strategies are told, from rows with the columns RESULTS and `why`."""
    columns = zip(*found, strict=True) if found else [()] * (len(RESULTS) + 1)
    number, state, params, seed, metrics, cost, parent, fidelity, curve, why = map(list, columns)
    counts = [s in _GOOD for s in state]
    return Results(
        number=number,
        done=[s == _DONE for s in state],
        params=_parsed("params", params),
        seed=seed,
        metrics=[m if good else {} for m, good in zip(_parsed("metrics", metrics), counts, strict=True)],
        cost=_parsed("cost", cost),
        parent=parent,
        fidelity=fidelity,
        curve=[{float(step): m for step, m in c.items()} for c in _parsed("curve", curve)],
        member=[None if text is None else json.loads(text).get("member") for text in why],
    )


_GOOD, _DONE = frozenset(map(str, GOOD)), str(State.DONE)


def _parsed(column: str, texts: Sequence[str]) -> list[dict[str, Any]]:
    """The objects in a column of JSON texts."""
    values: list[dict[str, Any]] = []
    for i in range(0, len(texts), _BLOCK):
        block = texts[i : i + _BLOCK]
        try:
            made = json.loads(f"[{','.join(block)}]", parse_constant=_refuse)
        except (ValueError, TypeError) as error:
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
