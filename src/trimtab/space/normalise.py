"""What a user writes in a declaration, as plain Python values. Invalid input passes through: `check` refuses it."""

import math
from collections.abc import Mapping
from typing import Any

from .. import checks

COLLECTIONS = (list, tuple, set, frozenset)


def plain(value: Any) -> Any:
    """As `checks.plain`, and -0.0 as 0.0: both are one value of a parameter."""
    value = checks.plain(value)
    return value + 0.0 if type(value) is float else value


def real(value: Any) -> Any:
    """An integer as a float; anything else unchanged."""
    value = plain(value)
    try:
        return float(value) if type(value) is int else value
    except OverflowError:
        return math.inf


def prior(prior: Any) -> Any:
    """A prior as (centre, confidence); the confidence is medium by default."""
    if prior is None:
        return None
    pair = isinstance(prior, tuple) and len(prior) == 2
    return (plain(prior[0]), prior[1]) if pair else (plain(prior), "medium")


def when(when: Any) -> Any:
    """Conditions with a tuple of values for each parent."""
    if not isinstance(when, Mapping):
        return {} if when is None else when
    return {p: tuple(plain(v) for v in (vs if isinstance(vs, COLLECTIONS) else [vs])) for p, vs in when.items()}


def is_empty(value: Any) -> bool:
    """Whether it is what an empty cell of a table holds: None, NaN, or pandas' NA."""
    value = plain(value)
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))
