"""What explains the results in words: the same in a terminal as in a document."""

from ..formatting import number, value
from .effects import Index
from .sensitivity import Safe


def share(x: float) -> str:
    """In whole percent: the data seldom supports more."""
    return "< 1 %" if 0 < x < 0.005 else f"{round(100 * x)} %"


def band(i: Index) -> str:
    """An index with its interval, in percent."""
    return f"{share(i.value)} ({round(100 * i.low)} to {round(100 * i.high)})"


def chosen_and_span(s: Safe | None) -> tuple[str, str]:
    """The chosen value of a parameter, and the values that do as well."""
    if s is None:
        return "inactive", ""
    return value(s.at), span(s)


def span(s: Safe) -> str:
    """The values that do equally well."""
    if s.options:
        return ", ".join(map(value, s.options))
    low, high = (number(v, 3) if isinstance(v, float) else value(v) for v in (s.low, s.high))
    return low if low == high else f"{low} to {high}"
