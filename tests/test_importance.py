"""Importance, by PED-ANOVA and by a forest: shares find what matters, and don't take chance for an effect."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_functions import MIXED, UNIT, mixed, results, weighted

from trimtab.evidence import importance
from trimtab.evidence.fanova import fanova
from trimtab.evidence.importance import by_branch
from trimtab.space import Choice, Float, Int, Space
from trimtab.testing import random_space

SPACE = Space(
    kind=Choice("a", "b", "c"),
    x=Float(0, 1),
    n=Int(1, 100),
    deep=Float(0, 1, when={"kind": "b"}),
    noise=Float(1e-3, 1, log=True),
)


def drawn(n, seed=0, space=SPACE):
    return space.sample(n, np.random.default_rng(seed))


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 60), st.integers(0, 10**6))
def test_shares_sum_to_one_or_are_all_zero(random, n, seed):
    space = random_space(random)
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    found = importance(space.sample(n, rng), y, space)
    assert tuple(found) == space.names
    assert min(found.values()) >= 0
    assert sum(found.values()) == pytest.approx(1) or not any(found.values())


@pytest.mark.parametrize("j", [0, 1, 2])
def test_the_only_parameter_that_matters_is_found(j):
    X = drawn(400)
    found = importance(X, np.abs(X[:, j] - 0.3), SPACE)
    assert max(found, key=found.get) == SPACE.names[j]
    assert found[SPACE.names[j]] > 0.8


def test_a_stronger_effect_weighs_more():
    X = drawn(2000)
    found = importance(X, 3 * X[:, 1] + X[:, 2], SPACE)
    assert found["x"] > found["n"] > found["noise"]


def test_a_conditional_parameter_is_judged_where_it_is_active():
    X = drawn(2000)
    inner = importance(X, np.where(np.isnan(X[:, 3]), 1.0 + X[:, 1], X[:, 3]), SPACE)
    assert inner["deep"] > 0.1
    assert inner["kind"] > 0.1
    gate = importance(X, np.where(np.isnan(X[:, 3]), 1.0, 0.0) + 0.01 * X[:, 1], SPACE)
    assert gate["deep"] < 0.02  # being active at all is the merit of `kind`
    assert gate["kind"] > 0.5


def test_chance_is_subtracted():
    """Without any effect, the mean of 200 small studies gives each of four parameters no more than its due."""
    space = Space(a=Float(0, 1), b=Int(1, 4), c=Choice(*"uvwxyz"), d=Float(1, 9, log=True))
    shares = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shares.append(list(importance(space.sample(40, rng), rng.normal(size=40), space).values()))
    assert max(np.mean(shares, axis=0)) < 0.45


def test_order_of_rows_and_failed_trials_make_no_difference():
    X = drawn(300)
    y = X[:, 1] ** 2 + 0.1 * X[:, 4]
    found = importance(X, y, SPACE)
    order = np.random.default_rng(1).permutation(300)
    assert list(importance(X[order], y[order], SPACE).values()) == pytest.approx(list(found.values()))
    more, failed = np.concatenate([X, drawn(50, 9)]), np.concatenate([y, np.full(50, np.nan)])
    assert importance(more, failed, SPACE) == found


@pytest.mark.parametrize("y", [np.zeros(50), np.full(50, np.nan), np.full(50, np.inf)])
def test_nothing_to_tell_apart_gives_zeros(y):
    assert not any(importance(drawn(50), y, SPACE).values())


def test_no_rows_and_a_single_value_are_no_errors():
    fixed = Space(a=Int(3, 3), b=Float(0, 1))
    assert importance(np.empty((0, 2)), np.empty(0), fixed) == {"a": 0.0, "b": 0.0}
    X = drawn(100, space=fixed)
    assert importance(X, X[:, 1], fixed) == {"a": 0.0, "b": 1.0}


def test_integers_on_the_log_scale_are_told_apart():
    """Their cells are not equally wide: 2 and 3 of 1 to 3 would share one of three equal ones."""
    space = Space(n=Int(1, 3, log=True), x=Float(0, 1))
    X = drawn(300, space=space)
    n = np.array([p["n"] for p in space.decode(X)])
    assert importance(X, (n != 3) + 0.1 * X[:, 1], space)["n"] > 0.6


@pytest.mark.parametrize("method", [importance, fanova])
def test_retired_options_have_no_part_in_what_matters(method):
    before = Space(kind=Choice("a", "b", "bad"), x=Float(0, 1), deep=Float(0, 1, when={"kind": ["a", "bad"]}))
    after = before.revise(Space(kind=Choice("a", "b"), x=Float(0, 1), deep=Float(0, 1, when={"kind": "a"})), {})
    X = drawn(200, space=before)
    y = X[:, 1] + 10 * (X[:, 0] > 2 / 3)
    assert method(X, y, before)["kind"] > 0.15
    found = method(X, y, after)
    assert found["x"] > 0.8
    assert found["kind"] < 0.02
    assert set(by_branch(X, y, before)) == {"kind=a", "kind=bad"}
    assert set(by_branch(X, y, after)) == {"kind=a"}


def test_branches_of_0_and_of_false_are_two():
    space = Space(kind=Choice(0, False, "x"), a=Float(0, 1, when={"kind": 0}), b=Float(0, 1, when={"kind": [False]}))
    X = drawn(300, space=space)
    found = by_branch(X, np.nan_to_num(X[:, 1]) + np.nan_to_num(X[:, 2]), space)
    assert {name: [*shares] for name, shares in found.items()} == {"kind=0": ["a"], "kind=False": ["b"]}


def test_the_forest_agrees_with_the_function():
    X, y = results(UNIT, weighted, 300)
    shares = fanova(X, y, UNIT)
    assert sorted(shares, key=shares.get) == ["x0", "x1", "x2", "x3"]
    assert 0.7 < sum(shares.values()) <= 1
    assert set(fanova(X, np.ones(len(y)), UNIT).values()) == {0.0}


def test_branches_are_judged_among_themselves():
    X, y = results(MIXED, mixed, 200)
    found = by_branch(X, y, MIXED)
    assert set(found) == {"model=tree", "model=line"}
    assert set(found["model=tree"]) == {"depth", "rate"}
    assert found["model=line"]["rate"] > found["model=line"]["slope"]
    assert by_branch(X[:, 3:], y, Space(rate=Float(1e-3, 1, log=True))) == {}
    kernel = Choice("rbf", "poly", when={"model": "svm"})
    chain = Space(model=Choice("svm", "tree"), kernel=kernel, degree=Int(2, 5, when={"kernel": "poly"}))
    X, y = results(chain, lambda p: p.get("degree", 0), 80)
    assert set(by_branch(X, y, chain)["kernel=poly"]) == {"degree"}  # the model is the same in all of them
