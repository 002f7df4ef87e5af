"""What the pairs of a certificate show, and every certificate that was asked for."""

import math
from collections.abc import Sequence

from ...evidence import Evidence
from ...evidence.certificate import HOLDOUT, ROUNDING
from ...formatting import estimate, moment, number, percent, plural, signed
from ...goals import Goal
from ...records import Event
from ..origins import Origins, Source
from .table import Pairs, Table, traced


def evidence_pairs(e: Evidence) -> Pairs:
    """Label and text of what a certificate says, but for its constraints, pairs and notices."""
    baseline, after = (number(v) for v in e.means)
    difference, low, high = estimate(e.difference, e.interval)
    said = [
        ("Decision", e.decision),
        ("Metric", Goal(e.metric, e.maximize).text),
        ("Means", f"{baseline} baseline, {after} tuned (trial {e.tuned_trial})"),
        ("Difference", f"{difference}, 95 % interval {low} to {high}; positive is better"),
        ("Test", e.test),
        ("Probability better", percent(e.p_better)),
        ("Practically equivalent", _equivalent(e)),
        ("Probability worse", percent(e.p_worse)),
        ("Pairs", f"{len(e.pairs)} complete, {e.failed_pairs} left out"),
    ]
    if not math.isnan(e.optimism):
        text = f"{number(e.worth.searched)} in the search, {after} in fresh runs; optimism {signed(e.optimism)}"
        said.append(("Search against fresh runs", text))
    return [*said, *((_BESIDE[label], text) for label, text in e.beside if label in _BESIDE)]


_BESIDE = {
    "minimum": "Minimum effect",
    "goal": "Another goal",
    "power": "Power",
    "finalists": "Measured again before the choice",
    "random": "Against random search",
}
"""Further lines of the certificate, by label; optimism is reported above, the cost with that of the search."""


def _equivalent(e: Evidence) -> str:
    if not e.equivalence:
        equal = f"exactly equal {percent(e.p_equivalent)}; more " if e.p_equivalent > ROUNDING else ""
        return f"{equal}not asked: no zone of practical equivalence was set"
    return f"{percent(e.p_equivalent)} (within ±{number(e.equivalence)})"


def answer_table(events: Sequence[Event], origins: Origins) -> Table:
    """Every certificate and every look at the hold-out; empty if there is only the last certificate."""
    said = [(e, Evidence.from_json(found)) for e in events if (found := e.body.get("evidence"))]
    rows = [] if [e.kind for e, _ in said] in ([], ["evidence"]) else [_answer(e, found) for e, found in said]
    head = ["Event", "When", "On", "Trial", "Metric", "Decision", "Gain, with its interval"]
    if any(found.constraints for _, found in said):
        head.append("Limits")
        rows = [[*row, _limits(found)] for row, (_, found) in zip(rows, said, strict=False)]
    title = "Every certificate, and every look at the hold-out"
    return Table(head, traced(rows, origins.event_of), (0, 3), title)


def _answer(at: Event, e: Evidence) -> list[str]:
    pairs = f"{plural(len(e.pairs), 'pair')} of {'' if e.doubtful else 'fresh '}{e.protocol}"
    runs = "the hold-out" if e.protocol == HOLDOUT else pairs
    difference, low, high = estimate(e.difference, e.interval)
    return [
        str(at.position),
        moment(at.at),
        runs,
        str(e.tuned_trial),
        e.metric,
        e.decision,
        f"{difference} ({low} to {high})",
    ]


def _limits(e: Evidence) -> str:
    return "; ".join(f"{c.text}: {c.said}" for c in e.constraints) or "none"


def pair_table(e: Evidence, source: Source) -> Table:
    """The pairs, numbered from 1."""
    numbered = enumerate(zip(e.pairs, e.gains, strict=True), start=1)
    rows = [[str(i), number(b), number(t), signed(gain)] for i, ((b, t), gain) in numbered]
    return Table(("Pair", "Baseline", "Tuned", "Gain"), traced(rows, source), range(4), title="Every pair", wide=True)


def check_table(e: Evidence, source: Source) -> Table:
    """The constraints: mean of the tuned setting, and how often each was kept."""
    rows = [[c.text, number(c.mean), c.said] for c in e.constraints]
    title = "Constraints in the same runs"
    return Table(("Constraint", "Mean, tuned", "Kept"), traced(rows, source), (1,), title)
