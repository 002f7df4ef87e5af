"""Several at once: threads, processes and people on one study; nothing is counted twice, and nobody waits in vain."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing, suppress

import pytest
from stores import Clock
from threads import at_once
from waiting import until

import trimtab as tt
from trimtab.errors import BudgetSpent, LeaseLost, SpecError
from trimtab.live import LiveStudy
from trimtab.storage.sql import Sql

X = tt.Space(x=tt.Float(0, 1, default=0.5))


def opened(store, **how):
    return tt.Study("s", X, **{"minimize": "loss", "seed": 1, "strategy": "random", **how}, storage=store)


def noisy(trial):
    return trial.params["x"] + trial.seed % 100 / 1e4


def kinds(study):
    return [e.kind for e in study.storage.events(study.record.id)]


def test_threads_ask_and_tell_one_study(url):
    study = opened(url, budget=tt.Budget(trials=40))

    def work():
        while True:
            trial = study.ask()
            study.tell(trial, trial.params["x"])

    raised = at_once(*[work] * 4)
    assert {type(e) for e in raised} == {BudgetSpent}
    assert study.counts["done"] == 40
    assert len({t.params["x"] for t in study.trials}) == 40
    assert study.replay().holds
    assert study.verify() == []


def test_threads_run_one_study(url):
    study = opened(url)
    assert at_once(*[lambda: study.run(noisy, trials=30, quiet=True)] * 3) == []
    assert study.counts["done"] == 30
    assert study.verify() == []


def test_threads_that_plan_at_the_same_moment_start_no_trial_too_many():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads take turns within a plan
    try:
        for _ in range(12):
            study = opened(None)
            assert at_once(*[lambda s=study: s.run(noisy, trials=20, quiet=True)] * 3) == []
            assert study.counts["done"] == 20
    finally:
        sys.setswitchinterval(before)


def test_a_decision_that_knew_of_fewer_trials_adds_none(url):
    study = opened(url)
    live = LiveStudy(study.storage, study.record.id)
    study.ask()
    live.refresh()
    assert live.fill(1, at=0) == []
    assert len(study.trials) == 1


def test_a_result_after_the_lease_was_taken_over_is_kept_and_not_counted(url):
    study = opened(url)
    first = study.ask(lease=0.01)
    time.sleep(0.05)
    second = study.ask()
    assert (second.number, second.attempt) == (first.number, 2)
    for _ in range(2):
        with pytest.raises(LeaseLost):
            study.tell(first, 0.25)
    assert study.tell(second, 0.75).metrics == {"loss": 0.75}
    assert study.best.metrics == {"loss": 0.75}
    assert 1 <= kinds(study).count("late") <= 2
    with pytest.raises(SpecError, match="is done"):
        study.tell(second, 0.5)
    assert study.verify() == []


def test_a_lease_that_ran_out_is_no_loss_while_nobody_took_the_trial(url):
    study = opened(url)
    trial = study.ask(lease=0.01)
    time.sleep(0.05)
    assert study.tell(trial, 0.5).state == "done"


def test_a_run_does_not_wait_for_what_was_asked_without_a_lease(url):
    study = opened(url)
    asked = study.ask()
    study.run(noisy, trials=4, quiet=True)
    assert (study.counts["done"], study.counts["running"]) == (3, 1)
    study.tell(asked, 0.5)
    assert study.counts["done"] == 4


def test_wishes_do_not_run_beyond_the_trials_of_the_call(url):
    study = opened(url)
    for i in range(6):
        study.enqueue({"x": i / 10})
    study.run(noisy, trials=3, workers=3, quiet=True)
    assert (study.counts["done"], study.counts["queued"]) == (3, 4)
    assert len({t.seed for t in study.trials}) == 7


def test_two_who_want_the_same_evidence_share_its_runs(url):
    study = opened(url)
    study.run(noisy, trials=5, quiet=True)
    found = []
    work = lambda: found.append(tt.Study("s", storage=url).evidence(noisy, replicates=4, quiet=True))  # noqa: E731
    assert at_once(*[work] * 3) == []
    assert found[0] == found[1] == found[2]
    assert [str(t.purpose) for t in study.trials].count("certify") == 8
    assert study.verify() == []


def test_evidence_leaves_others_evidence_alone(url):
    study = opened(url)
    study.run(noisy, trials=5, quiet=True)

    def breaks_off(trial):
        if trial.purpose == "certify":
            raise KeyboardInterrupt
        return noisy(trial)

    with pytest.raises(KeyboardInterrupt):
        study.evidence(breaks_off, replicates=4, tuned=1, quiet=True)
    left = study.evidence(noisy, replicates=2, tuned=2, workers=2, quiet=True)
    assert len(left.pairs) == 2
    states = {t.parent: str(t.state) for t in study.trials if t.purpose == "certify"}
    assert states == {0: "queued", 1: "queued", 2: "done"}
    assert len(study.evidence(noisy, replicates=4, tuned=1, quiet=True).pairs) == 4


def test_evidence_of_a_paused_study_is_an_error(url):
    study = opened(url)
    study.run(noisy, trials=5, quiet=True)
    study.pause()
    with pytest.raises(SpecError, match="paused"):
        study.evidence(noisy, replicates=2, quiet=True)
    study.resume()
    assert len(study.evidence(noisy, replicates=2, quiet=True).pairs) == 2


def test_evidence_against_another_baseline_runs_the_other_baseline(url):
    study = opened(url)
    study.run(noisy, trials=5, quiet=True)
    before = study.evidence(noisy, replicates=2, quiet=True)
    study.revise(baseline={"x": 0.875})
    after = study.evidence(noisy, replicates=2, quiet=True)
    assert after.pairs != before.pairs
    assert [round(b, 1) for b, _ in after.pairs] == [0.9, 0.9]
    assert study.baseline is None  # trial 0 ran another one


def test_a_wrong_argument_of_evidence_is_told_before_anything_runs(url):
    study = opened(url)
    study.run(noisy, trials=5, quiet=True)
    with pytest.raises(SpecError, match="equivalence"):
        study.evidence(noisy, replicates=2, equivalence=-1, quiet=True)
    assert len(study.trials) == 5


def test_time_in_which_nothing_ran_is_not_charged(url):
    """As after kill -9: a trial that nobody holds any more is open, and its lease ran out long ago."""
    clock = Clock()
    store = Sql(url, clock=clock)
    study = opened(store, budget=tt.Budget(time=60.0))
    study.ask(lease=5.0)
    clock.now += 90.0

    def objective(trial):
        clock.now += 25.0
        return 1.0

    study.run(objective, quiet=True)
    assert study.counts["done"] == 3
    store.close()


def test_the_budget_of_time_binds_asks(url):
    study = opened(url, budget=tt.Budget(time=0.1))
    trial = study.ask()
    time.sleep(0.2)
    study.tell(trial, 1.0)
    with pytest.raises(BudgetSpent, match="time"):
        study.ask()


FROZEN = """
    import os, sys, time
    import trimtab as tt
    folder = sys.argv[2]
    def objective(trial):
        open(f"{folder}/begun-{trial.number}-{trial.attempt}", "w").close()
        while not os.path.exists(f"{folder}/may-end"):
            time.sleep(0.05)
        open(f"{folder}/ended-{trial.number}-{trial.attempt}", "w").close()
        return trial.params["x"]
    space = tt.Space(x=tt.Float(0, 1, default=0.5))
    study = tt.Study("s", space, minimize="loss", seed=1, storage=sys.argv[1], strategy="random")
    study.run(objective, trials=2, workers=2, quiet=True)
    """


def _freeze(process, url):
    """SIGSTOP, outside of a transaction: else the file would stay locked for all others. Its leases run out at once."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0.5, isolation_level=None)) as db:
        for _ in range(100):
            process.send_signal(signal.SIGSTOP)
            try:
                db.execute("BEGIN IMMEDIATE")
                db.execute("UPDATE trials SET lease_until = 0")
                db.execute("COMMIT")
                return
            except sqlite3.OperationalError:
                process.send_signal(signal.SIGCONT)
                time.sleep(0.05)
        raise AssertionError("never found outside of a transaction")


