"""Which code a callable is: its name, its files, and the text of which fingerprints are made.

The text holds the callable's own source, and the values that it reads from elsewhere: those bound to it (arguments of
partials, attributes of its object), its defaults, its closure and globals. Functions and classes of the same module among
these are treated in the same way; of other modules, only names are in the text.

As long as the code is unchanged, the text must be the same in every process and in every run. So a value is left out
unless it is plain (see `plain`), and also if the code assigns to its name: an objective may fill lists, and count in
attributes.
"""

import dataclasses
import dis
import functools
import hashlib
import inspect
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from tokenize import TokenError
from types import BuiltinFunctionType, CodeType, FunctionType, MethodDescriptorType, MethodType
from typing import Any

import numpy as np

from ..canonical import dumps, stable_repr

_parsing = threading.Lock()
"""Held while source text is looked up: Python 3.11 parses the file to find a class, and that fails at times if two threads
do it at once ("AST constructor recursion depth mismatch")."""

_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ASSIGNS = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF", "STORE_ATTR", "DELETE_ATTR"})
_MAKERS = frozenset({"__init__", "__new__", "__post_init__"})  # they set attributes once
_CACHED = type(functools.cache(len))
_NAMED = (
    FunctionType | BuiltinFunctionType | MethodType | MethodDescriptorType | staticmethod | classmethod | type | _CACHED
)


def name_of(objective: Any) -> str:
    """The name of a callable as module.qualified_name; for a callable object, that of its class."""
    inner = innermost(objective)
    return f"{getattr(inner, '__module__', '?')}.{getattr(inner, '__qualname__', type(inner).__name__)}"


def files_of(objective: Any) -> tuple[str, ...]:
    """The file that contains a callable; none if it was typed in or compiled."""
    try:
        file = inspect.getsourcefile(innermost(objective))
    except TypeError:
        return ()
    return (file,) if file is not None and os.path.isfile(file) else ()


def innermost(objective: Any) -> Any:
    """The function or class in which the code of a callable is written."""
    while isinstance(objective, functools.partial):
        objective = objective.func
    if inspect.isroutine(objective) or isinstance(objective, type):
        return inspect.unwrap(getattr(objective, "__func__", objective))
    return type(objective)


def text_of(objective: Any) -> str:
    """The text that identifies a callable. An object that has a `protocol` is identified by its class and by that."""
    inner = innermost(objective)
    if isinstance(protocol := getattr(objective, "protocol", None), Mapping):
        return _source(inner) + dumps(protocol)
    return "\n".join([_source(inner), *_read(objective, inner)])


def plain(value: Any) -> str | None:
    """A value as text that is the same in every process, if it is plain: a number, text, bytes, None, a member of an Enum, a
    function or class (its name); a tuple, frozenset, partial or frozen dataclass of such. None for anything else.

    Absolute paths say where something is, not what: they are not plain.
    """
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case Enum():
            return f"{type(value).__qualname__}.{value.name}"
        case None | bool() | complex():
            return repr(value)
        case int():
            return f"{value:x}"
        case float():
            return value.hex()
        case str():
            return None if os.path.isabs(value) else repr(str(value))
        case bytes():
            return f"bytes {hashlib.sha256(value).hexdigest()}"
        case tuple():
            return _all(type(value).__name__, value)
        case frozenset():
            return f"frozenset {sorted(map(str, map(plain, value)))}"
        case functools.partial():
            return _all("partial", (value.func, *value.args, *sorted(value.keywords.items())))
    if isinstance(value, _NAMED):
        return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', '?')}"
    kind: Any = type(value)
    if dataclasses.is_dataclass(value) and kind.__dataclass_params__.frozen:
        return _all(kind.__qualname__, [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)])
    return None


def _all(kind: str, values: Any) -> str:
    return f"{kind}({', '.join(plain(v) or '?' for v in values)})"


def _read(objective: Any, inner: Any) -> list[str]:
    """Lines of text: the plain values that a callable reads, and the source of what it reaches in its own module."""
    home = _module(inner)
    codes = [f.__code__ for f, _ in _reached(objective, home) if isinstance(f, FunctionType)]
    assigned = {name for code in codes if code.co_name not in _MAKERS for name in _names(code, _ASSIGNS)}
    lines = []
    for found, reads in _reached(objective, home, frozenset(assigned)):
        texts = [(name, plain(v)) for name, v in reads if name]
        lines += [f"{name_of(found)} {name} = {text}" for name, text in texts if text is not None]
        lines += [_source(found)] if isinstance(found, FunctionType) and found is not inner else []
    return sorted(lines)


