"""The rules of a study over its reports: a fold that gives, after each report, a verdict or none.

The verdict on a report is a function of the reports written up to it, in their order. So everybody who folds them,
worker or auditor, comes to the same verdicts.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..canonical import dumps
from ..fidelity import Fidelity
from ..goals import Constraint, Goal, Metrics
from . import Idling, Rule, RuleState, Score, ScoredReport, rule
from .threshold import Limits


@dataclass(frozen=True)
class Verdict:
    """Stop: by which rule and version of it and why, at which step, and the last report that the rule knew (`seen`: its
    position in the order of writing)."""

    rule: str
    version: str
    why: str
    step: float
    seen: int

    def to_json(self) -> dict[str, Any]:
        """Omits version 1, as was done before there were others."""
        return {k: v for k, v in asdict(self).items() if (k, v) != ("version", "1")}


class StoppingRules:
    """The rules of a study and their states. Reports come in the order of writing. Trial `exempt` (the baseline) is used
    for comparison, but never stopped."""

    def __init__(
        self,
        rules: Sequence[Mapping[str, Any]],
        fidelity: Fidelity | None,
        goals: Sequence[Goal],
        constraints: Sequence[Constraint],
        exempt: int | None,
    ) -> None:
        said = [[g.metric, g.maximize] for g in goals], [c.text for c in constraints]
        self.key = dumps([[dict(r) for r in rules], fidelity and fidelity.to_json(), *said, exempt])
        self._states: list[tuple[Rule, RuleState]] = [(r, r.begin(fidelity)) for r in map(rule, rules)]
        self.versions = {rule.name: rule.version for rule, _ in self._states}
        self._goals, self._constraints, self._exempt = goals, constraints, exempt
        self._baseline: dict[float, Metrics] = {}  # of trial `exempt`, by step
        self.verdicts: dict[int, Verdict] = {}
        self.seen = 0  # the last report's place in the order of writing

    def update(self, number: int, step: float, metrics: Metrics, written: int) -> Verdict | None:
        """Take in the next report; returns the verdict on its trial. A verdict to stop stays."""
        self.seen = max(self.seen, written)
        if number == self._exempt:
            self._baseline[step] = metrics
        score = self._score(step, metrics)
        report = ScoredReport(number, step, score or (), metrics)
        said = [(rule, state.update(report)) for rule, state in self._states if score or isinstance(state, Limits)]
        found = [Verdict(rule.name, rule.version, why, step, written) for rule, why in said if why]
        if found and number != self._exempt:
            self.verdicts.setdefault(number, found[0])
        return self.verdicts.get(number)

    def idle(self, number: int, step: float) -> bool:
        """Whether the next report of this trial would change nothing if it came at this step. False if a constraint is
        relative to the baseline, which is known by its reports at all steps."""
        relative = any(c.relative for c in self._constraints)
        return not relative and all(isinstance(s, Idling) and s.idle(number, step) for _, s in self._states)

    def _score(self, step: float, metrics: Metrics) -> Score | None:
        """The report's score; None if it lacks a goal. A constraint on a metric that was not reported counts as met."""
        losses = [g.loss(metrics) for g in self._goals]
        if any(map(math.isnan, losses)):
            return None
        violation = 0.0
        baseline = self._baseline.get(step)
        for c in self._constraints:
            excess = c.excess(metrics, baseline)
            if excess > 0:
                violation += excess / (abs(c.bound(baseline)) or 1.0)
        return (violation, *losses)


def verdicts(rules: StoppingRules, reports: Iterable[tuple[int, float, Metrics, int]]) -> Mapping[int, Verdict]:
    """The verdicts of these rules on (number, step, metrics, written) reports, by trial number."""
    for report in sorted(reports, key=lambda r: r[3]):
        rules.update(*report)
    return rules.verdicts
