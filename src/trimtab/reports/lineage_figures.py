"""Figures of a population: which trial continued from which, and the resulting schedule."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..canonical import same_setting
from ..engine.lineage import ancestry, parent_of
from ..records import Purpose, State, StudyRecord, Trial
from .axes import axis
from .facts import Facts
from .style import BLUE, GRID, ORANGE, QUIET, Figure, direction, figure, hovers, label, plotly, points, view


def lineage(facts: Facts, number: int | None = None) -> Figure:
    """Every interval from its parent's result to its own, over the fidelity, with the line of trial `number` in front
    (default: the best of the most trained). Dotted: a copy with other parameters."""
    study, goal, known = facts.study, facts.spec.goals[0], {t.number: t for t in facts.trials}
    placed = [t for t in facts.trials if _placed(t) and goal.metric in t.metrics]
    fig, shown = figure(), facts.sampled(placed)
    front = _line_to(number, study, known, placed)
    kinds = (
        ("goes on", GRID, "solid", [t for t in shown if not _copied(study, known, t)]),
        ("copy with other parameters", QUIET, "dot", [t for t in shown if _copied(study, known, t)]),
        ("line of the best", ORANGE, "solid", [t for t in front if _placed(t)]),
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
    return fig.update_xaxes(title_text=_unit(study), rangemode="tozero")


def schedule(facts: Facts, number: int | None = None) -> Figure:
    """One panel per parameter: its value over the training that led to trial `number`, or to the best one."""
    study, known = facts.study, {t.number: t for t in facts.trials}
    shown = [t for t in facts.trials if _placed(t) and study.spec.goals[0].metric in t.metrics]
    line = [t for t in _line_to(number, study, known, shown) if _placed(t)]
    params, settings = study.spec.space.params, [study.spec.current(t.params) for t in line]
    fig = figure(60 + 170 * len(params), len(params), 1, showlegend=False)
    ends = [0.0, *(float(t.fidelity or 0) for t in line)]
    for row, (name, p) in enumerate(params.items(), start=1):
        y = [p.code(s[name]) if name in s else None for s in settings]
        if any(v is not None for v in y):
            step = {"color": ORANGE, "width": 2.5, "shape": "vh"}
            trace = plotly().Scatter(x=ends, y=[y[0], *y], mode="lines", line=step, hoverinfo="x+y")
            fig.add_trace(trace, row=row, col=1)
        fig.update_yaxes(title_text=label(name), **axis(study.spec, name), row=row, col=1)
    return fig.update_xaxes(title_text=_unit(study), row=len(params), col=1)


def _placed(t: Trial) -> bool:
    return t.purpose is Purpose.SEARCH and t.state is State.DONE and t.fidelity is not None


def _copied(study: StudyRecord, known: Mapping[int, Trial], t: Trial) -> bool:
    parent = parent_of(t)
    return parent is not None and not same_setting(
        study.spec.current(known[parent].params), study.spec.current(t.params)
    )


def _line_to(
    number: int | None, study: StudyRecord, known: Mapping[int, Trial], shown: Sequence[Trial]
) -> tuple[Trial, ...]:
    """The line of a trial; None: that of the best of the most trained, which is empty while there is none."""
    if number is not None:
        return ancestry(known, number)
    best = min(shown, key=lambda t: (-(t.fidelity or 0), study.spec.goals[0].loss(t.metrics), t.number), default=None)
    return () if best is None else ancestry(known, best.number)


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


def _unit(study: StudyRecord) -> str:
    return "fidelity" if study.spec.fidelity is None else label(study.spec.fidelity.name)
