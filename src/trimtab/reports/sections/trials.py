"""The trials one by one, their numbers by state, and how they failed."""

from collections import Counter

from ...formatting import duration, first_line, number, setting
from ...records import COUNTED, Purpose, State, Trial
from ..facts import Facts
from ..origins import Origins, Source
from .table import Table, traced

MOST_ROWS = 1000
"""Trials that the usual report lists one by one; the evidence record, which is part of it, has all."""


PURPOSES = (
    "Evidence trials were never shown to the search: select trials measure the most promising settings again, and whether "
    "they keep their limits, before one is chosen; certify trials are the pairs of the chosen setting and the baseline."
)


def count_table(facts: Facts, source: Source) -> Table:
    """Trials by purpose (down) and state (across), with sums."""
    counts = Counter((t.purpose, t.state) for t in facts.trials)
    table = {p.value: [counts[p, s] for s in State] for p in Purpose}
    lines = {name: line for name, line in table.items() if any(line) or name == Purpose.SEARCH}
    lines["all"] = [sum(column) for column in zip(*lines.values(), strict=True)]
    rows = [[name, *map(str, line), str(sum(line))] for name, line in lines.items()]
    head = ("Purpose", *map(str, State), "sum")
    return Table(head, traced(rows, source), range(1, len(head)), title="Trials by purpose and state")


def reconciliation(facts: Facts) -> str:
    """The sums, written out, and whether they fit the study's own row."""
    search = Counter(t.state for t in facts.trials if t.purpose is Purpose.SEARCH)
    others = Counter(t.purpose.value for t in facts.trials if t.purpose is not Purpose.SEARCH)
    parts = " + ".join(f"{search[s]} {s}" for s in State if search[s] or s in COUNTED)
    rest = "".join(f" + {n} {p}" for p, n in others.items())
    said = f"Search: {parts} = {sum(search.values())}. All: {sum(search.values())} search{rest} = {len(facts.trials)}. "
    if len(facts.trials) == facts.study.count:
        return said + f"The study's row says {facts.study.count}: it fits."
    return said + f"The study's row says {facts.study.count}: it does NOT fit."


def trial_table(facts: Facts, origins: Origins, most: int | None = None) -> Table:
    """Every trial, or the first `most`."""
    metrics = facts.spec.metrics
    rows = [
        [
            str(t.number),
            t.purpose.value,
            _ended(t),
            *(number(t.metrics.get(m)) if m in t.metrics else "" for m in metrics),
            duration(t.cost.wall) if t.ended is not None else "",
            setting(t.params),
        ]
        for t in facts.trials[:most]
    ]
    numeric = (0, *range(3, 4 + len(metrics)))
    head = ("Trial", "Purpose", "State", *metrics, "Time", "Setting")
    return Table(head, traced(rows, origins.trial_of), numeric, title="Every trial", wide=True)


def _ended(t: Trial) -> str:
    """Its state, with the reason of a failure, or how far it was trained."""
    return t.state_text if t.reason or t.reached is None else f"{t.state} at {t.reached:g}"


def failure_table(facts: Facts, origins: Origins) -> Table:
    """Reason, count, an example's number, and the first line of its error."""
    groups: dict[str, list[Trial]] = {}
    for t in facts.trials:
        if t.state is State.FAILED:
            groups.setdefault(str(t.reason), []).append(t)
    ranked = sorted(groups.items(), key=lambda item: -len(item[1]))
    rows = [
        ([reason, str(len(g)), f"trial {g[0].number}", first_line(g[0].error, most=200)], origins.trial(g[0].number))
        for reason, g in ranked
    ]
    return Table(("Reason", "Trials", "Example", "First line of its error"), rows, numeric=(1,), title="Failures")
