"""How trials are carried to their ends: outcomes, leases, retries, and what is given back to the queue."""

import os
import signal
import threading
import time
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import Clock
from waiting import until

import trimtab as tt
from trimtab.chain.verify import findings
from trimtab.errors import LeaseLost, OverQuota, StorageError
from trimtab.executors import Exit
from trimtab.executors.inline import Inline
from trimtab.executors.local import Local
from trimtab.goals import goals
from trimtab.live import LiveStudy
from trimtab.objective import as_program
from trimtab.outcomes import from_exit, from_tell
from trimtab.records import Change, Cost, Outcome, Proposal, Purpose, Reason, Resources, State, StudySpec
from trimtab.running import claim_ahead
from trimtab.running.claim_ahead import Pace
from trimtab.running.crew import QUICK, Crew
from trimtab.storage.memory import Memory

SPACE = tt.Space(x=tt.Float(0, 1, default=0.5))
LIMITED = Resources(time="2s", memory="1MiB", stall="3s", gpus=2, price=7200)
COST = {"wall": 1.5, "cpu": 1.0, "memory": 2.0**21}


# ------------------------------------------------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("ended", "reason", "text"),
    [
        (Exit(limit=Reason.TIMEOUT, cost=COST), Reason.TIMEOUT, "it ran 1.5 s; the limit is 2 s"),
        (Exit(limit=Reason.MEMORY, cost=COST), Reason.MEMORY, "it used 2 MiB of memory; the limit is 1 MiB"),
        (Exit(limit=Reason.STALL, cost=COST), Reason.STALL, "no report for 3 s"),
        (Exit(signal=signal.SIGSEGV), Reason.ERROR, "the process ended by signal 11 (SIGSEGV)"),
        (Exit(signal=40), Reason.ERROR, "the process ended by signal 40 (unnamed)"),
        (Exit(code=3), Reason.ERROR, "the process ended with exit code 3"),
        (Exit(), Reason.ERROR, "the process closed its connection"),
        (Exit({"state": "failed", "reason": "bad result", "error": "it is NaN"}), Reason.BAD_RESULT, "it is NaN"),
    ],
    ids=str,
)
def test_an_end_without_a_result_has_a_reason(ended, reason, text):
    outcome = from_exit(ended, LIMITED)
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (State.FAILED, reason)
    assert text in outcome.error


@pytest.mark.parametrize(
    "ended",
    [Exit(killed=True), Exit(signal=signal.SIGKILL), Exit(signal=signal.SIGTERM)],
    ids=["by us", "by another", "politely"],
)
def test_a_kill_without_a_reason_gives_the_trial_back(ended):
    assert from_exit(ended, LIMITED) is None


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 8), st.floats(0, 100))
def test_costs_follow_from_the_wall_time(wall, cpu, gpus, price):
    ended = Exit({"state": "done", "metrics": {"loss": 1.0}}, output="said", cost={"wall": wall, "cpu": cpu})
    outcome = from_exit(ended, Resources(gpus=gpus, price=price), ["a note"])
    assert outcome is not None
    assert (outcome.state, outcome.metrics, outcome.output) == (State.DONE, {"loss": 1.0}, "said")
    assert outcome.notes == ("a note",)
    assert outcome.cost.wall == wall
    assert outcome.cost.cpu == cpu
    assert outcome.cost.gpu == wall * gpus
    assert outcome.cost.money == pytest.approx(wall * price / 3600)


def test_what_is_told_is_judged_as_what_is_returned():
    assert from_tell(0.5, None, ["loss"], 2.0).metrics == {"loss": 0.5}
    assert from_tell({"loss": float("nan")}, None, ["loss"], 2.0).reason is Reason.BAD_RESULT
    failed = from_tell(None, "the lab burned down", ["loss"], 2.0)
    assert (failed.state, failed.reason, failed.error) == (State.FAILED, Reason.ERROR, "the lab burned down")
    assert failed.cost.wall == 2.0


