"""What items consist of: facts and tables, each with the records that they come from; and the item itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..canonical import digest, jsonable
from ..reports.sections.table import Table

FILLED, PARTIAL, MISSING, NOT_APPLICABLE = "filled", "partial", "missing", "not applicable"
STATUSES = (FILLED, PARTIAL, MISSING, NOT_APPLICABLE)


@dataclass(frozen=True)
class Fact:
    """A label and a text. value: the figures behind the text, JSON. sources: ids of the records that it comes from."""

    label: str
    text: str
    sources: tuple[str, ...]
    value: Any = None

    def to_json(self) -> dict[str, Any]:
        return {"label": self.label, "text": self.text, "value": jsonable(self.value), "sources": list(self.sources)}


@dataclass(frozen=True)
class Missing:
    """Something that the record does not say, and what would fill it."""

    text: str


@dataclass(frozen=True)
class NotApplicable:
    """The item does not apply to this study, and why."""

    text: str


Part = Fact | Table | Missing | NotApplicable


@dataclass(frozen=True)
class Item:
    """One of the 46. empty: what a person still has to fill in, field -> prompt. gaps: what the record does not say.
    why_not: why the item does not apply; "" if it does."""

    number: int
    id: str
    title: str
    group: str
    status: str
    facts: Sequence[Fact] = ()
    tables: Sequence[Table] = ()
    empty: Mapping[str, str] = field(default_factory=dict)
    gaps: Sequence[str] = ()
    why_not: str = ""

    @property
    def sources(self) -> list[str]:
        rows = [s for t in self.tables for _, sources in t.rows for s in sources]
        return sorted({*(s for f in self.facts for s in f.sources), *rows}, key=_order)

    def to_json(self) -> dict[str, Any]:
        made = {
            "number": self.number,
            "id": self.id,
            "title": self.title,
            "status": self.status,
            "facts": [f.to_json() for f in self.facts],
            "tables": [t.to_json() for t in self.tables],
            "empty": dict(self.empty),
            "gaps": list(self.gaps),
            "not_applicable": self.why_not,
            "sources": self.sources,
        }
        return {**made, "sha256": digest(made)}


def _order(source: str) -> tuple[str, int]:
    kind, _, number = source.partition(":")
    return kind, int(number) if number.isdigit() else 0


def status(parts: Sequence[Part], asked: int, answered: int) -> str:
    """filled, partial, missing or not applicable: what record and person together have given."""
    if any(isinstance(p, NotApplicable) for p in parts):
        return NOT_APPLICABLE
    there = sum(isinstance(p, Fact | Table) for p in parts) + answered
    lacking = sum(isinstance(p, Missing) for p in parts) + asked - answered
    return MISSING if not there else PARTIAL if lacking else FILLED
