"""Whatever an objective does, its trial ends with a reason, nothing is left behind, and the study goes on."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from waiting import until

import trimtab as tt
from trimtab.executors import supervised

X = tt.Space(x=tt.Float(0, 1, default=0.5))
MIB = 2**20


def raises(trial):
    raise ValueError("no such column: age")


def exits(trial):
    sys.exit(0)


def leaves(trial):
    os._exit(3)


def crashes(trial):
    ctypes.string_at(0)


def recurses(trial):
    return recurses(trial)


def fills_memory(trial):
    block = bytearray(700 * MIB)
    time.sleep(30)
    return float(len(block))


def hangs(trial):
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    time.sleep(300)


def falls_silent(trial):
    trial.report(1, loss=1.0)
    time.sleep(300)


def interrupts(trial):
    raise KeyboardInterrupt


WAYS = {
    "raises": (raises, None, "error", "ValueError: no such column: age"),
    "exits": (exits, None, "error", "sys.exit"),
    "leaves": (leaves, None, "error", "exit code 3"),
    "crashes": (crashes, None, "error", "SIGSEGV"),
    "recurses": (recurses, None, "error", "RecursionError"),
    "interrupts": (interrupts, None, "error", "KeyboardInterrupt"),
    "fills memory": (fills_memory, tt.Resources(memory="400MiB"), "memory", "the limit is 400 MiB"),
    "hangs": (hangs, tt.Resources(time="4s"), "timeout", "the limit is 4 s"),
    "falls silent": (falls_silent, tt.Resources(stall="2s"), "stall", "no report for 2 s"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_end_is_a_failed_trial_with_a_reason(way, url):
    objective, limits, reason, text = WAYS[way]
    before = set(psutil.Process().children(recursive=True))

    def sometimes(trial):
        return objective(trial) if trial.number == 1 else trial.params["x"]

    study = tt.Study("s", X, minimize="loss", storage=url, seed=1)
    study.run(sometimes, trials=3, supervised=True, resources=limits, quiet=True)
    bad = study.trials[1]
    assert (bad.state, bad.reason) == ("failed", reason)
    assert text in bad.error
    assert [str(t.state) for t in study.trials] == ["done", "failed", "done"]
    until(lambda: set(psutil.Process().children(recursive=True)) <= before)  # one that is ending may still be listed
    assert study.verify() == []


def fork_returns():
    return -1.0


def fork_raises():
    raise ValueError("in the fork")


@pytest.mark.parametrize("supervised", [True, False])
@pytest.mark.parametrize(("leave", "status"), [(fork_returns, 0), (fork_raises, 1), (lambda: sys.exit(3), 3)])
def test_a_fork_that_leaves_the_objective_ends_and_answers_for_no_trial(leave, status, supervised, capfd):
    def forks(trial):
        pid = os.fork()
        return leave() if pid == 0 else os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    study = tt.Study("s", X, minimize="loss", seed=1)
    study.run(forks, trials=3, supervised=supervised, quiet=True)
    assert [t.metrics for t in study.trials] == [{"loss": status}] * 3
    shown = study.trials[2].output if supervised else capfd.readouterr().err
    assert ("ValueError: in the fork" in shown) == (leave is fork_raises)


def test_forked_processes_may_report_while_their_trial_runs_and_to_no_other():
    def reports(trial, steps):
        for step in steps:
            trial.report(step, loss=float(trial.number))

    def forks(trial):
        fork = multiprocessing.get_context("fork").Process
        ranks = [fork(target=reports, args=(trial, range(k, 200, 4))) for k in range(3)]
        for rank in ranks:
            rank.start()
        reports(trial, range(3, 200, 4))
        for rank in ranks:
            rank.join()
        fork(target=reports, args=(trial, range(1000, 100_000)), daemon=True).start()  # outlives the trial
        return 1.0

    study = tt.Study("s", X, minimize="loss", seed=1)
    study.run(forks, trials=3, supervised=True, quiet=True, resources=tt.Resources(time="60s"))
    assert [str(t.state) for t in study.trials] == ["done"] * 3
    found = study.storage.reports(study.record.id)
    assert len([r for r in found if r.step < 200]) == 600
    assert all(r.metrics == {"loss": float(r.number)} for r in found)


def test_what_a_trial_writes_is_captured_and_a_flood_is_cut():
    def talks(trial):
        if trial.number == 1:
            sys.stdout.write("x" * 10_000_000)
            while os.fstat(1).st_size != supervised.KEPT:  # what is written while the file is cut back is lost
                time.sleep(0.05)
        sys.stdout.write(f"trial {trial.number} says hello\n")
        sys.stderr.write("and complains\n")
        return 1.0

    study = tt.Study("s", X, minimize="loss", seed=1)
    study.run(talks, trials=3, supervised=True, quiet=True)
    assert study.trials[0].output.splitlines() == ["trial 0 says hello", "and complains"]
    assert len(study.trials[1].output) < 70_000
    assert study.trials[1].output.endswith("and complains\n")
    assert study.trials[2].output.splitlines()[0] == "trial 2 says hello"


def test_of_a_progress_bar_only_the_last_state_is_kept():
    def trains(trial):
        sys.stdout.write("a column is constant\n")
        for epoch in range(3):
            for step in range(2001):
                sys.stderr.write(f"\repoch {epoch}: {step} of 2000 {'#' * (step // 40)}")
            sys.stderr.write("\n")
        sys.stdout.write("saved\r\n")
        return 1.0

    study = tt.Study("s", X, minimize="loss", seed=1)
    study.run(trains, trials=1, supervised=True, quiet=True)
    bars = [f"epoch {epoch}: 2000 of 2000 {'#' * 50}" for epoch in range(3)]
    assert study.trials[0].output.splitlines() == ["a column is constant", *bars, "saved"]


def test_sigkill_from_outside_puts_the_trial_back_and_three_times_is_lost():
    def killed(trial):
        if trial.number == 1 or (trial.number == 0 and trial.attempt == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0

    study = tt.Study("s", X, minimize="loss", seed=1)
    study.run(killed, trials=3, supervised=True, quiet=True)
    first, second, third = study.trials
    assert (first.state, first.attempt) == ("done", 2)
    assert (second.state, second.reason, second.attempt) == ("failed", "lost", 3)
    assert third.state == "done"


def test_a_machine_that_can_start_no_process_costs_the_study_no_trial(url, monkeypatch):
    study = tt.Study("s", X, minimize="loss", storage=url, seed=1, budget=tt.Budget(trials=4))
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/no/such/python")
        with pytest.raises(tt.errors.RunFailed, match="no worker process can be started here"):
            study.run(lambda trial: 1.0, workers=2, quiet=True)
    assert {str(t.state) for t in study.trials} == {"queued"}
    study.run(lambda trial: 1.0, workers=2, quiet=True)
    assert [str(t.state) for t in study.trials] == ["done"] * 4
    assert study.verify() == []


def test_threads_of_numeric_libraries_are_capped_to_the_slot():
    def threads(trial):
        return sum(float(os.environ[f"{library}_THREADS"]) for library in ("OMP_NUM", "OPENBLAS_NUM", "RAYON_NUM"))

    study = tt.Study("s", X, minimize="loss", seed=1)
    study.run(threads, trials=1, resources=tt.Resources(cpus=2), supervised=True, quiet=True)
    assert study.best.metrics == {"loss": 6.0}


def test_workers_are_kept_and_used_again():
    study = tt.Study("s", X, minimize="loss", seed=1)
    study.run(lambda trial: float(os.getpid()), trials=8, workers=2, quiet=True)
    assert len({t.metrics["loss"] for t in study.trials}) == 2


def test_costs_are_measured():
    def busy(trial):
        block = bytearray(64 * MIB)
        end = time.process_time() + 0.3
        while time.process_time() < end:
            block[0] ^= 1
        return 1.0

    study = tt.Study("s", X, minimize="loss", seed=1)
    study.run(busy, trials=2, supervised=True, resources=tt.Resources(price=3600), quiet=True)
    cost = study.trials[1].cost
    assert cost.cpu >= 0.3
    assert cost.wall >= 0.3
    assert cost.memory >= 64 * MIB
    assert cost.money == pytest.approx(cost.wall)


def test_a_budget_of_time_cancels_what_is_running():
    study = tt.Study("s", X, minimize="loss", seed=1, budget=tt.Budget(time="1s"))
    study.run(lambda trial: time.sleep(3600), supervised=True, quiet=True)
    (trial,) = study.trials
    assert trial.state == "cancelled"
    assert trial.cost.wall > 0  # what it had used is charged
    assert study.record.spent.wall == trial.cost.wall


def test_reports_and_notes_of_a_supervised_trial_are_kept(url):
    def reporting(trial):
        for step in range(3):
            trial.report(step, loss=1.0 / (step + 1), accuracy=step / 2)
        trial.note("two of three features were constant")
        return trial.params["x"]

    study = tt.Study("s", X, minimize="loss", seed=1, storage=url)
    study.run(reporting, trials=1, supervised=True, quiet=True)
    reports = study.storage.reports(study.record.id)
    assert [(r.step, r.metrics["accuracy"]) for r in reports] == [(0, 0.0), (1, 0.5), (2, 1.0)]
    assert study.trials[0].notes == ("two of three features were constant",)
    assert study.verify() == []


def test_what_an_objective_captures_is_in_a_workers_memory_once():
    def resident(size):
        held = os.urandom(size)

        def objective(trial):
            return psutil.Process().memory_info().rss + len(held[:0])

        study = tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="bytes")
        study.run(objective, trials=1, supervised=True, quiet=True)
        return study.trials[0].metrics["bytes"]

    size = 200 * MIB
    assert 0.9 * size < resident(size) - resident(1) < 1.3 * size