# ----------------------------------------------------------------------------------------------------------- crew


class Scene:
    """A study in a memory store, with a crew for an objective."""

    def __init__(self, objective, trials=3, supervised=False, lease=15.0, resources=None, clock=time.time, **spec):
        self.spec = StudySpec("s", SPACE, goals("loss", None), **spec)
        self.store = Memory(clock)
        self.study = self.store.create(self.spec).id
        row = [Proposal({"x": n / 10}, seed=n, purpose=Purpose.SEARCH) for n in range(trials)]
        self.store.enqueue(self.study, row, at=0, seen=self.store.trials(self.study).study.position)
        made, limits = as_program(objective, self.spec), resources or Resources()
        self.executor = Local(2, made, limits) if supervised else Inline(made.load_inline())
        self.crew = Crew(LiveStudy(self.store, self.study), self.executor, limits, lease=lease)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.crew.close()
        snapshot = self.store.trials(self.study)
        events, reports = self.store.events(self.study), self.store.reports(self.study)
        assert findings(snapshot.study, snapshot.trials, reports, events, []) == []

    def claim(self, number=None):
        return self.store.claim(self.study, "here", 15.0, number=number)

    def start(self, number=None):
        trial = self.claim(number)
        self.crew.start(trial)
        return trial

    def ended(self, count=1):
        found = []
        end = time.monotonic() + 300
        while len(found) < count and time.monotonic() < end:
            found += self.crew.poll(0.2)
        return found

    def trial(self, number):
        return self.store.trials(self.study).trials[number]

    def wait_for_report(self):
        end = time.monotonic() + 300
        while not self.store.reports(self.study) and time.monotonic() < end:
            self.crew.poll(0.05)
        assert self.store.reports(self.study)


def hangs(trial):
    trial.report(1, loss=1.0)
    time.sleep(300)


@pytest.mark.parametrize("supervised", [False, True])
def test_results_reports_and_notes_are_recorded(supervised):
    def objective(trial):
        trial.report(1, loss=2.0, speed=3.0)
        trial.note(f"seed {trial.seed}")
        return {"loss": trial.params["x"]}

    with Scene(objective, supervised=supervised) as scene:
        for number in range(3):
            scene.start()
            (trial,) = scene.ended()
            assert (trial.number, trial.state) == (number, State.DONE)
            assert trial.metrics == {"loss": number / 10}
            assert trial.notes == (f"seed {number}",)
            assert trial.cost.wall > 0
        assert scene.crew.running == {}
        kept = scene.store.reports(scene.study)
        assert [(r.number, r.attempt, r.step, r.metrics) for r in kept] == [
            (n, 1, 1.0, {"loss": 2.0, "speed": 3.0}) for n in range(3)
        ]


def test_a_trial_that_failed_by_itself_is_tried_again():
    def objective(trial):
        if trial.attempt <= 2:
            raise ValueError("not yet")
        return 1.0

    with Scene(objective, trials=1, retries=2) as scene:
        for attempt in (1, 2):
            assert scene.start().attempt == attempt
            assert scene.crew.poll(0.0) == []
            assert scene.trial(0).state is State.QUEUED
        scene.start()
        (trial,) = scene.ended()
        assert (trial.state, trial.attempt) == (State.DONE, 3)


def test_lost_workers_and_killed_processes_are_counted_together():
    """Two workers went silent, which is no event; then the trial's own process was killed."""
    clock = Clock()
    with Scene(lambda trial: os.kill(os.getpid(), signal.SIGKILL), supervised=True, clock=clock) as scene:
        for _ in range(2):
            scene.claim(0)
            clock.now += 20.0
        assert scene.start(0).attempt == 3
        (ended,) = scene.ended()
        assert (ended.state, ended.reason) == (State.FAILED, Reason.LOST)


