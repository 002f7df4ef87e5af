"""PriorBand: who is asked for a setting, by rung and by what the best ones look like."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import trimtab as tt
from trimtab.numerics.brackets import bracket, shares
from trimtab.space import Choice, Float, Int, Space
from trimtab.strategies import Problem, Rows, strategy

SPACE = Space(x=Float(0, 1, prior=(0.2, "high")), y=Float(0, 1, prior=(0.8, "high")), k=Choice("a", "b", "c"))
RUNGS = (1.0, 3.0, 9.0)
NONE = np.empty((0, 3))


def rows(X, Y, reached):
    """Trials that were trained up to these rungs, with a loss that does not change."""
    V = np.where(np.arange(len(RUNGS)) <= np.array(reached)[:, None], np.array(Y)[:, None], np.nan)
    return Rows(np.array(X), np.array(Y, dtype=float)[:, None], curve=V[..., None])


def asked(told, n=1, seed=0, **how):
    made, problem = strategy("priorband"), Problem(SPACE, rungs=RUNGS, **how)
    state = made.tell(made.init(problem), told) if told else made.init(problem)
    return made.ask(state, NONE, n, np.random.default_rng(seed))


def test_the_centre_comes_first_and_then_prior_and_chance_share_alike():
    first, *others = asked(None, 401)
    assert first.x[:2].tolist() == [0.2, 0.8]
    assert all(p.why["shares"] == {"uniform": 0.5, "prior": 0.5, "incumbent": 0.0} for p in others)
    assert 160 < Counter(p.why["from"] for p in others)["prior"] < 240
    near = np.array([p.x[:2] for p in others if p.why["from"] == "prior"])
    assert np.abs(near - [0.2, 0.8]).mean() < 0.08


@pytest.mark.parametrize("rung", [0, 1, 2])
def test_the_later_trials_are_first_judged_the_less_is_left_to_chance(rung):
    (_, second) = asked(None, 2, brackets=tuple(float(k == rung) for k in range(3)))
    assert second.why["shares"]["uniform"] == 1 / (1 + 3**rung)


@pytest.mark.parametrize(("best", "believed"), [((0.21, 0.79), 0.5), ((0.8, 0.1), 0.0)])
def test_a_prior_far_from_the_best_ones_is_left(best, believed):
    rng = np.random.default_rng(1)
    X = np.column_stack([rng.random((12, 2)), np.full(12, 0.5)])
    X[:4, :2] = np.array(best) + 0.01 * rng.random((4, 2))
    told = rows(X, np.arange(12.0), [2] * 12)
    shares = asked(told, 2)[1].why["shares"]
    assert shares["uniform"] == 0.5
    assert shares["prior"] == pytest.approx(0.5 * believed, abs=0.26 if believed else 1e-3)
    moved = [p.x for p in asked(told, 60) if p.why.get("from") == "incumbent"]
    assert moved
    assert any((x[:2] == X[0, :2]).any() for x in moved)  # some columns stay


def test_the_incumbent_has_no_part_before_a_full_training():
    X = np.column_stack([np.random.default_rng(1).random((30, 2)), np.full(30, 0.5)])
    for reached in ([1] * 30, [2] + [0] * 5):  # nobody is at the top; less than a bracket was trained
        told = rows(X[: len(reached)], np.arange(float(len(reached))), reached)
        assert asked(told, 2)[1].why["shares"]["incumbent"] == 0


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.nan, np.inf, -np.inf, 1e308, 0.0]), st.integers(0, 12))
def test_odd_values_do_no_harm(seed, odd, n):
    rng = np.random.default_rng(seed)
    Y = np.where(rng.random(n) < 0.4, odd, rng.standard_normal(n))
    X = SPACE.sample(n, rng)
    told = rows(X.reshape(-1, 3), Y, rng.integers(-1, 3, n))
    proposals = asked(told, 4, seed)
    assert len(proposals) == 4
    assert all(SPACE.allowed(SPACE.snap(p.x[None]))[0] for p in proposals)


@example(100.0, 217)
@given(st.floats(1.1, 10), st.integers(1, 8))
def test_brackets_are_dealt_in_proportion(eta, rungs):
    parts = shares(eta, rungs)
    dealt = np.bincount([bracket(i, parts) for i in range(1000)], minlength=rungs)
    assert np.abs(dealt / 1000 - parts).max() < 0.01


def test_under_hyperband_the_sampler_knows_the_bracket():
    space = tt.Space(x=Float(0, 1, prior=0.3), n=Int(1, 100))
    study = tt.Study(
        "s", space, minimize="loss", fidelity=tt.Fidelity("epochs", 1, 9), strategy="priorband", stopping="hyperband",
        seed=1,
    )  # fmt: skip

    def objective(trial):
        for epoch in (1, 3, 9):
            trial.report(epoch, loss=abs(trial.params["x"] - 0.4) + 1 / epoch)
            if trial.should_stop():
                break
        return abs(trial.params["x"] - 0.4) + 1 / epoch

    study.run(objective, trials=60, quiet=True)
    for trial in study.trials[1:]:
        if "shares" in trial.why:
            assert trial.why["shares"]["uniform"] == 1 / (1 + 3 ** bracket(trial.number, shares(3, 3)))
    assert study.replay().exact == len(study.trials)
    assert not any("prior" in said for said in study.notices)
