"""Functions as objectives: whether they take a trial, and how they are packed for another process."""

import functools
import inspect
import pickle
import sys
from collections.abc import Iterator
from typing import Any

from ..errors import ObjectiveError
from .source import innermost, name_of, outside


def check(objective: Any) -> None:
    """Raises ObjectiveError for a callable that does not take a trial as its only argument."""
    try:
        signature = inspect.signature(objective)
    except (ValueError, TypeError):
        return  # a builtin without a signature
    try:
        signature.bind(None)
    except TypeError:
        raise ObjectiveError(
            f"objective {name_of(objective)}{signature} must take one argument, the trial; bind others with "
            "functools.partial, or pass parameters by lambda trial: f(**trial.params)"
        ) from None


def pack(objective: Any) -> bytes:
    """The callable, with everything that it captures, as bytes. Raises ObjectiveError that names what cannot be sent to
    another process."""
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(objective))
    except Exception as error:  # any class may refuse in its own way
        culprits = [f"{name} ({type(v).__name__})" for name, v in _captured(objective) if not _packs(v)]
        what = f"it captures {', '.join(culprits)}: " if culprits else ""
        raise ObjectiveError(
            f"objective {name_of(objective)} cannot be sent to a worker process: {what}{_line(error)}; make such things "
            "inside the objective, or run it with one worker and no limits"
        ) from None


def unpack(code: bytes) -> Any:
    """The callable that `pack` packed. Only for bytes from this program's own parent process."""
    objective = pickle.loads(code)
    for inner in (innermost(objective), type(getattr(objective, "__self__", None))):
        _put_into_main(inner)
    return objective


def _put_into_main(inner: Any) -> None:
    """Put what came from the `__main__` of a script or notebook into `__main__` here.

    Pickle looks there for the classes of objects that an objective saves, and for functions that it sends to processes
    of its own.
    """
    main = sys.modules["__main__"]
    functions = [v for v in vars(inner).values() if inspect.isfunction(v)] if isinstance(inner, type) else [inner]
    found = {name: v for f in functions for name, v in getattr(f, "__globals__", {}).items()}
    for name, value in {**found, getattr(inner, "__name__", ""): inner}.items():
        if getattr(value, "__module__", None) == "__main__" and not hasattr(main, name):
            setattr(main, name, value)


def _packs(value: Any) -> bool:
    import cloudpickle

    try:
        cloudpickle.dumps(value)
    except Exception:
        return False
    return True


def _captured(objective: Any) -> Iterator[tuple[str, Any]]:
    """(name, value) of all that a callable captures: bound arguments, attributes, globals, closure and defaults."""
    while isinstance(objective, functools.partial):
        yield from ((str(k), v) for k, v in [*enumerate(objective.args), *objective.keywords.items()])
        objective = objective.func
    owner = getattr(objective, "__self__", None if inspect.isfunction(objective) else objective)
    yield from getattr(owner, "__dict__", {}).items()
    function = inspect.unwrap(getattr(objective, "__func__", objective))
    function = function if inspect.isfunction(function) else type(function).__call__
    if inspect.isfunction(function):
        yield from outside(function)


def _line(error: BaseException) -> str:
    """An error in one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
