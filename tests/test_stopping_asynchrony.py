"""Stopping under asynchrony: workers of unequal pace that fail, fall silent and come back late, in any order.

Each worker has its own referee, as a process has: they agree because they read the same reports in the same order.
"""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import STORES, Clock, verify

import trimtab as tt
from trimtab import stopping
from trimtab.errors import LeaseLost
from trimtab.goals import Goal
from trimtab.records import Outcome, Proposal, Reason, State, StudySpec
from trimtab.replay import verdicts
from trimtab.running.referee import Referee

EPOCHS = tt.Fidelity("epochs", 1, 9)
LEASE = 10.0


def spec(rule):
    rules = (stopping.to_json(stopping.rule(rule)),)
    return StudySpec("s", tt.Space(x=tt.Float(0, 1)), (Goal("loss", False),), fidelity=EPOCHS, stopping=rules)


class Worker:
    """Claims, trains epoch by epoch, and may be told to die: then its trial is left running until the lease is over."""

    def __init__(self, store, study, made, random):
        self.store, self.study, self.random = store, study, random
        self.referee = Referee(store, study, lambda: made)
        self.trial, self.epoch = None, 0
        self.judged = []  # (number, epoch, verdict) as this worker was told

    def turn(self):
        if self.trial is None:
            self.trial, self.epoch = self.store.claim(self.study, "w", LEASE), 0
            return
        self.epoch += 1
        trial = self.trial
        metrics = {"loss": self.random.random() + trial.params["x"]}
        try:
            verdict = self.referee.report(trial, float(self.epoch), metrics, LEASE)
            self.judged.append((trial.number, self.epoch, verdict))
            if verdict is not None:
                self.store.finish(trial, self.referee.stopped(trial, Outcome(State.STOPPED, metrics)))
            elif self.random.random() < 0.05:
                self.store.finish(trial, Outcome(State.FAILED, reason=Reason.ERROR, error="bad luck"))
            elif self.epoch == 9:
                self.store.finish(trial, Outcome(State.DONE, metrics))
            else:
                return
        except LeaseLost:  # somebody has taken it over: what it knows is late
            pass
        self.trial = None


def history(folder, kind, rule, seed):
    """A study of twelve trials on four workers, some of whom die or sleep through their leases."""
    random, clock = Random(seed), Clock()
    store = STORES[kind](folder, clock)
    made = spec(rule)
    study = store.create(made).id
    store.enqueue(study, [Proposal({"x": random.random()}, seed=i) for i in range(12)], at=0, seen=1)
    workers = [Worker(store, study, made, random) for _ in range(4)]
    past = list(workers)
    for turn in range(2000):
        if all(t.state not in (State.QUEUED, State.RUNNING) for t in store.trials(study).trials):
            break
        clock.now += random.choice([0.1, 0.1, 0.1, 0.1, 4.0])
        i = random.choice([0, 0, 0, 1, 1, 2, 3])  # of unequal pace: some sleep longer than their leases
        workers[i].turn()
        if random.random() < 0.01 and turn < 1500:
            workers[i] = Worker(store, study, made, random)  # the old one is dead
            past.append(workers[i])
    return store, study, past


@pytest.mark.parametrize("rule", ["asha", "hyperband", "median"])
@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_nobody_waits_for_the_dead_and_a_replay_gives_the_same_verdicts(rule, seed):
    store, study, workers = history(None, "memory", rule, seed)
    trials = store.trials(study).trials
    assert {t.state for t in trials} <= {State.DONE, State.STOPPED, State.FAILED}
    assert verify(store, study) == []
    count, wrong, _ = verdicts(trials, store.reports(study), store.events(study))
    assert wrong == {}
    assert count == sum(t.state is State.STOPPED for t in trials)
    known = {}
    for number, _, verdict in (j for w in workers for j in w.judged):
        if verdict is not None:  # whoever asks is told the same, and it never changes
            assert known.setdefault(number, verdict) == verdict


def test_the_same_on_sqlite(tmp_path):
    store, study, _ = history(tmp_path, "sqlite", "asha", 9)
    trials = store.trials(study).trials
    count, wrong, _ = verdicts(trials, store.reports(study), store.events(study))
    assert (wrong, verify(store, study)) == ({}, [])
    assert count == sum(t.state is State.STOPPED for t in trials) > 0
    assert any(t.attempt > 1 for t in trials)
    store.close()
