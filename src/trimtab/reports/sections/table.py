"""What documents show: pairs of label and text, and tables, of which each row has the records that it comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..origins import Source

Row = Sequence[str]
Pairs = list[tuple[str, str]]
"""Labels and texts."""


@dataclass(frozen=True)
class Table:
    """Rows of texts, each with its sources. numeric: columns that are figures; wide: many rows."""

    head: Sequence[str]
    rows: Sequence[tuple[Row, Source]]
    numeric: Sequence[int] = ()
    title: str = ""
    wide: bool = False

    def to_json(self) -> dict[str, Any]:
        rows = [{"cells": list(cells), "sources": list(sources)} for cells, sources in self.rows]
        return {"title": self.title, "head": list(self.head), "rows": rows}


def traced(rows: Sequence[Row], source: Source | Callable[[Row], Source]) -> list[tuple[Row, Source]]:
    """Rows with their sources: the same for all of them, or what is found for each."""
    return [(row, source(row) if callable(source) else source) for row in rows]
