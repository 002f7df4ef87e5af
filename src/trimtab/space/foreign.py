"""Parameters as they are written in other tuners, and what they would be here: the repair in an error message.

Nothing is converted. Whether a bound is included, or is a logarithm, differs from one tuner to the next: a space should be
written down, and read, before it is searched.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..checks import is_number, shown
from .normalise import COLLECTIONS, plain

_ANY = "write a Float, Int or Choice, such as Float(0, 1)"
_LOG = ("loguniform", "reciprocal")


def repair(value: Any) -> str:
    """What to write instead of a value that is no parameter."""
    value = plain(value)
    if isinstance(value, Mapping):
        if "grid_search" in value:  # of Ray Tune
            return f"{repair(value['grid_search'])}, and strategy='grid' in the study"
        return "a space has no levels: name each parameter, with when={'parent': value} if it depends on another"
    if isinstance(value, range):
        return f"write Int({value[0]}, {value[-1]}{_step(value.step)})" if value else _ANY
    if isinstance(value, COLLECTIONS) or hasattr(value, "tolist"):
        return _of_options([plain(v) for v in value])
    if value is None or isinstance(value, str | bool | int | float):
        return "a constant is no parameter; leave it to the objective"
    return _of_distribution(value)


def _step(step: object) -> str:
    return "" if step in (None, 1) else f", step={step!r}"


def _of_options(options: Sequence[Any]) -> str:
    """Options, or bounds if there are two numbers."""
    choice = f"Choice({', '.join(map(repr, options))})"
    choice = choice if options and len(choice) <= 80 else "Choice(*options)"
    if len(options) == 2 and all(map(is_number, options)):
        kind = "Int" if all(isinstance(o, int) for o in options) else "Float"
        return f"write {kind}({options[0]!r}, {options[1]!r}) for bounds, {choice} for options"
    return f"write {choice}"


def _of_distribution(value: Any) -> str:
    """A distribution of Optuna, Ray Tune, Syne Tune or ConfigSpace, by its attributes; one of scipy, by its support."""
    kind, package = type(value).__name__, type(value).__module__.partition(".")[0]
    if package == "hyperopt":
        return f"{_ANY}; hp.loguniform is Float(low, high, log=True), with the bounds themselves, not their logarithms"
    options = getattr(value, "choices", getattr(value, "categories", None))
    if isinstance(options, COLLECTIONS):
        return f"write Choice(*{shown(list(options))})"
    low, high = value.support() if hasattr(value, "support") else (_bound(value, "low"), _bound(value, "high"))
    if not (is_number(low := plain(low)) and is_number(high := plain(high))):
        return _ANY
    if math.isinf(low) or math.isinf(high):
        return "write a Float with bounds, and prior= where you expect good values"
    scale = getattr(getattr(value, "dist", None), "name", type(getattr(value, "sampler", None)).__name__)
    log = ", log=True" if getattr(value, "log", False) is True or scale.strip("_").lower() in _LOG else ""
    if "Int" in kind or "discrete" in kind:
        return f"write Int({int(low)}, {int(high) - (package == 'ray')}{log})"  # Ray's upper bound is excluded
    return f"write Float({float(low)!r}, {float(high)!r}{log})"


def _bound(value: object, name: str) -> object:
    return getattr(value, name, getattr(value, {"low": "lower", "high": "upper"}[name], None))


def without_logarithms(low: float, high: float) -> str:
    """How a range on a logarithmic scale is written if its bounds may be logarithms, which Hyperopt wants; else ""."""
    if not -700 < low < 0 or high > 700:
        return ""
    return f"raise low, drop log, or if these are logarithms, write Float({math.exp(low):.3g}, {math.exp(high):.3g}, log=True)"


def flat(options: Sequence[Any]) -> str:
    """How options are written that contain a collection: as they are if it holds all of them, also after a label."""
    if len(options) == 1:
        return "write Choice(*options)"
    if len(options) == 2 and isinstance(options[0], str) and isinstance(options[1], list):
        return "write Choice(*options), without a label"
    return "name it with a text, and read that where it is used"
