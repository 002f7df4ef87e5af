"""One Plotly builder per figure, for notebooks and for the document alike: rows in, figure out.

Each takes the facts of a study with all its trials. Select and certify trials belong to the evidence: only the timeline
shows them. If there are very many trials, `Facts.drawn` says which are drawn; what is counted is counted over all.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Array
from ..engine.matrix import rows
from ..errors import SpecError, nearest
from ..evidence import Evidence
from ..evidence import importance as shares
from ..formatting import duration, number, percent, plural
from ..records import TOLD, State, StudySpec, Trial
from .axes import axis, encoded, positions, ticks
from .facts import MOST_DRAWN, Facts
from .lanes import Bar, joined, lanes_of
from .style import (
    BLUE,
    GRID,
    INK,
    MARKERS,
    ORANGE,
    PAPER,
    QUIET,
    SCALE,
    STATES,
    Figure,
    brief,
    direction,
    empty,
    figure,
    hovers,
    label,
    plotly,
    points,
    view,
)

Trials = Sequence[Trial]

MOST_TEXTS = 10_000
"""Number of hover texts, over all panels, up to which they list every parameter; more would make a document large."""
INACTIVE = -0.12
"""Where an inactive parameter is drawn, below the unit cube."""


def history(facts: Facts, goal: int = 0) -> Figure:
    """Every result of one goal by trial number, with the best so far, the baseline, and failed trials at the bottom."""
    wanted, groups = facts.spec.goals[goal], facts.by_status
    if not any(groups.values()):
        return empty()
    shown = {s: [t for t in g if wanted.metric in t.metrics] for s, g in groups.items() if s != "failed"}
    fig = figure()
    for status, every in shown.items():
        if group := facts.sampled(every):
            fig.add_trace(points([t.number for t in group], _values(group, wanted.metric), status, hovers(group)))
    if failed := facts.sampled(groups["failed"]):
        fig.add_trace(points([t.number for t in failed], [0] * len(failed), "failed", hovers(failed), yaxis="y2"))
        strip = {"domain": [0, 0.05], "range": [-1, 1], "visible": False}
        fig.update_layout(yaxis={"domain": [0.08, 1]}, yaxis2=strip, xaxis={"anchor": "y2"})
    if goal == 0:
        _mark_progress(fig, facts, wanted.metric)
    last = max((t.number for t in facts.searched), default=0)
    span, beyond = view([v for g in shown.values() for v in _values(g, wanted.metric)], wanted.maximize)
    title = direction(wanted) + (f"<br>{plural(beyond, 'result')} beyond the axis" if beyond else "")
    ends = [-0.02 * last - 0.5, 1.02 * last + 0.5]
    fig.update_layout(
        yaxis={"title": {"text": title}, "range": span}, xaxis={"title": {"text": "trial"}, "range": ends}
    )
    return _noted(fig, facts)


def _noted(fig: Figure, facts: Facts) -> Figure:
    """The figure, which says in a corner if it does not draw all trials."""
    said = facts.left_out.partition(":")[0]
    where = {"x": 1, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "right", "yanchor": "bottom"}
    note = {**where, "text": said, "showarrow": False, "font": {"size": 11, "color": QUIET}}
    return fig.add_annotation(**note) if said else fig


def _mark_progress(fig: Figure, facts: Facts, metric: str) -> None:
    """The best-so-far step line, the baseline's level, and both trials."""
    steps = facts.incumbents()
    if steps:
        x = [*(t.number for t in steps), max(t.number for t in facts.searched)]
        y = [*_values(steps, metric), steps[-1].metrics[metric]]
        line = {"color": ORANGE, "width": 1.8, "shape": "hv"}
        fig.add_trace(plotly().Scatter(x=x, y=y, mode="lines", line=line, name="best so far", hoverinfo="skip"))
    for kind, t in facts.marked(metric):
        fig.add_trace(points([t.number], [t.metrics[metric]], kind, hovers([t])))
        if kind == "baseline":
            fig.add_hline(y=t.metrics[metric], line={"color": INK, "width": 1, "dash": "dot"})


