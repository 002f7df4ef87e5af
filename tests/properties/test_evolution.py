"""The evolutionary strategies: operators against their formulas, populations against their definitions, and that it
pays to use them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.errors import SpecError
from trimtab.numerics.pareto import directions, ranks
from trimtab.space import Choice, Float, Int, Space
from trimtab.strategies import Problem, Proposal, Rows, Strategy
from trimtab.strategies.breeding import Results, design_size, population_size, results
from trimtab.strategies.evolution import Evolution
from trimtab.strategies.nsga2 import NSGA2, survivors
from trimtab.strategies.nsga3 import NSGA3, fill, normalised
from trimtab.strategies.nsga3 import survivors as survivors3
from trimtab.strategies.random import Random
from trimtab.strategies.variation import ETA, children, crossed, mutants, mutated, polynomial, sbx
from trimtab.testing import random_space
from trimtab.testing.hypervolume import hypervolume

seeds = st.integers(0, 2**32 - 1)
unit = st.floats(0, 1)
some = settings(max_examples=60, deadline=None, derandomize=True)
EVERY = [NSGA2(50), NSGA3(50), Evolution()]
NETWORK = Space({f"edge{i}": Choice("none", "skip", "conv1", "conv3", "pool") for i in range(6)})
BRANCHES = Space(
    kind=Choice("linear", "tree"), depth=Int(1, 200, when={"kind": "tree"}), rate=Float(0, 1, when={"kind": "tree"})
)


def ask(made: Strategy, problem: Problem, told: Rows, n: int = 1, seed: int = 0) -> list[Proposal]:
    return made.ask(made.tell(made.init(problem), told), told.X[:0], n, np.random.default_rng(seed))


# ------------------------------------------------------------------------------------------------------------ operators


@some
@given(a=unit, b=unit, u=unit, upper=st.booleans())
def test_bounded_sbx_by_its_published_steps(a, b, u, upper):
    low, high = min(a, b), max(a, b)
    child = float(sbx(np.array([low]), np.array([high]), np.array([u]), np.array([upper]))[0])
    assert 0 <= child <= 1
    if high - low < 1e-14:
        assert child == low
        return
    beta = 1 + 2 * (1 - high if upper else low) / (high - low)
    alpha = 2 - beta ** -(ETA + 1)
    inside = u <= 1 / alpha
    factor = (u * alpha if inside else 1 / (2 - u * alpha)) ** (1 / (ETA + 1))
    half = factor * (high - low) / 2
    assert child == pytest.approx((low + high) / 2 + (half if upper else -half), abs=1e-9)


@some
@given(x=unit, u=unit, v=unit)
def test_polynomial_steps_reach_both_ends_and_keep_the_order_of_their_numbers(x, u, v):
    at = polynomial(np.full(5, x), np.array([0.0, min(u, v), max(u, v), 0.5, 1.0]), ETA)
    assert at[0] == pytest.approx(0, abs=1e-12)
    assert at[3] == pytest.approx(x, abs=1e-12)
    assert at[4] == pytest.approx(1, abs=1e-12)
    assert at[1] <= at[2] + 1e-12
    mirrored = polynomial(np.full(1, 1 - x), np.array([1 - u]), ETA)
    assert mirrored[0] == pytest.approx(1 - polynomial(np.full(1, x), np.array([u]), ETA)[0], abs=1e-9)


def test_the_law_of_polynomial_steps_far_from_the_bounds():
    """P(|step| <= t) = 1 - (1 - t)^(eta + 1), for steps that the bounds don't shorten."""
    u = (np.arange(100_000) + 0.5) / 100_000
    step = np.abs(polynomial(np.full(len(u), 0.5), u, ETA) - 0.5)
    for t in (0.01, 0.03, 0.1):
        assert (step <= t).mean() == pytest.approx(1 - (1 - t) ** (ETA + 1), abs=1e-3)


@some
@given(seed=seeds)
def test_children_are_snapped_rows_of_any_space(seed):
    import random

    rng = np.random.default_rng(seed)
    space = random_space(random.Random(seed))
    A, B = space.sample(20, rng), space.sample(20, rng)
    for X in (children(space, A, B, 1, rng), mutants(space, A, 1, rng), mutants(space, A, 8, rng)):
        assert np.array_equal(space.snap(X), X, equal_nan=True)
        assert np.array_equal(~np.isnan(X), space.active(X))


def test_choices_are_inherited_whole():
    rng = np.random.default_rng(0)
    A, B = NETWORK.sample(50, rng), NETWORK.sample(50, rng)
    X = crossed(A, B, NETWORK.unordered, rng)
    assert ((X == A) | (X == B)).all()
    assert ((X == A) & (X != B)).any()
    assert ((X == B) & (X != A)).any()


def test_a_moved_choice_is_any_other_option():
    rng = np.random.default_rng(0)
    X = np.repeat(NETWORK.sample(1, rng), 400, axis=0)
    moves = NETWORK.snap(mutated(NETWORK, X, ETA, rng))
    assert (moves != X).all()
    assert all(len(np.unique(column)) == 4 for column in moves.T)


