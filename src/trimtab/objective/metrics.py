"""Metrics that an objective returns or reports: named, finite real numbers. Anything else makes the trial fail, but for a
NaN or infinite one that it returns beside those that the study needs: that is left out, with a note."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real

from ..canonical import storable
from ..checks import shown
from ..errors import TrimtabError, nearest

ERROR, MEMORY, BAD_RESULT = "error", "memory", "bad result"  # the values of records.Reason that an objective can cause

LEFT_OUT = "was left out: it is not finite"  # the end of a note


class TrialFailed(TrimtabError):
    """Makes the trial fail for `reason` (a value of records.Reason). Its text is shown without a traceback."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Killed(TrimtabError):
    """Something outside has ended the objective's own process: the trial is run again."""


def measured(
    returned: object,
    needed: Sequence[str],
    partly: bool = False,
    source: str = "the objective returned",
    repair: str = "return",
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, float]:
    """The metrics in what an objective returned: a mapping of finite numbers, or a single number if one is needed.

    needed: the metrics that the study needs. partly: they may be missing, and it may be None. source, repair: how messages
    speak of it, if the objective did not return it. note: called with what is to be said of a metric that is left out,
    because it is not finite and the study does not need it. Raises TrialFailed (bad result) for anything else.
    """
    wanted = f"{repair} {{" + ", ".join(f"{m!r}: ..." for m in needed) + "}"
    if returned is None and partly:
        return {}
    if returned is None:
        raise TrialFailed(BAD_RESULT, f"missing metric {', '.join(map(repr, needed))}: {source} None; {wanted}")
    if not isinstance(returned, Mapping):
        if real(returned) is None:
            raise TrialFailed(BAD_RESULT, f"{source} {_shown(returned)}; {wanted}{_hint(returned)}")
        if len(needed) != 1:
            text = f"{source} one number, {returned!r}, but the study needs {len(needed)} metrics; {wanted}"
            raise TrialFailed(BAD_RESULT, text)
        return {needed[0]: finite(source, needed[0], returned)}
    for name in returned:
        if not isinstance(name, str):
            raise TrialFailed(BAD_RESULT, f"{source} a metric named {shown(name)}; names are texts: {wanted}")
    for name in needed:
        if name not in returned and not partly:
            known = nearest(name, returned) or "; the mapping is empty"
            raise TrialFailed(BAD_RESULT, f"missing metric {name!r} in what {source}{known}; {wanted}")
    found: dict[str, float] = {}
    for name, value in returned.items():
        if name not in needed and (x := real(value)) is not None and not math.isfinite(x):
            note(f"{storable(name)}={x} {LEFT_OUT}")
        else:
            found[storable(name)] = finite(source, name, value)
    return found


def real(value: object) -> float | None:
    """A real number as a float, also from a numpy scalar or a 0-d array; None for anything else, and for a bool."""
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
    masked = getattr(value, "mask", False)  # a masked array still has a value there, which means nothing
    return math.nan if masked else real(item())


def finite(where: str, name: str, value: object) -> float:
    """The value of a metric as a float. Raises TrialFailed (bad result) unless it is one finite number.

    where: what gave the value, for the message.
    """
    x = real(value)
    if x is None:
        raise TrialFailed(BAD_RESULT, f"{where} {name}={_shown(value)}; a metric is one real number{_hint(value)}")
    if not math.isfinite(x):
        raise TrialFailed(BAD_RESULT, f"{where} {name}={x}; a metric must be finite")
    return x


def _shown(value: object) -> str:
    """A value and its type, in short. A coroutine is closed, since nobody will await it."""
    if inspect.iscoroutine(value):
        value.close()
    return f"{shown(value)} ({type(value).__name__})"


def _hint(value: object) -> str:
    """What to do about a generator, a coroutine, or an array of one element; empty for anything else."""
    if (shape := getattr(value, "shape", None)) and isinstance(shape, tuple) and set(shape) == {1}:
        return " (an array of one element is not a number; take its .item())"
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        return " (a function with `yield` returns a generator; report steps with trial.report)"
    return " (an `async` function returns a coroutine; run it with asyncio.run)" if inspect.iscoroutine(value) else ""
