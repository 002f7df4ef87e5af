"""The document as DOCX, for reviewers who comment and fill in by hand. Figures are in the HTML; their numbers are here."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..errors import UserError
from ..reports import sections
from ..words import moment
from .facts import Item, Table
from .frameworks import Framework
from .record import items
from .snapshot import Snapshot

EMPTY = "[ to be filled in by a person ]"
MOST = 200
"""Rows of one table: beyond, the document says where the others are."""


def word(s: Snapshot, framework: Framework, made: Mapping[str, Any]) -> bytes:
    """DOCX bytes. Raises UserError when python-docx is missing."""
    try:
        from docx import Document
    except ImportError:
        raise UserError('DOCX needs python-docx, which is not installed; run: pip install "trimtab[word]"') from None
    paper = Document()
    paper.core_properties.title = f"{s.study.name}: {framework.title}"
    paper.core_properties.author = str(made["made_by"])
    paper.core_properties.created = paper.core_properties.modified = datetime.fromtimestamp(s.at, UTC)
    paper.add_heading(s.study.name, 0)
    paper.add_paragraph(
        f"{framework.title}. The record as of event {s.study.position}, {moment(s.at)}. {framework.text}"
    )
    paper.add_paragraph(
        "This document is evidence for a review under that framework. It does not say that the framework is met: that is for "
        "the persons named below to decide."
    )
    kind, sentence = sections.headline(s.facts, s.evidence)
    paper.add_paragraph(f"{kind.capitalize()}. {sentence}", style="Intense Quote")
    by_id = {item.id: item for item in items(s)}
    for section in framework.sections:
        paper.add_heading(section.title, 1)
        for column, ref in zip(framework.columns, section.refs, strict=False):
            paper.add_paragraph(f"{column}: {ref}")
        for id_ in section.items:
            _item(paper, by_id[id_])
    paper.add_paragraph(f"Head of the chain: {s.study.head}. Evidence record: {made['sha256']}.")
    out = io.BytesIO()
    paper.save(out)
    return _timeless(out)


def _timeless(written: io.BytesIO) -> bytes:
    """The same archive without the time of its writing: the same record gives the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(written) as read, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name in read.namelist():
            made.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), read.read(name), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _item(paper: Any, item: Item) -> None:
    paper.add_heading(f"{item.number}  {item.title} ({item.status})", 2)
    rows = [(f.label, f.text) for f in item.facts]
    rows += [("Not on record", text) for text in item.gaps]
    rows += [(prompt, EMPTY) for prompt in item.empty.values()]
    if rows:
        _grid(paper, rows)
    for table in item.tables:
        _table(paper, table)
    if item.sources:
        shown = ", ".join(item.sources[:6]) + (f" and {len(item.sources) - 6} more" if len(item.sources) > 6 else "")
        paper.add_paragraph(f"From {shown}.", style="Caption")


def _table(paper: Any, table: Table) -> None:
    if table.title:
        paper.add_paragraph(table.title, style="Caption")
    _grid(paper, [tuple(table.head), *(tuple(cells) for cells, _ in table.rows[:MOST])], head=True)
    if len(table.rows) > MOST:
        paper.add_paragraph(f"The first {MOST} of {len(table.rows)}; all of them are in the HTML.", style="Caption")


def _grid(paper: Any, rows: Sequence[tuple[str, ...]], head: bool = False) -> None:
    """A table of texts; with `head` the first row is its head, else the first column."""
    from docx.shared import Inches, Pt

    grid = paper.add_table(rows=0, cols=len(rows[0]), style="Table Grid")
    grid.autofit = False
    widths = [Inches(w) for w in (_widths(rows) if head else (2.0, WIDTH - 2.0))]
    for column, width in zip(grid.columns, widths, strict=True):
        column.width = width
    for i, row in enumerate(rows):
        for cell, text, width, first in zip(
            grid.add_row().cells, row, widths, (True, *[False] * len(row)), strict=False
        ):
            cell.width = width
            run = cell.paragraphs[0].add_run(_printable(text))
            run.bold = i == 0 if head else first
            run.italic = text == EMPTY
            run.font.size = Pt(8 if head else 10)


WIDTH = 6.0
"""Inches between the margins."""


def _widths(rows: Sequence[tuple[str, ...]]) -> list[float]:
    """Inches of each column, by its longest text."""
    longest = [min(max(len(text) for text in column) + 4, 44) for column in zip(*rows, strict=True)]
    return [WIDTH * n / sum(longest) for n in longest]


def _printable(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(c if c in "\t\n" or ord(c) >= 32 else "?" for c in text)
