"""The document as DOCX, for reviewers who comment and fill in by hand. Its figures are drawn with characters."""

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..errors import UserError
from ..formatting import moment, plural
from ..reports import sections
from ..reports.sections.table import Table
from ..reports.snapshot import Snapshot
from .frameworks import Framework
from .items import Item
from .record import ABOUT, broken, items, tally
from .text_figures import Sketch, sketches

EMPTY = "[ to be filled in by a person ]"
MOST = 200
"""Maximum rows of a table; the document says where the others are."""
SHORT, LONG, MARGIN = 8.27, 11.69, 0.88
"""Inches of the sides of a page (A4), and beside its text."""
UPRIGHT, ACROSS = SHORT - 2 * MARGIN, LONG - 2 * MARGIN
"""Inches of a line: among the items, and in the appendix, whose tables are wide."""


def word(s: Snapshot, framework: Framework, made: Mapping[str, Any]) -> bytes:
    """DOCX bytes. Raises UserError if python-docx is missing."""
    try:
        from docx import Document
    except ImportError:
        raise UserError('DOCX needs python-docx, which is not installed; run: pip install "trimtab[word]"') from None
    paper = Document()
    _pages(paper, f"{s.study.name}, as of event {s.study.position}")
    paper.core_properties.title = _printable(f"{s.study.name}: {framework.title}")[:255]
    paper.core_properties.author = _printable(str(made["made_by"]))[:255]
    paper.core_properties.created = paper.core_properties.modified = datetime.fromtimestamp(s.at, UTC)
    _opening(paper, s, framework, made)
    by_id = {item.id: item for item in items(s)}
    for section in framework.sections:
        _heading(paper, section.title, 1)
        for column, ref in zip(framework.columns, section.refs, strict=False):
            _paragraph(paper, f"{column}: {ref}")
        for id_ in section.items:
            _item(paper, by_id[id_])
    _figures(paper, sketches(s.facts, s.evidence), f"event:{s.study.position}")
    _appendix(paper, [by_id[id_] for section in framework.sections for id_ in section.items])
    _paragraph(paper, f"Head of the chain: {s.study.head}. Evidence record: {made['sha256']}.")
    out = io.BytesIO()
    paper.save(out)
    return _timeless(out)


def _opening(paper: Any, s: Snapshot, framework: Framework, made: Mapping[str, Any]) -> None:
    """What the document is, the answer, and how much of it is filled."""
    _heading(paper, s.study.name, 0)
    _paragraph(paper, f"{framework.title}. The record as of event {s.study.position}, {moment(s.at)}. {framework.text}")
    _paragraph(paper, ABOUT)
    kind, sentence = sections.answer.headline(s.facts, s.evidence)
    _paragraph(paper, f"{kind.capitalize()}. {sentence}", style="Intense Quote")
    if warning := broken(s):
        _paragraph(paper, warning).runs[0].bold = True
    if compared := sections.answer.comparison(s.facts, s.evidence):
        _columns(paper, [("Parameter", "Baseline", "Tuned"), *(row[:3] for row in compared)], UPRIGHT)
    statuses, boxes = tally(made)
    counted = ", ".join(f"{n} {status}" for status, n in statuses)
    _paragraph(paper, f"Of 46 items: {counted}. {boxes}")