def slices(facts: Facts, params: Sequence[str] | None = None, columns: int = 3) -> Figure:
    """One panel per parameter (all, or those named): its value against the first goal. SpecError: an unknown name."""
    spec, wanted = facts.spec, facts.spec.goals[0]
    names = _chosen(spec, params)
    columns = min(columns, len(names))
    lines = math.ceil(len(names) / columns)
    fig = figure(110 + 210 * lines, lines, columns)
    every = {s: [t for t in g if wanted.metric in t.metrics] for s, g in facts.by_status.items()}
    groups = {s: facts.sampled(g) for s, g in every.items()} | {kind: [t] for kind, t in facts.marked(wanted.metric)}
    detailed = len(facts.searched) * len(spec.space) <= MOST_TEXTS
    named: set[str] = set()  # kinds of marker that the legend has
    for i, name in enumerate(names):
        where = {"row": i // columns + 1, "col": i % columns + 1}
        for kind, group in groups.items():
            active = [t for t in group if name in spec.current(t.params)]
            if active:
                x, y = positions(spec, name, active), _values(active, wanted.metric)
                shown = points(x, y, kind, hovers(active, detailed), showlegend=kind not in named)
                fig.add_trace(shown, **where)
                named.add(kind)
        fig.update_xaxes(title_text=label(name), **axis(spec, name), **where)
    span, _ = view([v for g in every.values() for v in _values(g, wanted.metric)], wanted.maximize)
    fig.update_yaxes(range=span)
    fig.update_yaxes(title_text=brief(wanted.metric), col=1)
    return _noted(fig, facts) if named else empty()


def parallel(facts: Facts) -> Figure:
    """Every finished trial as a line across the parameters, the best fifth darkest; at the bottom, a parameter is
    inactive."""
    spec, wanted = facts.spec, facts.spec.goals[0]
    names = spec.space.names
    full = [*facts.by_status["feasible"], *facts.by_status["infeasible"]]
    done = sorted((t for t in full if wanted.metric in t.metrics), key=lambda t: t.number)
    done.sort(key=lambda t: wanted.loss(t.metrics), reverse=True)  # the best are drawn last
    if not done:
        return empty()
    fig = figure(430, showlegend=True)
    bands = [facts.sampled(done[j] for j in b) for b in np.array_split(np.arange(len(done)), len(SCALE)) if len(b)]
    heights = [np.nan_to_num(encoded(spec, band), nan=INACTIVE) for band in bands]
    ends = {0: f"worst fifth by {label(wanted.metric)}", len(bands) - 1: "best fifth"}
    detailed = len(done) * len(names) <= MOST_TEXTS
    for i, (band, at, colour) in enumerate(zip(bands, heights, SCALE[-len(bands) :], strict=True)):
        lines = _lines(band, at, ends.get(i, ""), colour, 1.2, detailed)
        fig.add_trace(lines.update(showlegend=i in ends))
    for kind, t in facts.marked(wanted.metric):
        row = np.nan_to_num(encoded(spec, [t]), nan=INACTIVE)
        colour, dash = (ORANGE, None) if kind == "best" else (INK, "dot")
        fig.add_trace(_lines([t], row, kind, colour, 2.6, True, dash))
    notes = [(j, y, text) for j, name in enumerate(names) for y, text in ticks(spec, name)]
    if any(np.any(at == INACTIVE) for at in heights):
        notes.append((0, INACTIVE, "inactive"))
    fig.update_layout(  # all at once: each `add_annotation` would check all earlier ones again
        shapes=[{**_AXIS, "x0": j, "x1": j} for j in range(len(names))],
        annotations=[{**_NOTE, "x": x, "y": y, "text": text} for x, y, text in notes],
    )
    fig.update_layout(yaxis={"visible": False, "range": [INACTIVE - 0.05, 1.05]})
    fig.update_xaxes(range=[-0.15, len(names) - 1 + 0.1 * len(names)], showgrid=False)  # room for the last marks
    fig.update_xaxes(tickvals=list(range(len(names))), ticktext=[label(n) for n in names], ticklabeloverflow="allow")
    fig.update_layout(margin={"r": 48})
    return _noted(fig, facts)


_AXIS = {
    "type": "line",
    "y0": 0,
    "y1": 1,
    "xref": "x",
    "yref": "y domain",
    "line": {"color": GRID, "width": 1},
    "layer": "below",
}
_NOTE = {
    "showarrow": False,
    "xshift": 4,
    "xanchor": "left",
    "font": {"size": 10, "color": QUIET},
    "bgcolor": "rgba(255,255,255,0.75)",
    "borderpad": 1,
}


def _lines(
    trials: Trials, heights: Array, name: str, colour: str, width: float, detailed: bool, dash: str | None = None
) -> Any:
    """Polylines across all parameters, one per row of `heights` (n, d), broken between trials."""
    n, d = heights.shape
    y = np.concatenate([heights, np.full((n, 1), np.nan)], axis=1).ravel()
    x = np.tile(np.append(np.arange(d, dtype=float), np.nan), n)
    hover = [text for text in hovers(trials, detailed) for _ in range(d + 1)]
    line = {"color": colour, "width": width, "dash": dash}
    return points(
        [None if math.isnan(v) else int(v) for v in x],
        [None if math.isnan(v) else v for v in y],
        name,
        hover,
        mode="lines+markers",
        line=line,
        marker={"size": 3, "color": colour},
    )


def importance(facts: Facts, goal: int = 0) -> Figure:
    """The share of each parameter in what separates the best trials from all (PED-ANOVA)."""
    told = rows(facts.spec, facts.searched, facts.reference)
    found = shares(told.X, told.Y[:, goal], facts.spec.space)
    names = sorted(found, key=lambda n: found[n])
    if not any(found.values()):
        return empty("too few results to tell parameters apart")
    fig = figure(90 + 26 * len(names))
    fig.add_trace(
        plotly().Bar(
            x=[found[n] for n in names],
            y=[label(n) for n in names],
            orientation="h",
            marker={"color": BLUE},
            text=[percent(found[n]) for n in names],
            textposition="outside",
            cliponaxis=False,
            hoverinfo="skip",
            width=0.7,
        )
    )
    fig.update_xaxes(title_text="importance", tickformat=".0%", range=[0, 1.12 * max(found.values())])
    fig.update_yaxes(showgrid=False, type="category")
    fig.update_layout(margin={"t": 30})
    return fig


def timeline(facts: Facts) -> Figure:
    """When each trial ran, one lane for each that ran at the same time; evidence trials are hatched. Of very many trials,
    those that follow one another closely share a bar."""
    ran = [Bar(t, t.started, t.ended) for t in facts.trials if t.started is not None and t.ended is not None]
    if not ran:
        return empty()
    first = min(b.began for b in ran)
    length = max(b.ended for b in ran) - first
    unit, name = next(((u, n) for u, n in _TIMES if length > 3 * u), _TIMES[-1])
    lanes = lanes_of(ran)
    median = sorted(b.length for b in ran)[len(ran) // 2]
    gap = 0.5 if median > 0.003 * length else 0  # a white edge would cover very short bars
    groups: dict[tuple[str, State], list[Bar]] = {}
    for b in ran:
        groups.setdefault((b.trial.purpose.value, b.trial.state), []).append(b)
    narrower = 1.0
    if len(ran) > MOST_DRAWN:
        narrower = 0.6  # each look lies within the one before, which it would hide otherwise
        close = length * (1 + max(lanes.values())) / MOST_DRAWN
        groups = {kind: joined(bars, lanes, close) for kind, bars in groups.items()}
    fig = figure(110 + 30 * (1 + max(lanes.values())), barmode="overlay")
    for i, ((purpose, state), bars) in enumerate(groups.items()):
        texts = zip(hovers([b.trial for b in bars]), bars, strict=True)
        fig.add_trace(
            plotly().Bar(
                base=[(b.began - first) / unit for b in bars],
                x=[b.length / unit for b in bars],
                y=[lanes[b.trial.number] for b in bars],
                orientation="h",
                width=0.72 * narrower**i,
                name=f"{purpose}, {state}",
                marker=_filled(purpose, state, gap),
                hovertext=[f"{text}<br>{b.others}{duration(b.length)}" for text, b in texts],
                hoverinfo="text",
            )
        )
    lane = sorted(set(lanes.values()))
    fig.update_yaxes(tickvals=lane, ticktext=[f"lane {i + 1}" for i in lane], showgrid=False, autorange="reversed")
    return fig.update_xaxes(title_text=f"{name} since the first trial began", rangemode="tozero")


_TIMES = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def _filled(purpose: str, state: State, gap: float) -> dict[str, Any]:
    """The look of bars of a purpose and state."""
    colour, hatch = STATES.get(state, (QUIET, ""))
    shape = hatch or ("" if purpose in TOLD else "/")
    pattern = {"shape": shape, "fgcolor": PAPER, "size": 6, "fillmode": "overlay"}
    return {"color": colour, "line": {"color": PAPER, "width": gap}, "pattern": pattern}


def pareto(facts: Facts, goals: tuple[int, int] = (0, 1)) -> Figure:
    """Two goals against each other, with the settings that no other one beats in every goal of the study."""
    every = facts.spec.goals
    if max(goals) >= len(every):
        return empty("the study has a single goal")
    across, up = (every[g] for g in goals)
    both = {across.metric, up.metric}
    groups = {s: facts.sampled(t for t in g if both <= t.metrics.keys()) for s, g in facts.by_status.items()}
    if not any(groups.values()):
        return empty()
    fig = figure(420)
    for status, group in groups.items():
        if group:
            fig.add_trace(points(_values(group, across.metric), _values(group, up.metric), status, hovers(group)))
    front = sorted(facts.front, key=lambda c: c.metrics[across.metric])
    if front:
        x, y = ([c.metrics[g.metric] for c in front] for g in (across, up))
        line = {"color": ORANGE, "width": 1.5, "shape": "vh" if across.maximize else "hv"}
        mode = "lines+markers" if len(every) == 2 else "markers"
        steps = {"mode": mode, "line": line, "marker": {**MARKERS["best"], "size": 12}}
        fig.add_trace(points(x, y, "Pareto front", hovers([c.trial for c in front]), **steps))
    if facts.baseline is not None and both <= facts.baseline.metrics.keys():
        at = facts.baseline.metrics
        fig.add_trace(points([at[across.metric]], [at[up.metric]], "baseline", hovers([facts.baseline])))
    fig.update_xaxes(title_text=direction(across))
    fig.update_yaxes(title_text=direction(up))
    return _noted(fig, facts)


def gain(evidence: Evidence) -> Figure:
    """The difference of every pair, their mean with its interval, and the zone of practical equivalence."""
    d = evidence.gains
    if not d:
        return empty("no complete pairs")
    fig = figure(130 + min(18 * len(d), 360), showlegend=False)
    said = [f"pair {i + 1}: {number(b)} → {number(t)}" for i, (b, t) in enumerate(evidence.pairs)]
    names = [f"{i + 1}" for i in range(len(d))]
    fig.add_trace(points(d, names, "feasible", said))
    low, high = evidence.interval
    arms = {"array": [high - evidence.difference], "arrayminus": [evidence.difference - low]}
    bars = {"error_x": {**arms, "thickness": 2.5, "width": 8, "color": ORANGE}} if math.isfinite(low) else {}
    mean = {"symbol": "diamond", "size": 12, "color": ORANGE}
    fig.add_trace(points([evidence.difference], ["mean"], "best", ["mean with its 95 % interval"], marker=mean, **bars))
    if evidence.equivalence:
        zone = {"fillcolor": GRID, "opacity": 0.6, "line_width": 0, "layer": "below"}
        fig.add_vrect(-evidence.equivalence, evidence.equivalence, **zone)
    fig.add_vline(x=0, line={"color": INK, "width": 1})  # after the traces: empty panels get no lines
    fig.update_yaxes(title_text="pair", type="category", autorange="reversed", categoryarray=[*names, "mean"])
    title = f"gain in {label(evidence.metric)} (right of 0: tuned is better)"
    return fig.update_xaxes(title_text=title, rangemode="tozero")


def _chosen(spec: StudySpec, params: Sequence[str] | None) -> list[str]:
    """The parameters to draw: all of them, or those named."""
    known = spec.space.names
    for name in params or ():
        if name not in known:
            raise SpecError(f"{name!r} is not a parameter{nearest(name, known)}")
    return list(params or known)


def _values(trials: Trials, metric: str) -> list[float]:
    return [t.metrics[metric] for t in trials]
