"""What a check of a strategy is, and how it reports that a law is broken."""

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

from ..strategies import Strategy

Check = Callable[[Strategy[Any]], None]


class Violation(AssertionError):
    """A law that a strategy breaks, and the case in which it does."""


def require(holds: object, law: str, case: object) -> None:
    """Raises Violation unless it holds."""
    if not holds:
        raise Violation(f"{law} (case: {case})")


def strict(check: Check) -> Check:
    """The check with warnings as errors."""

    @wraps(check)
    def checked(made: Strategy[Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(made)

    return checked