def test_a_parent_that_was_frozen_beyond_its_leases_brings_late_results(tmp_path, url):
    path = tmp_path / "frozen.py"
    path.write_text(textwrap.dedent(FROZEN))
    call = [sys.executable, str(path), url, str(tmp_path)]
    first = subprocess.Popen(call)
    until(lambda: len(list(tmp_path.glob("begun-*-1"))) == 2)
    _freeze(first, url)
    second = subprocess.Popen(call)
    until(lambda: len(list(tmp_path.glob("begun-*-2"))) == 2)
    (tmp_path / "may-end").touch()
    until(lambda: len(list(tmp_path.glob("ended-*"))) == 4)
    time.sleep(3)  # for the results on their way to the first
    first.send_signal(signal.SIGCONT)
    assert (first.wait(240), second.wait(240)) == (0, 0)
    study = tt.Study("s", storage=url)
    assert study.counts["done"] == 2
    assert kinds(study).count("finish") == 2
    assert 1 <= kinds(study).count("late") <= 2
    assert study.verify() == []


# --------------------------------------------------------------------------------- what an objective does beside its work


def reports_from_threads(trial):
    def work(first):
        for step in range(10):
            trial.report(first + step, loss=1.0)

    threads = [threading.Thread(target=work, args=(100 * i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return 1.0


LEFT = []  # by trials that have ended, in the worker's process: a thread, and what lets it go on


def leaves_a_thread(trial):
    """It returns how many reports of threads of earlier trials were refused."""
    may, refused = threading.Event(), []

    def late():
        may.wait()
        try:
            trial.report(99, loss=float(trial.number))
        except RuntimeError:
            refused.append(trial.number)

    thread = threading.Thread(target=late, daemon=True)
    thread.start()
    for other, begins, _ in LEFT:
        begins.set()
        other.join()
    LEFT.append((thread, may, refused))
    return float(sum(len(found) for *_, found in LEFT))


def changes_folder(trial):
    os.makedirs("below", exist_ok=True)
    os.chdir("below")
    return 1.0


@pytest.mark.parametrize("supervised", [False, True])
def test_an_objective_may_report_from_its_threads(supervised, url):
    study = opened(url)
    study.run(reports_from_threads, trials=1, supervised=supervised, resources=None, quiet=True)
    assert len(study.storage.reports(study.record.id)) == 40
    assert study.trials[0].state == "done"


def test_a_thread_that_outlives_its_trial_reports_to_no_other(url):
    study = opened(url)
    study.run(leaves_a_thread, trials=3, supervised=True, quiet=True)
    assert [t.metrics for t in study.trials] == [{"loss": float(n)} for n in range(3)]
    assert study.storage.reports(study.record.id) == []


@pytest.mark.parametrize("supervised", [False, True])
def test_each_trial_begins_in_the_same_folder(supervised, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = opened(None)
    study.run(changes_folder, trials=3, supervised=supervised, quiet=True)
    assert study.counts["done"] == 3
    assert os.getcwd() == str(tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["below"]


def test_texts_that_no_store_could_keep_are_made_clean(url):
    study = opened(url)
    study.run(lambda trial: {"loss": 1.0, "bad \ud800": 2.0}, trials=1, quiet=True)
    assert study.trials[0].metrics == {"loss": 1.0, "bad ?": 2.0}
    assert study.verify() == []


INTERRUPTED = """
    import os, random, signal, sys
    import trimtab as tt
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", seed=1, storage=sys.argv[1], strategy="random")
    def objective(trial):
        trial.report(1, loss=1.0)
        return trial.params["x"]
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    draw, times = random.Random(5), 0
    study.run(objective, trials=1, quiet=True)  # an import that is interrupted may never work again in its process
    for _ in range(40):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.002 + 0.05 * draw.random(), 30.0)  # again, should Python swallow it
            study.run(objective, trials=100_000, quiet=True)
        except KeyboardInterrupt:
            times += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    print(times, study.counts["done"], study.counts["running"], study.verify())
    """


def test_ctrl_c_at_any_point_leaves_a_record_that_goes_on(tmp_path, url):
    path = tmp_path / "interrupted.py"
    path.write_text(textwrap.dedent(INTERRUPTED))
    done = subprocess.run([sys.executable, str(path), url], capture_output=True, text=True, timeout=600)
    times, finished, running, *found = done.stdout.split()
    assert (times, running, found) == ("40", "0", ["[]"]), done.stderr
    study = tt.Study("s", storage=url)
    study.run(noisy, trials=int(finished) + 3, quiet=True)
    assert study.counts["done"] == int(finished) + 3
    assert study.replay().holds
    assert study.verify() == []


def test_results_are_recorded_if_ctrl_c_comes_just_before_that(url):
    """The first transaction that would record results is interrupted before it begins."""

    class Interrupted:
        """A store, except for that transaction."""

        def __init__(self):
            self.store, self.first = Sql(url), True

        def __getattr__(self, name):
            return getattr(self.store, name)

        def settle(self, *given):
            if self.first:
                self.first = False
                raise KeyboardInterrupt
            return self.store.settle(*given)

    study = opened(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        study.run(lambda trial: 0.5, trials=4, quiet=True)
    assert [(str(t.state), t.attempt) for t in study.trials] == [("done", 1)]
    study.run(lambda trial: 0.5, trials=4, quiet=True)
    assert [t.attempt for t in study.trials] == [1] * 4
    assert study.verify() == []


def test_ctrl_c_leaves_no_half_of_a_change_in_memory():
    study = tt.Study("s", X, minimize="loss")

    def interrupt(frame, event, _):
        """Called in the middle of a commit, when the study's row is written and its new trial is not yet."""
        if event == "call" and frame.f_code.co_name == "write" and frame.f_code.co_filename.endswith("memory.py"):
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            study.enqueue({"x": 0.5})
    finally:
        sys.setprofile(None)
    assert len(study.trials) == study.record.count
    assert study.verify() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_objective_that_catches_the_interrupt_is_interrupted_nevertheless(number, url):
    def catches(trial):  # as Lightning's Trainer does: it exits, and ignores Ctrl-C from then on
        if trial.number == 1 and trial.attempt == 1:
            try:
                signal.raise_signal(number)
            except KeyboardInterrupt:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                sys.exit(1)
        if trial.number == 2 and trial.attempt == 1:  # or it returns what a part of the training gave
            with suppress(KeyboardInterrupt):
                signal.raise_signal(number)
        return trial.params["x"]

    study = tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", seed=1, storage=url)
    for before in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            study.run(catches, trials=4, quiet=True)
        assert (study.counts["done"], study.counts["queued"], study.counts["failed"]) == (before, 1, 0)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    study.run(catches, trials=4, quiet=True)
    assert (study.counts["done"], len(study.trials)) == (4, 4)
    assert study.verify() == []