@pytest.mark.parametrize("mutations", [1, 2, 6])
def test_mutants_differ_in_so_many_parameters(mutations):
    rng = np.random.default_rng(0)
    A = NETWORK.sample(50, rng)
    assert ((mutants(NETWORK, A, mutations, rng) != A).sum(axis=1) == mutations).all()


def test_few_ordered_cells_are_left_as_often_as_many():
    rng = np.random.default_rng(0)
    space = Space(few=Int(1, 3), many=Int(1, 300))
    X = np.repeat(space.encode([{"few": 2, "many": 150}]), 2000, axis=0)
    left = (space.snap(mutated(space, X, ETA, rng)) != X).mean(axis=0)
    assert left[0] > 0.3
    assert left[1] > 0.8


def test_a_branch_that_is_switched_on_has_the_values_of_the_parent_that_knows_it():
    rng = np.random.default_rng(0)
    off, on = BRANCHES.encode([{"kind": "linear"}, {"kind": "tree", "depth": 150, "rate": 0.9}])
    X = children(BRANCHES, np.repeat(off[None], 300, axis=0), np.repeat(on[None], 300, axis=0), 0, rng)
    trees = X[X[:, 0] == on[0]]
    assert 50 < len(trees) < 250
    assert np.allclose(trees, on)


