"""Specs, trials in each state, and ledgers of them, for tests of what is decided from those."""

import trimtab as tt
from trimtab.engine.ledger import Ledger
from trimtab.goals import Goal
from trimtab.records import Changes, Cost, Purpose, State, StudyRecord, StudySpec, StudyState, Trial

NOW = 1000.0
_NOTHING = Cost()
SPACE = tt.Space(x=tt.Float(0, 1, default=0.5))


def spec(**how):
    return StudySpec(**{"name": "s", "space": SPACE, "goals": (Goal("loss", False),), "max_failures": 3, **how})


def study(spec, state=StudyState.OPEN, spent=_NOTHING, count=0, position=0):
    return StudyRecord(1, "uid", "s", spec, state, 0.0, count, count, spent, position, "head")


def queued(number, **how):
    return Trial(1, number, State.QUEUED, Purpose.SEARCH, {"x": number / 100}, number, **how)


def running(number, lease_until=NOW + 10, started=NOW - 5, **how):
    what = {"state": State.RUNNING, "started": started, "lease_until": lease_until, "attempt": 1, **how}
    return Trial(1, number, purpose=Purpose.SEARCH, params={"x": number / 100}, seed=number, **what)


def ended(number, state=State.DONE, loss=1.0, told=None, started=0.0, stopped=1.0, **how):
    what = {"purpose": Purpose.SEARCH, "params": {"x": number / 100}, "metrics": {"loss": loss}, **how}
    told = number + 1 if told is None else told
    return Trial(1, number, state, seed=number, started=started, ended=stopped, told=told, revision=told, **what)


def ledger(spec, *trials, **row):
    made = Ledger(study(spec))
    made.absorb(Changes(study(spec, count=len(trials), **row), trials))
    return made