def test_a_clock_that_jumps_takes_no_trial_from_the_process_that_runs_it(tmp_path):
    def waits(trial):
        (tmp_path / f"begun-{trial.number}").touch()
        while not (tmp_path / f"end-{trial.number}").exists():
            time.sleep(0.02)
        return 0.5

    def jump():
        until(lambda: (tmp_path / "begun-0").exists() and (tmp_path / "begun-1").exists())
        clock.now += 7200
        (tmp_path / "end-1").touch()
        until(lambda: study.counts["done"] == 1)
        time.sleep(0.5)  # there is a free slot, and trial 0 looks as if its worker were gone
        (tmp_path / "end-0").touch()

    clock = Clock()
    study = tt.Study("s", SPACE, minimize="loss", storage=Memory(clock), strategy="random", budget={"trials": 2})
    thread = threading.Thread(target=jump)
    thread.start()
    study.run(waits, workers=2, quiet=True)
    thread.join()
    assert [(str(t.state), t.attempt) for t in study.trials] == [("done", 1)] * 2


def test_a_bad_result_is_not_tried_again():
    with Scene(lambda trial: None, trials=1, retries=2) as scene:
        scene.start()
        (trial,) = scene.ended()
        assert (trial.state, trial.reason, trial.attempt) == (State.FAILED, Reason.BAD_RESULT, 1)


@pytest.mark.parametrize("errors", [0, 3])
def test_the_lease_is_renewed_while_an_inline_objective_blocks(errors, caplog):
    """Also after errors of the system; the same one is told once."""
    clock, failing = Clock(), iter([OSError(24, "Too many open files")] * errors)

    def report(*given, **named):
        if (error := next(failing, None)) is not None:
            raise error
        return Memory.report(scene.store, *given, **named)

    def objective(trial):
        for _ in range(3):
            clock.now += 1.0  # most of the lease
            until(lambda: scene.trial(0).lease_until == clock.now + 1.2)
            assert scene.claim() is None
        return 1.0

    with Scene(objective, trials=1, lease=1.2, clock=clock) as scene:
        scene.store.report = report
        scene.crew.start(scene.store.claim(scene.study, "here", 1.2))
        assert scene.ended()[0].state is State.DONE
    said = [r.getMessage().split(": ", 1)[1] for r in caplog.records]
    assert said == ["OSError: [Errno 24] Too many open files; it is tried again"][:errors]


def test_a_trial_that_was_taken_over_is_ended_and_its_result_dropped():
    with Scene(hangs, trials=1, supervised=True, lease=0.3) as scene:
        first = scene.start()
        scene.wait_for_report()
        scene.store.revise(scene.study, Change("requeue", number=0, attempt=1))
        second = scene.claim()
        assert (first.attempt, second.attempt) == (1, 2)
        end = time.monotonic() + 300
        while scene.crew.running and time.monotonic() < end:
            assert scene.crew.poll(0.1) == []
        assert scene.crew.running == {}
        assert scene.trial(0).attempt == 2
        assert scene.store.finish(second, Outcome(State.DONE, {"loss": 1.0})).state is State.DONE


def test_an_inline_objective_is_told_when_its_trial_was_taken_over():
    def objective(trial):
        scene.store.revise(scene.study, Change("requeue", number=0, attempt=1))
        trial.report(1, loss=1.0)
        assert trial.should_stop()
        return 1.0

    with Scene(objective, trials=1) as scene:
        scene.start()
        assert scene.crew.poll(0.0) == []
        assert scene.trial(0).state is State.QUEUED


def test_cancel_ends_the_process_and_leaves_the_record_to_the_caller():
    with Scene(hangs, supervised=True) as scene:
        trial = scene.start()
        scene.wait_for_report()
        scene.crew.cancel(trial.number)
        assert scene.crew.running == {}
        assert scene.crew.poll(0.2) == []
        assert scene.trial(0).state is State.RUNNING
        assert scene.executor.free() == 2


