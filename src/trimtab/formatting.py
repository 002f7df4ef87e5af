"""Numbers, durations, sizes, times, settings and commands as text for people. Knows nothing of the record."""

import math
import shlex
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def number(x: float | None, digits: int = 5) -> str:
    """A number to `digits` significant digits; "unknown" for None and NaN."""
    if x is None or math.isnan(x):
        return "unknown"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    if 10**digits - 0.5 <= abs(x) < 1e15:  # what rounds to a further digit, too
        return f"{x:,.0f}"
    return str(int(x)) if float(x).is_integer() and abs(x) < 1e15 else f"{x:.{digits}g}"


def signed(x: float, digits: int = 4) -> str:
    """A difference, with its sign."""
    return f"+{number(x, digits)}" if x > 0 else number(x, digits)


def estimate(x: float, interval: tuple[float, float]) -> tuple[str, str, str]:
    """A difference and the ends of its interval, signed, to the two digits that the interval's width supports."""
    half = (interval[1] - interval[0]) / 2
    places = 1 - math.floor(math.log10(half)) if 0 < half < math.inf else -1
    if not 0 <= places <= 12:
        return signed(x), signed(interval[0]), signed(interval[1])
    x_, low, high = (f"{v:+.{places}f}" for v in (x, *interval))
    return x_, low, high


def percent(share: float | None) -> str:
    """A share in percent, never rounded to a false certainty (0 or 100 %)."""
    if share is None or math.isnan(share):
        return "unknown"
    for low, high, text in ((0.0, 0.001, "< 0.1"), (0.999, 1.0, "> 99.9")):
        if low < share < high:
            return f"{text} %"
    return f"{100 * share:.3g} %"


def duration(seconds: float | None) -> str:
    """ "0.42 s", "3 min 20 s", "2 h 5 min": the two largest units."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for (big, name), (small, less) in pairwise(_UNITS):
        if whole >= big:
            rest = int(whole % big // small)
            return f"{int(whole // big)} {name}" + (f" {rest} {less}" if rest else "")
    return f"{whole} s"


def size(count: float) -> str:
    """Bytes as "1.5 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{number(count, 3)} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1024
    return f"{count:,.1f} TiB"


def moment(at: float | None) -> str:
    """Seconds since the epoch as a date and time in UTC."""
    with suppress(OverflowError, ValueError, OSError):  # a time that no calendar has
        return "unknown" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return "unknown"


def value(v: Any) -> str:
    """One value of a setting."""
    return number(v, 6) if isinstance(v, float) else "none" if v is None else str(v)


def setting(params: Mapping[str, Any]) -> str:
    """A setting in one line: `depth=6, rate=0.1`."""
    return ", ".join(f"{k}={value(v)}" for k, v in params.items())


def first_line(text: str, most: int = 1000) -> str:
    """The first line of an error, cut off after `most` characters."""
    return cut(next(iter(text.strip().splitlines()), "no message"), most)


def cut(text: str, most: int) -> str:
    """The text, cut off after `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def plural(count: int, noun: str) -> str:
    """ "1 pair", "2 pairs"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Container[str] = ()) -> str:
    """Columns under their names in aligned lines of text; those named in `right` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = zip(head, row, widths, strict=True)
        lines.append("  ".join(c.rjust(w) if h in right else c.ljust(w) for h, c, w in cells).rstrip())
    return "\n".join(lines)


def command(verb: str, name: str, options: str = "") -> str:
    """The line `trimtab VERB NAME`, as a shell takes it, with options such as " --fresh". A name that begins with - stands
    after --."""
    quoted = shlex.quote(name)
    return f"trimtab {verb}{options} -- {quoted}" if name.startswith("-") else f"trimtab {verb} {quoted}{options}"
