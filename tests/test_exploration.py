"""A search whose budget of trials runs out makes use of what it knows: its last proposals explore less."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.strategies import Problem, Rows, Source, strategy

SPACE = tt.Space(x=tt.Int(1, 30), y=tt.Int(1, 30))  # so small that every setting is compared
NONE = np.empty((0, 2))


EARLIER = Source("earlier", SPACE.sample(30, np.random.default_rng(5)), np.arange(30.0)[:, None])


def proposal(
    n: int,
    seed: int,
    budget: int | None,
    sources: tuple[Source, ...] = (),
    noise: float = 0.1,
    constraints: int = 0,
    pending: np.ndarray = NONE,
):
    """What `gp` proposes after n results; a constraint keeps x + y below 1."""
    rng = np.random.default_rng(seed)
    X = np.unique(SPACE.sample(3 * n, rng), axis=0)
    X = X[rng.permutation(len(X))[:n]]
    y = np.sin(7 * X[:, 0]) + X[:, 1] ** 2 + noise * rng.standard_normal(n)
    made = strategy("gp")
    state = made.tell(
        made.init(Problem(SPACE, constraints=constraints, budget=budget, seed=1, sources=sources)),
        Rows(X, y[:, None], (X.sum(1, keepdims=True) - 1)[:, :constraints]),
    )
    return made.ask(state, pending, 1, np.random.default_rng(0))[0]


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 15).map(lambda k: 2 * k), st.integers(0, 1000))
def test_the_last_bound_is_where_the_model_is_surer(n, seed):
    last, open_ended = proposal(n, seed, n + 1), proposal(n, seed, None)
    assert last.why["acquisition"] == open_ended.why["acquisition"] == "lcb"
    assert last.why["sd"] <= open_ended.why["sd"] + 1e-9
    assert last.why["mean"] <= open_ended.why["mean"] + 1e-9


def test_the_last_bounds_use_what_is_known():
    pairs = [(proposal(20, seed, 21), proposal(20, seed, None)) for seed in range(10)]
    assert any(last.why["sd"] < open_ended.why["sd"] for last, open_ended in pairs)


@pytest.mark.parametrize("n", [9, 10])
def test_the_first_half_of_a_budget_explores_as_a_search_without_one(n):
    assert np.array_equal(proposal(n, 1, 2 * n).x, proposal(n, 1, None).x)


def test_more_results_than_the_budget_asked_for_explore_no_less_than_the_last():
    assert np.array_equal(proposal(20, 1, 20).x, proposal(20, 1, 10).x)


def test_a_warm_started_search_explores_less_from_the_start():
    # After 20 results it has no lessons left; what it explores is all that its sources change.
    pairs = [(proposal(20, seed, 80, (EARLIER,)), proposal(20, seed, 80)) for seed in range(10)]
    assert all(warm.why["sd"] <= cold.why["sd"] + 1e-9 for warm, cold in pairs)
    assert any(warm.why["sd"] < cold.why["sd"] for warm, cold in pairs)


def test_where_the_model_finds_noise_exploration_goes_on_to_the_end():
    pairs = [(proposal(60, seed, 61, noise=0.6), proposal(60, seed, None, noise=0.6)) for seed in (1, 3, 4, 6, 7)]
    assert all(np.array_equal(last.x, open_ended.x) for last, open_ended in pairs)


def test_with_constraints_the_last_proposals_explore_less_too():
    pairs = [(proposal(20, seed, 21, constraints=1), proposal(20, seed, None, constraints=1)) for seed in range(10)]
    assert all(last.why["sd"] <= open_ended.why["sd"] + 1e-9 for last, open_ended in pairs)
    assert any(last.why["sd"] < open_ended.why["sd"] for last, open_ended in pairs)


def test_while_trials_are_pending_exploration_goes_on_to_the_end():
    waiting = SPACE.sample(1, np.random.default_rng(3))
    for constraints in (0, 1):
        last, open_ended = (proposal(20, 7, budget, constraints=constraints, pending=waiting) for budget in (21, None))
        assert np.array_equal(last.x, open_ended.x)