def _reached(
    objective: Any, home: str, assigned: frozenset[str] = frozenset()
) -> Iterator[tuple[Any, list[tuple[str, Any]]]]:
    """(callable, what it reads by name) for a callable, and for those of the module `home` that it reaches by that. Names
    that are assigned to are left out."""
    waiting, seen = [objective], list[Any]()
    while waiting:
        found = waiting.pop()
        if all(found is not other for other in seen):
            seen.append(found)
            reads = [(name, v) for name, v in _reads(found, found is objective) if name not in assigned]
            yield found, reads
            waiting += [c for _, v in reads for c in _callables(v, home)]


def _callables(value: Any, home: str) -> Iterator[Any]:
    """The functions and classes of a module that a value is, or holds."""
    match value:
        case functools.partial():
            parts = (value.func, *value.args, *value.keywords.values())
        case tuple():
            parts = value
        case _ if isinstance(value, _NAMED):
            if isinstance(value, FunctionType | type) and _module(value) == home:
                yield value
            parts = tuple(getattr(value, name) for name in ("__func__", "__wrapped__") if hasattr(value, name))
        case _:
            parts = ()
    for part in parts:
        yield from _callables(part, home)


def _module(inner: Any) -> str:
    """The module in which the code of a function or class is written; a wrapper says that it is of another."""
    is_function = isinstance(inner, FunctionType)
    return str(inner.__globals__.get("__name__") if is_function else getattr(inner, "__module__", "?"))


def _reads(found: Any, first: bool) -> Iterator[tuple[str, Any]]:
    """(name, value) of what a callable itself reads. An attribute's name begins with a dot; a name is empty if only the
    code of the value matters. first: it is the objective, whose object's attributes count."""
    match found:
        case functools.partial():
            yield from [*((str(i), v) for i, v in enumerate(found.args)), *found.keywords.items()]
            yield from [("", found.func)] if isinstance(found.func, FunctionType | type) else _reads(found.func, first)
        case FunctionType():
            yield from outside(found)
        case type():
            for name, v in [("bases", found.__bases__), *vars(found).items()]:
                if isinstance(v, property | functools.cached_property):
                    yield "", getattr(v, "fget", None) or getattr(v, "func", None)
                elif not name.startswith("__") or isinstance(v, FunctionType):
                    yield f".{name}", v
        case MethodType():
            yield "", found.__func__
            yield from [("", found.__self__)] if isinstance(found.__self__, type) else _of_object(found.__self__)
        case _ if first and not isinstance(found, BuiltinFunctionType):
            yield from _of_object(found)


def _of_object(owner: Any) -> Iterator[tuple[str, Any]]:
    yield "", type(owner)
    yield from ((f".{name}", v) for name, v in getattr(owner, "__dict__", {}).items())


def outside(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """(name, value) of a function's defaults, closure and globals, and of what it wraps."""
    code, defaults = function.__code__, function.__defaults__ or ()
    arguments = code.co_varnames[: code.co_argcount]
    yield from zip(arguments[::-1], defaults[::-1], strict=False)
    yield from (function.__kwdefaults__ or {}).items()
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # it is empty so far
            yield name, cell.cell_contents
    for name in sorted(_names(code, _READS) & function.__globals__.keys()):
        if not name.startswith("__"):
            yield name, function.__globals__[name]
    if (wrapped := getattr(function, "__wrapped__", None)) is not None:
        yield "", wrapped


def _names(code: CodeType, operations: frozenset[str]) -> set[str]:
    """The names to which code, or code inside it, applies one of these operations; those of attributes begin with a dot."""
    inside = [_names(c, operations) for c in code.co_consts if isinstance(c, CodeType)]
    found = [i for i in dis.get_instructions(code) if i.opname in operations]
    return {f".{i.argval}" if i.opname.endswith("ATTR") else str(i.argval) for i in found}.union(*inside)


def _source(inner: Any) -> str:
    """The source of a function or class; its byte code if there is none, else its name."""
    try:
        with _parsing:
            return inspect.getsource(inner)
    except (OSError, TypeError, SyntaxError, TokenError):  # the last two: the file has changed since, or is no Python
        code = getattr(inner, "__code__", None)
        return _code_text(code) if isinstance(code, CodeType) else name_of(inner)


def _code_text(code: CodeType) -> str:
    constants = [_code_text(c) if isinstance(c, CodeType) else stable_repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"
