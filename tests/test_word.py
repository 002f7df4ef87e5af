"""The document as DOCX: what HTML says stands in it too, and fits on its pages."""

import re
import shutil
import sqlite3
import sys

import docx
import numpy as np
import pytest
from docx.oxml.ns import qn
from hypothesis import given
from hypothesis import strategies as st

import trimtab as tt
from trimtab.dossier.text_figures import MOST, WIDTH, strip
from trimtab.dossier.word import ACROSS, widths

BOX = "[ to be filled in by a person ]"


CARD = {"purpose": {"purpose": "ranking accounts"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a study is, and a.docx, its document."""
    folder = tmp_path_factory.mktemp("store")

    def loss(trial):
        noise = np.random.default_rng([trial.seed, trial.number]).normal(0, 0.01)
        return (trial.params["x"] - 0.3) ** 2 + noise

    space, store = {"x": tt.Float(0, 1, default=0.5)}, f"sqlite:///{folder}/s.db"
    study = tt.Study("s", space, minimize="loss", seed=1, storage=store)
    study.run(loss, trials=12, quiet=True)
    study.evidence(loss, replicates=MOST + 6, quiet=True)
    study.report(folder / "a.docx", template="us-sr-26-2-2026", card=CARD)
    study.storage.close()
    return folder


@pytest.fixture(scope="module")
def paper(folder):
    return docx.Document(str(folder / "a.docx"))


def said(paper):
    """All paragraphs, and the cells of all tables."""
    return [p.text for p in paper.paragraphs], [c.text for t in paper.tables for row in t.rows for c in row.cells]


def test_the_same_document_for_word_has_the_boxes_and_the_figures(folder, paper):
    study = tt.Study("s", storage=f"sqlite:///{folder}/s.db")
    again = study.report(folder / "b.docx", card=CARD)  # the template is the default
    assert again.read_bytes() == (folder / "a.docx").read_bytes()
    paragraphs, cells = said(paper)
    assert "ranking accounts" in cells
    assert cells.count(BOX) > 20
    headings = [p.text for p in paper.paragraphs if p.style.name == "Heading 2"]
    appendix = ["25  All trials, reconciled", "27  Benefit on runs that the search never saw"]
    assert (len(headings), headings[46:]) == (46 + 2, appendix)
    drawn = [p.text for p in paper.paragraphs if p.style.name == "Heading 3"]
    assert drawn[:3] == ["Gain in every pair", "Where the gain comes from", "How far each parameter may move"]
    assert any(cell.count("█") > 5 for cell in cells)
    assert study.verify(folder / "a.docx") == []
    boxes = cells.count(BOX) + cells.count("Not on record")
    assert any(text.endswith(f". {boxes} boxes are to be filled: by running what is named, or by a person in card.yaml.")
               for text in paragraphs)  # fmt: skip
    assert any("events and trials, by number, are entries of the study's record" in text for text in paragraphs)
    assert not any("don't rely on this document" in text for text in paragraphs)


def test_a_record_that_was_tampered_with_is_an_alarm_before_the_items(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    with sqlite3.connect(tmp_path / "s.db") as database:
        database.execute("UPDATE trials SET seed = seed + 1 WHERE number = 3")
    database.close()
    damaged = tt.Study("s", storage=f"sqlite:///{tmp_path}/s.db")
    paragraphs, _ = said(docx.Document(str(damaged.report(tmp_path / "a.docx", template="us-sr-26-2-2026"))))
    (alarm,) = (i for i, text in enumerate(paragraphs) if "don't rely on this document" in text)
    assert alarm < paragraphs.index("Model development and use")


def test_tables_fit_the_page_and_every_page_says_what_it_is(paper):
    page, appendix = paper.sections
    assert (appendix.page_width, appendix.page_height) == (page.page_height, page.page_width)
    for table in paper.tables:
        of = appendix if table.cell(0, 0).text in ("Trial", "Pair") else page
        room = of.page_width - of.left_margin - of.right_margin
        assert sum(column.width for column in table.columns) <= room * 1.01
        assert all(row._tr.trPr.find(qn("w:cantSplit")) is not None for row in table.rows)
    repeated = [i for i, row in enumerate(listed(paper).rows) if row._tr.trPr.find(qn("w:tblHeader")) is not None]
    assert repeated == [0]
    footer = page.footer.paragraphs[0]
    assert re.fullmatch(r"s, as of event \d+, page ", footer.text)
    assert footer._p.find(qn("w:fldSimple")) is not None


@pytest.mark.parametrize("metrics", [["auc"], [f"share_of_customers_in_group_{i}_above_the_limit" for i in range(5)]])
def test_a_column_has_room_for_its_longest_word_if_all_have(metrics):
    """Else the longest words are broken, and the short ones are not."""
    head = ("Trial", "Purpose", "State", *metrics, "Setting")
    row = ("12", "search", "done", *("0.78399" for _ in metrics), "a_parameter_with_a_long_name=0.125, another=3")
    room = 9.9
    made = widths([head, row], room)
    assert sum(made) == pytest.approx(room)
    for width, word in zip(made, ("Trial", "Purpose", "State", *("0.78399" for _ in metrics)), strict=False):
        assert width > len(word) * 8 * 0.6 / 72 + 0.15  # letters of 0.6 x 8 points, and two margins
    assert made[-1] == max(made)


def test_a_study_with_fifty_metrics_has_a_document_too(tmp_path):
    metrics = [f"m{i}" for i in range(50)]
    limits = [f"{m} <= 2" for m in metrics[1:]]
    study = tt.Study("s", {"x": tt.Float(0, 1, default=0.5)}, minimize="m0", subject_to=limits, seed=1)
    study.run(lambda trial: dict.fromkeys(metrics, trial.params["x"]), trials=2, quiet=True)
    paper = docx.Document(str(study.report(tmp_path / "a.docx", template="us-sr-26-2-2026")))
    inches = [column.width.inches for column in listed(paper).columns]
    assert len(inches) == 50 + 5
    assert min(inches) > 0.1
    assert sum(inches) == pytest.approx(ACROSS, rel=0.01)


def listed(paper):
    """The table of every trial."""
    return next(t for t in paper.tables if t.cell(0, 0).text == "Trial")


def test_a_drawing_fits_in_its_cell_and_says_how_many_rows_it_leaves_out(paper):
    drawing = next(t for t in paper.tables if t.cell(0, 0).text == "1" and len(t.columns) == 3)
    assert len(drawing.cell(0, 1).text) == WIDTH
    assert drawing.cell(0, 1).paragraphs[0].runs[0].font.name == "Courier New"
    assert drawing.columns[1].width.inches >= WIDTH * 0.6 * 8 / 72 + 0.15  # signs of 0.6 x 8 points, and two margins
    assert (len(drawing.rows), drawing.cell(MOST, 0).text) == (MOST + 1, "mean")
    (caption,) = (p.text for p in paper.paragraphs if p.text.startswith("Gain of the tuned setting"))
    assert f"The first {MOST} of {MOST + 6}." in caption


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(0, 1))
def test_a_drawing_puts_marks_where_they_belong(low, length, share):
    at = low + share * length
    line = strip((low, low + length), {at: "x"}, [(low, at, "█")])
    assert len(line) == WIDTH
    where = share if length > 1e-3 else line.index("x") / (WIDTH - 1)
    assert abs(line.index("x") - where * (WIDTH - 1)) <= 0.51
    assert line.count("█") == line.index("x") or low == low + length


def test_a_drawing_reaches_from_the_least_float_to_the_largest():
    most = sys.float_info.max
    assert strip((-most, most), {-most: "a", 0.0: "b", most: "c"}) == f"a{' ' * 19}b{' ' * 19}c"


def test_characters_that_a_document_cannot_hold_are_replaced(tmp_path):
    odd = "odd\x00\x1b\x0b\ufffe"
    space = {"x": tt.Float(0, 1, default=0.5), "c": tt.Choice(odd, "b", default="b")}
    study = tt.Study("s\ufffe", space, minimize=f"loss{odd}", seed=1)
    study.run(lambda trial: trial.params["x"], trials=5, quiet=True)
    study.note(1, odd)
    study.report(tmp_path / "odd.docx", card={"purpose": {"purpose": odd}})
    assert "odd????" in "".join(p.text for p in docx.Document(tmp_path / "odd.docx").paragraphs)
