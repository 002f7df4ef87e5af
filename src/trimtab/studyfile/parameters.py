"""The `space` of a study file: one parameter per line."""

from collections.abc import Mapping
from typing import Any

from ..errors import SpaceError
from ..space import Choice, Float, Int, Space
from . import values
from .values import Read


def space(value: Any, where: str) -> Space:
    """The space given by a mapping from names to parameters. Raises SpecError and SpaceError, with the place."""
    if not isinstance(value, dict) or not value:
        raise values.wrong(where, value, "write one parameter a line, such as rate: {float: [0.01, 0.3], log: true}")
    params = {values.text(k, f"{where}: a parameter's name"): _parameter(v, f"{where}.{k}") for k, v in value.items()}
    try:
        return Space(params)
    except SpaceError as error:  # begins with the parameter's name
        raise SpaceError(f"{where}.{error}") from None


def _parameter(value: Any, where: str) -> Float | Int | Choice:
    kinds = [k for k in ("float", "int", "choice") if isinstance(value, dict) and k in value]
    if len(kinds) != 1:
        if isinstance(value, dict) and value and not kinds:
            values.keys({**_RANGE, **_CHOICE}, value, where)
        raise values.wrong(
            where, value, "write one of {float: [low, high]}, {int: [low, high]} or {choice: [a, b, ...]}"
        )
    given = values.keys(_CHOICE if kinds == ["choice"] else _RANGE, value, where)
    domain = given.pop(kinds[0])
    if kinds == ["choice"]:
        return Choice(*domain, **given)
    return Float(*domain, **given) if kinds == ["float"] else Int(*domain, **given)


def _bounds(value: Any, where: str) -> list[float]:
    if not isinstance(value, list) or len(value) != 2:
        raise values.wrong(where, value, "two numbers are needed here: [low, high]")
    return [values.number(item, f"{where}[{i}]") for i, item in enumerate(value)]


def _options(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise values.wrong(where, value, "a list of options is needed here: [a, b, ...]")
    return [values.single(item, f"{where}[{i}]") for i, item in enumerate(value)]


def _prior(value: Any, where: str) -> Any:
    """A centre, or [centre, confidence]."""
    if isinstance(value, list):
        if len(value) != 2:
            raise values.wrong(where, value, "write a centre, or [centre, low | medium | high]")
        return (values.single(value[0], where), values.text(value[1], where))
    return value


def _when(value: Any, where: str) -> dict[str, list[Any]]:
    if not isinstance(value, dict) or not value:
        raise values.wrong(where, value, "write {parent: [values]}")
    return {
        values.text(k, f"{where}: a parameter's name"): _options(v if isinstance(v, list) else [v], f"{where}.{k}")
        for k, v in value.items()
    }


_RANGE: Mapping[str, Read] = {
    "float": _bounds,
    "int": _bounds,
    "log": values.flag,
    "step": values.number,
    "default": values.number,
    "prior": _prior,
    "when": _when,
}
_CHOICE: Mapping[str, Read] = {
    "choice": _options,
    "ordered": values.flag,
    "default": values.single,
    "prior": _prior,
    "when": _when,
}
