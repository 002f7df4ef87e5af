"""Figures of what explains the results: each draws answers of an `Explanation`; no trial is run again.

Values are rounded to what the eye can distinguish, so that the same record gives the same document even if last digits
differ.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..evidence.calibration import Z90
from ..evidence.effects import Dependence, Index
from ..evidence.interactions import MANY, Surface
from ..evidence.phrases import band, span
from ..evidence.sensitivity import holds
from ..explanation import Explanation
from ..formatting import number, signed, value
from ..goals import Goal
from ..records import StudySpec
from ..space import Choice, Params
from ..space.parameters import Value
from .axes import axis, position
from .sections import explained
from .style import AMBER, BLUE, GRID, INK, PAPER, QUIET, SCALE, Figure, brief, empty, figure, label, plotly, points


def effects(told: Explanation) -> Figure:
    """The share of the variance that each parameter causes by itself, and that it takes part in, with 90 % intervals."""
    names, totals, alone = explained.ranked(told)[::-1], told.totals(), told.sobol()
    fig = figure(100 + 30 * len(names))
    for name, shares, colour, symbol in (
        ("with others (total)", totals, QUIET, "diamond-open"),
        ("by itself (first order)", alone, BLUE, "circle"),
    ):
        fig.add_trace(_indices([shares[n] for n in names], [label(n) for n in names], name, colour, symbol))
    return _shares(fig, max(x.high for x in (*totals.values(), *alone.values())))


def pairs(told: Explanation) -> Figure:
    """The share of the variance that two parameters cause only together, with 90 % intervals."""
    found = list(explained.strongest(told).items())[::-1]
    if not found:
        return empty(f"no two parameters vary together, or they have more than {MANY} options")
    names = [f"{label(a)}<br>× {label(b)}" for (a, b), _ in found]
    fig = figure(90 + 44 * len(found), showlegend=False)
    fig.add_trace(_indices([index for _, index in found], names, "together", BLUE, "circle"))
    return _shares(fig, max(index.high for _, index in found))


def _indices(found: Sequence[Index], names: Sequence[str], name: str, colour: str, symbol: str) -> Any:
    """Marks with intervals, one per line."""
    arms = {"array": rounded(x.high - x.value for x in found), "arrayminus": rounded(x.value - x.low for x in found)}
    said = [f"{n}: {band(x)}" for n, x in zip(names, found, strict=True)]
    bars = {**arms, "symmetric": False, "color": colour, "thickness": 1.5, "width": 4}
    marker = {"symbol": symbol, "color": colour, "size": 9, "line": {"width": 1.5}}
    return points(rounded(x.value for x in found), names, name, said, marker=marker, error_x=bars)


def _shares(fig: Figure, highest: float) -> Figure:
    fig.update_yaxes(type="category", showgrid=False)
    top = max(highest, 0.05)
    ends = rounded([-0.02 * top, min(1.02, 1.05 * top)])
    return fig.update_xaxes(title_text="share of the variance", tickformat=".1~%", range=ends)


def ablation(told: Explanation) -> Figure:
    """From the baseline to the best, one change after the other, the most helpful first: what each adds, by the model."""
    steps = explained.path(told)
    if not steps:
        return empty("no path: there is no baseline, or it is the best")
    gains = [s.gain for s in steps]
    before = np.concatenate([[0.0], np.cumsum(gains)[:-1]])
    names = [f"{label(s.name)}<br>{label(value(s.before))} → {label(value(s.after))}" for s in steps]
    fig = figure(90 + 44 * len(gains), showlegend=False)
    fig.add_trace(
        plotly().Bar(
            base=rounded(before),
            x=rounded(gains),
            y=names,
            orientation="h",
            width=0.6,
            marker={"color": [BLUE if g >= 0 else AMBER for g in gains]},
            error_x={"array": rounded(s.sd for s in steps), "color": INK, "thickness": 1.2, "width": 4},
            hovertext=[f"{signed(s.gain, 3)} ± {number(s.sd, 2)}" for s in steps],
            hoverinfo="text",
        )
    )
    fig.add_vline(x=0, line={"color": INK, "width": 1})
    fig.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return fig.update_xaxes(title_text=f"gain in {label(told.metric)}")


def safe(told: Explanation) -> Figure:
    """How far each parameter may move from the best, all others fixed: the part of its range that does as well."""
    found, spec = told.safe_ranges()[::-1], told.spec
    lines = {s.name: f"{label(s.name)}<br>{label(span(s))}" for s in found}
    fig = figure(70 + 44 * len(found))
    whole, part = {"color": GRID, "width": 9}, {"color": BLUE, "width": 9}
    fig.add_trace(_bars("whole range", lines, [(0.0, 1.0) for _ in found], whole))
    fig.add_trace(_bars("does as well", lines, [_ends(spec, s.name, (s.low, s.high)) for s in found], part))
    choices = [(s, p) for s in found if isinstance(p := spec.space.params[s.name], Choice)]
    for inside, colour, fill in ((False, QUIET, PAPER), (True, BLUE, BLUE)):
        options = [(s.name, p, v) for s, p in choices for v in p.options if holds(s, p, v) is inside]
        if options:
            marker = {"size": 9, "color": fill, "line": {"color": colour, "width": 1.5}}
            said = [label(value(v)) + ("" if inside else ": worse") for _, _, v in options]
            x = [position(p, v) for _, p, v in options]
            y = [lines[name] for name, _, _ in options]
            fig.add_trace(points(x, y, "option", said, marker=marker, showlegend=False))
    for kind, text, params in (("baseline", "baseline", spec.baseline or {}), ("best", "chosen", told.best)):
        there = [s.name for s in found if s.name in params]
        at = [position(spec.space.params[name], params[name]) for name in there]
        said = [f"{text}: {label(name)} = {label(value(params[name]))}" for name in there]
        fig.add_trace(points(at, [lines[name] for name in there], kind, said, name=text))
    fig.update_yaxes(type="category", showgrid=False)
    return fig.update_xaxes(
        range=[-0.03, 1.03], showgrid=False, tickvals=[0.06, 0.92], ticktext=["low end", "high end"]
    )


def _bars(
    text: str, lines: Mapping[str, str], ends: Sequence[tuple[float | None, float | None]], line: Mapping[str, Any]
) -> Any:
    """A thick line from end to end on each of the lines."""
    x = [v for pair in ends for v in (*pair, None)]
    y = [name for name in lines.values() for _ in range(3)]
    return points(x, y, text, None, mode="lines", line=line)


def _ends(spec: StudySpec, name: str, values: tuple[Value, Value]) -> tuple[float | None, float | None]:
    """The ends of a safe range; a point gets a little width, a choice has none."""
    if isinstance(spec.space.params[name], Choice):
        return None, None
    low, high = (position(spec.space.params[name], v) for v in values)
    return (low, high) if high > low else (low - 0.004, high + 0.004)


def dependence(d: Dependence, spec: StudySpec, metric: str) -> Figure:
    """The goal against one parameter, averaged over all others, with 90 % intervals."""
    p = spec.space.params[d.name]
    fig = figure(250, showlegend=False, margin={"t": 12})
    mean, low, high = rounded(d.mean), rounded(d.low), rounded(d.high)
    if isinstance(p, Choice):
        x: Sequence[Any] = [int(p.code(v)) for v in d.values]
        arms = {"array": _less(high, mean), "arrayminus": _less(mean, low), "symmetric": False, "color": BLUE}
        said = [f"{label(value(v))}: {number(m, 4)}" for v, m in zip(d.values, mean, strict=True)]
        fig.add_trace(points(x, mean, "mean", said, error_x=None, error_y=arms, marker={"color": BLUE, "size": 9}))
    else:
        x = rounded(p.code(v) for v in d.values)
        band = {"mode": "lines", "line": {"width": 0, "color": BLUE}}
        fig.add_trace(points(x, low, "low", None, **band))
        fig.add_trace(points(x, high, "high", None, fill="tonexty", fillcolor="rgba(42,111,151,0.18)", **band))
        said = [f"{label(d.name)} = {number(v, 4)}: {number(m, 4)}" for v, m in zip(x, mean, strict=True)]
        fig.add_trace(points(x, mean, "mean", said, mode="lines", line={"color": BLUE, "width": 2}))
    fig.update_xaxes(title_text=label(d.name), **axis(spec, d.name))
    return fig.update_yaxes(title_text=brief(metric), nticks=5)


def common(curves: Sequence[Dependence]) -> list[float] | None:
    """One range for the panels of several curves, so that they are comparable."""
    ends = [v for d in curves for v in (*d.low, *d.high)]
    if not ends:
        return None
    margin = 0.05 * (max(ends) - min(ends)) or 0.5
    return rounded([min(ends) - margin, max(ends) + margin])


def surface(s: Surface, spec: StudySpec, best: Params, goal: Goal) -> Figure:
    """The goal over two parameters, averaged over all others; darker is better, the ring is the best setting."""
    fig = figure(400, showlegend=False)
    scale = [[k / (len(SCALE) - 1), c] for k, c in enumerate(SCALE)]
    bar = {"title": {"text": label(goal.metric)}, "thickness": 12, "outlinewidth": 0}
    z = [rounded(row) for row in zip(*s.mean, strict=True)]
    fig.add_trace(
        plotly().Heatmap(
            z=z, colorscale=scale, reversescale=not goal.maximize, colorbar=bar, hovertemplate="%{z:.4g}<extra></extra>"
        )
    )
    if all(n in best for n in s.names):
        at = [_between(spec, n, values, best[n]) for n, values in zip(s.names, (s.first, s.second), strict=True)]
        fig.add_trace(points(at[:1], at[1:], "best", ["the chosen setting"]))
    for name, values, update in ((s.names[0], s.first, fig.update_xaxes), (s.names[1], s.second, fig.update_yaxes)):
        shown = sorted({round(k) for k in np.linspace(0, len(values) - 1, min(5, len(values)))})
        texts = [label(number(v, 3) if isinstance(v, float) else value(v)) for v in (values[k] for k in shown)]
        update(title_text=label(name), tickvals=shown, ticktext=texts, showgrid=False)
    return fig


def _between(spec: StudySpec, name: str, values: Sequence[Value], v: Value) -> float:
    """Where a value lies among rising values, as an index: 1.5 is between the second and the third."""
    p = spec.space.params[name]
    return float(np.interp(position(p, v), [position(p, other) for other in values], range(len(values))))


def calibration(told: Explanation) -> Figure:
    """Each result against the model's prediction from all others, with 90 % intervals."""
    c, sign = told.calibration(), -1.0 if told.spec.goals[told.goal].maximize else 1.0
    predicted, measured = ([sign * v for v in values] for values in (c.predicted, c.results))
    fig = figure(400, showlegend=False)
    ends = [min(*predicted, *measured), max(*predicted, *measured)]
    fig.add_trace(
        points(rounded(ends), rounded(ends), "equal", None, mode="lines", line={"color": QUIET, "dash": "dot"})
    )
    arms = {"array": rounded(Z90 * v for v in c.sd), "color": GRID, "thickness": 1.2, "width": 0}
    said = [f"predicted {number(p, 4)}, measured {number(m, 4)}" for p, m in zip(predicted, measured, strict=True)]
    fig.add_trace(points(rounded(predicted), rounded(measured), "feasible", said, error_x=arms))
    margin = 0.05 * (ends[1] - ends[0]) or 0.5
    title = f"{label(told.metric)}, predicted from the others"
    fig.update_xaxes(title_text=title, range=rounded([ends[0] - margin, ends[1] + margin]))
    return fig.update_yaxes(title_text=f"{label(told.metric)}, measured")


def rounded(values: Iterable[float]) -> list[float]:
    """To six significant digits."""
    return [float(f"{v:.6g}") for v in values]


def _less(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return rounded(x - y for x, y in zip(a, b, strict=True))
