"""Functions as objectives: their source text, and how they are packed for another process."""

import functools
import inspect
import os
import pickle
import sys
import threading
from collections.abc import Iterator, Mapping
from tokenize import TokenError
from types import CodeType
from typing import Any

from ..canonical import dumps, stable_repr
from ..errors import ObjectiveError

_parsing = threading.Lock()
"""Held while source text is looked up: Python 3.11 parses the file to find a class, and that fails at times if two threads
do it at once ("AST constructor recursion depth mismatch")."""


def name_of(objective: Any) -> str:
    """The name of a callable as module.qualified_name; for a callable object, that of its class."""
    inner = _innermost(objective)
    return f"{getattr(inner, '__module__', '?')}.{getattr(inner, '__qualname__', type(inner).__name__)}"


def text_of(objective: Any) -> str:
    """The text that identifies a callable: its source, or its byte code if there is no source.

    The plain arguments that a partial binds, and an object's `protocol`, are part of it.
    """
    bound = ""
    if isinstance(objective, functools.partial):
        values = [*enumerate(objective.args), *sorted(objective.keywords.items())]
        bound = repr([(k, v) for k, v in values if isinstance(v, int | float | str | bool | None)])
    if isinstance(protocol := getattr(objective, "protocol", None), Mapping):
        bound += dumps(protocol)
    inner = _innermost(objective)
    try:
        with _parsing:
            return inspect.getsource(inner) + bound
    except (OSError, TypeError, SyntaxError, TokenError):  # the last two: the file has changed since, or is no Python
        code = getattr(inner, "__code__", None)
        return (name_of(objective) if code is None else _code_text(code)) + bound


def files_of(objective: Any) -> tuple[str, ...]:
    """The file that contains a callable; none if it was typed in or compiled."""
    try:
        file = inspect.getsourcefile(_innermost(objective))
    except TypeError:
        return ()
    return (file,) if file is not None and os.path.isfile(file) else ()


def _innermost(objective: Any) -> Any:
    """The function or class in which the code of a callable is written."""
    while isinstance(objective, functools.partial):
        objective = objective.func
    if inspect.isroutine(objective) or isinstance(objective, type):
        return inspect.unwrap(getattr(objective, "__func__", objective))
    return type(objective)


def _code_text(code: CodeType) -> str:
    constants = [_code_text(c) if isinstance(c, CodeType) else stable_repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


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
            f"objective {name_of(objective)}{signature} must take one argument, the trial; "
            "bind the others with functools.partial"
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
    for inner in (_innermost(objective), type(getattr(objective, "__self__", None))):
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
        found = inspect.getclosurevars(function)
        yield from {**found.globals, **found.nonlocals}.items()
        yield from zip(function.__code__.co_varnames[::-1], (function.__defaults__ or ())[::-1], strict=False)


def _line(error: BaseException) -> str:
    """An error in one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
