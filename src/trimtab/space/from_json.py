"""What a space consists of, read from JSON as its `to_json` wrote it."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..checks import shown
from ..errors import SpaceError, nearest
from .parameters import Choice, Float, Int, Parameter

KINDS: dict[str, type[Float] | type[Int] | type[Choice]] = {kind.type: kind for kind in (Float, Int, Choice)}


def parameters(entries: Any) -> dict[str, Parameter]:
    """The parameters in a list of `{"name": name, **to_json()}`. SpaceError: not such a list, or a name occurs twice."""
    params: dict[str, Parameter] = {}
    for entry in entries if isinstance(entries, list | tuple) else [entries]:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            raise SpaceError(f"{shown(entry)} is not a parameter; write {{'name': ..., 'type': ..., ...}}")
        name = entry["name"]
        if name in params:
            raise SpaceError(f"{name}: given twice; remove one")
        params[name] = parameter(name, entry)
    return params


def parameter(name: str, entry: Mapping[str, Any]) -> Parameter:
    """The parameter whose `to_json()` is `entry`. SpaceError: an unknown type or key, or a missing one."""
    said = entry.get("type")
    if not isinstance(said, str) or said not in KINDS:
        raise SpaceError(f"{name}: type={shown(said)} is not known{nearest(str(said), KINDS)}")
    kind = KINDS[said]
    fields = [f for f in kind.__dataclass_fields__ if f != "type"]
    given = {key: value for key, value in entry.items() if key not in ("name", "type")}
    for key in given:
        if key not in fields:
            raise SpaceError(f"{name}: {key!r} is not known of a {said}{nearest(key, fields)}")
    needed = ("options",) if kind is Choice else ("low", "high")
    for key in needed:
        if key not in given:
            raise SpaceError(f"{name}: {key!r} is missing; give it")
    if isinstance(given.get("prior"), list):
        given["prior"] = tuple(given["prior"])
    if kind is Choice:
        if not isinstance(given["options"], list | tuple):
            raise SpaceError(f"{name}: options={shown(given['options'])} is not a list; write one")
        return Choice(*given.pop("options"), **given)
    return kind(given.pop("low"), given.pop("high"), **given)


def requirements(given: Any) -> Sequence[str]:
    """The expressions in a list of texts, or in one text. SpaceError: neither (the texts are read elsewhere)."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list | tuple):
        raise SpaceError(f"require={shown(given)} is not a list of expressions; write ['depth <= 10']")
    return given
