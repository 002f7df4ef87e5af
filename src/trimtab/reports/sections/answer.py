"""The answer first, and the question that it answers."""

from typing import Any

from ...engine.incumbents import admission
from ...evidence import Evidence
from ...evidence.certificate import Comparison
from ...formatting import estimate, number, percent, plural, setting, value
from ...records import State
from ...space import Params
from ..facts import Facts
from .table import Pairs


def headline(facts: Facts, evidence: Evidence | None) -> tuple[str, str]:
    """(kind, sentence): the answer, first."""
    if evidence is not None:
        return evidence.decision, _decided(evidence)
    best, goal = facts.best, facts.spec.goals[0]
    if best is None:
        done = any(t.state is State.DONE for t in facts.searched)
        why = f"no finished trial {admission(facts.spec)}" if done else "no trial has finished with a result"
        return "nothing", f"There is nothing to show: {why}."
    said = f"The best setting of the search, trial {best.trial.number}, has {goal.metric} {number(best.metrics[goal.metric])}"
    if (n := len(facts.spec.goals)) > 1:
        said = f"By the first of {n} goals, {said[0].lower()}{said[1:]}"
    if facts.baseline is not None and best.number == facts.baseline.number:
        return "no evidence", f"{said}: it is the baseline itself. The search found nothing better."
    if facts.reference and goal.metric in facts.reference:
        said += f"; the baseline has {number(facts.reference[goal.metric])}"
    return "no evidence", f"{said}. Whether that is a gain has not been tested: search results flatter the winner."


def _decided(e: Evidence) -> str:
    if not e.pairs:
        return f"The tuned setting, trial {e.tuned_trial}, was not compared with the baseline: {'; '.join(e.notices)}."
    difference, low, high = estimate(e.difference, e.interval)
    baseline, tuned = (number(v) for v in e.means)
    span = f"{difference} (95 % interval {low} to {high}; positive is better)"
    fresh = "" if e.doubtful else "fresh "  # not if they are the folds that the search chose by
    runs = f"in {plural(len(e.pairs), 'pair')} of {fresh}runs: {e.metric} {baseline} for the baseline, {tuned} tuned."
    said = {
        "proven": f"The tuned setting, trial {e.tuned_trial}, is better than the baseline by {span} {runs}",
        "worse": f"The tuned setting, trial {e.tuned_trial}, is worse than the baseline: {span} {runs}",
        "infeasible": f"The tuned setting, trial {e.tuned_trial}, is not shown to keep its limits. Its gain: {span} {runs}",
        "not shown": f"A gain of the tuned setting, trial {e.tuned_trial}, over the baseline is not shown: {span} {runs}",
    }
    broken = [f" It broke {c.text!r} in {percent(1 - c.held)} of them." for c in e.constraints if c.held < 1]
    return said[e.decision] + "".join([*broken, *(f" {_compared(c)}." for c in e.goals)])


def _compared(c: Comparison) -> str:
    """What the same pairs say about another goal."""
    difference, low, high = estimate(c.difference, c.interval)
    said = {"proven": "is better too", "worse": "is worse", "not shown": "is not shown to be better"}[c.decision]
    return f"In {c.metric}, another goal, it {said}: {difference} ({low} to {high})"


def comparison(facts: Facts, evidence: Evidence | None) -> list[tuple[str, str, str, bool]]:
    """(parameter, baseline, tuned, changed) for every parameter that is active in either."""
    before = facts.spec.current(evidence.baseline) if evidence else facts.spec.baseline or {}
    after = tuned(facts, evidence) or {}
    names = [n for n in facts.spec.space.names if n in before or n in after]
    texts = [[shown(p, n) if p else "–" for p in (before, after)] for n in names]
    return [(n, b, a, bool(before) and b != a) for n, (b, a) in zip(names, texts, strict=True)]


def tuned(facts: Facts, evidence: Evidence | None) -> Params | None:
    """The setting that the document is about, in the current space: that of the evidence, else the best."""
    if evidence:
        return facts.spec.current(evidence.tuned)
    return facts.spec.current(facts.best.params) if facts.best else None


def shown(params: Params, name: str) -> str:
    """The value of a parameter in a setting, in words."""
    return value(params[name]) if name in params else "inactive"


def question(facts: Facts, evidence: Evidence | None = None) -> Pairs:
    """Label and text: goals, constraints, baseline, and what each decision means."""
    spec = facts.spec
    base = "none: there is nothing to compare with" if spec.baseline is None else setting(spec.baseline)
    limits = [c.text + _bound(facts, c) for c in spec.constraints]
    return [
        ("Goal", "; ".join(g.text for g in spec.goals)),
        ("Subject to", "; ".join(limits) or "no constraints"),
        ("Baseline", base),
        ("Rule of decision", rule(evidence)),
    ]


def rule(e: Evidence | None) -> str:
    """What each decision means, with the minimum effect that was asked for."""
    least = f"{number(e.minimum_effect)}, the minimum effect" if e is not None and e.minimum_effect else "0"
    return (
        "proven when the two-sided 95 % interval of the gain (tuned against baseline, positive is better), on runs that the "
        f"search never saw, lies above {least}; worse when it lies below 0; else not shown, and so is a gain if the tuned "
        "setting fails in more than 5 % of the pairs and more often than the baseline; infeasible when it would be proven, "
        "but a limit held in fewer than 95 % of the pairs"
    )


def _bound(facts: Facts, c: Any) -> str:
    return f" (here {number(c.bound(facts.reference))})" if c.relative else ""
