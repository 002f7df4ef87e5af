"""What explains the results of one goal of a study, computed once for the figures and tables of a document."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..evidence.ablation import Step
from ..evidence.calibration import Calibration
from ..evidence.effects import Dependence, Index
from ..evidence.interactions import Surface
from ..evidence.phrases import band, chosen_and_span, share
from ..evidence.sensitivity import Finding, Safe
from ..explanation import Explanation
from ..formatting import number, percent, plural, signed, value
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
    """Answers of `Explanation`: fields are named like its methods. `best` is the setting that is explained."""

    metric: str
    maximize: bool
    best: Params
    importance: Mapping[str, float]
    sobol: Mapping[str, Index]
    totals: Mapping[str, Index]
    interactions: Mapping[tuple[str, str], Index]
    surfaces: Sequence[Surface]
    dependence: Sequence[Dependence]
    ablation: Sequence[Step]
    safe: Mapping[str, Safe]
    findings: Sequence[Finding]
    calibration: Calibration

    @property
    def ranked(self) -> list[str]:
        """Names of the parameters, largest total index first."""
        return sorted(self.totals, key=lambda n: -self.totals[n].value)


def influence(
    study: StudyRecord, trials: Sequence[Trial], chosen: int | None = None, goal: int = 0
) -> Influence | None:
    """chosen: the trial whose setting is explained; default: the best. None if there are too few results, or no best."""
    told, spec = Explanation.of(study, trials, goal, chosen), study.spec
    if not told.ready:
        return None
    pairs, totals = told.interactions(), told.totals()
    ranked = sorted(totals, key=lambda n: -totals[n].value)
    strong = [pair for pair, i in pairs.items() if i.shown][:MOST_SURFACES]
    return Influence(
        spec.goals[goal].metric,
        spec.goals[goal].maximize,
        told.best,
        told.importance(),
        told.sobol(),
        totals,
        dict(list(pairs.items())[:MOST_PAIRS]),
        [told.surface(*pair) for pair in strong],
        [told.dependence(name) for name in ranked[:MOST_CURVES] if totals[name].value > 0],
        told.ablation() if spec.baseline is not None else [],
        {s.name: s for s in told.safe_ranges()},
        told.findings(),
        told.calibration(),
    )


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
        ("Model", f"Gaussian process of {i.metric} over {plural(c.n, 'setting')}"),
        ("Each result predicted from all others", f"R² {number(c.r2, 3)}, rank correlation {number(c.rank, 3)}"),
        ("Results inside their 90 % intervals", f"{percent(c.inside)}" + ("" if c.honest else ": the model errs")),
    ]


def curve_rows(d: Dependence) -> Rows:
    """Value, mean, low and high end of the 90 % interval: at most MOST_ROWS of them, evenly spread."""
    rows = list(zip(d.values, d.mean, d.low, d.high, strict=True))
    return [[value(v), *map(number, row)] for v, *row in rows[:: math.ceil(len(rows) / MOST_ROWS)]]


MOST_ROWS = 8
