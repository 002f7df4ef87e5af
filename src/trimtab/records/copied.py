"""Mappings in frozen dataclasses: each keeps a copy of its own and hands out copies, so that nobody can change it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

C = TypeVar("C", bound=type)


def copied(*names: str) -> Callable[[C], C]:
    """A class decorator for dataclasses: the named fields (mappings or None) are copied when set and when read."""

    def decorate(owner: C) -> C:
        for name in names:
            setattr(owner, name, _Copied(name))
        return owner

    return decorate


class _Copied:
    """A descriptor that copies a mapping when it is set and when it is read."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, of: object | None, owner: type | None = None) -> Any:
        if of is None:
            return self
        kept: dict[str, Any] | None = of.__dict__[self._name]
        return None if kept is None else kept.copy()

    def __set__(self, of: object, value: Mapping[str, Any] | None) -> None:
        of.__dict__[self._name] = None if value is None else dict(value)
