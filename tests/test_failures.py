"""What becomes of a run whose trials fail: after how many in a row it stops, and which mistakes it tells at once."""

import os
import signal
import time

import psutil
import pytest
from waiting import until

import trimtab as tt
from trimtab.errors import ObjectiveError, RunFailed
from trimtab.running import runner, staffing


def test_max_failures_in_a_row_stop_the_run_and_a_new_run_tries_again(space, url):
    def broken(trial):
        raise ValueError("no data")

    study = tt.Study("s", space, minimize="loss", storage=url, max_failures=4)
    for total in (4, 8):
        with pytest.raises(RunFailed, match=r"4 trials failed in a row.*no data.*start over with fresh=True"):
            study.run(broken, trials=50, quiet=True)
        assert study.counts["failed"] == total
    study.run(lambda trial: 1.0, trials=9, quiet=True)
    with pytest.raises(RunFailed, match=r"no data.*run the same line again"):
        study.run(broken, trials=50, quiet=True)


def test_a_single_failure_is_told_in_the_singular(space):
    def broken(trial):
        raise ValueError("no data")

    study = tt.Study("s", space, minimize="loss", max_failures=1)
    with pytest.raises(RunFailed, match=r"1 trial failed in a row"):
        study.run(broken, trials=5, quiet=True)
    assert repr(study).startswith("<Study 's' (open): 1 trial, ")


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ({"acc": 0.5}, r"auc.*acc"),
        ((0.5, 0.7), r"\(0\.5, 0\.7\) \(tuple\)"),
        ({"auc": "0.5"}, "auc='0.5' .*real number"),
    ],
)
def test_an_objective_that_never_returns_the_goal_is_told_so(space, returned, said):
    study = tt.Study("s", space, maximize="auc", seed=1)
    with pytest.raises(ObjectiveError, match=said + r".*in each of the first 3 trials.*start over with fresh=True"):
        study.run(lambda trial: returned, trials=50, quiet=True)
    assert study.counts["failed"] == 3


def test_an_objective_that_diverges_at_first_goes_on(space):
    study = tt.Study("s", space, maximize="auc", seed=1)
    study.run(lambda trial: float("nan") if trial.number < 5 else 0.5, trials=7, quiet=True)
    assert (study.counts["failed"], study.counts["done"]) == (5, 2)


def test_retries_give_a_trial_another_chance(space):
    attempts = []

    def flaky(trial):
        attempts.append((trial.number, trial.attempt))
        if trial.attempt == 1:
            raise RuntimeError("network")
        return 1.0

    study = tt.Study("s", space, minimize="loss", retries=1)
    study.run(flaky, trials=2, quiet=True)
    assert attempts == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert study.counts["done"] == 2


def test_processes_that_are_told_to_end_with_their_run_are_no_lost_attempts(space, tmp_path):
    """As where a job scheduler sends SIGTERM to all processes of a job: the trial's process ends first."""
    pid = tmp_path / "pid"

    def objective(trial):
        (tmp_path / "new").write_text(str(os.getpid()))
        (tmp_path / "new").rename(pid)
        time.sleep(300)

    def watch(ledger):
        if pid.exists():
            process = psutil.Process(int(pid.read_text()))
            process.terminate()
            until(lambda: process.status() == psutil.STATUS_ZOMBIE)
            raise KeyboardInterrupt(signal.SIGTERM)

    study = tt.Study("s", space, maximize="auc")
    with staffing.hired(study._live, objective, staffing.Slots(supervised=True), quiet=True) as crew:
        crew.watch = watch
        with pytest.raises(KeyboardInterrupt):
            runner.search(crew, runner.Terms(trials=20))
    (event,) = study.storage.events(study.record.id, kinds={"requeue"})
    assert event.body["why"] == "interrupted"


def test_unlimited_failures_are_none(space):
    def broken(trial):
        raise ValueError

    study = tt.Study("s", space, minimize="loss", max_failures=None)
    study.run(broken, trials=25, quiet=True)
    assert study.counts["failed"] == 25


def test_a_run_that_fails_says_so_though_another_trial_succeeds_at_that_moment(space, tmp_path):
    """Trial 0 ends well after the plan has closed for failures, and before the run gives back what is running."""
    go = tmp_path / "go"

    def objective(trial):
        if trial.number:
            raise ValueError("no data")
        while not go.exists():
            time.sleep(0.01)
        return 1.0

    def watch(ledger):
        if len(ledger.failures_in_a_row(0)) == 3:
            go.touch()
            until(lambda: crew.collect(0.1) or crew.unrecorded == 1)

    study = tt.Study("s", space, maximize="auc", max_failures=3)
    with staffing.hired(study._live, objective, staffing.Slots(2), quiet=True) as crew:
        crew.watch = watch
        with pytest.raises(RunFailed, match="3 trials failed in a row"):
            runner.search(crew, runner.Terms(trials=20))
    assert (study.counts["done"], study.counts["failed"]) == (1, 3)
