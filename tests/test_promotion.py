"""Promotion: trials that pause at rungs and go on from their checkpoints, in any order of arrival, with failures and dead
workers; what a user and an auditor see of it."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from random import Random

import numpy as np
import pytest
from checkpoints import held
from leases import run_out
from pausing import alike_however_told, going_on
from stores import STORES, Clock, verify
from training import TEXT, train

import trimtab as tt
from trimtab.engine.wrapping import wrapped
from trimtab.errors import LeaseLost, SpecError
from trimtab.goals import Goal
from trimtab.live import LiveStudy
from trimtab.records import Outcome, Reason, State, StudySpec
from trimtab.replay import replay
from trimtab.simulate import Simulation
from trimtab.stopping import rule, to_json
from trimtab.stopping.promotion import Promotion
from trimtab.strategies import Problem, Rows, strategy
from trimtab.strategies.ladder import Ladder, Paused
from trimtab.strategies.ladder import settings as joined
from trimtab.strategies.promotion import Halving, Promoting
from trimtab.testing.continuing import campaign

EPOCHS = tt.Fidelity("epochs", 1, 27)
SPACE = tt.Space(rate=tt.Float(1e-3, 1.0, log=True), kind=tt.Choice("a", "b"))


# ------------------------------------------------------------------------------------------- the rule, in any order


@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_nobody_is_promoted_twice_or_past_a_better_one_and_no_worker_waits(growing, seed):
    """Trials end in any order, fail, are cancelled or stopped short; parents must be good, kept, and less trained (see
    Campaign)."""
    made = Promoting.over(strategy(["random", "tpe"][seed % 2]), Halving(3.0, 0.0, growing))
    run = campaign(made, seed, trouble=0.2)
    for on in going_on(run):
        for p in on:
            assert p.why["place"] <= max(1, p.why["of"] / 3)


@pytest.mark.parametrize("inner", ["random", "sobol"])
@pytest.mark.parametrize("seed", range(3))
def test_equal_records_give_equal_decisions_however_they_are_told(seed, inner):
    alike_however_told(campaign(Promoting.over(strategy(inner), Halving(3.0, 0.3, False)), seed))


def paused(values, level=0, parents=None, rungs=(1.0, 3.0, 9.0), budget=None, curves=None):
    """The state after trials 0, 1, 2, ... have ended with these losses."""
    n = len(values)
    levels = np.broadcast_to(level, n)
    parents = [None] * n if parents is None else parents
    lines = [
        [i, np.nan if p is None else p, rungs[k], rungs[k], np.nan]
        for i, (k, p) in enumerate(zip(levels, parents, strict=True))
    ]
    V = np.full((n, len(rungs), 1), np.nan) if curves is None else np.array(curves, dtype=float)[:, :, None]
    rows = Rows(np.full((n, 1), 0.5), np.array(values, dtype=float)[:, None], curve=V, lineage=np.array(lines))
    problem = Problem(tt.Space(x=tt.Float(0, 1)), budget=budget, rungs=rungs)
    return Paused(problem, rows, Rows.empty(1, 1, 0))


def test_the_best_third_is_promoted_from_the_highest_rung_down():
    ladder = Ladder(paused([5, 4, 3, 2, 1, 6, 2.5, 1.5, 0.9], [0] * 6 + [1] * 3, [None] * 6 + [4, 3, 2]))
    third = Halving(3.0, 0.0, False)
    assert third.promotable(ladder, 2) == [8]
    assert third.promotable(ladder, 1) == []  # 4 and 3 have been
    assert third.promotable(Ladder(paused([1, 2])), 2) == []  # nobody on a thin rung


def test_an_early_rung_that_says_nothing_of_a_later_one_is_passed_over():
    rungs, ends = (1.0, 3.0, 9.0, 27.0), np.random.default_rng(0).random(12)
    agreeing = np.column_stack([ends, ends, ends, np.full(12, np.nan)])
    against = np.column_stack([1 - ends, ends, ends, np.full(12, np.nan)])
    for curves, expected in ((agreeing, 0), (against, 1), (agreeing[:7], 1)):
        ladder = Ladder(paused(ends[: len(curves)], 2, rungs=rungs, curves=curves))
        assert Halving(3.0, 0.3, False).first_rung(ladder) == expected
    assert Halving(3.0, 0.0, False).first_rung(Ladder(paused(ends, 1, rungs=rungs, curves=against))) == 0


def test_the_ceiling_grows_while_the_order_changes():
    rungs = (1.0, 3.0, 9.0, 27.0)
    same = paused([1, 2, 3, 1.1, 2.1], [0, 0, 0, 1, 1], [None, None, None, 0, 1], rungs)
    other = paused([1, 2, 3, 2.1, 1.1], [0, 0, 0, 1, 1], [None, None, None, 0, 1], rungs)
    assert Ladder(same).ceiling(0) == 1
    assert Ladder(other).ceiling(0) == 2
    lines = [0, 0, 0, 0, 1, 1], [None, None, None, None, 0, 1], rungs
    assert Ladder(paused([1, 1.01, 2, 3, 2.1, 1.1], *lines)).ceiling(0) == 1  # these two are alike
    assert Ladder(paused([1, 2, 3, 1e9, 2.1, 1.1], *lines)).ceiling(0) == 2  # however far away another one is


@pytest.mark.parametrize("unit", [1e308, np.inf, 1e-200])
def test_the_ceiling_grows_however_large_or_small_the_values(unit):
    losses = [-unit, unit, unit, -unit / 2, unit / 2]
    for last, expected in ((losses[3:], 1), (losses[:2:-1], 2)):
        came = paused([*losses[:3], *last], [0, 0, 0, 1, 1], [None, None, None, 0, 1], (1.0, 3.0, 9.0, 27.0))
        assert Ladder(came).ceiling(0) == expected


def test_when_the_budget_ends_the_most_advanced_one_is_trained_to_the_top():
    def last(budget):
        ladder = Ladder(paused([3, 1, 2], budget=budget))
        return ladder.reserved(Halving(3.0, 0.0, False).waiting(ladder))

    assert last(5) == [1]
    assert last(6) is None
    assert last(None) is None


def test_stretches_of_a_setting_are_one_result():
    state = paused(
        [5, 4, 2.0], [0, 0, 1], [None, None, 1], curves=[[5, np.nan, np.nan], [4, np.nan, np.nan], [2.5, 2, np.nan]]
    )
    rows = joined(state.rows)
    assert rows.Y[:, 0].tolist() == [5, 2]
    assert rows.curve[1, :2, 0].tolist() == [4, 2]  # at the first rung what its first stretch ended with


# ---------------------------------------------------------------------------------- workers that fail, sleep and die


class Worker:
    """Refills the queue, claims, trains epoch by epoch; it may fail, sleep through its lease or die."""

    def __init__(self, store, study, random):
        self.store, self.live, self.random = store, LiveStudy(store, study), random
        self.trial, self.left = None, 0

    def turn(self):
        if self.trial is None:
            ledger = self.live.refresh()
            if not ledger.queued() and ledger.study.count < 60:
                self.live.fill(1, ledger.study.count)
            self.trial = self.store.claim(self.live.id, "w", 10.0)
            self.left = self.random.randint(1, 4)
            return
        self.left -= 1
        if self.left:
            return
        loss = self.trial.params["rate"] + self.random.random() / self.trial.fidelity
        bad = self.random.random() < 0.1
        outcome = (
            Outcome(State.FAILED, reason=Reason.ERROR, error="bad luck") if bad else Outcome(State.DONE, {"loss": loss})
        )
        with suppress(LeaseLost):
            self.store.finish(self.trial, outcome)
        self.trial = None


@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_nobody_waits_for_the_dead_and_a_replay_promotes_the_same_trials(growing, seed):
    random, clock = Random(seed), Clock()
    store = STORES["memory"](None, clock)
    spec = StudySpec(
        "s", SPACE, (Goal("loss", False),), fidelity=EPOCHS, strategy="random", seed=seed,
        stopping=(to_json(Promotion(growing=growing, trust=0.0)),), max_failures=None,
    )  # fmt: skip
    study = store.create(spec).id
    workers = [Worker(store, study, random) for _ in range(4)]
    for turn in range(1500):
        clock.now += random.choice([0.1, 0.1, 0.1, 4.0])
        i = random.choice([0, 0, 0, 1, 1, 2, 3])
        workers[i].turn()
        if random.random() < 0.02 and turn < 1200:
            workers[i] = Worker(store, study, random)  # the old one is dead
    trials = store.trials(study).trials
    assert len(trials) == 60
    assert {t.state for t in trials} <= {State.DONE, State.FAILED}
    parents = Counter(t.parent for t in trials if t.parent is not None)
    assert parents
    assert set(parents.values()) == {1}
    for t in trials:
        if t.parent is not None:
            before = trials[t.parent]
            assert before.state == State.DONE
            assert (before.params, before.fidelity) == (t.params, t.fidelity / 3)
    again = replay(trials, store.events(study), lambda s: strategy(s.strategy))
    assert again.holds
    assert again.exact == 60
    assert verify(store, study) == []


# --------------------------------------------------------------------------------------------------- what a user sees


def promoting(url=None, stopping="promotion", **more):
    how = {"strategy": "random", "seed": 1, **more}
    return tt.Study("p", SPACE, minimize="loss", fidelity=EPOCHS, stopping=stopping, storage=url, **how)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_promoted_trial_goes_on_from_its_checkpoint(tmp_path, workers):
    study = promoting(f"sqlite:///{tmp_path}/t.db", Promotion(trust=0), budget=tt.Budget(trials=60))
    study.run(train, workers=workers, quiet=True)
    levels = Counter(t.fidelity for t in study.trials)
    assert set(levels) == {1, 3, 9, 27}
    assert levels[1] > levels[3] > levels[9] > levels[27]
    assert sum(t.fidelity - (0 if t.parent is None else t.fidelity / 3) for t in study.trials) < 60 * 27 / 5  # epochs
    assert study.counts["done"] == 60
    assert study.best.fidelity == 27
    assert held(study) == {study.best.number}
    assert study.schedule().train(train) == study.best.metrics  # the whole line of it is one training
    assert len(study.plot.lineage().data) == 3
    assert study.replay().exact == 60
    assert study.verify() == []


def test_those_who_pause_keep_their_checkpoints_while_they_may_go_on(tmp_path):
    study = promoting(f"sqlite:///{tmp_path}/t.db", Promotion(trust=0))
    study.run(train, trials=30, quiet=True)
    parents = {t.parent for t in study.trials}
    waiting = {t.number for t in study.trials if t.fidelity < 27 and t.number not in parents}
    assert held(study) - waiting <= {t.number for t in study.trials if t.fidelity == 27}
    assert waiting <= held(study)


def test_a_model_learns_from_paused_trials_and_two_goals_with_a_constraint_are_promoted():
    sim, ends = Simulation(), {}

    def training(trial):
        x, y = trial.params["x"], trial.params["y"]
        for epoch in range(1 + ends.get(trial.parent, 0), int(trial.fidelity) + 1):
            yield 60.0, epoch, {"loss": (x - 0.3) ** 2 + y + 1 / epoch, "latency": 1 - 0.5 * y + x, "size": 10 * x}
        ends[trial.number] = int(trial.fidelity)

    study = tt.Study(
        "s", tt.Space(x=tt.Float(0, 1), y=tt.Float(0, 1)), minimize=["loss", "latency"], subject_to="size <= 5",
        fidelity=EPOCHS, stopping="promotion", storage=sim.storage, seed=2,
    )  # fmt: skip
    sim.run(study, training, workers=4, trials=60)
    assert study.pareto
    assert all(t.fidelity == 27 and t.metrics["size"] <= 5 for t in study.pareto)
    promoted = [t for t in study.trials if t.parent is not None]
    assert len(promoted) > 8
    assert sum(t.metrics["size"] <= 5 for t in promoted) > len(promoted) / 2
    assert study.replay().holds


def test_asked_trials_are_promoted_too():
    study = promoting(stopping=Promotion(trust=0))
    for _ in range(30):
        trial = study.ask()
        study.tell(trial, train(trial))
    assert {t.fidelity for t in study.trials} >= {1, 3, 9}
    assert study.replay().holds


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"eta": 1}, "eta=1 must be a number from 1.1"),
        ({"trust": 2}, "trust=2 must be a number from 0"),
        ({"growing": 1}, "growing=1 must be True or False"),
    ],
)
def test_settings_that_make_no_sense_are_refused(how, said):
    with pytest.raises(SpecError, match=said):
        rule({"rule": "promotion", **how})


def test_what_promotion_does_not_go_with_is_refused():
    with pytest.raises(SpecError, match="says itself who goes on"):
        promoting(strategy="pbt")
    with pytest.raises(SpecError, match="needs fidelity"):
        tt.Study("p", SPACE, minimize="loss", stopping="promotion")


def test_a_study_without_a_full_training_says_that_there_is_no_best_one():
    study = promoting(stopping=Promotion(trust=0))
    study.run(train, trials=3, quiet=True)
    with pytest.raises(SpecError, match="was trained to epochs=27"):
        _ = study.best


# --------------------------------------------------------------------------------------------------------------- kill -9

DYING = """
import os, signal
from pathlib import Path

