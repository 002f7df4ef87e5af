"""Freeze-thaw: which paused trial goes on, in any order of arrival and with failures; what a user and an auditor see of it."""

from dataclasses import replace

import numpy as np
import pytest
from pausing import alike_however_told, going_on

import trimtab as tt
from trimtab.errors import SpecError
from trimtab.simulate import Simulation
from trimtab.stopping import rule
from trimtab.stopping.promotion import FreezeThaw
from trimtab.strategies import Problem, Rows, strategy
from trimtab.strategies.freeze_thaw import Thawing, standardised
from trimtab.strategies.ladder import Ladder, Paused
from trimtab.strategies.points import size
from trimtab.strategies.promotion import Promoting
from trimtab.testing.continuing import campaign

EPOCHS = tt.Fidelity("epochs", 1, 27)
SPACE = tt.Space(rate=tt.Float(1e-3, 1.0, log=True), kind=tt.Choice("a", "b"))
RUNGS = (1.0, 3.0, 9.0, 27.0)


def thawing(seed, trouble=0.2, trust=0.0):
    """A random study of one goal."""
    run = campaign(Promoting.over(strategy(["random", "tpe"][seed % 2]), Thawing(3.0, trust)), seed, trouble)
    run.problem = replace(run.problem, goals=1)
    run.rows = run.rows if run.rows.Y.shape[1] == 1 else replace(run.rows, Y=run.rows.Y[:, :1])
    return run


@pytest.mark.parametrize("trust", [0.0, 0.6])
@pytest.mark.parametrize("seed", range(6))
def test_nobody_goes_on_twice_and_no_worker_waits(seed, trust):
    """Parents must have ended well, be kept, and less trained (see Campaign)."""
    run = thawing(seed, trust=trust)
    for on in going_on(run):
        for p in on:
            assert size(run.problem.space) <= run.count or "of" in p.why or p.why["worth"] > p.why["new"]


@pytest.mark.parametrize("seed", range(4))
def test_equal_records_give_equal_decisions_however_they_are_told(seed):
    alike_however_told(thawing(seed))


def paused(curves, C=None):
    """The state after trials 0, 1, 2, ... have paused where their curves end."""
    V = np.full((len(curves), len(RUNGS), 1), np.nan)
    for i, curve in enumerate(curves):
        V[i, : len(curve), 0] = curve
    n, ends = len(V), [RUNGS[len(curve) - 1] for curve in curves]
    lines = np.column_stack([np.arange(n), np.full(n, np.nan), ends, ends, np.full(n, np.nan)])
    Y = np.array([[curve[-1]] for curve in curves], dtype=float)
    C = np.empty((n, 0)) if C is None else np.array(C, dtype=float)[:, None]
    rows = Rows(np.full((n, 1), 0.5), Y, C, curve=V, lineage=lines)
    problem = Problem(tt.Space(x=tt.Float(0, 1)), constraints=C.shape[1], rungs=RUNGS)
    return Ladder(Paused(problem, rows, Rows.empty(1, 1, C.shape[1])))


KNOWN = [[a + 1, a + 0.5, a + 0.2, a] for a in (0.5, 0.9, 1.3, 1.7, 2.1, 2.5)]  # six whole curves, alike in form


def test_the_curve_that_falls_below_the_best_goes_on_first():
    ladder = paused([*KNOWN, [2.6, 2.1], [1.2, 0.7], [1.9, 1.4]])
    chosen, others = Thawing(3.0, 0.0).choose(ladder, 0)
    assert [i for i, _ in (*chosen, *others)] == [7, 8, 6]
    assert chosen[0][1]["worth"] > chosen[0][1]["new"]


def test_what_cannot_win_stays_frozen_while_new_settings_can():
    ladder = paused([*KNOWN, [3.4, 2.9], [3.3, 2.8]])
    chosen, others = Thawing(3.0, 0.0).choose(ladder, 0)
    assert chosen == []
    assert {i for i, _ in others} == {6, 7}


