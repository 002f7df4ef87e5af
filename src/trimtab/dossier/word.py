"""The document as DOCX, for reviewers who comment and fill in by hand. Its figures are drawn with characters."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..errors import UserError
from ..formatting import moment
from ..reports import sections
from ..reports.snapshot import Snapshot
from .facts import Item, Table
from .frameworks import Framework
from .record import ABOUT, broken, items, tally
from .text_figures import Sketch, sketches

EMPTY = "[ to be filled in by a person ]"
MOST = 200
"""Maximum rows of a table; the document says where the others are."""
WIDTH, MARGIN = 6.5, 0.88
"""Inches of the text and beside it, on A4."""


def word(s: Snapshot, framework: Framework, made: Mapping[str, Any]) -> bytes:
    """DOCX bytes. Raises UserError if python-docx is missing."""
    try:
        from docx import Document
    except ImportError:
        raise UserError('DOCX needs python-docx, which is not installed; run: pip install "trimtab[word]"') from None
    paper = Document()
    _pages(paper, f"{s.study.name}, as of event {s.study.position}")
    paper.core_properties.title = f"{s.study.name}: {framework.title}"
    paper.core_properties.author = str(made["made_by"])
    paper.core_properties.created = paper.core_properties.modified = datetime.fromtimestamp(s.at, UTC)
    _opening(paper, s, framework, made)
    by_id = {item.id: item for item in items(s)}
    for section in framework.sections:
        paper.add_heading(section.title, 1)
        for column, ref in zip(framework.columns, section.refs, strict=False):
            paper.add_paragraph(f"{column}: {ref}")
        for id_ in section.items:
            _item(paper, by_id[id_])
    _figures(paper, sketches(s.facts, s.evidence), f"event:{s.study.position}")
    _appendix(paper, [by_id[id_] for section in framework.sections for id_ in section.items])
    paper.add_paragraph(f"Head of the chain: {s.study.head}. Evidence record: {made['sha256']}.")
    out = io.BytesIO()
    paper.save(out)
    return _timeless(out)


def _opening(paper: Any, s: Snapshot, framework: Framework, made: Mapping[str, Any]) -> None:
    """What the document is, the answer, and how much of it is filled."""
    paper.add_heading(s.study.name, 0)
    paper.add_paragraph(
        f"{framework.title}. The record as of event {s.study.position}, {moment(s.at)}. {framework.text}"
    )
    paper.add_paragraph(ABOUT)
    kind, sentence = sections.headline(s.facts, s.evidence)
    paper.add_paragraph(f"{kind.capitalize()}. {sentence}", style="Intense Quote")
    if warning := broken(s):
        paper.add_paragraph(warning).runs[0].bold = True
    if compared := sections.comparison(s.facts, s.evidence):
        _grid(paper, [("Parameter", "Baseline", "Tuned"), *(row[:3] for row in compared)], head=True)
    statuses, boxes = tally(made)
    counted = ", ".join(f"{n} {status}" for status, n in statuses)
    paper.add_paragraph(f"Of 46 items: {counted}. {boxes}")


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
    page.page_width, page.page_height = Inches(8.27), Inches(11.69)
    page.left_margin = page.right_margin = Inches(MARGIN)
    below = page.footer.paragraphs[0]
    below.text = f"{footer}, page "
    number = OxmlElement("w:fldSimple", attrs={qn("w:instr"): "PAGE"})
    below._p.append(number)


def _item(paper: Any, item: Item) -> None:
    paper.add_heading(f"{item.number}  {item.title} ({item.status})", 2)
    rows = [(f.label, f.text) for f in item.facts]
    rows += [("Not on record", text) for text in item.gaps]
    rows += [(prompt, EMPTY) for prompt in item.empty.values()]
    if rows:
        _grid(paper, rows)
    for table in item.tables:
        if table.wide:
            paper.add_paragraph(f"{table.title}: {len(table.rows)} rows, in the appendix.", style="Caption")
        else:
            _table(paper, table)
    if item.sources:
        shown = ", ".join(item.sources[:6]) + (f" and {len(item.sources) - 6} more" if len(item.sources) > 6 else "")
        paper.add_paragraph(f"From {shown}.", style="Caption")


def _figures(paper: Any, drawn: Sequence[Sketch], source: str) -> None:
    if drawn:
        paper.add_heading("Figures", 1)
    for d in drawn:
        paper.add_heading(d.title, 3)
        paper.add_paragraph(f"{d.caption} From {source}.", style="Caption")
        _grid(paper, [tuple(row) for row in d.rows], widths=FIGURE, font="Courier New")


FIGURE = (2.0, 3.0, 1.5)
"""Inches of label, drawing and figures: a drawing is a line of 41 signs of 0.6 x 8 points."""


def _appendix(paper: Any, items: Sequence[Item]) -> None:
    """The long tables, each once."""
    if any(t.wide for i in items for t in i.tables):
        paper.add_heading("Appendix", 1)
    for item in items:
        for table in item.tables:
            if table.wide:
                paper.add_heading(f"{item.number}  {item.title}", 2)
                _table(paper, table)


def _table(paper: Any, table: Table) -> None:
    if table.title:
        paper.add_paragraph(table.title, style="Caption")
    _grid(paper, [tuple(table.head), *(tuple(cells) for cells, _ in table.rows[:MOST])], head=True)
    if len(table.rows) > MOST:
        paper.add_paragraph(
            f"The first {MOST} of {len(table.rows)}; all of them are in the evidence record (a report named .json).",
            style="Caption",
        )


def _grid(
    paper: Any,
    rows: Sequence[tuple[str, ...]],
    head: bool = False,
    widths: Sequence[float] = (),
    font: str | None = None,
) -> None:
    """A table of texts. With `head`, the first row is its head, else the first column. widths: of each column, in
    inches."""
    from docx.oxml.parser import OxmlElement
    from docx.shared import Inches, Pt

    grid = paper.add_table(rows=0, cols=len(rows[0]), style="Table Grid")
    grid.autofit = False
    chosen = [Inches(w) for w in (widths or (_widths(rows) if head else (2.0, WIDTH - 2.0)))]
    for column, width in zip(grid.columns, chosen, strict=True):
        column.width = width
    for i, row in enumerate(rows):
        line = grid.add_row()
        told = line._tr.get_or_add_trPr()
        told.append(OxmlElement("w:cantSplit"))
        if head and i == 0:  # on every page
            told.append(OxmlElement("w:tblHeader"))
        for k, (cell, text) in enumerate(zip(line.cells, row, strict=True)):
            cell.width = chosen[k]
            run = cell.paragraphs[0].add_run(_printable(text))
            run.bold = i == 0 if head else k == 0
            run.italic = text == EMPTY
            run.font.size = Pt(8 if head or font else 10)
            if font and k == 1:
                run.font.name = font


def _widths(rows: Sequence[tuple[str, ...]]) -> list[float]:
    """Widths in inches: room for each column's longest word, and the rest in proportion to its longest text."""
    columns = list(zip(*rows, strict=True))
    words = [min(max(len(word) for text in column for word in text.split() or [""]), 40) for column in columns]
    texts = [min(max(len(text) for text in column), 120) for column in columns]
    needed = [CHARACTER * n + BESIDE for n in words]
    wanted = [CHARACTER * (t - w) for t, w in zip(texts, words, strict=True)]
    left = max(0.0, WIDTH - sum(needed))
    share = left / sum(wanted) if sum(wanted) else 0.0
    made = [n + share * more for n, more in zip(needed, wanted, strict=True)]
    return [WIDTH * m / sum(made) for m in made]


CHARACTER, BESIDE = 0.072, 0.16
"""Inches of a bold character of a table, of the wider fonts that may stand in for the document's own; and of the margins
in a cell."""


def _printable(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return "".join(c if c in "\t\n" or ord(c) >= 32 else "?" for c in text)
