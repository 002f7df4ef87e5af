"""Errors for wrong calls: an argument that does not exist is answered with those that do. Signatures stay as written."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from .checks import shown
from .errors import WrongCall
from .other_tuners import meant

_Call = TypeVar("_Call", bound=Callable[..., Any])


def checked_call(call: _Call) -> _Call:
    """A decorator: the method, or the constructor of the class, raises WrongCall for arguments that it does not take."""
    if isinstance(call, type):
        made: Any = call
        made.__init__ = checked_call(made.__init__)
        return call

    @functools.wraps(call)
    def checked(*given: Any, **named: Any) -> Any:
        try:
            return call(*given, **named)
        except TypeError:
            try:
                inspect.signature(call).bind(*given, **named)
            except TypeError as error:
                raise WrongCall(_answer(call, given[1:], named, error)) from None
            raise

    return checked  # type: ignore[return-value]


def _answer(call: Any, given: Sequence[Any], named: Mapping[str, Any], error: TypeError) -> str:
    """What is wrong with a call of a method, and what it takes. given: its arguments without the object itself."""
    signature = inspect.signature(call)
    taken = list(signature.parameters.values())[1:]
    names = [p.name for p in taken if p.kind is not p.VAR_POSITIONAL]
    name = call.__qualname__.split(".")[-2 if call.__name__ == "__init__" else -1]
    unknown = next((n for n in named if n not in names), None)
    if unknown is not None and all(p.kind is not p.VAR_KEYWORD for p in taken):
        return f"{name}({unknown}={shown(named[unknown])}): there is no argument {unknown!r}{meant(unknown, names)}"
    bare = [p.replace(annotation=p.empty, default=p.empty) for p in taken]
    said = ", ".join([*map(shown, given), *(f"{n}={shown(v)}" for n, v in named.items())])
    return f"{name}({said}): {error}; it takes {inspect.Signature(bare)}"
