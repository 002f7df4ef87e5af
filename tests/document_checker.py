"""Checks a document from its HTML alone: what it shows, and the evidence record that is embedded in it. Knows no Trimtab.

`checked` is for the documents of frameworks, `traced` for the usual report of a study.
"""

import hashlib
import json
import re
from html.parser import HTMLParser

STATUSES = {"filled", "partial", "missing", "not applicable"}


class Page(HTMLParser):
    """The items of a page: for each its status and its rows, (texts, sources); and what stands outside of rows."""

    def __init__(self, html):
        super().__init__()
        self.items, self.scripts, self.outside, self.text = {}, {}, {}, []
        self._item = self._row = self._script = self._cell = None
        self._skip = 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        said = dict(attributes)
        if tag == "article":
            self._item = said["data-item"]
            assert self._item not in self.items, f"item {self._item} stands there twice"
            self.items[self._item] = (said["data-status"], [])
            self.outside[self._item] = []
        if tag == "tr":
            self._row = ([], said.get("data-source"))
        if tag in ("td", "th") and self._row is not None:
            self._row[0].append("")
            self._cell = True
        if tag in ("script", "style"):
            self._skip += 1
            self._script = said.get("id")
            if self._script:
                self.scripts[self._script] = ""

    def handle_endtag(self, tag):
        if tag == "article":
            self._item = None
        if tag == "tr":
            if self._item and self._row[1] is not None:
                self.items[self._item][1].append((self._row[0], self._row[1].split()))
            elif self._item:
                self.outside[self._item] += self._row[0]
            self._row = None
        if tag in ("td", "th"):
            self._cell = None
        if tag in ("script", "style"):
            self._skip -= 1
            self._script = None

    def handle_data(self, data):
        if self._script:
            self.scripts[self._script] += data
        if self._skip:
            return
        self.text.append(data)
        if self._row is not None and self._cell:
            self._row[0][-1] += data
        elif self._item and data.strip():
            self.outside[self._item].append(data.strip())


def by_id(record):
    """The items of a record, by their ids."""
    return {i["id"]: i for i in record["items"]}


def texts(item):
    """The texts of an item, by their labels."""
    return {f["label"]: f["text"] for f in item["facts"]}


def digest(value):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def checked(html):
    """The evidence record of a document. Raises AssertionError, naming what is wrong."""
    page = Page(html)
    record = json.loads(page.scripts["evidence"])
    items = {i["id"]: i for i in record["items"]}
    assert [i["number"] for i in record["items"]] == list(range(1, 47))
    assert len(items) == 46
    assert items.keys() == page.items.keys()
    _hashes(record)
    _counts(record, items["trials"])
    for id_, item in items.items():
        status, rows = page.items[id_]
        assert item["status"] == status in STATUSES, id_
        said = [([f["label"], f["text"]], f["sources"]) for f in item["facts"]]
        said += [(row["cells"], row["sources"]) for t in item["tables"] for row in t["rows"]]
        assert rows == said, f"{id_}: the page does not show what the record says"
        for cells, sources in rows:
            assert sources, f"{id_}: {cells} comes from nowhere"
            assert set(sources) <= record["records"].keys(), f"{id_}: {sources} are no records"
        _numbers(id_, item, page.outside[id_])
    assert not re.search(r"\bcompl(ies|iant|iance)\b", " ".join(page.text)), "it says that something complies"
    return record


def _hashes(record):
    assert digest({k: v for k, v in record.items() if k != "sha256"}) == record["sha256"]
    for item in record["items"]:
        assert digest({k: v for k, v in item.items() if k != "sha256"}) == item["sha256"], item["id"]


def _counts(record, trials):
    everything = record["trials"]
    assert everything["all"] == sum(n for states in everything["by_purpose"].values() for n in states.values())
    table, listed = trials["tables"][0], trials["tables"][-1]
    rows = {row["cells"][0]: [int(n) for n in row["cells"][1:]] for row in table["rows"]}
    total = rows.pop("all")
    assert total == [sum(column) for column in zip(*rows.values(), strict=True)]
    assert all(sum(line[:-1]) == line[-1] for line in [*rows.values(), total])
    assert total[-1] == len(listed["rows"]) == everything["all"]
    assert sum(record["statuses"].values()) == 46