def test_a_branch_that_no_parent_knows_has_values_at_random():
    rng = np.random.default_rng(0)
    off = BRANCHES.encode([{"kind": "linear"}] * 4000)
    X = children(BRANCHES, off, off, 1, rng)
    rate = X[~np.isnan(X[:, 2]), 2]
    assert len(rate) > 500
    assert np.allclose(np.quantile(rate, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.08)


# ---------------------------------------------------------------------------------------------------------- populations


def test_results_are_means_of_equal_points_without_failures():
    X = np.array([[0.1, np.nan], [0.2, 0.3], [0.1, np.nan], [0.4, 0.5], [0.2, 0.3]])
    Y = np.array([[1.0], [np.nan], [3.0], [np.inf], [7.0]])
    C = np.array([[2.0], [np.nan], [-4.0], [5.0], [np.nan]])
    known = results(Rows(X, Y, C))
    assert np.array_equal(known.X, X[[0, 3, 1]], equal_nan=True)
    assert known.Y.ravel().tolist() == [2.0, 1e300, 7.0]
    assert known.violation.tolist() == [0.0, 1.0, np.inf]
    assert known.row.tolist() == [0, 3, 4]


def cloud(seed: int, n: int, m: int) -> Results:
    rng = np.random.default_rng(seed)
    violation = rng.choice([0.0, 0.0, 0.0, 1.0, 2.0], n)
    return Results(rng.random((n, 2)), rng.random((n, m)).round(1), violation, np.arange(n))


@some
@given(seed=seeds, m=st.integers(1, 4), count=st.integers(1, 40), which=st.sampled_from([survivors, survivors3]))
def test_survivors_are_whole_fronts_and_part_of_the_next(seed, m, count, which):
    known = cloud(seed, 30, m)
    alive = which(known, count)
    assert len(alive) == len(set(alive.row.tolist())) == min(count, 30)
    rank = ranks(known.Y, known.violation)
    last = rank[alive.row].max()
    assert set(np.flatnonzero(rank < last)) <= set(alive.row)


@some
@given(seed=seeds, m=st.integers(1, 4))
def test_places_are_an_order_that_respects_fronts(seed, m):
    known = cloud(seed, 20, m)
    place, rank = known.place(), ranks(known.Y, known.violation)
    assert sorted(place.tolist()) == list(range(20))
    assert (np.diff(rank[np.argsort(place)]) >= 0).all()


def test_normalised_puts_the_intercepts_at_one():
    rng = np.random.default_rng(0)
    simplex = np.concatenate([np.eye(3), rng.dirichlet(np.ones(3), 20)])
    Y = simplex * [3.0, 0.01, 500.0] + [7.0, -2.0, 40.0]
    assert np.allclose(normalised(Y, Y), simplex, atol=1e-9)


@pytest.mark.parametrize("Y", [np.ones((4, 3)), np.eye(3)[:2], np.array([[0.0, 1e300, -1e300]] * 3)])
def test_normalised_is_finite_where_there_is_no_plane(Y):
    assert np.isfinite(normalised(Y, Y)).all()


def test_every_direction_gets_the_row_that_is_nearest_before_any_gets_a_second():
    lines = directions(2, 5)
    Z = np.concatenate([lines * 1.1, lines * 1.1 + [0.0, 0.01], lines + 0.01])
    assert sorted(fill(Z, 0, 5, lines) % 5) == [0, 1, 2, 3, 4]
    again = fill(Z, 5, 8, lines)  # the first five are settled: three directions get one more
    assert len(set(again % 5)) == 3
    lone = np.concatenate([np.repeat(lines[:1], 4, axis=0), lines[3:4]])
    assert fill(lone, 3, 4, lines).tolist() == [1]


@some
@given(seed=seeds, m=st.integers(2, 5))
def test_directions_are_filled_as_the_algorithm_says(seed, m):
    rng = np.random.default_rng(seed)
    settled, count, f = np.sort(rng.integers(0, 20, 3))
    Z, lines = rng.random((f, m)), directions(m, int(rng.integers(m, 20)))
    away = [[np.linalg.norm(z - z @ w / (w @ w) * w) for w in lines] for z in Z]
    nearest = [int(np.argmin(row)) for row in away]
    niche, left, joined = np.bincount(nearest[:settled], minlength=len(lines)), list(range(settled, f)), []
    while settled + len(joined) < count:
        h = min((h for h in range(len(lines)) if h in [nearest[i] for i in left]), key=niche.__getitem__)
        taken = min((i for i in left if nearest[i] == h), key=lambda i: away[i][h])
        left.remove(taken)
        joined.append(taken - settled)
        niche[h] += 1
    assert fill(Z, settled, count, lines).tolist() == joined


@pytest.mark.parametrize("made", EVERY, ids=lambda made: made.name)
def test_results_of_others_are_parents_at_once(made):
    rng = np.random.default_rng(3)
    X = NETWORK.sample(made.population, rng)
    Y = X.sum(axis=1, keepdims=True)
    Y[::3] = np.nan
    (proposal,) = ask(made, Problem(NETWORK), Rows(X, Y))
    parents = proposal.why["parents"]
    assert not np.isnan(Y[parents]).any()
    (earlier,) = ask(made, Problem(NETWORK), Rows(X[1:], Y[1:]))
    assert earlier.why["design"] == "sobol"


def test_evolution_forgets_the_old_however_good():
    rng = np.random.default_rng(0)
    X = NETWORK.sample(60, rng)
    Y = np.arange(60.0)[:, None]
    proposals = ask(Evolution(population=10), Problem(NETWORK), Rows(X, Y), 30)
    assert {50} <= {p.why["parents"][0] for p in proposals} <= set(range(50, 60))


def test_nsga2_prefers_feasible_parents():
    rng = np.random.default_rng(0)
    space = Space(x=Float(0, 1), y=Float(0, 1))
    X = space.sample(100, rng)
    C = np.where(np.arange(100) % 2 == 0, -1.0, 1.0)[:, None]
    told = Rows(X, X.sum(axis=1, keepdims=True) + 10 * (C < 0), C)
    parents = [i for p in ask(NSGA2(50), Problem(space, constraints=1), told, 20) for i in p.why["parents"]]
    assert all(i % 2 == 0 for i in parents)


def test_the_design_is_a_quarter_of_a_small_budget():
    assert [design_size(50, budget) for budget in (None, 1000, 100, 3, 1)] == [50, 50, 25, 1, 1]


def test_populations_follow_the_budget_unless_given():
    assert [population_size(None, budget) for budget in (None, 30, 300, 10_000)] == [50, 20, 30, 50]
    assert [population_size(7, budget) for budget in (None, 300)] == [7, 7]


@pytest.mark.parametrize("made", [NSGA2(1), NSGA3(0), Evolution(0), Evolution(sample=0)])
def test_settings_without_sense_are_refused(made):
    with pytest.raises(SpecError, match="at least"):
        made.init(Problem(NETWORK))


# ------------------------------------------------------------------------------------------------------------- searching


def searched(made: Strategy, problem: Problem, goal, n: int) -> np.ndarray:
    """The goals (n, m) of a sequential search."""
    state, none = made.init(problem), np.empty((0, len(problem.space)))
    Y = []
    for t in range(n):
        (p,) = made.ask(state, none, 1, np.random.default_rng([problem.seed, t]))
        Y.append(goal(p.x))
        state = made.tell(state, Rows(p.x[None], np.array(Y[-1:])))
    return np.array(Y)


@pytest.mark.parametrize("made", [NSGA2(), NSGA3()], ids=lambda made: made.name)
def test_the_front_is_nearer_than_that_of_random_search(made):
    space = Space({f"x{i}": Float(0, 1) for i in range(6)})

    def zdt1(x: np.ndarray) -> list[float]:
        g = 1 + 9 * x[1:].mean()
        return [x[0], g * (1 - (x[0] / g) ** 0.5)]

    for seed in (1, 2, 3):
        problem = Problem(space, goals=2, budget=120, seed=seed)
        volume, by_chance = (
            hypervolume(searched(s, problem, zdt1, 120), np.array([1.1, 8.0])) for s in (made, Random())
        )
        assert volume > by_chance


def test_evolution_finds_better_choices_than_random_search():
    target = NETWORK.sample(1, np.random.default_rng(99))[0]
    found = {}
    for made in (Evolution(), Random()):
        ends = [
            searched(made, Problem(NETWORK, budget=100, seed=s), lambda x: [(x != target).sum()], 100)
            for s in (1, 2, 3)
        ]
        found[made.name] = sum(int(Y.min()) for Y in ends)
    assert found["evolution"] < found["random"]
