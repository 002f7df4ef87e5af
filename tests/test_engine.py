"""The pure decisions: the ledger's sums, what to do next, the best and the front, proposals as a function of the record."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab import engine
from trimtab.book import Book
from trimtab.engine import Cancel, Close, Fill, Start, Terms, plan
from trimtab.goals import Constraint, Goal, constraint
from trimtab.ledger import Ledger
from trimtab.records import Budget, Changes, Cost, Purpose, State, StudyRecord, StudySpec, StudyState, Trial
from trimtab.storage.memory import Memory

NOW = 1000.0
NOTHING = Cost()
SPACE = tt.Space(x=tt.Float(0, 1, default=0.5))
MIXED = tt.Space(
    kind=tt.Choice("linear", "tree", default="linear"),
    rate=tt.Float(1e-4, 1.0, log=True, default=0.1),
    depth=tt.Int(1, 12, default=6, when={"kind": "tree"}),
).require("depth <= 10 or rate < 0.5")


def spec(**how):
    return StudySpec(**{"name": "s", "space": SPACE, "goals": (Goal("loss", False),), "max_failures": 3, **how})


def study(spec, state=StudyState.OPEN, spent=NOTHING, count=0, position=0):
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


# ---------------------------------------------------------------------------------------------------------------- plan

FAILED = [ended(i, State.FAILED) for i in range(3)]
DONE = [ended(i) for i in range(3)]
FEW = Budget(trials=4)
HOUR = Cost(cpu=3600.0, gpu=3600.0, money=5.0)
CASES = {
    "an empty study is filled": (spec(), [], {}, 2, Terms(), [Fill(2), Start(2)]),
    "a refill serves those who race too": (spec(), [], {}, 2, Terms(batch=5), [Fill(5), Start(2)]),
    "but never beyond the budget": (spec(budget=FEW), DONE, {}, 1, Terms(batch=9), [Fill(1), Start(1)]),
    "what waits goes first": (spec(), [queued(0)], {}, 2, Terms(), [Fill(1), Start(2)]),
    "more waits than can run": (spec(), [queued(0), queued(1)], {}, 1, Terms(), [Start(1)]),
    "nobody is free": (spec(), [running(0)], {}, 0, Terms(), []),
    "no more than the budget": (spec(budget=FEW), DONE, {}, 3, Terms(), [Fill(1), Start(1)]),
    "what runs is in the budget": (spec(budget=FEW), [*DONE, running(3)], {}, 3, Terms(), []),
    "the budget of trials": (spec(budget=FEW), [*DONE, ended(3)], {}, 1, Terms(), [Close("trials")]),
    "the trials of the call": (spec(), DONE, {}, 1, Terms(trials=3), [Close("trials")]),
    "wishes beyond the call wait": (spec(), [queued(i) for i in range(6)], {}, 4, Terms(trials=3), [Start(3)]),
    "wishes beside running ones": (spec(), [running(0), queued(1), queued(2)], {}, 4, Terms(trials=2), [Start(1)]),
    "a lease that ran out is taken over": (
        spec(budget=Budget(trials=1)), [running(0, lease_until=NOW)], {}, 1, Terms(), [Start(1)],
    ),
    "an asked trial holds up nothing else": (
        spec(), [running(0, lease_until=None)], {}, 1, Terms(trials=2), [Fill(1), Start(1)],
    ),
    "only asked trials are left": (spec(), [running(0, lease_until=None)], {}, 1, Terms(trials=1), [Close("held")]),
    "asked and leased are left": (
        spec(), [running(0, lease_until=None), running(1)], {}, 1, Terms(trials=2), [],
    ),
    "exhausted": (spec(), DONE, {}, 1, Terms(exhausted=len(DONE)), [Close("exhausted")]),
    "exhausted but running": (spec(), [running(0)], {}, 1, Terms(exhausted=0), []),
    "exhausted but asked": (spec(), [running(0, lease_until=None)], {}, 1, Terms(exhausted=0), [Close("held")]),
    "exhausted but queued": (spec(), [queued(0)], {}, 2, Terms(exhausted=0), [Start(1)]),
    "failures in a row": (spec(), FAILED, {}, 1, Terms(), [Close("failures")]),
    "earlier failures are forgiven": (spec(), FAILED, {}, 1, Terms(since=2), [Fill(1), Start(1)]),
    "failures without a limit": (spec(max_failures=None), FAILED, {}, 1, Terms(), [Fill(1), Start(1)]),
    "a success between failures": (spec(), [*FAILED[:2], ended(2)], {}, 1, Terms(), [Fill(1), Start(1)]),
    "time is up": (spec(), [], {}, 1, Terms(until=NOW), [Close("time")]),
    "time is left": (spec(), [], {}, 1, Terms(until=NOW + 1), [Fill(1), Start(1)]),
    "paused": (spec(), [queued(0)], {"state": StudyState.PAUSED}, 1, Terms(), [Close("paused")]),
    "cancelled": (spec(), [running(0)], {"state": StudyState.CANCELLED}, 1, Terms(), [Close("cancelled")]),
    "archived": (spec(), [], {"state": StudyState.ARCHIVED}, 1, Terms(), [Close("archived")]),
    "the study's time ends what runs": (
        spec(budget=Budget(time=5)), [running(0), queued(1)], {}, 1, Terms(), [Cancel(0), Close("budget")],
    ),
    "cpu hours": (spec(budget=Budget(cpu_hours=1)), [], {"spent": HOUR}, 1, Terms(), [Close("budget")]),
    "gpu hours": (spec(budget=Budget(gpu_hours=1)), [], {"spent": HOUR}, 1, Terms(), [Close("budget")]),
    "cost": (spec(budget=Budget(cost=5)), [], {"spent": HOUR}, 1, Terms(), [Close("budget")]),
    "money is left": (spec(budget=Budget(cost=6)), [], {"spent": HOUR}, 1, Terms(), [Fill(1), Start(1)]),
    "money for an average trial is left": (
        spec(budget=Budget(cost=7)), DONE, {"spent": HOUR}, 2, Terms(), [Fill(1), Start(1)],
    ),
    "money for none is left": (spec(budget=Budget(cost=6)), DONE, {"spent": HOUR}, 2, Terms(), [Close("budget")]),
    "what is left is reserved": (spec(budget=Budget(cost=7)), [*DONE, running(3)], {"spent": HOUR}, 2, Terms(), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_plan(case):
    which, trials, row, free, terms, actions = CASES[case]
    assert plan(ledger(which, *trials, **row), free, NOW, terms) == actions


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
    assert engine.spent(ledger(spec(budget=budget), ended(0), spent=spent), NOW) == name


# ----------------------------------------------------------------------------------------------------------- the ledger

INTERVALS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)).map(lambda p: (p[0], p[0] + p[1])), max_size=8)


@given(INTERVALS, INTERVALS, st.lists(st.none() | st.integers(0, 45), min_size=8, max_size=8), st.integers(1, 5))
def test_wall_time_is_that_of_the_union_of_what_ran(finished, open_, leases, batch):
    """Whole seconds, counted one by one; snapshots of `batch` trials."""
    now = 45
    finished = sorted(finished, key=lambda i: i[1])
    told = [ended(n, started=float(a), stopped=float(b)) for n, (a, b) in enumerate(finished)]
    held = [
        running(100 + n, lease_until=None if lease is None else float(lease), started=float(a))
        for n, ((a, _), lease) in enumerate(zip(open_, leases, strict=False))
    ]
    made = Ledger(study(spec()))
    for i in range(0, len(told), batch):
        made.absorb(Changes(study(spec()), [*told[i : i + batch], *held]))
    made.absorb(Changes(study(spec()), held))
    ran = [*finished]
    ran += [(int(t.started), now if t.lease_until is None else min(now, int(t.lease_until))) for t in held]
    seconds = {s for a, b in ran for s in range(a, b)}
    assert made.wall(float(now)) == len(seconds)


@given(st.data())
def test_the_ledger_does_not_depend_on_when_it_was_read(data):
    """Each trial ends at one event; a reader sees the record in snapshots of any size, open trials in each of them."""
    order = data.draw(st.permutations(range(6)))
    states = data.draw(st.lists(st.sampled_from(sorted(State)), min_size=6, max_size=6))
    final = [
        queued(n)
        if s is State.QUEUED
        else running(n)
        if s is State.RUNNING
        else ended(n, s, told=told + 1, started=float(told), stopped=told + 1.5)
        for n, (s, told) in enumerate(zip(states, order, strict=True))
    ]
    whole, pieces = Ledger(study(spec())), Ledger(study(spec()))
    whole.absorb(Changes(study(spec(), position=6), final))
    cuts = [*sorted(data.draw(st.sets(st.integers(1, 6)))), 6]
    for since, upto in itertools.pairwise([0, *cuts]):
        seen = [
            t if t.told is not None and t.told <= upto else t if t.told is None else running(t.number) for t in final
        ]
        changed = [t for t in seen if t.told is None or t.told > since]
        pieces.absorb(Changes(study(spec(), position=upto), changed))
    pieces.absorb(Changes(study(spec(), position=6), [t for t in final if t.told is None]))
    assert (list(pieces.told), pieces.counts, pieces.open) == (list(whole.told), whole.counts, whole.open)
    assert pieces.trials == whole.trials
    assert pieces.wall(NOW) == whole.wall(NOW)


def test_imports_are_told_and_not_counted_and_evidence_is_neither():
    made = ledger(spec(), ended(0, purpose=Purpose.IMPORT), ended(1, purpose=Purpose.CERTIFY), ended(2))
    assert [t.number for t in made.told] == [0, 2]
    assert made.counted == 1


@pytest.mark.parametrize(
    ("first", "is_baseline"),
    [
        (ended(0, strategy="baseline", params={"x": 0.5}), True),
        (ended(0, strategy="user", purpose=Purpose.IMPORT, params={"x": 0.5}), False),
        (ended(0, strategy="gp", params={"x": 0.5}), False),
        (ended(0, strategy="baseline", params={"x": 0.25}), False),  # of a baseline that was revised
    ],
)
def test_trial_zero_is_the_baseline_only_if_it_ran_the_baseline(first, is_baseline):
    assert (ledger(spec(baseline={"x": 0.5}), first).baseline is not None) == is_baseline
    assert ledger(spec(), first).baseline is None


# ------------------------------------------------------------------------------------------------ constraints and best


@pytest.mark.parametrize(
    ("text", "metrics", "baseline", "holds"),
    [
        ("latency <= 20", {"latency": 20.0}, None, True),
        ("latency <= 20", {"latency": 20.5}, None, False),
        ("latency <= 20", {}, None, None),
        ("auc >= 0.9", {"auc": 0.89}, None, False),
        ("latency <= 1.05 * baseline", {"latency": 21.0}, {"latency": 20.0}, True),
        ("latency <= 1.05 * baseline", {"latency": 21.1}, {"latency": 20.0}, False),
        ("latency <= 1.05 * baseline", {"latency": 21.0}, None, None),
        ("latency <= 1.05 * baseline", {"latency": 21.0}, {"loss": 1.0}, None),
        ("latency <= baseline + 3", {"latency": 23.0}, {"latency": 20.0}, True),
        ("auc >= 0.95 * baseline", {"auc": 0.7}, {"auc": 0.8}, False),
    ],
)
def test_constraints(text, metrics, baseline, holds):
    assert engine.feasible(spec(constraints=(constraint(text),)), metrics, baseline) is holds


def test_one_broken_constraint_is_enough_even_beside_an_unknown_one():
    both = spec(constraints=(constraint("a <= baseline"), constraint("b <= 1")))
    assert engine.feasible(both, {"a": 1.0, "b": 2.0}, None) is False
    assert engine.feasible(both, {"a": 1.0, "b": 1.0}, None) is None


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-2, 2), st.floats(-10, 10))
def test_the_excess_of_relative_constraints(value, base, factor, offset):
    bound = offset + factor * base
    for upper in (True, False):
        excess = Constraint("", "m", upper, offset, factor).excess({"m": value}, {"m": base})
        assert excess == (value - bound if upper else bound - value)


def test_the_best_is_the_mean_over_replicates_and_feasible():
    measured = [(0.1, 0.0, 1.0), (0.1, 1.0, 1.0), (0.2, 0.3, 1.0), (0.3, 0.2, 9.0), (0.2, 0.35, 1.0)]
    rows = [ended(n, params={"x": x}, metrics={"loss": v, "size": s}) for n, (x, v, s) in enumerate(measured)]
    limited = spec(constraints=(constraint("size <= 5"),))
    found = engine.candidates(limited, [*rows, ended(9, State.FAILED)], None)
    assert [(c.trial.number, c.n, c.feasible) for c in found] == [(0, 2, True), (2, 2, True), (3, 1, False)]
    assert engine.best(limited, found).trial.number == 2
    assert engine.best(limited, found).metrics["loss"] == pytest.approx(0.325)
    assert engine.best(limited, []) is None


def test_the_earliest_of_equals_is_the_best():
    assert engine.best(spec(), engine.candidates(spec(), [ended(4), ended(2), ended(3)], None)).trial.number == 2


POINTS = st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), max_size=12)


@given(POINTS, st.lists(st.booleans(), min_size=3, max_size=3))
def test_the_front_is_that_of_brute_force(points, directions):
    goals = tuple(Goal(f"m{i}", up) for i, up in enumerate(directions))
    limited = spec(goals=goals, constraints=(constraint("m0 <= 3"),))
    told = [ended(n, metrics={f"m{i}": float(v) for i, v in enumerate(p)}) for n, p in enumerate(points)]
    losses = {n: [-v if up else v for v, up in zip(p, directions, strict=True)] for n, p in enumerate(points)}
    allowed = [n for n, p in enumerate(points) if p[0] <= 3]

    def beats(a, b):
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    front = [n for n in allowed if not any(beats(losses[m], losses[n]) for m in allowed)]
    assert [c.trial.number for c in engine.pareto(limited, engine.candidates(limited, told, None))] == front


# ------------------------------------------------------------------------------------- proposals: a function of the record

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "tell", "tell", "fail", "nan", "cancel", "wish", "add"]), st.integers(0, 99)
    ),
    max_size=25,
)


def value(params):
    return {"loss": math.log(params["rate"]) ** 2 + params.get("depth", 3), "size": params["rate"]}


def carry_out(steps, users, held):
    """Each step by another user of the same store; those who tell one of the `held` need not be those who asked."""
    for n, (what, i) in enumerate(steps):
        user = users[(i + n) % len(users)]
        if what == "ask":
            held.append(user.ask())
        elif what == "wish":
            user.enqueue({"kind": "linear", "rate": (i + 1) / 200})
        elif what == "add":
            user.add({"kind": "linear", "rate": (i + 1) / 300}, {"loss": i / 10, "size": 0.1})
        elif held:
            trial = held.pop(i % len(held))
            if what == "cancel":
                user.cancel(trial.number)
            elif what == "fail":
                user.tell(trial.number, failed="no luck")
            else:
                user.tell(trial.number, math.nan if what == "nan" else value(trial.params))


def opened(store, name):
    how = {"minimize": "loss", "subject_to": "size <= 2 * baseline", "seed": 7, "strategy": name, "replicates": 2}
    return tt.Study("s", MIXED, **how, storage=store)


@pytest.mark.parametrize("name", ["random", "sobol", "gp"])
@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_whatever_the_interleaving_the_record_gives_its_proposals_again(name, steps):
    store = Memory()
    users = [opened(store, name) for _ in range(3)]
    carry_out(steps, users, [])
    last = users[0]
    assert last.replay().holds
    assert last.verify() == []


@pytest.mark.parametrize("name", ["random", "sobol", "gp"])
@settings(max_examples=15, deadline=None)
@given(steps=STEPS, reads=st.sets(st.integers(0, 25)), n=st.integers(1, 3))
def test_proposals_do_not_depend_on_when_the_record_was_read(name, steps, reads, n):
    store = Memory()
    user = opened(store, name)
    reader, held = Book(store, user.record.id), []
    for i, step in enumerate(steps):
        carry_out([step], [user], held)
        if i in reads:
            reader.refresh()
            reader.propose(1)  # so that its fold is of that moment
    reader.refresh()
    assert reader.propose(n) == Book(store, user.record.id).propose(n) == Book(store, user.record.id).propose(n)


def test_a_revised_space_and_strategy_begin_a_new_fold():
    store = Memory()
    user = opened(store, "sobol")
    carry_out([("ask", 0), ("tell", 0)] * 4, [user], [])
    reader = Book(store, user.record.id)
    reader.propose(1)
    wider = tt.Space(
        kind=tt.Choice("linear", "tree", default="linear"),
        rate=tt.Float(1e-5, 1.0, log=True, default=0.1),
        depth=tt.Int(1, 12, default=6, when={"kind": "tree"}),
        deep=tt.Choice(False, True, default=False),
    ).require("depth <= 10 or rate < 0.5")
    user.revise(space=wider, assume={"deep": False}, strategy="random")
    reader.refresh()
    (made,) = reader.propose(1)
    assert made.strategy == "random"
    assert "deep" in made.params
    assert [made] == Book(store, user.record.id).propose(1)
    assert user.baseline.number == 0
