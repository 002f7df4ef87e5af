"""The Gaussian process that sees the rung: what results at low rungs tell it of the top."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.strategies import History, Problem, Rows
from trimtab.strategies.gp import GP
from trimtab.strategies.levelling import Levelled, carried, levelled
from trimtab.strategies.surrogate import surrogate

SPACE = tt.Space(x=tt.Float(0, 1), k=tt.Choice("a", "b", "c"))
RUNGS = (1.0, 3.0, 9.0)


def told(x, V, seed=0):
    """Rows at x with the values V (n, 3) at the rungs; the last known one is the result."""
    n = len(x)
    X = SPACE.snap(np.column_stack([x, np.random.default_rng(seed).random(n)]))
    last = np.array([[v[~np.isnan(v)][-1] if (~np.isnan(v)).any() else np.nan] for v in V]).reshape(-1, 1)
    return levelled(Rows(X, last, np.empty((n, 0)), np.ones(n), np.ones(n), V[:, :, None]))


def history(rows, **how):
    return History.start(Problem(SPACE, rungs=RUNGS, **how)).with_rows(rows)


def curves(n, stopped, low, seed=0):
    """Values at x of a function at the top, and of `low` below; all but the first are stopped at the first rung."""
    rng = np.random.default_rng(seed)
    x = rng.random(n)
    top = np.sin(5 * x)
    V = np.column_stack([low(top, rng), low(top, rng), top])
    V[n - stopped :, 1:] = np.nan
    return x, V, top


def test_each_point_is_known_at_each_rung_that_it_reached():
    x, V, _ = curves(8, 5, lambda top, _: top + 1)
    data = surrogate(history(told(x, V)), None, ladder=True).goals[0].model.data
    assert len(data) == 3 * 3 + 5
    assert sorted(data.X[:, -1].tolist()) == [0.0] * 8 + [0.5] * 3 + [1.0] * 3
    plain = surrogate(history(told(x, V)), None).goals[0].model.data
    assert (len(plain), plain.X.shape[1]) == (8, data.X.shape[1] - 1)


def test_early_results_that_tell_of_the_end_are_believed_and_others_are_not():
    def beliefs(low):
        x, V, top = curves(40, 20, low)
        known = surrogate(history(told(x, V)), None, ladder=True)
        mean, var = known.goals[0].model.told.predict(known.F)
        return np.corrcoef(mean[20:], top[20:])[0, 1], np.sqrt(var[20:]).mean() / mean.std()

    telling, sure = beliefs(lambda top, rng: top + 0.01 * rng.standard_normal(len(top)))
    _, doubtful = beliefs(lambda top, rng: rng.standard_normal(len(top)))
    assert telling > 0.95
    assert doubtful > 2 * sure


def test_values_are_carried_to_the_unit_of_the_top():
    top = np.array([1.0, 2.0, 3.0, 4.0])
    V = np.column_stack([10 * top + 7, 2 * top, top])
    assert carried(V) == pytest.approx(np.column_stack([top, top, top]))
    V[3, 1:] = np.nan
    assert carried(V)[3, 0] == pytest.approx(4.0)
    diverged = np.concatenate([V, [[1e3, 1e9, 1e6]]])
    assert carried(diverged)[3, 0] == pytest.approx(4.0, rel=0.3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_a_result_counts_as_what_is_carried_of_it_and_never_more_than_the_best_at_the_top(seed, n):
    rng = np.random.default_rng(seed)
    V, last = rng.standard_normal((n, 3)), rng.integers(0, 3, n)
    V[np.arange(3) > last[:, None]] = np.nan
    top = V[last == last.max(), last.max()]
    expected = np.maximum(carried(V)[np.arange(n), last], top.min())
    assert told(rng.random(n), V).Y[:, 0] == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 14), st.sampled_from([1e308, -1e308, 1e300, 0.0]))
def test_odd_curves_do_no_harm(seed, n, odd):
    rng = np.random.default_rng(seed)
    V = rng.standard_normal((n, 3))
    V[rng.random(V.shape) < 0.1] = odd
    V[np.arange(3) > rng.integers(-1, 3, n)[:, None]] = np.nan
    made = Levelled.over(GP(ladder=True))
    state = made.tell(made.init(Problem(SPACE, rungs=RUNGS)), told(rng.random(n), V))
    proposals = made.ask(state, SPACE.sample(2, rng), 2, np.random.default_rng(seed))
    assert len(proposals) == 2
    assert all(SPACE.allowed(p.x[None])[0] for p in proposals)


def test_a_study_with_it_is_derived_again_and_one_without_rungs_is_as_without_it():
    def objective(trial):
        loss = abs(trial.params["x"] - 0.6) + (trial.params["k"] == "a")
        for epoch in (1, 3, 9):
            trial.report(epoch, loss=loss + 1 / epoch)
            if trial.should_stop():
                break
        return loss + 1 / epoch

    study = tt.Study(
        "s", SPACE, minimize="loss", fidelity=tt.Fidelity("epochs", 1, 9), stopping="hyperband", strategy=GP(ladder=True),
        seed=1,
    )  # fmt: skip
    study.run(objective, trials=30, quiet=True)
    assert study.counts["stopped"] > 3
    assert abs(study.best.params["x"] - 0.6) < 0.05
    assert study.replay().exact == len(study.trials)

    plain = [tt.Study("p", SPACE, minimize="loss", strategy=made, seed=1) for made in (GP(), GP(ladder=True))]
    for each in plain:
        each.run(lambda trial: abs(trial.params["x"] - 0.6), trials=10, quiet=True)
    assert [t.params for t in plain[0].trials] == [t.params for t in plain[1].trials]