def test_a_setting_known_to_break_a_constraint_is_worth_nothing():
    ladder = paused([*KNOWN, [1.2, 0.7], [1.2, 0.7]], C=[-1] * 6 + [1, -1])
    chosen, others = Thawing(3.0, 0.0).choose(ladder, 0)
    (first, good), (second, bad) = (*chosen, *others)
    assert (first, second) == (7, 6)
    assert good["worth"] > bad["worth"] == 0


@pytest.mark.parametrize("odd", [[np.inf], [1e308, -1e308], [0.0, 0.0, 0.0], [-1e308]])
def test_odd_curves_do_no_harm(odd):
    for curves in ([odd], [odd, odd], [*KNOWN, odd], [*KNOWN, odd, [1.2]]):
        chosen, others = Thawing(3.0, 0.0).choose(paused(curves), 0)
        assert len(chosen) + len(others) == len(curves) - 6 * (len(curves) > 6)
        assert all(np.isfinite(list(why.values())).all() for _, why in (*chosen, *others))


def test_a_curve_that_diverges_leaves_the_others_as_far_apart():
    V = np.random.default_rng(0).random((12, 5))
    with_it = standardised(np.concatenate([V, np.full((1, 5), 1e9)]))[:12]
    assert with_it.std() == pytest.approx(standardised(V).std(), rel=0.2)


def test_a_study_thaws_and_its_record_says_why():
    sim, ends = Simulation(), {}

    def training(trial):
        rate = trial.params["rate"]
        for epoch in range(1 + ends.get(trial.parent, 0), int(trial.fidelity) + 1):
            yield 60.0, epoch, {"loss": (np.log10(rate) + 1.5) ** 2 + epoch**-0.5 + 0.1 * (trial.params["kind"] == "a")}
        ends[trial.number] = int(trial.fidelity)

    study = tt.Study(
        "s", SPACE, minimize="loss", fidelity=EPOCHS, stopping="freeze-thaw", strategy="random", storage=sim.storage,
        budget=tt.Budget(trials=80), seed=1,
    )  # fmt: skip
    sim.run(study, training, workers=4)
    thawed = [t for t in study.trials if t.parent is not None]
    assert len(thawed) > 8
    assert {t.fidelity for t in study.trials} >= {3, 9, 27}
    assert study.best.fidelity == 27
    assert study.best.metrics["loss"] < 0.4
    assert any(t.why.get("worth", 0) > t.why.get("new", 1) for t in thawed)
    assert sum(t.fidelity - (0 if t.parent is None else t.fidelity / 3) for t in study.trials) < 80 * 27 / 4
    assert study.replay().exact == 80
    assert study.verify() == []


def test_when_a_finite_space_has_no_more_settings_those_that_pause_go_on():
    study = tt.Study(
        "s", tt.Space(n=tt.Int(1, 6)), minimize="loss", fidelity=EPOCHS, stopping=FreezeThaw(trust=0), strategy="random",
        seed=1,
    )  # fmt: skip

    def objective(trial):
        trial.report(trial.fidelity, loss=trial.params["n"] + 1 / trial.fidelity)
        return trial.params["n"] + 1 / trial.fidelity

    study.run(objective, trials=30, quiet=True)
    assert sum(t.fidelity == 27 for t in study.trials) == 6
    assert study.best.params == {"n": 1}


def test_what_makes_no_sense_is_refused():
    with pytest.raises(SpecError, match="trust=2 must be a number from 0"):
        rule({"rule": "freeze-thaw", "trust": 2})
    with pytest.raises(SpecError, match="with several goals take 'promotion'"):
        tt.Study("p", SPACE, minimize=["a", "b"], fidelity=EPOCHS, stopping="freeze-thaw")
    with pytest.raises(SpecError, match="says itself who goes on"):
        tt.Study("p", SPACE, minimize="loss", fidelity=EPOCHS, stopping="freeze-thaw", strategy="pbt")