def _numbers(id_, item, outside):
    """Whatever figure stands outside of a row with a source is the item's number, a count of rows, or part of a name."""
    known = {str(item["number"]), *(str(len(t["rows"])) for t in item["tables"])}
    named = " ".join([item["title"], *item["gaps"], *item["empty"].values(), *(t["title"] for t in item["tables"])])
    heads = " ".join(h for t in item["tables"] for h in t["head"])
    for text in outside:
        if text.startswith(("From ", *item["gaps"])) or text in heads:
            continue
        for figure in re.findall(r"\d+(?:\.\d+)?", text):
            assert figure in known or figure in named, f"{id_}: {figure} in {text!r} comes from nowhere"


BLOCKS = {"tr", "p", "li", "figure", "pre", "div", "article", "section", "summary", "footer"}
NAMES = {"title", "h1", "h2", "h3", "nav", "thead", "summary", "footer", "head"}
"""Elements that name things: parameters, metrics and studies may have digits in their names."""
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Blocks(HTMLParser):
    """Every text with its block (the nearest element of BLOCKS) and that block's own sources; rows of tables; figures."""

    def __init__(self, html):
        super().__init__()
        self.said, self.rows, self.scripts, self.figures, self._stack = [], [], {}, {}, []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag in VOID:
            return
        said = dict(attributes)
        self._stack.append((tag, said))
        if tag == "script" and "id" in said:
            self.scripts[said["id"]] = ""
        if tag == "tr":
            self.rows.append(([], said))
        if tag in ("td", "th"):
            self.rows[-1][0].append("")
        if said.get("class") == "plot":
            figure = next(a for t, a in reversed(self._stack) if t == "figure")
            self.figures[said["id"]] = figure.get("data-source", "").split()

    def handle_endtag(self, tag):
        assert self._stack.pop()[0] == tag, tag

    def handle_data(self, data):
        tags = [tag for tag, _ in self._stack]
        if "script" in tags or "style" in tags:
            if "id" in self._stack[-1][1]:
                self.scripts[self._stack[-1][1]["id"]] += data
            return
        if tags and ("td" in tags or "th" in tags):
            self.rows[-1][0][-1] += data
        if data.strip() and not NAMES & set(tags):
            block = next((a for t, a in reversed(self._stack) if t in BLOCKS), {})
            self.said.append((data.strip(), block.get("data-source", "").split()))


def traced(html):
    """The evidence record of a study's usual report. Raises AssertionError, naming the figure that comes from nowhere."""
    page = Blocks(html)
    record = json.loads(page.scripts["evidence"])
    items = {i["id"]: i for i in record["items"]}
    assert [i["number"] for i in record["items"]] == list(range(1, 47))
    _hashes(record)
    _counts(record, items["trials"])
    known = record["records"].keys()
    for text, sources in page.said:
        assert sources or not re.search(r"\d", text), f"{text!r} comes from nowhere"
        assert set(sources) <= known, f"{text!r}: {sources} are no records"
    assert page.figures.keys() == json.loads(page.scripts["plots"]).keys()
    for name, sources in page.figures.items():
        assert sources, f"figure {name} comes from nowhere"
        assert set(sources) <= known, f"figure {name}: {sources} are no records"
    _same_rows(page, items)
    listed = {a["data-item"]: a["data-status"] for _, a in page.rows if "data-item" in a}
    assert listed == {i["id"]: i["status"] for i in record["items"]}
    return record


def _same_rows(page, items):
    """What the report and the evidence record both say, they say alike: every trial, the evidence, the explanation."""
    shown = [cells for cells, _ in page.rows]
    for id_ in ("trials", "sensitivity", "space"):
        for table in items[id_]["tables"]:
            for row in table["rows"]:
                assert row["cells"] in shown, f"{id_}: {row['cells']} is not in the report"
    for fact in items["benefit"]["facts"]:
        if fact["label"] != "Notice":
            assert [fact["label"], fact["text"]] in shown, f"benefit: {fact['label']} is not in the report"
