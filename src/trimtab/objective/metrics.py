"""Metrics as an objective returns or reports them: named, real, finite numbers; anything else fails the trial."""

import inspect
import math
from collections.abc import Mapping, Sequence
from numbers import Real

from ..errors import TrimtabError, nearest

ERROR, MEMORY, BAD_RESULT = "error", "memory", "bad result"  # the values of records.Reason that an objective can cause


class TrialFailed(TrimtabError):
    """Ends the trial as failed for `reason`, with a text that needs no traceback."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def measured(returned: object, needed: Sequence[str], partly: bool = False) -> dict[str, float]:
    """The metrics in what an objective returned: a mapping of finite numbers, or a single number if one is needed.

    Raises TrialFailed (bad result) for anything else; `partly` allows missing metrics.
    """
    wanted = "return {" + ", ".join(f"{m!r}: ..." for m in needed) + "}"
    if returned is None:
        raise TrialFailed(
            BAD_RESULT, f"missing metric {', '.join(map(repr, needed))}: the objective returned None; {wanted}"
        )
    if not isinstance(returned, Mapping):
        if real(returned) is None:
            raise TrialFailed(BAD_RESULT, f"the objective returned {_shown(returned)}; {wanted}{_hint(returned)}")
        if len(needed) != 1:
            text = (
                f"the objective returned one number, {returned!r}, but the study needs {len(needed)} metrics; {wanted}"
            )
            raise TrialFailed(BAD_RESULT, text)
        return {needed[0]: finite("the objective returned", needed[0], returned)}
    for name in returned:
        if not isinstance(name, str):
            raise TrialFailed(BAD_RESULT, f"the objective returned a metric named {name!r}; names are texts: {wanted}")
    for name in needed:
        if name not in returned and not partly:
            known = nearest(name, returned) or "; the mapping is empty"
            raise TrialFailed(BAD_RESULT, f"missing metric {name!r} in what the objective returned{known}; {wanted}")
    return {clean(name): finite("the objective returned", name, value) for name, value in returned.items()}


def real(value: object) -> float | None:
    """A real number as a float (also numpy scalars and 0-d arrays), None for anything else; a bool is not a number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, Real):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    item = getattr(value, "item", None)
    if getattr(value, "shape", None) != () or not callable(item):
        return None
    masked = getattr(value, "mask", False)  # numpy keeps a value there, which means nothing
    return math.nan if masked else real(item())


def finite(where: str, name: str, value: object) -> float:
    """The value of a metric. Raises TrialFailed (bad result) unless it is one finite number."""
    x = real(value)
    if x is None:
        raise TrialFailed(BAD_RESULT, f"{where} {name}={_shown(value)}; a metric is one real number")
    if not math.isfinite(x):
        raise TrialFailed(BAD_RESULT, f"{where} {name}={x}; a metric must be finite")
    return x


def _shown(value: object) -> str:
    """A value and its type in short, whatever its __repr__ does; a coroutine is closed, since nobody will await it."""
    if inspect.iscoroutine(value):
        value.close()
    return f"{brief(value)} ({type(value).__name__})"


def brief(value: object) -> str:
    """The value in at most 80 characters, on one line."""
    try:
        text = repr(value)
    except Exception:
        return "an object that cannot be shown"
    text = " ".join(text.split()) if "\n" in text else text  # of tables and arrays
    return text if len(text) <= 80 else text[:77] + "..."


def _hint(value: object) -> str:
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        return " (a function with `yield` returns a generator; report steps with trial.report)"
    return " (an `async` function returns a coroutine; run it with asyncio.run)" if inspect.iscoroutine(value) else ""


def clean(text: str) -> str:
    """Text that every store can keep: without lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