def test_release_gives_running_trials_back_and_keeps_what_has_ended(monkeypatch):
    def objective(trial):
        if trial.number == 1:
            time.sleep(3600)
        return 1.0

    with Scene(objective, supervised=True) as scene:
        scene.start()
        scene.start()
        reap = scene.executor.reap
        monkeypatch.setattr(scene.executor, "reap", lambda wait=0.0: reap(300))  # the first one has ended by then
        scene.crew.release()
        assert scene.crew.running == {}
        assert [scene.trial(n).state for n in range(2)] == [State.DONE, State.QUEUED]
        assert scene.executor.free() == 2


class EndsMeanwhile:
    """An executor with two jobs: the second ends while the first is killed."""

    def __init__(self):
        self.jobs, self.ends = [], []

    def free(self):
        return 2 - len(self.jobs)

    def launch(self, job):
        self.jobs.append(job)

    def reap(self, wait=0.0):
        ends, self.ends = self.ends, []
        return ends

    def kill(self, job):
        if job is self.jobs[0]:
            self.ends.append((job, Exit(killed=True)))
            self.ends.append((self.jobs[1], Exit({"state": "done", "metrics": {"loss": 1.0}}, cost={"wall": 1.0})))

    def close(self):
        self.jobs = []


class EndTogether:
    """An executor whose jobs end all at once, each as given."""

    def __init__(self, exits):
        self.exits, self.jobs = exits, []

    def free(self):
        return len(self.exits) - len(self.jobs)

    def launch(self, job):
        self.jobs.append(job)

    def reap(self, wait=0.0):
        ended = [*zip(self.jobs, self.exits, strict=True)]
        self.jobs = self.exits = []
        return ended

    def close(self):
        pass


@pytest.mark.parametrize("order", ["d", "n", "dn", "nd", "dnnn", "nnnd", "nndnn"])
def test_results_are_kept_however_many_checkpoints_have_no_room_at_the_same_time(order):
    ends = {
        "d": Exit({"state": "done", "metrics": {"loss": 1.0}}, cost={"wall": 1.0}),
        "n": Exit({"state": "no room", "folder": "/full", "error": "no space"}, cost={"wall": 1.0}),
    }
    with Scene(lambda trial: 1.0, trials=len(order)) as scene:
        executor = EndTogether([ends[kind] for kind in order])
        scene.crew = Crew(LiveStudy(scene.store, scene.study), executor, Resources())
        for _ in order:
            scene.start()
        with pytest.raises(OverQuota, match="/full have no room") if "n" in order else nullcontext():
            scene.crew.poll(0.0)
        scene.crew.release()
        assert [scene.trial(n).state for n in range(len(order))] == [
            State.DONE if kind == "d" else State.QUEUED for kind in order
        ]
        assert scene.crew.running == {}


def test_release_keeps_the_result_of_a_trial_that_ends_while_another_is_killed():
    with Scene(lambda trial: 1.0) as scene:
        scene.crew = Crew(LiveStudy(scene.store, scene.study), EndsMeanwhile(), Resources())
        scene.start()
        scene.start()
        scene.crew.release()
        assert scene.crew.running == {}
        assert [scene.trial(n).state for n in range(2)] == [State.QUEUED, State.DONE]
        assert scene.trial(1).metrics == {"loss": 1.0}


def test_a_result_is_kept_that_comes_as_the_store_fails_another_trial(monkeypatch):
    def refused(*_, **__):
        raise StorageError("the server is away")

    with Scene(lambda trial: 1.0) as scene:
        place = EndsMeanwhile()
        scene.crew = Crew(LiveStudy(scene.store, scene.study), place, Resources())
        scene.start()
        scene.start()
        with monkeypatch.context() as patch:
            patch.setattr(scene.store, "report", refused)
            assert place.jobs[0].listen({"kind": "report", "step": 1.0, "metrics": {"loss": 1.0}}) == {"stop": False}
            time.sleep(QUICK)
            assert place.jobs[0].listen({"kind": "report", "step": 2.0, "metrics": {"loss": 1.0}}) == {"stop": True}
            place.ends.append((place.jobs[1], Exit({"state": "done", "metrics": {"loss": 1.0}}, cost={"wall": 1.0})))
            with pytest.raises(StorageError):
                scene.crew.poll(0.0)
        scene.crew.release()
        assert [scene.trial(n).state for n in range(2)] == [State.QUEUED, State.DONE]


