"""What explains the results of one goal of a study, for the figures and tables of a document."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..evidence.ablation import Step
from ..evidence.calibration import Calibration
from ..evidence.effects import Dependence, Index
from ..evidence.interactions import Surface
from ..evidence.phrases import band, chosen_and_span, share
from ..evidence.sensitivity import Finding, Safe
from ..explanation import Explanation
from ..formatting import number, percent, plural, signed, value
from ..goals import Goal
from ..records import StudyRecord, Trial
from ..space import Params

MOST_CURVES = 6
"""Parameters whose curve is drawn: those with the largest total index."""
MOST_PAIRS = 8
"""Pairs that are listed."""
MOST_SURFACES = 2
TOP = "the best trials (a tenth, at least ten, at most half)"
"""What importance compares with all trials."""


@dataclass(frozen=True)
class Influence:
    """What documents show of an `Explanation`: its answers, and which of them are the largest. Each is computed when it is
    first asked for."""

    told: Explanation

    @property
    def goal(self) -> Goal:
        """The goal that is explained."""
        return self.told.ledger.study.spec.goals[self.told.goal]

    @property
    def best(self) -> Params:
        """The setting that is explained."""
        return self.told.best

    @cached_property
    def importance(self) -> Mapping[str, float]:
        return self.told.importance()

    @cached_property
    def sobol(self) -> Mapping[str, Index]:
        return self.told.sobol()

    @cached_property
    def totals(self) -> Mapping[str, Index]:
        return self.told.totals()

    @cached_property
    def ranked(self) -> list[str]:
        """Names of the parameters, largest total index first."""
        return sorted(self.totals, key=lambda n: -self.totals[n].value)

    @cached_property
    def _all_pairs(self) -> Mapping[tuple[str, str], Index]:
        return self.told.interactions()

    @property
    def interactions(self) -> Mapping[tuple[str, str], Index]:
        """The pairs with the largest index, at most MOST_PAIRS."""
        return dict(list(self._all_pairs.items())[:MOST_PAIRS])

    @cached_property
    def surfaces(self) -> Sequence[Surface]:
        """Those of the first MOST_SURFACES pairs that are shown to act together."""
        shown = [pair for pair, index in self._all_pairs.items() if index.shown]
        return [self.told.surface(*pair) for pair in shown[:MOST_SURFACES]]

    @cached_property
    def dependence(self) -> Sequence[Dependence]:
        """The curves of the MOST_CURVES parameters with the largest total index."""
        return [self.told.dependence(name) for name in self.ranked[:MOST_CURVES] if self.totals[name].value > 0]

    @cached_property
    def ablation(self) -> Sequence[Step]:
        """The path from the baseline; empty if there is none."""
        return self.told.ablation() if self.told.ledger.study.spec.baseline is not None else []

    @cached_property
    def safe(self) -> Mapping[str, Safe]:
        return {s.name: s for s in self.told.safe_ranges()}

    @cached_property
    def findings(self) -> Sequence[Finding]:
        return self.told.findings()

    @cached_property
    def calibration(self) -> Calibration:
        return self.told.calibration()


def influence(
    study: StudyRecord, trials: Sequence[Trial], chosen: int | None = None, goal: int = 0
) -> Influence | None:
    """chosen: the trial whose setting is explained; default: the best. None if there are too few results, or no best."""
    told = Explanation.of(study, trials, goal, chosen)
    return Influence(told) if told.ready else None


Rows = list[list[str]]


def parameter_rows(i: Influence) -> Rows:
    """Parameter, importance, variance by itself, with others, best value, how far it may move."""
    return [
        [n, share(i.importance[n]), band(i.sobol[n]), band(i.totals[n]), *chosen_and_span(i.safe.get(n))]
        for n in i.ranked
    ]


MEANING = {
    "Importance": f"what separates {TOP} from all",
    "Variance": "over the whole space, the share that a parameter causes by itself, and that it has a part in with others; "
    "90 % intervals. It may differ from the importance: what must be right to be good at all matters over the whole space, and "
    "no longer among trials that have it right",
    "Does as well": "values whose predicted result is within one standard error of the chosen setting's, all others fixed",
}
"""What the columns of `parameter_rows` mean."""
HEAD = ("Parameter", "Importance", "Variance by itself", "With others", "Chosen", "Does as well")
"""The head of `parameter_rows`."""


def path_rows(i: Influence) -> Rows:
    """Change, its gain with standard deviation, gain up to it."""
    rows, sofar = [], 0.0
    for s in i.ablation:
        sofar += s.gain
        change = f"{s.name}: {value(s.before)} → {value(s.after)}"
        rows.append([change, f"{signed(s.gain, 3)} ± {number(s.sd, 2)}", signed(sofar, 3)])
    return rows


def pair_rows(i: Influence) -> Rows:
    """Pair, share of the variance, and whether the results show that it acts together."""
    return [
        [f"{a} and {b}", band(index) + ("" if index.shown else ", not shown")]
        for (a, b), index in i.interactions.items()
    ]


def model_pairs(i: Influence) -> list[tuple[str, str]]:
    """What the statements rest on: how well the model predicts each result from all others."""
    c = i.calibration
    return [
        ("Model", f"Gaussian process of {i.goal.metric} over {plural(c.n, 'setting')}"),
        ("Each result predicted from all others", f"R² {number(c.r2, 3)}, rank correlation {number(c.rank, 3)}"),
        ("Results inside their 90 % intervals", f"{percent(c.inside)}" + ("" if c.honest else ": the model errs")),
    ]


def curve_rows(d: Dependence) -> Rows:
    """Value, mean, low and high end of the 90 % interval: at most MOST_ROWS of them, evenly spread."""
    rows = list(zip(d.values, d.mean, d.low, d.high, strict=True))
    return [[value(v), *map(number, row)] for v, *row in rows[:: math.ceil(len(rows) / MOST_ROWS)]]


MOST_ROWS = 8
