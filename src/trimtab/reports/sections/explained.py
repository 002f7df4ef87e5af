"""What explains the results: which of the answers of an `Explanation` a document shows, and its tables of them."""

import math
from collections.abc import Sequence

from ...evidence.ablation import Step
from ...evidence.effects import Dependence, Index
from ...evidence.interactions import Surface
from ...evidence.phrases import band, chosen_and_span, share
from ...explanation import Explanation
from ...formatting import number, percent, plural, signed, value
from ..origins import Source
from .table import Pairs, Table, traced

MOST_CURVES = 6
"""Parameters whose curve is drawn: those with the largest total index."""
MOST_PAIRS = 8
"""Pairs that are listed."""
MOST_SURFACES = 2
MOST_VALUES = 8
"""Values of a curve that are listed."""
TOP = "the best trials (a tenth, at least ten, at most half)"
"""What importance compares with all trials."""
MEANING = {
    "Importance": f"what separates {TOP} from all",
    "Variance": "over the whole space, the share that a parameter causes by itself, and that it has a part in with others; "
    "90 % intervals. It may differ from the importance: what must be right to be good at all matters over the whole space, and "
    "no longer among trials that have it right",
    "Does as well": "values whose predicted result is within one standard error of the chosen setting's, all others fixed",
}
"""What the columns of `parameter_table` mean."""


def ranked(told: Explanation) -> list[str]:
    """Names of the parameters, largest total index first."""
    totals = told.totals()
    return sorted(totals, key=lambda n: -totals[n].value)


def strongest(told: Explanation) -> dict[tuple[str, str], Index]:
    """The pairs with the largest index, at most MOST_PAIRS."""
    return dict(list(told.interactions().items())[:MOST_PAIRS])


def surfaces(told: Explanation) -> list[Surface]:
    """Those of the first MOST_SURFACES pairs that are shown to act together."""
    shown = [pair for pair, index in told.interactions().items() if index.shown]
    return [told.surface(*pair) for pair in shown[:MOST_SURFACES]]


def curves(told: Explanation) -> list[Dependence]:
    """The curves of the MOST_CURVES parameters with the largest total index."""
    return [told.dependence(name) for name in ranked(told)[:MOST_CURVES] if told.totals()[name].value > 0]


def path(told: Explanation) -> Sequence[Step]:
    """The steps from the baseline to the chosen setting; none without a baseline."""
    return [] if told.spec.baseline is None else told.ablation()


def parameter_table(told: Explanation, source: Source) -> Table:
    """How much each parameter matters, its chosen value, and how far that may move."""
    importance, alone, totals = told.importance(), told.sobol(), told.totals()
    safe = {s.name: s for s in told.safe_ranges()}
    rows = [
        [n, share(importance[n]), band(alone[n]), band(totals[n]), *chosen_and_span(safe.get(n))] for n in ranked(told)
    ]
    head = ("Parameter", "Importance", "Variance by itself", "With others", "Chosen", "Does as well")
    return Table(head, traced(rows, source), title="Parameters (90 % intervals)")


def path_table(told: Explanation, source: Source) -> Table:
    """Where the gain comes from, by the model."""
    title = f"From the baseline to the chosen setting, by the model, in {told.metric}"
    return Table(("Change", "Gain by it", "Gain so far"), traced(path_rows(path(told)), source), (1, 2), title)


def path_rows(steps: Sequence[Step]) -> list[list[str]]:
    """Change, its gain with standard deviation, gain up to it."""
    rows, sofar = [], 0.0
    for s in steps:
        sofar += s.gain
        change = f"{s.name}: {value(s.before)} → {value(s.after)}"
        rows.append([change, f"{signed(s.gain, 3)} ± {number(s.sd, 2)}", signed(sofar, 3)])
    return rows


def interaction_table(told: Explanation, source: Source) -> Table:
    """What acts together, and whether the results show that it does."""
    rows = [
        [f"{a} and {b}", band(index) + ("" if index.shown else ", not shown")]
        for (a, b), index in strongest(told).items()
    ]
    return Table(("Pair", "Variance together"), traced(rows, source), title="What acts together")


def model_pairs(told: Explanation) -> Pairs:
    """What the statements rest on: how well the model predicts each result from all others."""
    c = told.calibration()
    return [
        ("Model", f"Gaussian process of {told.metric} over {plural(c.n, 'setting')}"),
        ("Each result predicted from all others", f"R² {number(c.r2, 3)}, rank correlation {number(c.rank, 3)}"),
        ("Results inside their 90 % intervals", f"{percent(c.inside)}" + ("" if c.honest else ": the model errs")),
    ]


def curve_table(d: Dependence, source: Source) -> Table:
    """A curve with its 90 % interval: at most MOST_VALUES of its values, evenly spread."""
    points = list(zip(d.values, d.mean, d.low, d.high, strict=True))
    rows = [[value(v), *map(number, point)] for v, *point in points[:: math.ceil(len(points) / MOST_VALUES)]]
    return Table((d.name, "Mean", "Low", "High"), traced(rows, source), (1, 2, 3))
