"""Figures of a population: which trial continued from which, and the resulting schedule."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..canonical import same_setting
from ..engine.lineage import ancestry, parent_of
from ..records import Purpose, State, Trial
from .axes import axis
from .facts import Facts
from .style import BLUE, GRID, ORANGE, QUIET, Figure, direction, figure, hovers, label, plotly, points, view


def lineage(facts: Facts, number: int | None = None) -> Figure:
    """Every interval from its parent's result to its own, over the fidelity, with the line of trial `number` in front
    (default: the best of the most trained). Dotted: a copy with other parameters."""
    goal, known = facts.spec.goals[0], {t.number: t for t in facts.trials}
    placed = _measured(facts)
    fig, shown = figure(), facts.sampled(placed)
    kinds = (
        ("goes on", GRID, "solid", [t for t in shown if not _copied(facts, known, t)]),
        ("copy with other parameters", QUIET, "dot", [t for t in shown if _copied(facts, known, t)]),
        ("line of the best", ORANGE, "solid", _line_to(number, facts)),
    )
    for name, colour, dash, group in kinds:
        x, y = _segments(known, group, goal.metric)
        if x:
            width = 3 if colour == ORANGE else 1.2
            line = {"color": colour, "dash": dash, "width": width}
            fig.add_trace(plotly().Scatter(x=x, y=y, mode="lines", line=line, name=name, hoverinfo="skip"))
    if shown:
        levels = [t.fidelity for t in shown]
        marker = {"size": 6, "color": BLUE, "opacity": 0.8}
        fig.add_trace(points(levels, [t.metrics[goal.metric] for t in shown], "interval", hovers(shown), marker=marker))
    span, _ = view([t.metrics[goal.metric] for t in placed], goal.maximize)
    fig.update_yaxes(title_text=direction(goal), range=span)
    return fig.update_xaxes(title_text=_unit(facts), rangemode="tozero")


def schedule(facts: Facts, number: int | None = None) -> Figure:
    """One panel per parameter: its value over the training that led to trial `number`, or to the best one."""
    line, spec = _line_to(number, facts), facts.spec
    params, settings = spec.space.params, [spec.current(t.params) for t in line]
    fig = figure(60 + 170 * len(params), len(params), 1, showlegend=False)
    ends = [0.0, *(float(t.fidelity or 0) for t in line)]
    for row, (name, p) in enumerate(params.items(), start=1):
        y = [p.code(s[name]) if name in s else None for s in settings]
        if any(v is not None for v in y):
            step = {"color": ORANGE, "width": 2.5, "shape": "vh"}
            trace = plotly().Scatter(x=ends, y=[y[0], *y], mode="lines", line=step, hoverinfo="x+y")
            fig.add_trace(trace, row=row, col=1)
        fig.update_yaxes(title_text=label(name), **axis(spec, name), row=row, col=1)
    return fig.update_xaxes(title_text=_unit(facts), row=len(params), col=1)


def _placed(t: Trial) -> bool:
    return t.purpose is Purpose.SEARCH and t.state is State.DONE and t.fidelity is not None


def _measured(facts: Facts) -> list[Trial]:
    """The trials that have a place in the figure of the lineage."""
    return [t for t in facts.trials if _placed(t) and facts.spec.goals[0].metric in t.metrics]


def _copied(facts: Facts, known: Mapping[int, Trial], t: Trial) -> bool:
    parent, current = parent_of(t), facts.spec.current
    return parent is not None and not same_setting(current(known[parent].params), current(t.params))


def _line_to(number: int | None, facts: Facts) -> list[Trial]:
    """The line of a trial; None: that of the best of the most trained, which is empty while there is none."""
    if number is None:
        goal = facts.spec.goals[0]
        shown = _measured(facts)
        if not shown:
            return []
        number = min(shown, key=lambda t: (-(t.fidelity or 0), goal.loss(t.metrics), t.number)).number
    return [t for t in ancestry({t.number: t for t in facts.trials}, number) if _placed(t)]


def _segments(known: Mapping[int, Trial], group: Sequence[Trial], metric: str) -> tuple[list[Any], list[Any]]:
    """Lines from each trial's parent to it, as one trace with gaps."""
    x: list[Any] = []
    y: list[Any] = []
    for t in group:
        parent = parent_of(t)
        before = None if parent is None else known[parent]
        if before is not None and metric in before.metrics and metric in t.metrics:
            x += [before.fidelity, t.fidelity, math.nan]
            y += [before.metrics[metric], t.metrics[metric], math.nan]
    return x, y


def _unit(facts: Facts) -> str:
    return "fidelity" if facts.spec.fidelity is None else label(facts.spec.fidelity.name)
