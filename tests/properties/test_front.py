"""Two and three goals in the `gp` strategy: what models are shown, reference points, and what is found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.numerics import gp
from trimtab.numerics.warp import half_rank, linear_up_to
from trimtab.space import Choice, Float, Space
from trimtab.strategies import Problem, Rows, strategy
from trimtab.strategies.auto import choose
from trimtab.strategies.front import extent, improvement
from trimtab.testing.hypervolume import hypervolume

seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=40, deadline=None, derandomize=True)
values = st.lists(st.floats(allow_nan=False), min_size=1, max_size=30)


@some
@given(values=values, share=st.floats(0, 1))
def test_the_warp_keeps_order_and_equality_and_is_standardised(values, share):
    y = np.array(values)
    knot = float(np.quantile(np.clip(y, -1e300, 1e300) / 2, share)) * 2
    warped = linear_up_to(y, knot)
    assert np.isfinite(warped.z).all()
    raw = np.clip(y, -1e300, 1e300)
    order = np.argsort(raw, kind="stable")
    assert (np.diff(warped.z[order]) >= -1e-12).all()
    assert len(set(warped.z)) <= len(set(raw))
    assert abs(warped.z.mean()) < 1e-9
    assert warped.z.std() == pytest.approx(1, abs=1e-9) or len(set(warped.z.round(9))) == 1


@some
@given(values=st.lists(st.integers(0, 6), min_size=1, max_size=9), knot=st.integers(-1, 7), power=st.integers(-60, 60))
def test_a_warp_has_no_unit_and_equals_only_what_is_equal(values, knot, power):
    y, unit = np.array(values, dtype=float), 2.0**power
    for one, other in (
        (half_rank(y), half_rank(y * unit)),
        (linear_up_to(y, knot), linear_up_to(y * unit, knot * unit)),
    ):
        assert other.z == pytest.approx(one.z)
        assert len(set(one.z.round(9))) == len(set(values))
        assert [other.inverse(z) for z in other.z] == pytest.approx(y * unit, abs=1e-9 * unit)


def test_up_to_the_knot_the_warp_is_linear_and_one_diverged_value_does_not_flatten_it():
    y = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 1e9, 1e300])
    warped = linear_up_to(y, 4.0)
    assert np.diff(warped.z[:5]) == pytest.approx(np.diff(warped.z[:5])[0])
    assert np.ptp(warped.z[:5]) > 1
    assert warped.z[-1] < 4
    for value, z in zip(y[:5], warped.z, strict=False):
        assert warped.inverse(float(z)) == pytest.approx(value)


@some
@given(seed=seeds)
def test_the_extent_reaches_behind_the_front_and_moves_with_the_units(seed):
    rng = np.random.default_rng(seed)
    Y, scale, shift = rng.random((20, 3)), np.exp(rng.uniform(-5, 5, 3)), rng.standard_normal(3)
    feasible = rng.random(20) < 0.7
    found = extent(Y, feasible)
    if feasible.any():
        best = Y[feasible][Y[feasible].sum(1).argmin()]  # surely on the front
        assert (found >= best).all()
    assert (found >= np.median(Y, axis=0) - 0.2).all()
    assert extent(scale * Y + shift, feasible) == pytest.approx(scale * found + shift)


def test_reference_points_take_turns_and_pending_points_leave_nothing_to_gain():
    X = np.linspace(0, 1, 9)[:, None]
    data = [gp.Data(X, y, np.ones(9), np.array([0]), exact=True) for y in (X[:, 0], 1 - np.sqrt(X[:, 0]))]
    goals = [gp.condition(d, np.array([0.0, -13.0, 0.0, -8.0])) for d in data]
    far, none = np.array([3.0, 3.0]), np.empty((0, 1))
    ends = []
    for turn in range(3):
        joint, function = improvement(goals, X[3:6], none, far, turn)
        ends.append(function(*joint.predict(X[[0, 8]])).value)
    assert ends[0][1] > ends[2][1] + 0.5  # far in the first goal: its worse end gains
    assert ends[1][0] > ends[2][0] + 0.5
    for turn in range(3):
        joint, before = improvement(goals, X[[0, 8]], none, far, turn)
        _, after = improvement(goals, X[[0, 8]], X[[4]], far, turn)
        mean, var = joint.predict(X[[4]])
        assert after(mean, var).value[0] < before(mean, var).value[0] - 1


def front_of(problem: Problem, evaluate, trials: int, seed: int, name: str = "gp") -> tuple[np.ndarray, list[str]]:
    """Feasible goals found in so many trials, and the acquisitions used."""
    made, rng = strategy(name), np.random.default_rng(seed)
    state, kinds, found = made.init(problem), [], []
    for _ in range(trials):
        (p,) = made.ask(state, np.empty((0, len(problem.space))), 1, rng)
        y, c = evaluate(p.x)
        kinds.append(p.why.get("acquisition"))
        if not np.isnan(y).any() and all(v <= 0 for v in c):
            found.append(y)
        row = Rows(p.x[None], np.array([y]), np.array([c]).reshape(1, -1))
        state = made.tell(state, row)
    return np.array(found), kinds


def test_a_conditional_problem_with_failures_and_a_limit_is_covered():
    """Two branches, one of which fails in part; a limit that holds in half of the space."""
    space = Space(kind=Choice("fast", "exact"), x=Float(0, 1), y=Float(0, 1), z=Float(0, 1, when={"kind": "exact"}))

    def evaluate(row):
        kind, x, y, z = row
        slow = 0.0 if kind < 0.5 else 0.3 + 0.3 * z
        goals = [x + slow, (1 - np.sqrt(x)) * (1.0 if kind < 0.5 else 1 - 0.8 * z) + (y - 0.4) ** 2]
        failed = kind > 0.5 and y > 0.8
        return ([np.nan] * 2 if failed else goals), [np.nan if failed else y - 0.6]

    problem, reference = Problem(space, goals=2, constraints=1, budget=32), np.array([1.6, 1.2])
    found, kinds = front_of(problem, evaluate, 32, 1)
    others = [front_of(problem, evaluate, 32, seed, "random")[0] for seed in range(8)]
    assert hypervolume(found, reference) > max(hypervolume(y, reference) for y in others)
    assert set(kinds[8:]) <= {"log-ehvi", "feasibility", "violation"}


def test_while_nothing_is_feasible_only_that_is_sought():
    space = Space(x=Float(0, 1), y=Float(0, 1))
    problem = Problem(space, goals=3, constraints=1, budget=100)
    X = space.sample(15, np.random.default_rng(0))
    rows = Rows(X, X[:, [0, 1, 0]], X[:, :1] + 0.1)
    made = strategy("gp")
    (p,) = made.ask(made.tell(made.init(problem), rows), X[:0], 1, np.random.default_rng(0))
    assert p.why["acquisition"] == "violation"
    assert p.x[0] < X[:, 0].min() + 0.05


def test_four_goals_are_made_one():
    space = Space(x=Float(0, 1), y=Float(0, 1))
    X = space.sample(15, np.random.default_rng(0))
    rows = Rows(X, np.hstack([X, 1 - X]))
    made = strategy("gp")
    (p,) = made.ask(made.tell(made.init(Problem(space, goals=4)), rows), X[:0], 1, np.random.default_rng(0))
    assert len(p.why["weights"]) == 4


@pytest.mark.parametrize(
    ("goals", "results", "expected"),
    [(1, 250, "gp"), (2, 60, "gp"), (3, 249, "gp"), (2, 250, "nsga2"), (3, 250, "nsga3"), (4, 250, "nsga3")],
)
def test_auto_goes_by_the_number_of_goals_and_results(goals, results, expected):
    assert choose(Problem(Space(x=Float(0, 1)), goals=goals), results)[0] == expected
