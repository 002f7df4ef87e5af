"""Dominance, crowding, hypervolume and reference directions against their definitions and values of `moocore` 0.3.2."""

import itertools
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.numerics.pareto import (
    by_front,
    crowding,
    directions,
    fronts,
    nondominated,
    ranks,
    scaled,
    spread,
    violations,
)
from trimtab.testing.hypervolume import hypervolume

seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=60, deadline=None, derandomize=True)


def rows(seed: int, most: int = 14) -> np.ndarray:
    """Up to `most` rows of 1 to 5 goals on a coarse grid, so that there are ties and equal rows."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5, (rng.integers(1, most + 1), rng.integers(1, 6))).astype(float)


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@some
@given(seed=seeds, goals=st.integers(1, 3), constrained=st.booleans())
def test_the_order_is_front_after_front_and_the_least_crowded_first(seed, goals, constrained):
    rng = np.random.default_rng(seed)
    Y = rng.choice([0.0, 1.0, 2.5, np.inf if goals == 1 else 3.0], (rng.integers(0, 14), goals))
    violation = rng.choice([0.0, 0.5, np.inf], len(Y)) if constrained else np.zeros(len(Y))
    expected = []
    for front in fronts(Y, violation):
        with np.errstate(invalid="ignore"):
            crowded = -crowding(np.nan_to_num(Y[front], posinf=9.0))
        expected += front[np.argsort(crowded, kind="stable")].tolist()
    assert by_front(Y, violation).tolist() == expected


@some
@given(seed=seeds)
def test_ranks_by_definition(seed):
    Y = rows(seed)
    left, number = set(range(len(Y))), 0
    found = ranks(Y)
    while left:
        front = {i for i in left if not any(dominates(Y[j], Y[i]) for j in left)}
        assert {int(i) for i in np.flatnonzero(found == number)} == front
        left, number = left - front, number + 1
    assert np.array_equal(nondominated(Y), found == 0)


@some
@given(seed=seeds)
def test_less_violation_comes_first_and_goals_decide_among_equals(seed):
    Y = rows(seed)
    violation = np.random.default_rng(seed).choice([0.0, 0.0, 0.5, 2.0, np.inf], len(Y))
    found = ranks(Y, violation)
    for i, j in itertools.permutations(range(len(Y)), 2):
        if violation[i] < violation[j] or (violation[i] == violation[j] and dominates(Y[i], Y[j])):
            assert found[i] < found[j]
    parts = list(fronts(Y, violation))
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(Y)))
    for part in parts:
        assert len(set(violation[part])) == 1
        assert not any(dominates(Y[i], Y[j]) for i, j in itertools.permutations(part, 2))


def test_infinite_goals_are_ordered_too():
    Y = np.array([[np.inf, 0.0], [1.0, np.inf], [1.0, 1.0], [-np.inf, np.inf], [np.inf, np.inf]])
    assert ranks(Y).tolist() == [0, 1, 0, 0, 2]


def test_no_rows_have_no_fronts():
    Y = np.empty((0, 2))
    assert list(fronts(Y)) == []
    assert len(nondominated(Y)) == len(crowding(Y)) == len(spread(Y, 3)) == 0
    assert hypervolume(Y, np.ones(2)) == 0


def test_violations_are_summed_in_units_of_each_constraints_median():
    C = np.array([[-1.0, 0.0], [2.0, -5.0], [4.0, 300.0], [6.0, 100.0], [np.nan, -1.0], [-3.0, 200.0]])
    assert violations(C).tolist() == [0.0, 0.5, 2.5, 2.0, np.inf, 1.0]
    assert violations(np.empty((3, 0))).tolist() == [0.0, 0.0, 0.0]


@some
@given(seed=seeds)
def test_violations_do_not_depend_on_the_units_of_the_constraints(seed):
    rng = np.random.default_rng(seed)
    C = rng.standard_normal((rng.integers(1, 9), 3))
    assert violations(C * 2.0 ** rng.integers(-60, 60, 3)) == pytest.approx(violations(C))


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e300, np.inf])
def test_any_violation_is_seen_however_small_or_large_its_unit(size):
    found = violations(np.array([[size, 1.0], [-size, 1.0], [size, 1e300], [size, -1.0]]))
    assert violations(np.array([[size], [size], [1e308]]))[2] >= found[3]  # their ratio may be beyond all numbers
    assert found[3] > 0
    assert found[0] >= found[3]
    assert not np.isnan(found).any()


def test_crowding_of_the_worked_example():
    Y = np.array([[0.0, 10.0], [1.0, 6.0], [2.0, 5.0], [5.0, 1.0], [10.0, 0.0]])
    expected = [np.inf, 0.2 + 0.5, 0.4 + 0.5, 0.8 + 0.5, np.inf]
    assert np.allclose(crowding(Y), expected)
    assert crowding(np.array([[1.0, 1.0]])).tolist() == [np.inf]


@some
@given(seed=seeds, count=st.integers(0, 14))
def test_spread_removes_the_most_crowded_one_at_a_time(seed, count):
    rng = np.random.default_rng(seed)
    Y = rng.random((rng.integers(1, 15), rng.integers(1, 4)))
    left = np.arange(len(Y))
    span = Y.max(axis=0) - Y.min(axis=0)
    while len(left) > count:  # distances in units of the range of all rows, so that units stay as they are
        wide = np.full(len(left), 0.0)
        for z in (Y[left] / np.where(span > 0, span, 1)).T:
            order = np.argsort(z)
            gap = np.full(len(z), np.inf)
            gap[1:-1] = z[order[2:]] - z[order[:-2]]
            wide[order] += gap
        tied = np.flatnonzero(np.isclose(wide, wide.min()))
        left = np.delete(left, tied[0])
    assert spread(Y, count).tolist() == left.tolist()


def test_spread_keeps_the_ends_and_leaves_no_hole_where_rows_were_dense():
    t = np.concatenate([np.linspace(0, 0.1, 91), np.linspace(0.1, 1, 11)[1:]])
    kept = t[spread(np.stack([t, 1 - t], axis=1), 11)]
    assert kept[0] == 0
    assert kept[-1] == 1
    assert np.diff(kept).max() < 0.2


@some
@given(seed=seeds)
def test_hypervolume_counts_the_dominated_cells(seed):
    Y = rows(seed, most=9)
    m = Y.shape[1]
    reference = np.random.default_rng(seed + 1).integers(1, 5, m).astype(float)
    cells = np.array(list(itertools.product(range(5), repeat=m)))
    inside = (cells < reference).all(axis=1)
    dominated = (Y[None] <= cells[:, None]).all(axis=2).any(axis=1)
    assert hypervolume(Y, reference) == (inside & dominated).sum()


@pytest.mark.parametrize(
    ("m", "n", "seed", "volume"),
    [
        (2, 40, 1, 0.8754149999999999),
        (3, 40, 2, 0.877377174),
        (4, 25, 3, 0.382331233632),
        (5, 20, 4, 0.176905139517727),
    ],
)
def test_hypervolume_is_that_of_moocore(m, n, seed, volume):
    Y = np.round(np.random.default_rng(seed).random((n, m)), 3)
    assert hypervolume(Y, np.ones(m)) == pytest.approx(volume, abs=1e-13)


def test_ranks_are_those_of_moocore():
    Y = np.round(np.random.default_rng(2).random((40, 3)), 3)
    recorded = "1201251520424341053100243215002101211352"
    assert "".join(map(str, ranks(Y))) == recorded


@some
@given(seed=seeds)
def test_hypervolume_ignores_dominated_rows_order_and_shifts(seed):
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 6))
    Y, shift = rng.random((12, m)), rng.standard_normal(m)
    volume = hypervolume(Y, np.ones(m))
    assert hypervolume(rng.permutation(np.concatenate([Y, Y + 0.1])), np.ones(m)) == pytest.approx(volume, rel=1e-12)
    assert hypervolume(Y + shift, np.ones(m) + shift) == pytest.approx(volume, rel=1e-9)
    assert hypervolume(Y[:-1], np.ones(m)) <= volume * (1 + 1e-12)


@pytest.mark.parametrize(
    ("m", "most", "expected"),
    [(1, 50, 1), (2, 50, 50), (3, 91, 91), (3, 50, 45), (4, 60, 56), (5, 210, 210), (8, 156, 156), (10, 275, 275)],
)
def test_directions_are_as_many_as_published(m, most, expected):
    """91, 210, 156 and 275 are the numbers of Deb and Jain (2014), table I, the last two of them of two layers."""
    assert len(directions(m, most)) == expected


@some
@given(m=st.integers(1, 12), most=st.integers(1, 150))
def test_directions_are_distinct_points_of_the_simplex_alike_in_all_goals(m, most):
    D = directions(m, most)
    assert D.shape == (len(D), m)
    assert len(D) <= max(most, m)
    assert np.allclose(D.sum(axis=1), 1)
    assert (D >= 0).all()
    assert len(np.unique(D.round(9), axis=0)) == len(D)
    assert np.allclose(D.mean(axis=0), 1 / m)
    swapped = D[:, np.roll(np.arange(m), 1)]
    assert np.array_equal(np.unique(swapped.round(9), axis=0), np.unique(D.round(9), axis=0))


def test_one_layer_of_directions_is_every_multiple():
    D = directions(3, comb(4 + 2, 2))
    expected = [p for p in itertools.product(range(5), repeat=3) if sum(p) == 4]
    assert sorted(map(tuple, np.round(D * 4).astype(int).tolist())) == expected


def test_scaled_is_between_zero_and_one():
    Y = np.array([[np.inf, 3.0, -1e300], [-np.inf, 3.0, 1e300], [0.0, 3.0, 0.0]])
    assert scaled(Y).tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.0, 0.5]]
