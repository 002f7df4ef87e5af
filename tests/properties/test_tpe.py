"""What the Parzen estimator makes of results: which it calls good, and where it looks then."""

import numpy as np
import pytest

from trimtab.space import Choice, Float, Int, Space
from trimtab.strategies import Problem, Rows, strategy

PLANE = Space(x=Float(0, 1), y=Float(0, 1))


def told(problem: Problem, X: np.ndarray, Y: np.ndarray, C: np.ndarray | None = None) -> object:
    made = strategy("tpe")
    C = np.empty((len(X), 0)) if C is None else C
    return made.tell(made.init(problem), Rows(X, Y, C))


def proposed(problem: Problem, state: object, n: int = 40, pending: np.ndarray | None = None) -> np.ndarray:
    """One proposal from each of n random states."""
    pending = np.empty((0, len(problem.space))) if pending is None else pending
    made = strategy("tpe")
    return np.stack([made.ask(state, pending, 1, np.random.default_rng(i))[0].x for i in range(n)])


def test_a_bowl_is_searched_at_its_bottom():
    problem = Problem(PLANE)
    X = PLANE.sample(60, np.random.default_rng(0))
    X = proposed(problem, told(problem, X, ((X - 0.7) ** 2).sum(1, keepdims=True)))
    assert np.median(np.abs(X - 0.7).max(axis=1)) < 0.12


@pytest.mark.parametrize("unknown", [False, True])
def test_infeasible_and_failed_results_are_avoided(unknown):
    problem = Problem(PLANE, constraints=1)
    X = PLANE.sample(80, np.random.default_rng(1))
    Y = ((X - 0.2) ** 2).sum(1, keepdims=True)
    C = np.where(X[:, :1] < 0.5, np.nan if unknown else 1.0, -1.0)
    assert (proposed(problem, told(problem, X, Y, C))[:, 0] > 0.5).mean() > 0.8
    failed = np.where(X[:, :1] < 0.5, np.nan, Y)
    plain = Problem(PLANE)
    assert (proposed(plain, told(plain, X, failed))[:, 0] > 0.5).mean() > 0.8


def test_where_nothing_is_feasible_the_least_violation_leads():
    problem = Problem(PLANE, constraints=2)
    X = PLANE.sample(60, np.random.default_rng(2))
    X = proposed(problem, told(problem, X, X.sum(1, keepdims=True), 1 + 10 * (1 - X) * [1.0, 100.0]))
    assert np.median(X.min(axis=1)) > 0.7


def test_two_goals_lead_to_the_whole_front():
    problem, made, X = Problem(PLANE, goals=2, seed=3), strategy("tpe"), np.empty((0, 2))
    state = made.init(problem)
    for i in range(80):
        x = made.ask(state, X[:0], 1, np.random.default_rng(i))[0].x[None]
        Y = np.stack([x[:, 0] + x[:, 1], 1 - x[:, 0] + x[:, 1]], axis=1)  # the front is y = 0, for any x
        state = made.tell(state, Rows(x, Y))
        X = np.concatenate([X, x])
    assert np.median(X[40:, 1]) < 0.15
    assert np.ptp(X[40:, 0]) > 0.5


def test_the_better_branch_is_searched_with_its_own_columns():
    space = Space(
        kind=Choice("a", "b", "c"),
        rate=Float(0, 1, when={"kind": ["a", "b"]}),
        depth=Int(1, 100, when={"kind": "c"}),
    )
    problem = Problem(space)
    X = space.sample(90, np.random.default_rng(4))
    Y = np.where(np.isnan(X[:, 2]), 1 + X[:, 1], np.abs(X[:, 2] - 0.3))[:, None]
    X = proposed(problem, told(problem, X, Y))
    in_branch = ~np.isnan(X[:, 2])
    assert in_branch.mean() > 0.8
    assert np.median(np.abs(X[in_branch, 2] - 0.3)) < 0.1


def test_pending_points_push_away():
    problem = Problem(PLANE)
    X = PLANE.sample(60, np.random.default_rng(5))
    state = told(problem, X, ((X - 0.5) ** 2).sum(1, keepdims=True))
    waiting = np.full((30, 2), 0.5) + np.random.default_rng(6).uniform(-0.03, 0.03, (30, 2))
    near = [np.abs(proposed(problem, state, pending=p) - 0.5).max(axis=1) for p in (waiting[:0], waiting)]
    assert np.median(near[1]) > np.median(near[0])


def test_the_design_comes_first_and_says_so():
    problem = Problem(PLANE)
    made = strategy("tpe")
    X = PLANE.sample(11, np.random.default_rng(7))
    (first,) = made.ask(told(problem, X[:9], X[:9, :1]), X[:0], 1, np.random.default_rng(0))
    assert first.why == {"design": "sobol", "index": 9}
    (second,) = made.ask(told(problem, X, X[:, :1]), X[:0], 1, np.random.default_rng(0))
    assert second.why["acquisition"] == "log l/g"
    assert second.why["good"] == 2
