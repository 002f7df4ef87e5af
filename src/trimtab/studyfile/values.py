"""What may be at a place in the file: each reader returns the checked value, or raises SpecError with place and repair."""

from collections.abc import Callable, Mapping
from typing import Any

from ..checks import is_number, nonnegative, shown
from ..errors import SpecError
from ..other_tuners import meant

Read = Callable[[Any, str], Any]  # (value, where it stands) -> the checked value


def keys(known: Mapping[str, Read], data: Any, where: str = "") -> dict[str, Any]:
    """The mapping `data` with each value read by the reader of its key. Unknown keys are errors."""
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"is {shown(data)}"
        raise SpecError(f"{where or 'the file'} {what}; write a mapping with keys such as {', '.join(list(known)[:4])}")
    inside = f"{where}." if where else ""
    for key in data:
        if key not in known:
            raise SpecError(f"{inside}{key} is not a key that is known here{meant(str(key), known)}")
    return {key: known[key](value, f"{inside}{key}") for key, value in data.items()}


def named(read: Read, form: str, name: str = "a name") -> Read:
    """The reader of a mapping from names to what `read` reads. form: such a mapping, for messages."""

    def read_named(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong(where, value, f"write {form}")
        return {text(k, f"{where}: {name}"): read(v, f"{where}.{k}") for k, v in value.items()}

    return read_named


def wrong(where: str, value: Any, repair: str) -> SpecError:
    """The error for a value at a place."""
    return SpecError(f"{where}: {'nothing is there' if value is None else shown(value)}; {repair}")


def text(value: Any, where: str) -> str:
    """A non-empty text."""
    if not isinstance(value, str) or not value.strip():
        hint = f', in quotes: "{value}"' if isinstance(value, int | float) else ""
        raise wrong(where, value, f"a text is needed here{hint}")
    return value


def texts(value: Any, where: str) -> list[str]:
    """One text or a list of texts, as a list."""
    if isinstance(value, list) and value:
        return [text(item, f"{where}[{i}]") for i, item in enumerate(value)]
    return [text(value, where)]


def number(value: Any, where: str) -> float:
    """A number, not a text."""
    if not is_number(value):
        raise wrong(where, value, "a number is needed here, without quotes")
    return value


def unsigned(value: Any, where: str) -> float:
    """A finite number of at least 0."""
    return nonnegative(where, number(value, where))


def whole(value: Any, where: str) -> int:
    """An integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(where, value, "a whole number is needed here")
    if abs(value) >= 2**63:
        raise wrong(where, value, "it is too large: a whole number below 2**63 is needed here")
    return value


def positive(value: Any, where: str) -> int:
    """An integer of at least 1."""
    if whole(value, where) < 1:
        raise wrong(where, value, "a whole number of at least 1 is needed here")
    return int(value)


def flag(value: Any, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise wrong(where, value, "write true or false")
    return value


def amount(value: Any, where: str) -> Any:
    """A number, a text with a unit ("30m", "2GiB"), or null for no limit; units are checked later."""
    return value if value is None or isinstance(value, str) else number(value, where)


def single(value: Any, where: str) -> Any:
    """One value, whatever its type."""
    if isinstance(value, list | dict):
        raise wrong(where, value, "a single value is needed here")
    return value


params = named(single, "{parameter: value, ...}", "a parameter's name")
numbers = named(number, "{name: number, ...}")
paths = named(text, "{name: path, ...}")
