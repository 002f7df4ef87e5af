"""Every store under many hands: threads at once, and workers that crash, sleep and come back late, against a model."""

import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from stores import DONE, SPEC, STORES, Clock, proposal, verify
from threads import at_once

from trimtab.errors import BudgetSpent, LeaseLost, Stale
from trimtab.records import OPEN, Budget, Change, Report, State
from trimtab.storage import MAX_ATTEMPTS, Claim, Ending


@pytest.mark.parametrize("name", sorted(STORES))
def test_threads_end_every_trial_exactly_once(name, tmp_path):
    store = STORES[name](tmp_path, Clock())
    study = store.create(replace(SPEC, budget=Budget(trials=40))).id
    finished = []

    def work():
        while True:
            t = store.claim(study, "w", 1e6)
            if t is not None:
                store.report(t, [Report(t.number, t.attempt, 1.0, {"loss": 1.0}, 0.0)], 1e6, since=None)
                finished.append(store.finish(t, DONE).number)
                continue
            record = store.trials(study).study
            try:
                store.enqueue(study, [proposal(), proposal()], at=record.count, seen=record.position)
            except Stale:
                continue
            except BudgetSpent:
                return

    assert at_once(*[work] * 6) == []
    assert sorted(finished) == list(range(40))
    assert [e.position for e in store.events(study)] == list(range(1, 62))
    assert verify(store, study) == []
    store.close()


@pytest.mark.parametrize("seed", range(3))
def test_who_reads_seldom_sees_the_same_as_who_reads_often(store, study, clock, seed):
    draw, since, seen, held = random.Random(seed), [0, 0, 0], [{}, {}, {}], []

    def act():
        record = store.study(study)
        match draw.choice(["enqueue", "enqueue", "claim", "claim", "finish", "requeue", "renew", "cancel"]):
            case "enqueue":
                many = [proposal(record.count + i) for i in range(draw.randrange(1, 4))]
                store.enqueue(study, many, at=record.count, seen=record.position)
            case "claim":
                held.extend([t] if (t := store.claim(study, "w", 50.0)) is not None else [])
            case "finish" if held:
                ended = Ending(held.pop(draw.randrange(len(held))), DONE, ())
                store.settle(study, [ended], since[0], lambda changes: ([], Claim("w", 50.0, draw.randrange(2))))
            case "requeue" if held:
                t = held.pop()
                store.revise(study, Change("requeue", number=t.number, attempt=t.attempt))
            case "renew" if held:
                store.report(held[0], [], 50.0)
            case "cancel" if waiting := [t for t in store.page(study, 0, record.count) if t.state == "queued"]:
                store.revise(study, Change("cancel", number=draw.choice(waiting).number))

    for _ in range(150):
        clock.now += 0.01
        act()
        for reader, often in enumerate([0.7, 0.2, 0.03]):
            if draw.random() < often:
                found = store.trials(study, since[reader])
                since[reader] = found.study.position
                ended = {n: t for n, t in seen[reader].items() if t.state not in OPEN}
                seen[reader] = {**ended, **{t.number: t for t in found.trials}}
                assert [t for _, t in sorted(seen[reader].items())] == store.page(study, 0, found.study.count)


