"""What the pairs of a certificate show, and every certificate that was asked for."""

import math
from collections.abc import Sequence

from ...evidence import Evidence
from ...evidence.certificate import HOLDOUT, ROUNDING
from ...formatting import estimate, moment, number, percent, plural, signed
from ...goals import Goal
from ...records import Event

Rows = list[list[str]]
Pairs = list[tuple[str, str]]


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


ANSWERS = ("Event", "When", "On", "Trial", "Metric", "Decision", "Gain, with its interval")
"""The head of `answer_rows`."""


def answer_rows(events: Sequence[Event]) -> Rows:
    """Every certificate and every look at the hold-out; empty if there is only the last certificate."""
    said = [(e, Evidence.from_json(found)) for e in events if (found := e.body.get("evidence"))]
    return [] if [e.kind for e, _ in said] in ([], ["evidence"]) else [_answer(e, found) for e, found in said]


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


def pair_rows(e: Evidence) -> Rows:
    """Pair (from 1), baseline, tuned, gain."""
    numbered = enumerate(zip(e.pairs, e.gains, strict=True), start=1)
    return [[str(i), number(b), number(t), signed(gain)] for i, ((b, t), gain) in numbered]


def check_rows(e: Evidence) -> Rows:
    """Constraint, mean of the tuned setting, and how often it was kept."""
    return [[c.text, number(c.mean), c.said] for c in e.constraints]
