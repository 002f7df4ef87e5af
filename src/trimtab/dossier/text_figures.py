"""Figures drawn with characters, for documents that hold only text: the same data as the figures of the HTML, row by
row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from ..evidence import Evidence
from ..evidence.phrases import span
from ..evidence.sensitivity import holds
from ..explanation import Explanation
from ..formatting import number, percent, signed
from ..reports import sections
from ..reports.axes import position
from ..reports.facts import Facts
from ..space import Choice

WIDTH = 41
MOST = 24
"""Rows of one figure."""
BAR, LINE, REST = "█", "─", "·"
ZERO, DOT, MEAN, BEST = "│", "●", "◆", "◉"


@dataclass(frozen=True)
class Sketch:
    """A figure: (label, drawing, figures) for each row."""

    title: str
    caption: str
    rows: Sequence[tuple[str, str, str]]


def _sketch(title: str, caption: str, rows: Sequence[tuple[str, str, str]], last: bool = False) -> Sketch:
    """A figure of the first or last MOST rows, which says so if there are more."""
    if len(rows) <= MOST:
        return Sketch(title, caption, rows)
    which, shown = ("last", rows[-MOST:]) if last else ("first", rows[:MOST])
    return Sketch(title, f"{caption} The {which} {MOST} of {len(rows)}.", shown)


def sketches(facts: Facts, e: Evidence | None) -> list[Sketch]:
    """The figures for which this study has data."""
    told = facts.explanation
    made = [_gain(e)] if e is not None and e.pairs else []
    if told is not None:
        made += [s for s in (_path(told), _safe(told), _importance(told)) if s.rows]
    return [*made, _history(facts)] if facts.incumbents() else made


def strip(ends: tuple[float, float], marks: Mapping[float, str], bars: Iterable[tuple[float, float, str]] = ()) -> str:
    """A line of WIDTH characters from one end to the other: bars (from, to, character), with marks over them."""
    low, high = ends
    line = [" "] * WIDTH
    for a, b, c in bars:
        first, last = sorted((_cell(a, low, high), _cell(b, low, high)))
        line[first : last + 1] = c * (last + 1 - first)
    for at, c in marks.items():
        line[_cell(at, low, high)] = c
    return "".join(line)


def _cell(x: float, low: float, high: float) -> int:
    x, low, high = x / 2, low / 2, high / 2  # so that no difference is too large for a float
    share = (x - low) / (high - low) if high > low else 0.5
    return min(WIDTH - 1, max(0, round(share * (WIDTH - 1))))


def _gain(e: Evidence) -> Sketch:
    low, high = (v if abs(v) < float("inf") else e.difference for v in e.interval)
    ends = min(0.0, low, *e.gains), max(0.0, high, *e.gains)
    rows = [(f"{i + 1}", strip(ends, {0.0: ZERO, g: DOT}), signed(g)) for i, g in enumerate(e.gains)]
    mean = strip(ends, {0.0: ZERO, e.difference: MEAN}, [(low, high, LINE)])
    caption = f"Gain of the tuned setting in {e.metric}, right of {ZERO} is better; {MEAN} is the mean with its 95 % interval."
    made = _sketch("Gain in every pair", caption, rows)
    return replace(made, rows=[*made.rows, ("mean", mean, signed(e.difference))])


def _path(told: Explanation) -> Sketch:
    steps = sections.explained.path(told)
    levels = [0.0, *accumulate(s.gain for s in steps)]
    ends = min(levels), max(levels)
    rows = [
        (change, strip(ends, {0.0: ZERO}, [(a, b, BAR)]), gain)
        for (change, gain, _), a, b in zip(sections.explained.path_rows(steps), levels, levels[1:], strict=False)
    ]
    caption = f"From the baseline ({ZERO}) to the chosen setting: what each change adds to {told.metric}, by the model."
    return _sketch("Where the gain comes from", caption, rows)


def _safe(told: Explanation) -> Sketch:
    rows = []
    for s in told.safe_ranges():
        p = told.spec.space.params[s.name]
        if isinstance(p, Choice):
            marks = {position(p, v): DOT if holds(s, p, v) else "○" for v in p.options}
            bars = [(0.0, 1.0, REST)]
        else:
            marks = {}
            bars = [(0.0, 1.0, REST), (position(p, s.low), position(p, s.high), BAR)]
        rows.append((s.name, strip((0.0, 1.0), {**marks, position(p, s.at): BEST}, bars), span(s)))
    caption = f"{BEST} the chosen, {BAR} and {DOT} what does as well, all others fixed; from end to end of the range."
    return _sketch("How far each parameter may move", caption, rows)


def _importance(told: Explanation) -> Sketch:
    ranked = sorted(told.importance().items(), key=lambda item: -item[1])
    rows = [(n, strip((0.0, 1.0), {}, [(0.0, v, BAR)] if v > 0 else []), percent(v)) for n, v in ranked]
    return _sketch(
        "What the best trials have in common", f"Share in what separates {sections.explained.TOP} from all.", rows
    )


def _history(facts: Facts) -> Sketch:
    goal, best = facts.spec.goals[0], facts.incumbents()
    values = [t.metrics[goal.metric] for t in best]
    ends = min(values), max(values)
    rows = [(f"trial {t.number}", strip(ends, {v: DOT}), number(v)) for t, v in zip(best, values, strict=True)]
    return _sketch(
        f"Best feasible {goal.metric} so far", "Each trial that was better than all before it.", rows, last=True
    )
