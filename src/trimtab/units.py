"""Durations and sizes as people write them (seconds or "30m", bytes or "2GiB"), read as numbers."""

import math
import re
from contextlib import suppress

from .checks import positive, shown
from .errors import SpecError

_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_QUANTITY = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)\s*")


def seconds(value: float | str | None, name: str) -> float | None:
    """Seconds from a number or a text such as "90", "30m", "1.5h"; None stays None (no limit)."""
    return _quantity(value, name, _SECONDS, "s", 'seconds or a text such as "30m"')


def byte_count(value: float | str | None, name: str) -> int | None:
    """Bytes from a number or a text such as "512MiB", "2GB"; None stays None (no limit)."""
    amount = _quantity(value, name, _BYTES, "b", 'bytes or a text such as "2GiB"')
    return None if amount is None else int(amount)


def _quantity(
    value: float | str | None, name: str, units: dict[str, float] | dict[str, int], plain: str, form: str
) -> float | None:
    if value is None:
        return None
    amount = math.nan
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        unit = (match[2] or plain).lower() if match else ""
        if match and unit in units:
            amount = float(match[1]) * units[unit]
    else:
        with suppress(SpecError):
            amount = float(positive(name, value))
    if not (math.isfinite(amount) and amount > 0):
        raise SpecError(f"{name}={shown(value)} is no positive amount; write {form}, or leave it out for no limit")
    return amount
