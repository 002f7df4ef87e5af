"""Constraints, the best and the front."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import ended, spec

from trimtab.engine import incumbents
from trimtab.goals import Constraint, Goal, constraint
from trimtab.records import State
from trimtab.standing import standings


@pytest.mark.parametrize(
    ("text", "metrics", "baseline", "holds"),
    [
        ("latency <= 20", {"latency": 20.0}, None, True),
        ("latency <= 20", {"latency": 20.5}, None, False),
        ("latency <= 20", {}, None, None),
        ("auc >= 0.9", {"auc": 0.89}, None, False),
        ("latency <= 1.05 * baseline", {"latency": 21.0}, {"latency": 20.0}, True),
        ("latency <= 1.05 * baseline", {"latency": 21.1}, {"latency": 20.0}, False),
        ("latency <= 1.05 * baseline", {"latency": 21.0}, None, None),
        ("latency <= 1.05 * baseline", {"latency": 21.0}, {"loss": 1.0}, None),
        ("latency <= baseline + 3", {"latency": 23.0}, {"latency": 20.0}, True),
        ("auc >= 0.95 * baseline", {"auc": 0.7}, {"auc": 0.8}, False),
        ("20 >= latency", {"latency": 20.5}, None, False),
        ("baseline <= auc", {"auc": 0.7}, {"auc": 0.8}, False),
        ("0.95 * baseline <= auc", {"auc": 0.79}, {"auc": 0.8}, True),
    ],
)
def test_a_constraint_holds_is_broken_or_unknown(text, metrics, baseline, holds):
    assert incumbents.feasible(spec(constraints=(constraint(text),)), metrics, baseline) is holds


def test_one_broken_constraint_is_enough_even_beside_an_unknown_one():
    both = spec(constraints=(constraint("a <= baseline"), constraint("b <= 1")))
    assert incumbents.feasible(both, {"a": 1.0, "b": 2.0}, None) is False
    assert incumbents.feasible(both, {"a": 1.0, "b": 1.0}, None) is None


@pytest.mark.parametrize("text", ["zeit_µs <= 5", " 5 >= zeit_µs", "zeit_µs <= 1.5 * baseline"])
def test_a_metric_in_a_constraint_is_the_one_that_is_written(text):
    """Python's own reading of identifiers takes the micro sign of a keyboard for a Greek letter."""
    assert constraint(text).metric == "zeit_\N{MICRO SIGN}s"


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-2, 2), st.floats(-10, 10))
def test_the_excess_of_relative_constraints(value, base, factor, offset):
    bound = offset + factor * base
    for upper in (True, False):
        excess = Constraint("", "m", upper, offset, factor).excess({"m": value}, {"m": base})
        assert excess == (value - bound if upper else bound - value)


def test_the_best_is_the_mean_over_replicates_and_feasible():
    measured = [(0.1, 0.0, 1.0), (0.1, 1.0, 1.0), (0.2, 0.3, 1.0), (0.3, 0.2, 9.0), (0.2, 0.35, 1.0)]
    rows = [ended(n, params={"x": x}, metrics={"loss": v, "size": s}) for n, (x, v, s) in enumerate(measured)]
    limited = spec(constraints=(constraint("size <= 5"),))
    found = incumbents.candidates(limited, [*rows, ended(9, State.FAILED)], None)
    assert [(c.trial.number, c.n, c.feasible) for c in found] == [(0, 2, True), (2, 2, True), (3, 1, False)]
    assert incumbents.best(limited, found).trial.number == 2
    assert incumbents.best(limited, found).metrics["loss"] == pytest.approx(0.325)
    assert incumbents.best(limited, []) is None


def test_the_earliest_of_equals_is_the_best():
    assert (
        incumbents.best(spec(), incumbents.candidates(spec(), [ended(4), ended(2), ended(3)], None)).trial.number == 2
    )


POINTS = st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), max_size=12)


@given(POINTS, st.lists(st.booleans(), min_size=3, max_size=3))
def test_the_front_is_that_of_brute_force(points, directions):
    goals = tuple(Goal(f"m{i}", up) for i, up in enumerate(directions))
    limited = spec(goals=goals, constraints=(constraint("m0 <= 3"),), deterministic=True)
    told = [ended(n, metrics={f"m{i}": float(v) for i, v in enumerate(p)}) for n, p in enumerate(points)]
    losses = {n: [-v if up else v for v, up in zip(p, directions, strict=True)] for n, p in enumerate(points)}
    allowed = [n for n, p in enumerate(points) if p[0] <= 3]

    def beats(a, b):
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    front = [n for n in allowed if not any(beats(losses[m], losses[n]) for m in allowed)]
    found = incumbents.candidates(limited, told, None)
    assert [c.trial.number for c in incumbents.pareto(limited, found)] == front
    best = incumbents.best(limited, found)
    assert best is None or best.number in front  # also on ties in the first goal
    standing = standings(limited, found).best
    assert (best, standing) == (None, None) or standing.number == best.number