def two_end(scene):
    """Two trials start and end; their results are not yet recorded."""
    scene.start()
    scene.start()
    until(lambda: scene.crew.collect(0.1) or scene.crew.unrecorded == 2)


def test_results_that_could_not_be_recorded_are_recorded_when_the_store_is_back(monkeypatch):
    def refused(*_):
        raise StorageError("the server is away")

    with Scene(lambda trial: 1.0, supervised=True) as scene:
        two_end(scene)
        with monkeypatch.context() as patch:
            patch.setattr(scene.store, "finish", refused)
            with pytest.raises(StorageError):
                scene.crew.poll(0.0)
        scene.crew.release()
        assert [scene.trial(n).state for n in range(2)] == [State.DONE, State.DONE]


def test_results_after_the_one_whose_recording_was_interrupted_are_recorded_on_release(monkeypatch):
    def interrupted(*given):
        finish(*given)
        raise KeyboardInterrupt

    with Scene(lambda trial: 1.0, supervised=True) as scene:
        finish = scene.store.finish
        two_end(scene)
        with monkeypatch.context() as patch:
            patch.setattr(scene.store, "finish", interrupted)
            with pytest.raises(KeyboardInterrupt):
                scene.crew.poll(0.0)
        scene.crew.release()
        assert [scene.trial(n).state for n in range(2)] == [State.DONE, State.DONE]
        assert not any(e.kind == "late" for e in scene.store.events(scene.study))


def test_ctrl_c_in_an_inline_objective_gives_its_trial_back_each_time():
    def objective(trial):
        raise KeyboardInterrupt

    with Scene(objective, trials=1) as scene:
        for attempt in range(1, 6):  # more often than a trial may be lost
            trial = scene.claim()
            assert trial.attempt == attempt
            with pytest.raises(KeyboardInterrupt):
                scene.crew.start(trial)
            scene.crew.release()
            assert scene.trial(0).state is State.QUEUED


class Full(Memory):
    """A store whose disk is full after `good` reports."""

    good = 1

    def report(self, trial, reports, lease, since=0):
        self.good -= len(reports)
        if self.good < 0:
            raise StorageError("the disk is full; free some space")
        return super().report(trial, reports, lease, since)


def test_a_store_that_fails_is_not_the_objective_s_fault(monkeypatch):
    def objective(trial):
        for step in range(3):
            trial.report(step, loss=1.0)
        return 1.0

    monkeypatch.setattr(f"{__name__}.Memory", Full)
    monkeypatch.setattr("trimtab.running.crew.QUICK", 0.0)  # each report is written when it is made
    with Scene(objective, trials=1) as scene:
        scene.start()
        with pytest.raises(StorageError, match="the disk is full"):
            scene.crew.poll(0.0)
        scene.crew.release()
        assert scene.trial(0).state is State.QUEUED


def test_a_finished_trial_is_not_finished_again():
    with Scene(lambda trial: 1.0, trials=1) as scene:
        trial = scene.start()
        (ended,) = scene.ended()
        with pytest.raises(LeaseLost):
            scene.store.finish(trial, Outcome(State.DONE, {"loss": 2.0}))
        assert scene.trial(0).metrics == ended.metrics == {"loss": 1.0}


