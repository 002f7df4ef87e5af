"""The evidence record: all 46 items of a snapshot as one JSON value, from which every document is rendered."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ..canonical import digest
from ..errors import SpecError, nearest
from ..formatting import plural
from ..records import Event
from ..reports.sections.table import Table
from ..reports.snapshot import Snapshot
from ..yamltext import load
from . import control, design, evidence
from .items import NOT_APPLICABLE, STATUSES, Fact, Item, Missing, NotApplicable, Part, status

Builder = Callable[[Snapshot], list[Part]]
FORM = "trimtab-evidence-1"
"""Name and version of the record's format."""

ABOUT = (
    "This document is evidence for a review under that framework. It does not say that the framework is met: that is for the "
    "persons named below to decide. What the record does not say and nobody has filled in is an empty box. Below each item "
    "stands where it comes from: events and trials, by number, are entries of the study's record, which is chained by hashes."
)
"""What every document says of itself."""

_BUILDERS: Mapping[str, Builder] = {
    f.__name__: f
    for module in (design, evidence, control)
    for f in vars(module).values()
    if callable(f) and getattr(f, "__module__", "") == module.__name__ and not f.__name__.startswith("_")
}
"""Item id -> what the record says about it: each public function of these modules is named like its item in items.yaml."""


@dataclass(frozen=True)
class Entry:
    """An item of the catalogue. from_record: whether the record can say anything about it. ask: field -> prompt, which
    is not asked if the record has a fact of that label."""

    number: int
    id: str
    title: str
    group: str
    from_record: bool
    ask: Mapping[str, str]


def catalogue() -> list[Entry]:
    """The 46 items, in order."""
    said = load(files(__package__).joinpath("items.yaml").read_text(encoding="utf-8"))
    flat = [(group["title"], item) for group in said["groups"] for item in group["items"]]
    return [
        Entry(n, item["id"], item["title"], group, item.get("record", True), item.get("ask", {}))
        for n, (group, item) in enumerate(flat, start=1)
    ]


def items(s: Snapshot) -> list[Item]:
    """All items of a snapshot. Raises SpecError for a card with an unknown item or field."""
    entries = catalogue()
    answers = _answers(s.card or {}, entries)
    made: dict[str, Item] = {}
    for e in sorted(entries, key=lambda e: e.id == "changes"):  # last: it compares the others with those of before
        if e.id == "changes":
            parts = control.changes(s, made)
        else:
            parts = _BUILDERS[e.id](s) if e.from_record else []
        made[e.id] = _item(e, parts, answers[e.id])
    return sorted(made.values(), key=lambda item: item.number)


def _answers(card: Mapping[str, Any], entries: Sequence[Entry]) -> dict[str, dict[str, str]]:
    """Item id -> field -> what a person says. `not applicable: why` is a field of every item."""
    known = {e.id: e for e in entries}
    found: dict[str, dict[str, str]] = {e.id: {} for e in entries}
    for id_, said in card.items():
        if id_ not in known:
            raise SpecError(f"card: {id_!r} is no item{nearest(str(id_), known)}")
        fields = [*known[id_].ask, NOT_APPLICABLE]
        for name, text in (said if isinstance(said, Mapping) else {fields[0]: said}).items():
            if name not in fields:
                raise SpecError(f"card: {id_} has no field {name!r}{nearest(str(name), fields)}")
            if text is not None and str(text).strip():
                found[id_][name] = str(text).strip()
    return found


def _item(e: Entry, parts: Sequence[Part], answers: Mapping[str, str]) -> Item:
    why_not = answers.get(NOT_APPLICABLE) or next((p.text for p in parts if isinstance(p, NotApplicable)), "")
    if why_not:
        said = Fact("Not applicable", why_not, ("card",) if NOT_APPLICABLE in answers else ("event:1",))
        return Item(e.number, e.id, e.title, e.group, NOT_APPLICABLE, [said], why_not=why_not)
    by_persons = [Fact(prompt, answers[name], ("card",)) for name, prompt in e.ask.items() if name in answers]
    known = {p.label for p in parts if isinstance(p, Fact)}
    empty = {name: prompt for name, prompt in e.ask.items() if name not in answers and prompt not in known}
    return Item(
        e.number, e.id, e.title, e.group, status(parts, len(by_persons) + len(empty), len(by_persons)),
        facts=[*(p for p in parts if isinstance(p, Fact)), *by_persons],
        tables=[p for p in parts if isinstance(p, Table)],
        empty=empty,
        gaps=[p.text for p in parts if isinstance(p, Missing)],
    )  # fmt: skip


def record(s: Snapshot, version: str) -> dict[str, Any]:
    """The evidence record of a snapshot. `records` maps the id of every source to its hash. version: of Trimtab."""
    made = items(s)
    used = {source for item in made for source in item.sources}
    content = {
        "form": FORM,
        "made_by": f"trimtab {version}",
        "study": {"name": s.study.name, "uid": s.study.uid, "position": s.study.position, "head": s.study.head},
        "at": s.at,
        "trials": {"all": len(s.trials), "by_purpose": _by_purpose(s)},
        "items": [item.to_json() for item in made],
        "statuses": Counter(item.status for item in made),
        "records": {k: v for k, v in _records(s).items() if k in used or k == "event:1"},
    }
    return {**content, "sha256": digest(content)}


def tally(made: Mapping[str, Any]) -> tuple[list[tuple[str, int]], str]:
    """The number of items of each status in an evidence record, and a sentence on what is still to be filled in."""
    boxes = sum(len(i["empty"]) + len(i["gaps"]) for i in made["items"])
    number = "1 box is" if boxes == 1 else f"{boxes} boxes are"
    said = f"{number} to be filled: by running what is named, or by a person in card.yaml."
    return [(name, made["statuses"].get(name, 0)) for name in STATUSES], said


def broken(s: Snapshot) -> str:
    """A warning if the record does not fit its chain; else empty."""
    if not s.findings:
        return ""
    found = plural(len(s.findings), "finding")
    return f"The record does not fit its chain of events ({found}, see Tamper evidence): don't rely on this document."


def _by_purpose(s: Snapshot) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for t in s.trials:
        found.setdefault(str(t.purpose), Counter())[str(t.state)] += 1
    return found


def _records(s: Snapshot) -> dict[str, str]:
    """Id of every record -> its hash: events, trials as their events know them, and what was passed in."""
    found = {f"event:{e.position}": e.hash for e in s.events}
    for e in s.events:
        found |= _trials_of(e)
    handed = {"card": s.card, "data": s.data}
    found |= {k: digest(v) for k, v in handed.items() if v is not None}
    return found | ({"previous": s.previous["sha256"]} if s.previous is not None else {})


def _trials_of(e: Event) -> dict[str, str]:
    """The digests of trials in an event: as proposed, or as ended."""
    if e.kind == "enqueue":
        return {f"trial:{n}": made for n, made in e.body["trials"]}
    return {f"trial:{e.number}": e.body["digest"]} if e.number is not None and "digest" in e.body else {}
