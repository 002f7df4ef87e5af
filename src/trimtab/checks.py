"""Checks of user input, which return it as plain Python values. Errors name the value, the rule and the repair.

numpy scalars count as the numbers that they hold. True and False are not numbers, a number is not a boolean, and a text
is not a list.
"""

import math
import operator
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from numbers import Real
from typing import Any, TypeGuard

from .errors import SpecError, nearest

_MOST = 2**63 - 1  # what every store and numpy can hold


def shown(value: object) -> str:
    """A value as an error message shows it: short, on one line, and safe for any object."""
    try:
        text = repr(value)
        text = " ".join(text.split()) if "\n" in text else text  # tables and arrays have several lines
    except Exception:  # repr may fail, for example for an integer of five thousand digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 120 else f"{text[:100]} ..."


def without_password(url: str) -> str:
    """The URL of a store with *** where its password is, also if it is no valid URL."""
    url = re.sub(r"^((?:[^:/@]+:/+)?[^:/@]*):(?!//).*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"(password|secret)=[^&]*", r"\1=***", url)


def no_setting(value: object, written: str) -> str:
    """The message for a value that should be a setting, a mapping from names to values. written: an example of one."""
    table = "; of a pandas Series: row.to_dict()" if hasattr(value, "to_dict") else ""
    return f"{shown(value)} is not a mapping from names to values; write {written}{table}"


def no_trial(number: object, count: int) -> str:
    """The message for a trial that a study of `count` trials does not have."""
    return f"trial {shown(number)} does not exist; the study has {count:,} trial{'s' * (count != 1)}, numbered from 0"


def plain(value: Any) -> Any:
    """A numpy scalar as a plain Python value; anything else unchanged."""
    single = isinstance(value, str | bytes) or not hasattr(value, "__len__")
    return value.item() if single and type(value).__module__ == "numpy" and hasattr(value, "item") else value


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether the value is an int or a float, but not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def index(value: object) -> int | None:
    """An integer, also one of numpy's, as an int; None for anything else."""
    value = plain(value)
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def whole(name: str, value: object, least: int = 1, repair: str = "", *, most: int | None = None) -> int:
    """The value called `name` as an int, if it is an integer of at least `least`, and at most `most`: what takes time or
    memory in proportion should have a limit. Raises SpecError."""
    found = index(value)
    if found is None or found < least:
        raise SpecError(f"{name}={shown(value)} must be a whole number of at least {least}{repair}")
    if most is not None and found > most:
        raise SpecError(f"{name}={shown(value)} is too large: it must be at most {most}{repair}")
    if found > _MOST:
        raise SpecError(f"{name}={shown(value)} is too large: it must be below 2**63{repair}")
    return found


def nonnegative(name: str, value: object, repair: str = "") -> int | float:
    """The value called `name` as an int or a float, if it is finite and at least 0. Raises SpecError."""
    found = _finite(value)
    if found is None or found < 0:
        raise SpecError(f"{name}={shown(value)} must be a number of at least 0, and finite{repair}")
    return found


def positive(name: str, value: object, repair: str = "") -> int | float:
    """The value called `name` as an int or a float, if it is finite and above 0. Raises SpecError."""
    found = _finite(value)
    if found is None or found <= 0:
        raise SpecError(f"{name}={shown(value)} must be a positive number, and finite{repair}")
    return found


def _finite(value: object) -> int | float | None:
    """A finite real number as an int or a float; None for anything else."""
    found = plain(value)
    try:
        if isinstance(found, Real) and not isinstance(found, int):
            found = float(found)
        return found if is_number(found) and math.isfinite(found) else None
    except OverflowError:  # an integer or a fraction too large for a float
        return None


def flag(name: str, value: object) -> bool:
    """The value called `name`, if it is True or False. Raises SpecError."""
    found = plain(value)
    if not isinstance(found, bool):
        raise SpecError(f"{name}={shown(value)} must be True or False")
    return found


def text(name: str, value: object, repair: str) -> str:
    """The value called `name`, if it is a non-blank text. Raises SpecError."""
    if not isinstance(value, str) or not value.strip():
        raise SpecError(f"{name}={shown(value)} is no text; {repair}")
    return value


def one_of(name: str, value: object, known: Iterable[str]) -> str:
    """The value called `name`, if it is one of the known texts. Raises SpecError."""
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise SpecError(f"{name}={shown(value)} is not known{nearest(str(plain(value))[:40], names)}")
    return value


def path(name: str, value: Any) -> str | os.PathLike[str]:
    """The value called `name`, if it can name a file. Raises SpecError."""
    with suppress(UnicodeEncodeError):
        if isinstance(value, str | os.PathLike) and (file := os.fsencode(value)) and b"\0" not in file:
            return value
    raise SpecError(f"{name}={shown(value)} names no file; write its path")


def members(name: str, value: Any, what: str) -> list[Any]:
    """The members of the value called `name`, if it is a list (a tuple, an array, ...) of `what`. Raises SpecError."""
    if not isinstance(value, str | bytes | dict | set | frozenset):
        with suppress(TypeError):
            return list(value)
    raise SpecError(f"{name}={shown(value)} is no list of {what}")