class Crowd(RuleBasedStateMachine):
    """Workers that claim, report, crash and come back late, against a model of what may be true."""

    open_store: Callable

    @initialize()
    def begin(self):
        self.folder = tempfile.mkdtemp()
        self.clock = Clock()
        self.store = type(self).open_store(self.folder, self.clock)
        self.study = self.store.create(replace(SPEC, budget=Budget(trials=6))).id
        self.state: dict[int, str] = {}
        self.attempt: dict[int, int] = {}
        self.given_back: dict[int, int] = {}  # attempts that no worker was lost in
        self.until: dict[int, float] = {}
        self.held: list = []  # all trials ever handed out, also to workers that have crashed since
        self.paused = False

    def teardown(self):
        if hasattr(self, "store"):
            assert verify(self.store, self.study) == []
            self.store.close()
            shutil.rmtree(self.folder)

    def holds(self, t):
        return self.state[t.number] == "running" and self.attempt[t.number] == t.attempt

    @rule(n=st.integers(1, 3), behind=st.booleans())
    def enqueue(self, n, behind):
        at = len(self.state) - behind
        room = n + sum(s != "cancelled" for s in self.state.values()) <= 6
        if behind or not room:
            with pytest.raises(Stale if behind else BudgetSpent):
                self.store.enqueue(self.study, [proposal(i) for i in range(n)], at=at, seen=1)
            return
        for t in self.store.enqueue(self.study, [proposal(i) for i in range(n)], at=at, seen=1):
            self.state[t.number], self.attempt[t.number], self.given_back[t.number] = "queued", 0, 0

    @rule(lease=st.sampled_from([5.0, 20.0]))
    def claim(self, lease):
        t = self.store.claim(self.study, "w", lease)
        expected = None
        for number in [] if self.paused else sorted(self.state):
            silent = self.state[number] == "running" and self.until[number] <= self.clock.now
            if silent and self.attempt[number] - self.given_back[number] >= MAX_ATTEMPTS:
                self.state[number] = "failed"
            elif silent or self.state[number] == "queued":
                expected = number
                break
        assert (None if t is None else t.number) == expected
        if t is not None:
            self.attempt[t.number] += 1
            self.state[t.number], self.until[t.number] = "running", self.clock.now + lease
            assert t.attempt == self.attempt[t.number]
            self.held.append(t)

    @rule(seconds=st.sampled_from([1.0, 6.0, 25.0]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @precondition(lambda self: self.held)
    @rule(data=st.data(), step=st.integers(0, 3))
    def report(self, data, step):
        t = data.draw(st.sampled_from(self.held))
        made = [Report(t.number, t.attempt, step, {"loss": float(step)}, self.clock.now)]
        if self.holds(t):
            assert self.store.report(t, made, 20.0)[-1] == made[0]
            self.until[t.number] = self.clock.now + 20.0
        else:
            with pytest.raises(LeaseLost):
                self.store.report(t, made, 20.0)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), state=st.sampled_from([State.DONE, State.STOPPED, State.FAILED]))
    def finish(self, data, state):
        t = data.draw(st.sampled_from(self.held))
        if self.holds(t):
            self.store.finish(t, replace(DONE, state=state, output="o"))
            self.state[t.number] = str(state)
        else:
            with pytest.raises(LeaseLost):
                self.store.finish(t, DONE)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def requeue(self, data):
        t = data.draw(st.sampled_from(self.held))
        change = Change("requeue", number=t.number, attempt=t.attempt)
        if self.holds(t):
            self.store.revise(self.study, change)
            self.state[t.number] = "queued"
            self.given_back[t.number] += 1
        else:
            with pytest.raises(Stale):
                self.store.revise(self.study, change)

    @precondition(lambda self: self.state)
    @rule(data=st.data(), kind=st.sampled_from(["cancel", "note"]))
    def touch(self, data, kind):
        number = data.draw(st.sampled_from(sorted(self.state)))
        change = Change(kind, number=number, text="seen")
        if kind == "note" or self.state[number] in OPEN:
            self.store.revise(self.study, change)
            self.state[number] = "cancelled" if kind == "cancel" else self.state[number]
        else:
            with pytest.raises(Stale):
                self.store.revise(self.study, change)

    @rule()
    def pause_or_resume(self):
        self.store.revise(self.study, Change("resume" if self.paused else "pause"))
        self.paused = not self.paused

    @invariant()
    def the_store_agrees(self):
        if hasattr(self, "store"):
            seen = self.store.trials(self.study)
            assert {t.number: str(t.state) for t in seen.trials} == self.state
            assert {t.number: t.attempt for t in seen.trials} == self.attempt
            since = seen.study.position // 2
            later = [t for t in seen.trials if t.revision > since or t.state in OPEN]
            assert list(self.store.trials(self.study, since).trials) == later


@pytest.mark.parametrize("name", sorted(STORES))
def test_any_interleaving_of_crashing_workers(name):
    machine = type(f"Crowd_{name}", (Crowd,), {"open_store": staticmethod(STORES[name])})
    case = machine.TestCase
    case.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
    case("runTest").runTest()
    assert issubclass(machine, Crowd)
