"""What a study wants: goals on named metrics, and constraints on them, absolute or relative to the baseline."""

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from .checks import index, members, shown
from .errors import SpecError

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Goal:
    """A metric to minimise or to maximise."""

    metric: str
    maximize: bool

    @property
    def text(self) -> str:
        """The goal in words: "maximize auc"."""
        return f"{'maximize' if self.maximize else 'minimize'} {self.metric}"

    def loss(self, metrics: Metrics) -> float:
        """The metric as a value to minimise: its negative if it is maximised, NaN if it is missing."""
        value = metrics.get(self.metric, math.nan)
        return -value if self.maximize else value


def goals(minimize: str | Iterable[str] | None, maximize: str | Iterable[str] | None) -> tuple[Goal, ...]:
    """Goals from `minimize` and `maximize`; each takes one name or several."""
    wanted = [Goal(m, False) for m in _names(minimize, "minimize")] + [
        Goal(m, True) for m in _names(maximize, "maximize")
    ]
    if not wanted:
        raise SpecError('the study has no goal; say minimize="loss" or maximize="auc"')
    metrics = [g.metric for g in wanted]
    for m in metrics:
        if metrics.count(m) > 1:
            raise SpecError(f"{m!r} is a goal twice; name each metric once, with one direction")
    return tuple(wanted)


def goal_index(goals: Sequence[Goal], asked: int | str) -> int:
    """The index of a goal that a user names by its metric or its index. Raises SpecError if there is no such goal."""
    names = [g.metric for g in goals]
    found = names.index(asked) if isinstance(asked, str) and asked in names else index(asked)
    if found is None or not 0 <= found < len(names):
        raise SpecError(f"goal={shown(asked)} is none of the study's goals: {', '.join(names)}, numbered from 0")
    return found


def _names(value: str | Iterable[str] | None, word: str) -> list[str]:
    listed = [value] if isinstance(value, str) else value
    names = [] if listed is None else members(word, listed, f"metrics; write {word}='loss'")
    for n in names:
        if not isinstance(n, str) or not n.strip():
            raise SpecError(f"{word}={shown(value)} does not name metrics; give a name or a list of names")
    return names


@dataclass(frozen=True)
class Constraint:
    """`metric <= offset + factor * baseline` (or >=), where baseline is the same metric of the baseline trial."""

    text: str
    metric: str
    upper: bool  # metric <= bound; else metric >= bound
    offset: float
    factor: float

    @property
    def relative(self) -> bool:
        """Whether the limit depends on the baseline."""
        return self.factor != 0.0

    def bound(self, baseline: Metrics | None) -> float:
        """The limit in the metric's unit; NaN while the baseline's value is unknown."""
        if not self.relative:
            return self.offset
        return self.offset + self.factor * (baseline or {}).get(self.metric, math.nan)

    def excess(self, metrics: Metrics, baseline: Metrics | None) -> float:
        """How far the metric is beyond the limit: feasible if <= 0, NaN if unknown."""
        distance = metrics.get(self.metric, math.nan) - self.bound(baseline)
        return distance if self.upper else -distance


def constraint(text: str) -> Constraint:
    """Parse "latency_ms <= 20", "auc >= 0.95 * baseline", "size <= baseline + 3".

    Raises SpecError unless the text compares a metric (<=, >=, < or >) with an expression that is linear in `baseline`.
    """
    source = text.strip()
    try:
        tree = ast.parse(source, mode="eval").body
        if not isinstance(tree, ast.Compare) or len(tree.ops) != 1:
            raise ValueError("it needs exactly one comparison")
        op, left, right = tree.ops[0], tree.left, tree.comparators[0]
        if not isinstance(op, ast.LtE | ast.GtE | ast.Lt | ast.Gt):
            raise ValueError("its comparison must be <= or >=")
        upper = isinstance(op, ast.LtE | ast.Lt)
        if not _is_metric(left):
            left, right, upper = right, left, not upper
        if not _is_metric(left):
            raise ValueError(
                "one side must be the name of a metric, spelt as a Python identifier (val_loss, not val-loss)"
            )
        metric = ast.get_source_segment(source, left) or left.id  # as it is written: `ast` respells letters such as µ
        offset, factor = _linear(right)
        if not (math.isfinite(offset) and math.isfinite(factor)):
            raise ValueError("its numbers must be finite")
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        reason = "it is no expression" if isinstance(error, SyntaxError | MemoryError) else str(error)
        raise SpecError(
            f"constraint {text[:200]!r}: {reason[:200]}; write it like 'latency_ms <= 20' or 'auc >= 0.95 * baseline'"
        ) from None
    return Constraint(text, metric, upper, offset, factor)


def _is_metric(node: ast.expr) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and node.id != "baseline"


def _linear(node: ast.expr) -> tuple[float, float]:
    """An expression of numbers and `baseline` as (offset, factor): offset + factor * baseline. Raises ValueError."""
    match node:
        case ast.Constant(value=int() | float() as v) if not isinstance(v, bool):
            return float(v), 0.0
        case ast.Name(id="baseline"):
            return 0.0, 1.0
        case ast.Name(id=name):
            raise ValueError(f"{name!r} is neither a number nor `baseline`")
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            offset, factor = _linear(inner)
            return -offset, -factor
        case ast.BinOp(left=a, op=ast.Add() | ast.Sub() as op, right=b):
            (a0, a1), (b0, b1) = _linear(a), _linear(b)
            sign = 1.0 if isinstance(op, ast.Add) else -1.0
            return a0 + sign * b0, a1 + sign * b1
        case ast.BinOp(left=a, op=ast.Mult(), right=b):
            (a0, a1), (b0, b1) = _linear(a), _linear(b)
            if a1 and b1:
                raise ValueError("baseline may not be multiplied by itself")
            return a0 * b0, a0 * b1 + a1 * b0
        case ast.BinOp(left=a, op=ast.Div(), right=b):
            (a0, a1), (b0, b1) = _linear(a), _linear(b)
            if b1 or b0 == 0.0:
                raise ValueError("only division by a number other than 0 is allowed")
            return a0 / b0, a1 / b0
    raise ValueError("only numbers, `baseline`, + - * / are allowed beside the metric")