def _timeless(written: io.BytesIO) -> bytes:
    """The same archive without its creation time: the same record gives the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(written) as read, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name in read.namelist():
            made.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), read.read(name), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _pages(paper: Any, footer: str) -> None:
    """The size of the pages, and what stands below each: `footer`, and its number."""
    from docx.oxml.ns import qn
    from docx.oxml.parser import OxmlElement
    from docx.shared import Inches

    page = paper.sections[0]
    page.page_width, page.page_height = Inches(SHORT), Inches(LONG)
    page.left_margin = page.right_margin = Inches(MARGIN)
    below = page.footer.paragraphs[0]
    below.text = _printable(f"{footer}, page ")
    number = OxmlElement("w:fldSimple", attrs={qn("w:instr"): "PAGE"})
    below._p.append(number)


def _item(paper: Any, item: Item) -> None:
    _heading(paper, f"{item.number}  {item.title} ({item.status})", 2)
    rows = [(f.label, f.text) for f in item.facts]
    rows += [("Not on record", text) for text in item.gaps]
    rows += [(prompt, EMPTY) for prompt in item.empty.values()]
    if rows:
        _grid(paper, rows, (2.0, UPRIGHT - 2.0), size=10)
    for table in item.tables:
        if table.wide:
            _paragraph(paper, f"{table.title}: {plural(len(table.rows), 'row')}, in the appendix.", style="Caption")
        else:
            _table(paper, table, UPRIGHT)
    if item.sources:
        shown = ", ".join(item.sources[:6]) + (f" and {len(item.sources) - 6} more" if len(item.sources) > 6 else "")
        _paragraph(paper, f"From {shown}.", style="Caption")


def _figures(paper: Any, drawn: Sequence[Sketch], source: str) -> None:
    if drawn:
        _heading(paper, "Figures", 1)
    for d in drawn:
        _heading(paper, d.title, 3)
        _paragraph(paper, f"{d.caption} From {source}.", style="Caption")
        _grid(paper, [tuple(row) for row in d.rows], FIGURE, drawn="Courier New")


FIGURE = (2.0, 3.0, 1.5)
"""Inches of label, drawing and figures: a drawing is a line of 41 signs of 0.6 x 8 points."""


def _appendix(paper: Any, items: Sequence[Item]) -> None:
    """The long tables, each once, on pages that lie on their side."""
    wide = [(item, table) for item in items for table in item.tables if table.wide]
    if not wide:
        return
    page = paper.add_section()
    page.page_width, page.page_height = page.page_height, page.page_width
    _heading(paper, "Appendix", 1)
    for item, table in wide:
        _heading(paper, f"{item.number}  {item.title}", 2)
        _table(paper, table, ACROSS)


def _table(paper: Any, table: Table, room: float) -> None:
    if table.title:
        _paragraph(paper, table.title, style="Caption")
    _columns(paper, [tuple(table.head), *(tuple(cells) for cells, _ in table.rows[:MOST])], room)
    if len(table.rows) > MOST:
        _paragraph(
            paper,
            f"The first {MOST} of {len(table.rows)}; all of them are in the evidence record (a report named .json).",
            style="Caption",
        )


def _columns(paper: Any, rows: Sequence[tuple[str, ...]], room: float) -> None:
    """A table `room` inches wide, whose first row is its head."""
    _grid(paper, rows, widths(rows, room), head=True)


def _grid(
    paper: Any,
    rows: Sequence[tuple[str, ...]],
    inches: Sequence[float],
    *,
    size: float = 8,
    head: bool = False,
    drawn: str | None = None,
) -> None:
    """A table of texts. inches: the width of each column. size: of its letters, in points. head: whether the first row,
    which is repeated on every page, names the columns; else the first column names the rows. drawn: the second column's
    font."""
    from docx.oxml.parser import OxmlElement
    from docx.shared import Inches, Pt

    grid = paper.add_table(rows=0, cols=len(rows[0]), style="Table Grid")
    grid.autofit = False
    for column, width in zip(grid.columns, inches, strict=True):
        column.width = Inches(width)
    for i, row in enumerate(rows):
        line = grid.add_row()
        marks = line._tr.get_or_add_trPr()
        marks.append(OxmlElement("w:cantSplit"))
        if head and i == 0:
            marks.append(OxmlElement("w:tblHeader"))
        for k, (cell, text) in enumerate(zip(line.cells, row, strict=True)):
            cell.width = Inches(inches[k])
            run = cell.paragraphs[0].add_run(_printable(text))
            run.bold = i == 0 if head else k == 0
            run.italic = text == EMPTY
            run.font.size = Pt(size)
            if drawn and k == 1:
                run.font.name = drawn


def widths(rows: Sequence[tuple[str, ...]], room: float) -> list[float]:
    """Widths in inches, together `room`: of each column's longest word, and the rest in proportion to its longest text.

    Of words that would take most of the room, the longest are broken. Of very many columns, each gets less than it needs.
    """
    columns = list(zip(*rows, strict=True))
    longest = [max(len(word) for text in column for word in text.split() or [""]) for column in columns]
    texts = [min(max(len(text) for text in column), 120) for column in columns]
    for most in range(40, 0, -1):
        words = [min(n, most) for n in longest]
        needed = [CHARACTER * n + BESIDE for n in words]
        if sum(needed) <= 0.8 * room:
            break
    wanted = [max(0, t - w) for t, w in zip(texts, words, strict=True)]
    left = max(0.0, room - sum(needed)) / (sum(wanted) or 1)
    made = [n + left * more for n, more in zip(needed, wanted, strict=True)]
    return [room * m / sum(made) for m in made]


CHARACTER, BESIDE = 0.072, 0.16
"""Inches of a bold character of a table, of the wider fonts that may stand in for the document's own; and of the margins
in a cell."""


def _heading(paper: Any, text: str, level: int) -> None:
    paper.add_heading(_printable(text), level)


def _paragraph(paper: Any, text: str, style: str | None = None) -> Any:
    return paper.add_paragraph(_printable(text), style)


def _printable(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)
