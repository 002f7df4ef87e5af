"""Stores under test, with what their tests share: a clock, a study, proposals, and the question whether a record is intact."""

from collections.abc import Callable

import postgres

from trimtab.chain.verify import findings
from trimtab.goals import Goal
from trimtab.records import Cost, Outcome, Proposal, State, StudySpec
from trimtab.space import Choice, Float, Space
from trimtab.storage.memory import Memory
from trimtab.storage.sql import Sql

STORES: dict[str, Callable] = {
    "memory": lambda folder, clock: Memory(clock=clock),
    "sqlite": lambda folder, clock: Sql(f"sqlite:///{folder}/t.db", clock=clock),
    "postgresql": lambda folder, clock: Sql(postgres.of(str(folder)), clock=clock),
}
SPEC = StudySpec("s", Space(x=Float(0.0, 1.0), kind=Choice("a", None, True)), (Goal("loss", False),))
DONE = Outcome(State.DONE, {"loss": 0.5}, cost=Cost(wall=2.0, cpu=1.5, gpu=0.25, memory=100, money=0.1))


class Clock:
    """Time that passes when the test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def proposal(i=0, **how):
    return Proposal({"x": i / 1000, "kind": None}, seed=i, **how)


def put(store, study, n=1, **how):
    """Enqueue n trials, whatever the record says."""
    record = store.trials(study).study
    return store.enqueue(
        study, [proposal(record.count + i, **how) for i in range(n)], at=record.count, seen=record.position
    )


def running(store, study, lease=15.0, **how):
    """A trial in our hands."""
    (made,) = put(store, study, **how)
    return store.claim(study, "worker", lease, made.number if "purpose" in how else None)


def row(store, study, number):
    return next(t for t in store.trials(study).trials if t.number == number)


def verify(store, study):
    seen = store.trials(study)
    witness = store.witnessed(seen.study.uid)
    return findings(seen.study, seen.trials, store.reports(study), store.events(study), witness, store.actors(study))


def kinds(store, study, since=0):
    return [(e.kind, e.number) for e in store.events(study, since)]
