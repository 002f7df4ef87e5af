"""The look of all figures: one palette, one layout, markers that differ in shape as well as in colour, hover texts."""

import html
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import UserError
from ..formatting import cut, number, value
from ..goals import Goal
from ..records import State, Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

Figure: TypeAlias = "go.Figure"
"""A Plotly figure. Plotly is an extra: only type checkers import it here."""

INK, QUIET, GRID, PAPER = "#1f2933", "#66717d", "#e4e7eb", "#ffffff"
BLUE, AMBER, RED, ORANGE, GREEN = "#2a6f97", "#b7791f", "#b91c1c", "#d9480f", "#2f7d4f"
SCALE = ("#d3dce3", "#a9c1d1", "#7aa5bf", "#4c86a8", "#1d5f85")
"""Five steps from the worst fifth to the best."""

MARKERS: dict[str, dict[str, Any]] = {
    "feasible": {"symbol": "circle", "color": BLUE, "size": 7, "opacity": 0.75},
    "infeasible": {"symbol": "diamond-open", "color": AMBER, "size": 8, "line": {"width": 1.5}},
    "stopped early": {"symbol": "square-open", "color": QUIET, "size": 7, "line": {"width": 1.5}},
    "failed": {"symbol": "x-thin", "color": RED, "size": 7, "line": {"width": 1.5, "color": RED}},
    "baseline": {"symbol": "star", "color": INK, "size": 12, "line": {"width": 1, "color": PAPER}},
    "best": {"symbol": "circle-open", "color": ORANGE, "size": 15, "line": {"width": 2.5}},
}
STATES = {
    State.DONE: (BLUE, ""),
    State.STOPPED: (QUIET, "."),
    State.FAILED: (RED, "x"),
    State.CANCELLED: (GRID, "/"),
    State.RUNNING: (GREEN, ""),
}
"""Colour and hatching of a bar."""

DETAILED = 2000  # trials up to which hover texts list every parameter: beyond, files would grow large


def plotly() -> Any:
    """plotly.graph_objects. Raises UserError if Plotly is not installed."""
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise UserError('figures need Plotly, which is not installed; run: pip install "trimtab[plot]"') from None
    return go


def figure(height: int = 380, lines: int = 1, columns: int = 1, **layout: Any) -> Figure:
    """An empty figure in the common layout: one panel, or lines x columns of them with a common y axis."""
    go = plotly()
    from plotly.subplots import make_subplots

    fig = make_subplots(lines, columns, shared_yaxes=True, vertical_spacing=0.3 / lines, horizontal_spacing=0.04)
    axis = {"gridcolor": GRID, "linecolor": QUIET, "zeroline": False, "ticks": "outside", "tickcolor": GRID}
    axis |= {"exponentformat": "power", "automargin": True, "title": {"standoff": 8}}
    common = {
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": INK},
        "margin": {"l": 56, "r": 16, "t": 44, "b": 44},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": QUIET, "font": {"color": INK, "size": 12}, "align": "left"},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "xaxis": axis,
        "yaxis": axis,
    }
    return fig.update_layout(template=go.layout.Template(layout=common), height=height, **layout)


def points(x: Sequence[Any], y: Sequence[Any], kind: str, hover: Sequence[str] | None, **more: Any) -> Any:
    """A scatter trace in the marker of `kind`."""
    shown: dict[str, Any] = {"mode": "markers", "marker": MARKERS.get(kind), "name": kind, "legendgroup": kind}
    told = {"hoverinfo": "skip"} if hover is None else {"hovertext": list(hover), "hoverinfo": "text"}
    return plotly().Scatter(x=list(x), y=list(y), **{**shown, **told, **more})


def label(text: object) -> str:
    """A name for Plotly, with its markup escaped."""
    return html.escape(str(text), quote=False)


def brief(text: str) -> str:
    """A name for Plotly, cut to 24 signs: the title of a low panel's axis, which would lose both its ends."""
    return label(cut(text, 24))


def direction(goal: Goal) -> str:
    """The title of a goal's axis."""
    return f"{label(goal.metric)} ({'higher' if goal.maximize else 'lower'} is better)"


def hovers(trials: Sequence[Trial], detailed: bool = True) -> list[str]:
    """One text per trial: number, state, metrics, and its params unless there are too many."""
    return [_hover(t, detailed and len(trials) <= DETAILED) for t in trials]


def _hover(t: Trial, detailed: bool) -> str:
    lines = [f"<b>trial\u00a0{t.number}</b> {t.state_text}"]
    lines += [f"{label(k)} = {number(v)}" for k, v in t.metrics.items()]
    if detailed:
        lines += [f"{label(k)}: {label(value(v))}" for k, v in t.params.items()]
    return "<br>".join(lines)


def view(values: Iterable[float], maximize: bool) -> tuple[list[float] | None, int]:
    """An axis range that a few very bad results don't flatten, and how many lie beyond it; (None, 0) without values."""
    losses = sorted(-v if maximize else v for v in values if math.isfinite(v))
    if not losses:
        return None, 0
    best, worst, ninth = losses[0], losses[-1], losses[int(0.9 * (len(losses) - 1))]
    if len(losses) >= 8 and worst - best > 3 * (ninth - best) > 0:
        worst = ninth + 0.5 * (ninth - best)
    margin = 0.07 * (worst - best) or 0.05 * abs(best) or 0.5
    low, high = best - margin, worst + margin
    return [-high, -low] if maximize else [low, high], sum(v > high for v in losses)


def empty(why: str = "no finished trials") -> Figure:
    """A figure without axes that says why there is nothing to see."""
    fig = figure(120, showlegend=False, margin={"t": 16, "b": 16})
    fig.update_xaxes(visible=False)
    fig.update_yaxes(visible=False)
    return fig.add_annotation(
        text=why, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"color": QUIET}
    )
