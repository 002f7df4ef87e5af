"""Budgets of hours, money and energy: reserved before a trial begins, settled when it ends, by all workers of a study."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trimtab as tt
from trimtab.engine.planning import Cancel, Close, Fill, Here, Start, Terms, accrued, affordable, spent
from trimtab.errors import BudgetSpent, LeaseLost, Stale
from trimtab.goals import goals
from trimtab.live import LiveStudy
from trimtab.records import Budget, Change, Cost, Outcome, Proposal, Resources, State, StudySpec
from trimtab.running.runner import decide
from trimtab.storage import Claim, rules
from trimtab.storage.memory import Memory

SPACE = tt.Space(x=tt.Float(0, 1))
PRICE = Resources(price=3600.0)  # one a second
TICK = 0.5  # seconds between two looks of each worker
FOREVER = 1e9


class Times:
    now = 1000.0

    def __call__(self):
        return self.now


def scene(**budget):
    clock = Times()
    store = Memory(clock)
    spec = StudySpec("s", SPACE, goals("loss", None), strategy="random", seed=1, budget=Budget(**budget))
    return clock, store, store.create(spec).id


def works(clock, store, study, workers, durations):
    """Workers that know of one another by the record alone, each with one slot, until none has anything to do."""
    books, held, closed = [LiveStudy(store, study) for _ in range(workers)], {}, set()
    while len(closed) < workers or held:
        for w, live in enumerate(books):
            if w in held and clock.now >= held[w][1]:
                trial, end = held.pop(w)
                store.finish(trial, Outcome(State.DONE, {"loss": 0.5}, cost=PRICE.charge(end - trial.started, 0.0)))
            here = Here(int(w not in held and w not in closed), charge=PRICE.charge)
            decision = decide(live, clock.now, Terms(), here)
            for action in decision.actions:
                match action:
                    case Fill(n):
                        live.fill(n, decision.at)
                    case Start() if (trial := store.claim(study, str(w), FOREVER)) is not None:
                        held[w] = trial, clock.now + durations[trial.number % len(durations)]
                    case Cancel(number) if w in held and held[w][0].number == number:
                        trial, _ = held.pop(w)
                        used = PRICE.charge(clock.now - trial.started, 0.0)
                        try:
                            store.revise(study, Change("cancel", number=number, cost=used))
                        except Stale:
                            pytest.fail("a trial that runs here was ended elsewhere")
                    case Close():
                        closed.add(w)
        clock.now += TICK


@given(st.integers(1, 4), st.lists(st.floats(0.6, 20), min_size=1, max_size=20), st.floats(1, 120))
def test_a_budget_is_overrun_by_no_more_than_what_runs_between_two_looks(workers, durations, limit):
    clock, store, study = scene(cost=limit)
    works(clock, store, study, workers, durations)
    found = store.trials(study)
    assert found.study.spent.money <= limit + workers * TICK
    assert all(t.state in (State.DONE, State.CANCELLED) for t in found.trials)
    finished = [t.cost.money for t in found.trials if t.state is State.DONE]
    if finished:  # and no more than an average trial is left
        assert limit - found.study.spent.money <= found.study.spent.money / len(finished)


@given(st.integers(1, 4), st.integers(1, 12))
def test_where_trials_cost_the_same_none_is_begun_in_vain(workers, trials):
    clock, store, study = scene(cost=4.0 * (workers + trials))
    works(clock, store, study, workers, [4.0])
    found = store.trials(study)
    assert [t.state for t in found.trials] == [State.DONE] * (workers + trials)
    assert found.study.spent.money == pytest.approx(4.0 * (workers + trials))


def test_open_trials_reserve_what_finished_ones_took():
    clock, store, study = scene(cpu_hours=1.0)
    hour = 3600.0

    def put(n):
        record = store.trials(study).study
        proposals = [Proposal({"x": 0.5}, seed=1)] * n
        return store.enqueue(study, proposals, at=record.count, seen=record.position, claim=Claim("w", FOREVER, n))

    held = put(5)  # nothing is known yet
    store.finish(held[0], Outcome(State.DONE, {"loss": 0.5}, cost=Cost(cpu=0.125 * hour)))
    put(3)
    with pytest.raises(BudgetSpent, match=r"cpu_hours=0.125 of 1 is spent, and 7 open trials have the rest reserved"):
        put(1)
    ledger = LiveStudy(store, study).refresh()
    assert affordable(ledger, accrued(ledger, clock.now, Here(1))) == 0
    store.finish(held[1], Outcome(State.DONE, {"loss": 0.5}, cost=Cost(cpu=0.0)))  # the rest is released
    put(3)
    with pytest.raises(BudgetSpent, match="or wait until they have ended"):
        put(6)


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_budget_of_time_is_not_spent_by_a_clock_that_jumps(jump):
    clock = Times()

    def objective(trial):
        clock.now += 1.0 if trial.number != 2 else jump
        return trial.params["x"]

    budget = {"trials": 6, "time": "30m"}
    study = tt.Study("s", SPACE, minimize="loss", storage=Memory(clock), strategy="random", seed=1, budget=budget)
    study.run(objective, quiet=True)
    assert study.counts["done"] == 6
    assert LiveStudy(study.storage, 1).refresh().wall(clock.now) == pytest.approx(5.0, abs=1.0)
    assert study.verify() == []


def test_a_slow_import_spends_a_budget_of_time_and_is_not_taken_for_a_jump_of_the_clock(tmp_path, monkeypatch):
    monkeypatch.setattr(rules, "DOUBT", 0.2)  # as if the import took minutes
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(0.5)\n\ndef objective(trial):\n    return 0.5\n")
    study = tt.Study("s", SPACE, minimize="loss", strategy="random", seed=1)
    study.run(f"{tmp_path}/slow.py:objective", trials=2, supervised=True, quiet=True)
    assert study.trials[0].cost.wall < 0.5 < study.trials[0].cost.loading
    assert LiveStudy(study.storage, 1).refresh().wall(0.0) > 0.5


@pytest.mark.parametrize("purpose", ["search", "certify"])
@pytest.mark.parametrize("reader", ["early", "late"])
def test_a_budget_of_time_counts_attempts_that_did_not_end_their_trial(purpose, reader):
    clock, store, study = scene(time=100.0)
    live = LiveStudy(store, study)
    proposals = [Proposal({"x": x}, seed=1, purpose=purpose) for x in (0.25, 0.5)]
    store.enqueue(study, proposals, at=0, seen=live.ledger.study.position)

    def claimed():
        if reader == "early":  # it sees the record as it grows; the other one opens it at the end
            live.refresh()
        return store.claim(study, "w", 15.0, number=0)

    first = claimed()
    clock.now += 10  # its process is killed
    store.revise(study, Change("requeue", number=0, attempt=1, body={"why": "killed"}, cost=Cost(wall=8, loading=2)))
    clock.now += 1000
    again = claimed()
    clock.now += 3  # its worker dies: it is held for a lease
    clock.now += 1000
    taken = claimed()
    clock.now += 5
    store.finish(taken, Outcome(State.DONE, {"loss": 0.5}, cost=Cost(wall=5)))
    clock.now += 1000
    with pytest.raises(LeaseLost):  # it was not dead, only late
        store.finish(again, Outcome(State.DONE, {"loss": 0.5}, cost=Cost(wall=4)))
    assert (first.attempt, again.attempt, taken.attempt) == (1, 2, 3)
    seen = live if reader == "early" else LiveStudy(store, study)
    assert seen.refresh().wall(clock.now) == (10 + 15 + 5 + 4 if purpose == "search" else 0)
    assert seen.refresh().wall(clock.now) == (34 if purpose == "search" else 0)


@pytest.mark.parametrize("wait", [20.0, 200.0])
def test_a_trial_that_waits_for_room_on_a_cluster_uses_no_budget_of_time(wait):
    clock, store, study = scene(time=100.0)
    live = LiveStudy(store, study)
    live.fill(2, 0)
    done, dropped = store.claim(study, "w", FOREVER), store.claim(study, "w", FOREVER)
    clock.now += wait
    ledger = live.refresh()
    assert ledger.wall(clock.now, {0: wait, 1: wait}) == 0.0
    assert spent(ledger, clock.now, (), {0: wait - 99.0, 1: wait}) is None
    assert spent(ledger, clock.now, (), {0: wait - 100.0, 1: wait}) == "time"
    clock.now += 30
    used = replace(PRICE.charge(29.0, 0.0), loading=1.0, waiting=wait)
    assert store.finish(done, Outcome(State.DONE, {"loss": 0.5}, cost=used)).started == 1000.0 + wait
    clock.now += 500
    store.revise(study, Change("cancel", number=dropped.number, cost=Cost(waiting=wait + 530)))  # it never began
    assert live.refresh().wall(clock.now) == 30.0


def test_the_time_after_a_lost_lease_is_nobodys():
    clock, store, study = scene(time=100.0)
    live = LiveStudy(store, study)
    live.fill(1, 0)
    for _ in range(3):
        store.claim(study, "w", 15.0)
        clock.now += 1000
    assert store.claim(study, "w", 15.0) is None  # it was lost in all its attempts
    assert live.refresh().counts[State.FAILED] == 1
    assert live.ledger.wall(clock.now) == 3 * 15.0
