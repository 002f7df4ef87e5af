"""What a runner is to do next, and which budget is spent."""

import pytest
from trials import NOW, ended, ledger, queued, running, spec

from trimtab.engine import planning
from trimtab.engine.planning import Cancel, Close, Fill, Here, Start, Terms, plan
from trimtab.records import Budget, Cost, State, StudyState

FAILED = [ended(i, State.FAILED) for i in range(3)]
DONE = [ended(i) for i in range(3)]
FEW = Budget(trials=4)
HOUR = Cost(cpu=3600.0, gpu=3600.0, money=5.0)
CASES = {
    "an empty study is filled": (spec(), [], {}, Terms(), Here(2), [Fill(2), Start(2)]),
    "a refill serves those who race too": (spec(), [], {}, Terms(), Here(2, batch=5), [Fill(5), Start(2)]),
    "but never beyond the budget": (spec(budget=FEW), DONE, {}, Terms(), Here(1, batch=9), [Fill(1), Start(1)]),
    "what waits goes first": (spec(), [queued(0)], {}, Terms(), Here(2), [Fill(1), Start(2)]),
    "more waits than can run": (spec(), [queued(0), queued(1)], {}, Terms(), Here(1), [Start(1)]),
    "nobody is free": (spec(), [running(0)], {}, Terms(), Here(0), []),
    "no more than the budget": (spec(budget=FEW), DONE, {}, Terms(), Here(3), [Fill(1), Start(1)]),
    "what runs is in the budget": (spec(budget=FEW), [*DONE, running(3)], {}, Terms(), Here(3), []),
    "the budget of trials": (spec(budget=FEW), [*DONE, ended(3)], {}, Terms(), Here(1), [Close("trials")]),
    "the trials of the call": (spec(), DONE, {}, Terms(trials=3), Here(1), [Close("trials")]),
    "the call ends before the budget": (spec(budget=FEW), DONE[:1], {}, Terms(trials=2), Here(3), [Fill(1), Start(1)]),
    "the budget ends before the call": (spec(budget=FEW), DONE, {}, Terms(trials=9), Here(3), [Fill(1), Start(1)]),
    "wishes beyond the call wait": (spec(), [queued(i) for i in range(6)], {}, Terms(trials=3), Here(4), [Start(3)]),
    "wishes beside running ones": (spec(), [running(0), queued(1), queued(2)], {}, Terms(trials=2), Here(4), [Start(1)]),
    "a lease that ran out is taken over": (
        spec(budget=Budget(trials=1)), [running(0, lease_until=NOW)], {}, Terms(), Here(1), [Start(1)],
    ),
    "an asked trial holds up nothing else": (
        spec(), [running(0, lease_until=None)], {}, Terms(trials=2), Here(1), [Fill(1), Start(1)],
    ),
    "only asked trials are left": (spec(), [running(0, lease_until=None)], {}, Terms(trials=1), Here(1), [Close("held")]),
    "asked and leased are left": (
        spec(), [running(0, lease_until=None), running(1)], {}, Terms(trials=2), Here(1), [],
    ),
    "exhausted": (spec(), DONE, {}, Terms(), Here(1, exhausted=True), [Close("exhausted")]),
    "exhausted but running": (spec(), [running(0)], {}, Terms(), Here(1, exhausted=True), []),
    "exhausted but asked": (spec(), [running(0, lease_until=None)], {}, Terms(), Here(1, exhausted=True), [Close("held")]),
    "exhausted but queued": (spec(), [queued(0)], {}, Terms(), Here(2, exhausted=True), [Start(1)]),
    "failures in a row": (spec(), FAILED, {}, Terms(), Here(1), [Close("failures")]),
    "earlier failures are forgiven": (spec(), FAILED, {}, Terms(since=2), Here(1), [Fill(1), Start(1)]),
    "failures without a limit": (spec(max_failures=None), FAILED, {}, Terms(), Here(1), [Fill(1), Start(1)]),
    "a success between failures": (spec(), [*FAILED[:2], ended(2)], {}, Terms(), Here(1), [Fill(1), Start(1)]),
    "time is up": (spec(), [], {}, Terms(until=NOW), Here(1), [Close("time")]),
    "time is left": (spec(), [], {}, Terms(until=NOW + 1), Here(1), [Fill(1), Start(1)]),
    "paused": (spec(), [queued(0)], {"state": StudyState.PAUSED}, Terms(), Here(1), [Close("paused")]),
    "cancelled": (spec(), [running(0)], {"state": StudyState.CANCELLED}, Terms(), Here(1), [Close("cancelled")]),
    "archived": (spec(), [], {"state": StudyState.ARCHIVED}, Terms(), Here(1), [Close("archived")]),
    "the study's time ends what runs": (
        spec(budget=Budget(time=5)), [running(0), queued(1)], {}, Terms(), Here(1), [Cancel(0), Close("budget")],
    ),
    "cpu hours": (spec(budget=Budget(cpu_hours=1)), [], {"spent": HOUR}, Terms(), Here(1), [Close("budget")]),
    "gpu hours": (spec(budget=Budget(gpu_hours=1)), [], {"spent": HOUR}, Terms(), Here(1), [Close("budget")]),
    "cost": (spec(budget=Budget(cost=5)), [], {"spent": HOUR}, Terms(), Here(1), [Close("budget")]),
    "money is left": (spec(budget=Budget(cost=6)), [], {"spent": HOUR}, Terms(), Here(1), [Fill(1), Start(1)]),
    "money for an average trial is left": (
        spec(budget=Budget(cost=7)), DONE, {"spent": HOUR}, Terms(), Here(2), [Fill(1), Start(1)],
    ),
    "money for none is left": (spec(budget=Budget(cost=6)), DONE, {"spent": HOUR}, Terms(), Here(2), [Close("budget")]),
    "what is left is reserved": (spec(budget=Budget(cost=7)), [*DONE, running(3)], {"spent": HOUR}, Terms(), Here(2), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_plan_follows_from_record_budget_and_free_slots(case):
    which, trials, row, terms, here, actions = CASES[case]
    assert plan(ledger(which, *trials, **row), NOW, terms, here) == actions


@pytest.mark.parametrize(
    ("budget", "spent", "name"),
    [
        (Budget(), HOUR, None),
        (Budget(cpu_hours=1, cost=5), HOUR, "cpu_hours"),
        (Budget(cpu_hours=2, cost=5), HOUR, "cost"),
        (Budget(gpu_hours=0.5), HOUR, "gpu_hours"),
        (Budget(time=1), Cost(), "time"),
        (Budget(time=2), Cost(), None),
    ],
)
def test_which_budget_is_spent(budget, spent, name):
    assert planning.spent(ledger(spec(budget=budget), ended(0), spent=spent), NOW) == name


@pytest.mark.parametrize(
    ("budget", "why"),
    [
        (Budget(), None),
        (Budget(trials=2, cost=50), None),
        (Budget(trials=1, cost=50), "the budget of trials is spent"),
        (Budget(time=1), "the budget of time is spent"),
        (Budget(cost=5), "the budget of cost is spent"),
        (Budget(cost=6), "the budget of cost has 1 left, and a trial takes 5"),
        (Budget(cost=10), None),
    ],
)
def test_which_limit_lets_no_more_trials_begin(budget, why):
    assert planning.bound(ledger(spec(budget=budget), ended(0), spent=HOUR), NOW) == why


def test_a_running_trial_is_as_busy_as_ended_ones_were_while_it_had_a_slot_and_a_worker():
    open_ = [
        running(1, started=NOW - 8),
        running(2, started=NOW - 8, lease_until=NOW - 2),
        running(3, lease_until=None),
    ]
    here = Here(1, charge=lambda wall, cpu: Cost(wall=wall, cpu=cpu), waited={1: 3.0})
    limited = spec(budget=Budget(cpu_hours=1))
    half_busy = ledger(limited, ended(0), *open_, spent=Cost(wall=100.0, cpu=50.0))
    assert planning.accrued(half_busy, NOW, here) == [Cost(wall=5.0, cpu=2.5), Cost(wall=6.0, cpu=3.0), Cost()]
    assert planning.accrued(ledger(limited, *open_), NOW, here)[0] == Cost(wall=5.0, cpu=5.0)
    assert planning.accrued(ledger(spec(), *open_), NOW, here) == []