@pytest.fixture
def busy(monkeypatch):
    """A crew whose two slots are busy after eight short trials: there is room for one more, which is claimed ahead."""
    monkeypatch.setattr(claim_ahead, "SHORT", 60.0)

    def hangs_late(trial):
        if trial.number >= 8 and trial.attempt == 1:
            time.sleep(300)
        return 0.5

    with Scene(hangs_late, trials=12, supervised=True, lease=3600.0) as s:  # nothing is given back for being stuck
        for n in range(8):
            assert s.crew.room() == 2 - len(s.crew.running)
            s.start(n)
            assert len(s.ended()) == 1
        assert s.crew.room() == 3
        for n in (8, 9, 10):
            s.start(n)
        assert s.crew.room() == 0
        assert sorted(s.crew.running) == [8, 9, 10]
        yield s


def test_a_trial_that_was_claimed_ahead_starts_as_soon_as_a_slot_is_free(busy):
    busy.crew.cancel(8)
    busy.store.revise(busy.study, Change("cancel", number=8))
    assert busy.crew.poll(0.0) == []
    assert busy.executor.free() == 0
    assert busy.crew.room() <= 1
    busy.crew.release()
    states = [t.state for t in busy.store.trials(busy.study).trials if t.number >= 8]
    assert states == [State.CANCELLED, State.QUEUED, State.QUEUED, State.QUEUED]


def test_a_trial_that_was_claimed_ahead_can_be_cancelled_or_given_back(busy):
    assert busy.crew.cancel(10) == Cost()
    busy.store.revise(busy.study, Change("cancel", number=10))
    assert sorted(busy.crew.running) == [8, 9]
    busy.start(11)
    assert sorted(busy.crew.running) == [8, 9, 11]
    busy.crew.release()
    assert busy.crew.running == {}
    states = [t.state for t in busy.store.trials(busy.study).trials if t.number >= 8]
    assert states == [State.QUEUED, State.QUEUED, State.CANCELLED, State.QUEUED]


# ------------------------------------------------------------------------------------------------ very short trials


def test_what_a_long_trial_keeps_waiting_is_recorded_and_given_back(monkeypatch):
    monkeypatch.setattr(claim_ahead, "STUCK", 3600.0)
    after, long = threading.Event(), threading.Event()

    def objective(trial):
        if trial.number == 2:
            long.set()
            assert after.wait(240)
        return 0.5

    with Scene(objective, trials=6, lease=0.9) as scene:
        for _ in range(6):
            scene.start()

        def collects():
            while not long.is_set():
                scene.crew.collect(0.0)

        main = threading.Thread(target=collects)
        main.start()
        assert long.wait(240)
        monkeypatch.setattr(claim_ahead, "STUCK", 0.0)
        expected = ["done", "done", "running", "queued", "queued", "queued"]
        until(lambda: [str(t.state) for t in scene.store.trials(scene.study).trials] == expected)
        after.set()
        main.join()
        (last,) = scene.ended()
        assert (last.number, last.state) == (2, State.DONE)
        assert scene.crew.running == {}


@pytest.mark.parametrize(
    ("walls", "slots", "stock", "ahead"),
    [
        ([], 1, 32, 0),
        ([0.0005], 1, 32, 8),  # fewer while few are known
        ([0.0005] * 8, 1, 32, 32),
        ([0.004] * 8, 1, 32, 12),
        ([0.0005], 1, 4, 4),
        ([0.0005] * 8, 1, 0, 0),
        ([0.01], 1, 32, 0),
        ([0.01] * 7, 2, 32, 0),
        ([0.01] * 8, 2, 32, 1),
        ([0.01] * 8, 1, 32, 0),
        ([0.01] * 8 + [0.2], 2, 32, 0),
    ],
)
def test_so_many_very_short_trials_are_claimed_ahead_as_fill_a_transaction(walls, slots, stock, ahead):
    pace = Pace()
    for wall in walls:
        pace.add(wall)
    assert pace.ahead(slots, stock) == ahead
