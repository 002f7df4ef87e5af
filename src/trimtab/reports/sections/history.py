"""Whether the record is intact, what was changed by hand, and on what it ran."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...canonical import dumps
from ...formatting import command, moment, plural, setting, size, value
from ...records import Event, StudyRecord
from ..origins import Origins
from .table import Pairs, Table, traced

MOST_SIGNS = 160
"""Maximum characters of one change of the spec."""


def integrity(study: StudyRecord, events: Sequence[Event], findings: Sequence[str]) -> Pairs:
    """The database is not named: the same record gives the same document, in whichever store a copy of it is."""
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(e.kind for e in events).items())
    checked = "nothing found: the record is intact" if not findings else plural(len(findings), "finding")
    return [
        ("Chain", plural(len(events), "event") + (f": {kinds}" if kinds else "")),
        ("Head", study.head),
        ("Study", study.uid),
        ("Checked for this document", checked),
        ("Check again", f"{command('verify', study.name, ' --storage URL')}, with the URL of the study's database"),
    ]


def revision_table(events: Sequence[Event], origins: Origins) -> Table:
    """What was changed after the study was created: by hand, and in its code or data."""
    kinds = {"spec", "pause", "resume", "archive", "requeue", "import"}
    spec, rows = dict[str, Any](), []
    for e in events:
        before, spec = spec, e.body.get("spec", spec)
        if e.kind in kinds or (e.kind == "cancel" and e.number is None) or e.look or e.changed:
            if e.look:
                what = f"a look at trial {e.body['tuned']}: {e.body['metric']}"
            else:
                what = e.changed or "; ".join(_changes("", before, spec))
            rows.append([str(e.position), moment(e.at), e.kind, what])
    return Table(("Event", "When", "Kind", "Change"), traced(rows, origins.event_of), numeric=(0,))


def _changes(name: str, before: Any, after: Any) -> list[str]:
    """What differs between two JSON values, each with its name; only the name if the change is long."""
    if before == after:
        return []
    a, b = _by_name(before), _by_name(after)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return [text for k in {**a, **b} for text in _changes(f"{name} {k}".strip(), a.get(k), b.get(k))]
    text = f"{name}: {dumps(before)} → {dumps(after)}"
    return [text if len(text) <= MOST_SIGNS else name]


def _by_name(value: Any) -> Any:
    """A list of mappings that have names, such as parameters, as a mapping."""
    named = isinstance(value, list) and value and all(isinstance(v, Mapping) and "name" in v for v in value)
    return {v["name"]: v for v in value} if named else value


def machine(environment: Mapping[str, Any]) -> Pairs:
    """What a study ran on, in words; the list of every package is left out."""
    made = []
    for name, v in environment.items():
        if name == "memory":
            text = size(float(v))
        elif isinstance(v, Mapping):
            text = setting(v) or "none"
        else:
            text = (", ".join(map(str, v)) or "none") if isinstance(v, list) else value(v)
        if name != "installed":
            made.append((_MACHINE.get(name, name.capitalize()), text))
    return made


_MACHINE = {
    "cpus": "Processor cores",
    "gpus": "Graphics cards",
    "blas": "BLAS",
    "numerics": "Numeric fingerprint",
    "packages": "Packages that shape results",
    "threads": "Limits of threads",
}


def flat(data: Mapping[str, Any]) -> Pairs:
    """A mapping as label and text; nested mappings in one line, a dash where nothing is said."""
    texts = ("–" if v is None else setting(v) if isinstance(v, Mapping) else value(v) for v in data.values())
    return [(str(k).replace("_", " "), text) for k, text in zip(data, texts, strict=True)]