PARENT = os.getppid()


def objective(trial):
    end = trial.fidelity
    if trial.parent is not None and not Path("mark").exists():
        trial.fidelity = end - 1
        train(trial)
        with open("mark", "x") as file:  # by one of them alone
            file.write(str(trial.number))
        os.kill(PARENT, signal.SIGKILL)  # with the process that runs the study: as a power cut would
        os.kill(os.getpid(), signal.SIGKILL)
    return train(trial)
"""
RUN = """
import os
import trimtab as tt
from trimtab.stopping.promotion import FreezeThaw, Promotion

space = tt.Space(rate=tt.Float(1e-3, 1.0, log=True), kind=tt.Choice("a", "b"))
study = tt.Study("p", space, minimize="loss", fidelity=tt.Fidelity("epochs", 1, 27), strategy="random",
                 stopping=eval(os.environ["STOPPING"]), budget=tt.Budget(trials=60), storage=os.environ["URL"], seed=1)
study.run("train.py:objective", workers=2, quiet=True)
"""


@pytest.mark.parametrize("stopping", ["Promotion(trust=0)", "FreezeThaw(trust=0)"])
def test_kill_9_between_two_rungs_loses_nothing_and_changes_no_decision(tmp_path, stopping):
    url = f"sqlite:///{tmp_path}/t.db"
    (tmp_path / "train.py").write_text(TEXT + DYING)

    def run():
        environment = {**os.environ, "URL": url, "STOPPING": stopping}
        return subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, env=environment, timeout=600).returncode

    assert run() == -signal.SIGKILL
    study = tt.Study("p", storage=url)
    cut = study.trials[int((tmp_path / "mark").read_text())]
    assert cut.state == "running"
    assert {cut.number, cut.parent} <= held(study)
    saved = json.loads((study.checkpoint(cut.number) / "state.json").read_text())
    assert saved[1] == cut.fidelity - 1
    before = {t.number: t for t in study.trials if t.state == "done"}
    run_out(url)
    assert run() == 0
    study = tt.Study("p", storage=url)
    assert study.counts["done"] == len(study.trials) == 60
    assert study.trials[cut.number].attempt == 2
    assert all(study.trials[n] == t for n, t in before.items())
    assert held(study) == {study.best.number}
    assert study.replay().exact == 60
    assert study.verify() == []


def test_the_engine_wraps_a_strategy_once():
    spec = promoting().spec
    made = wrapped(spec, strategy("random"))
    assert isinstance(made, Promoting)
    assert wrapped(spec, strategy("pbt")).name == "pbt"
