"""Results of unequal fidelity: what strategies are told of them, and what a Gaussian process that sees the rung learns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.engine import matrix
from trimtab.stopping.threshold import Threshold
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
    return levelled(Rows(X, last, curve=V[:, :, None]))


# ------------------------------------------------------------------------------------------ what strategies are told


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


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_beyond_what_was_measured_differences_do_not_grow_however_much_alike_those_were_that_went_on(seed, n):
    rng = np.random.default_rng(seed)
    went_on = np.column_stack([0.5 + 0.001 * rng.random(n), rng.random(n)])
    values = rng.standard_normal(20)
    told = carried(np.concatenate([went_on, np.column_stack([values, np.full(20, np.nan)])]))[n:, 0]
    away = values - np.median(went_on[:, 0])
    assert (told <= went_on[:, 1].max() + np.maximum(away, 0) + 1e-9).all()
    assert (told >= went_on[:, 1].min() + np.minimum(away, 0) - 1e-9).all()
    assert (np.diff(told[np.argsort(values)]) > 0).all()


def rows_of(curves, stopped_at):
    """Rows with one goal and four rungs: curves (n, 4), cut where each trial was stopped."""
    V = np.array(curves, dtype=float)
    for i, last in enumerate(stopped_at):
        V[i, last + 1 :] = np.nan
    n = len(V)
    Y = np.array([[V[i, last]] for i, last in enumerate(stopped_at)])
    return Rows(np.zeros((n, 1)), Y, curve=V[:, :, None])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_parallel_curves_are_told_as_their_ends(seed):
    """Where curves differ by a constant, the value at the top is known from any rung."""
    rng = np.random.default_rng(seed)
    ends = rng.random(12)
    curves = ends[:, None] + np.array([3.0, 1.5, 0.4, 0.0])
    stops = rng.integers(0, 4, 12)
    stops[np.argsort(ends)[:4]] = 3  # the best went on
    expected = np.maximum(ends, ends[stops == 3].min())
    assert levelled(rows_of(curves, stops)).Y[:, 0] == pytest.approx(expected)


def test_levelling_leaves_full_trainings_failures_and_plain_rows_alone():
    full = rows_of([[4, 3, 2, 1], [5, 4, 3, 2]], [3, 3])
    assert np.array_equal(levelled(full).Y, full.Y)
    failed = Rows(np.zeros((1, 1)), np.full((1, 1), np.nan), curve=np.full((1, 4, 1), np.nan))
    assert np.isnan(levelled(full + failed).Y[-1, 0])
    plain = Rows(np.zeros((2, 1)), np.ones((2, 1)))
    assert levelled(plain) is plain
    assert (Rows.empty(1, 1, 0) + full).curve.shape == (2, 4, 1)


def test_a_trial_that_is_stopped_at_its_end_without_one_of_the_goals_fails_alone():
    study = tt.Study(
        "s", tt.Space(x=tt.Float(0, 1)), minimize=["loss", "size"], fidelity=tt.Fidelity("epochs", 1, 9),
        stopping=["asha", Threshold("loss", above=50)], seed=1,
    )  # fmt: skip

    def objective(trial):
        x, odd = trial.params["x"], trial.number == 3
        for epoch in (1, 3, 9):
            loss = x + 1 / epoch + 100 * (odd and epoch == 9)
            trial.report(epoch, loss=loss, **({} if odd else {"size": x}))
            if trial.should_stop():
                return None
        return {"loss": loss, "size": x}

    study.run(objective, trials=20, quiet=True)
    rows = matrix.rows(study.spec, study.trials, None)
    assert study.counts["stopped"] > 1
    assert np.flatnonzero(levelled(rows).failed).tolist() == [3]


def test_what_was_stopped_below_the_lowest_rung_is_not_told_as_trained_to_the_top():
    """Epochs are counted from 0 here, and the loss falls by a hundred after the first."""
    study = tt.Study(
        "s",
        tt.Space(x=tt.Float(0, 1)),
        minimize="loss",
        fidelity=tt.Fidelity("epochs", 1, 9),
        stopping=Threshold("loss", above=120.5),
        seed=1,
    )

    def objective(trial):
        for epoch in range(10):
            loss = trial.params["x"] + (120 if epoch == 0 else 1 / epoch)
            trial.report(epoch, loss=loss)
            if trial.should_stop():
                return None
        return loss

    study.run(objective, trials=12, quiet=True)
    seen = matrix.rows(study.spec, study.trials, None)
    below = [t.reached == 0 for t in study.trials]
    assert 2 <= sum(below) <= 10
    for t, V, at_end in zip(study.trials, seen.curve[:, :, 0], below, strict=True):
        assert np.isnan(V).tolist() == ([False, True, True] if at_end else [False] * 3)
        assert V[0 if at_end else 2] == t.metrics["loss"]
    full = seen.Y[~np.array(below), 0]
    assert levelled(seen).Y[below, 0] == pytest.approx(seen.Y[below, 0] + np.median(full) - np.median(full + 8 / 9))
    assert study.replay().holds


# ----------------------------------------------------------------------- a Gaussian process with the rung as an input


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


def test_a_ladder_may_have_hundreds_of_rungs():
    rungs = tuple(np.arange(1.0, 301.0))
    rows = Rows(SPACE.sample(1, np.random.default_rng(0)), np.ones((1, 1)), curve=np.ones((1, 300, 1)))
    problem = Problem(SPACE, rungs=rungs)
    assert len(surrogate(History.start(problem).with_rows(rows), None, ladder=True).goals[0].model.data) == 300


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
    study.run(objective, trials=20, quiet=True)
    assert study.counts["stopped"] > 3
    assert abs(study.best.params["x"] - 0.6) < 0.05
    assert study.replay().exact == len(study.trials)

    plain = [tt.Study("p", SPACE, minimize="loss", strategy=made, seed=1) for made in (GP(), GP(ladder=True))]
    for each in plain:
        each.run(lambda trial: abs(trial.params["x"] - 0.6), trials=10, quiet=True)
    assert [t.params for t in plain[0].trials] == [t.params for t in plain[1].trials]
