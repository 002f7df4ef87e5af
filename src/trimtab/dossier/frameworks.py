"""Templates: which items a framework asks for, in its own order and words. Another framework is one more YAML file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ..errors import SpecError, nearest
from .quoted import quoted
from .record import catalogue

_HERE = files(__package__).joinpath("templates")


@dataclass(frozen=True)
class Section:
    """A chapter: its title, its place in the framework (one text per column), and its items."""

    title: str
    refs: Sequence[str]
    items: Sequence[str]


@dataclass(frozen=True)
class Framework:
    """A template. columns: names of the framework and of older ones to which `refs` refer."""

    name: str
    title: str
    text: str
    columns: Sequence[str]
    sections: Sequence[Section]


def names() -> list[str]:
    """The built-in templates."""
    return sorted(p.name.removesuffix(".yaml") for p in _HERE.iterdir() if p.name.endswith(".yaml"))


def framework(which: str) -> Framework:
    """The template of that name, or in that file. Items that it does not name follow in a last section.

    Raises SpecError for an unknown name, or a file that is not a template.
    """
    if which in names():
        text = _HERE.joinpath(f"{which}.yaml").read_text(encoding="utf-8")
    elif which.endswith((".yaml", ".yml")) and os.path.isfile(which):
        text = _text(Path(which))
    else:
        raise SpecError(f"template={which!r} is not known{nearest(which, ['study', *names()])}; a file ends in .yaml")
    try:
        return _framework(quoted(text))
    except (yaml.YAMLError, KeyError, TypeError) as error:
        why = " ".join(str(error).split())
        raise SpecError(f"{which} is no template ({why}); see docs/how-to/reports.md for its form") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"template {path} cannot be read: {error}") from None


def _framework(said: Mapping[str, Any]) -> Framework:
    known = [e.id for e in catalogue()]
    name, columns = _phrase(said["name"]), _phrases(said.get("columns", []))
    sections = [
        Section(_phrase(s["title"]), _phrases(s.get("refs", [])), _phrases(s["items"])) for s in said["sections"]
    ]
    for s in sections:
        if len(s.refs) > len(columns):
            raise SpecError(f"template {name}: {s.title!r} has more refs than there are columns ({len(columns)})")
    named = [i for s in sections for i in s.items]
    for i in named:
        if i not in known:
            raise SpecError(f"template {name}: {i!r} is no item{nearest(i, known)}")
        if named.count(i) > 1:
            raise SpecError(f"template {name}: {i!r} stands in two sections; leave one")
    if rest := [i for i in known if i not in named]:
        sections.append(Section("Further evidence", [], rest))
    return Framework(name, _phrase(said["title"]), _phrase(said["framework"]), columns, sections)


def _phrases(said: Any) -> list[str]:
    if not isinstance(said, list):
        raise TypeError(f"{said!r} is no list")
    return [_phrase(s) for s in said]


def _phrase(said: Any) -> str:
    if not isinstance(said, str):
        raise TypeError(f"{said!r} is no text")
    return said
