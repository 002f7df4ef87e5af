"""What a check of a strategy is, what every check asks of a proposal, and how it reports that a law is broken."""

import json
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..space import Space
from ..strategies import Proposal, Strategy

Check = Callable[[Strategy[Any]], None]


class Violation(AssertionError):
    """A law that a strategy breaks, and the case in which it does."""


def require(holds: object, law: str, case: object) -> None:
    """Raises Violation unless it holds."""
    if not holds:
        raise Violation(f"{law} (case: {case})")


def require_legal(p: Proposal, space: Space, case: object) -> None:
    """Raises Violation unless the proposal is a point of the space that can be recorded."""
    require(p.x.shape == (len(space),), f"x must have the shape {(len(space),)}, not {p.x.shape}", case)
    snapped = np.array_equal(space.snap(p.x[None])[0], p.x, equal_nan=True)
    require(snapped, f"x must be snapped: return space.snap(X); {p.x} is not", case)
    require(space.allowed(p.x[None]).all(), f"x must be allowed: see space.allowed; {p.x} is not", case)
    require(p.parent is None or isinstance(p.parent, int), f"parent must be a number or None: {p.parent!r}", case)
    try:
        json.dumps(dict(p.why), allow_nan=False)
    except (TypeError, ValueError) as error:
        require(False, f"why must be JSON, without NaN: {p.why!r} ({error})", case)


def strict(check: Check) -> Check:
    """The check with warnings as errors."""

    @wraps(check)
    def checked(strategy: Strategy[Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(strategy)

    return checked
