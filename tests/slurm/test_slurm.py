"""Studies on a real Slurm cluster of two nodes on this machine, and on a real PostgreSQL. Run by `make slurm`."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import postgres as pg
import pytest
from cluster import Cluster
from waiting import until

import trimtab as tt
from trimtab.errors import ObjectiveError, RunFailed, SpecError
from trimtab.executors.slurm import LOGS, Slurm
from trimtab.objective import Command
from trimtab.running import slurm
from trimtab.strategies.pbt import PBT

TRAIN = """
import os, time
from pathlib import Path

def nap(trial):
    trial.report(1, loss=0.5)
    time.sleep(0.5)
    trial.note(os.environ["SLURMD_NODENAME"])
    return trial.params["x"]

def meets(trial):
    Path("on-" + os.environ["SLURMD_NODENAME"]).touch()
    while len(list(Path().glob("on-*"))) < 2:
        time.sleep(0.05)
    return nap(trial)

def held(trial):
    time.sleep(0.05)  # no trial is so short that others are claimed ahead
    while trial.number >= 3 and not os.path.exists("go"):
        time.sleep(0.05)
    return trial.params["x"]

def long(trial):
    time.sleep(3600 if trial.attempt == 1 and trial.number == 1 else 0.5)
    return trial.params["x"]

def member(trial):
    saved = trial.checkpoint / "w"
    w = float(saved.read_text()) if saved.exists() else 4.0
    assert saved.exists() == (trial.parent is not None)
    for _ in range(2):
        w -= trial.params["x"] * (w - 1 / trial.fidelity)
    saved.write_text(repr(w))
    return w * w

def nothing(trial):
    return None
"""
SPACE = tt.Space(x=tt.Float(0, 1, default=0.5))


@pytest.fixture(scope="module")
def cluster():
    made = Cluster()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def here(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(cluster.config))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slurm, "COUNT", 0.5)
    (tmp_path / "train.py").write_text(TRAIN)
    yield
    left = cluster.jobs()
    cluster.ask("scancel", "--user=root")
    assert not left, "jobs are left"


@pytest.fixture
def store():
    return pg.server().database()


def study(url, **how):
    return tt.Study("s", SPACE, minimize="loss", storage=url, seed=1, **{"strategy": "random", **how})


@pytest.fixture
def drive():
    """Starts a program that runs the study, as a user's script does."""
    started = []

    def start(url, *words):
        started.append(_program(url, *words))
        return started[-1]

    yield start
    for program in started:
        program.kill()
        program.wait()


def _program(url, *words):
    script = f"""
        import sys
        import trimtab as tt
        from trimtab.running import slurm
        slurm.COUNT = 0.5
        space = tt.Space(x=tt.Float(0, 1, default=0.5))
        study = tt.Study("s", space, minimize="loss", storage={url!r}, seed=1, strategy="random")
        study.run({", ".join(words)}, executor="slurm", quiet=True)
        """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])


def complete(s, n):
    """All of n trials are done, each once, and the record is intact."""
    assert [t.number for t in s.trials] == list(range(n))
    assert s.counts["done"] == n
    ends = [e.number for e in s.storage.events(s.record.id, kinds={"finish"})]
    assert sorted(ends) == list(range(n))
    assert s.verify() == []


def test_an_array_of_jobs_finishes_a_study_on_both_nodes(store):
    s = study(store)
    how = Slurm(partition="main", time="10m", arguments=["--comment=tuning"])
    s.run("train.py:meets", trials=16, workers=4, executor=how, resources=tt.Resources(time="4m"), quiet=True)
    complete(s, 16)
    assert {note for t in s.trials for note in t.notes} == {"a", "b"}
    assert len(s.storage.reports(s.record.id)) == 16


def test_a_job_that_is_cancelled_from_outside_is_replaced_and_its_trial_given_back(store, cluster, drive):
    s = study(store)
    driver = drive(store, "'train.py:long'", "trials=8", "workers=2")
    until(lambda: any(t.number == 1 and t.state == "running" for t in s.trials))
    holder = next(t.worker for t in s.trials if t.number == 1)
    pid = int(holder.split(":")[1])
    inside = dict(e.split("=", 1) for e in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in e)
    cluster.ask("scancel", f"{inside['SLURM_ARRAY_JOB_ID']}_{inside['SLURM_ARRAY_TASK_ID']}")
    assert driver.wait(240) == 0
    complete(s, 8)
    assert [t.attempt for t in s.trials] == [1, 2, 1, 1, 1, 1, 1, 1]


def test_jobs_train_a_population_and_leave_the_checkpoint_of_the_best(store):
    s = study(store, fidelity=tt.Fidelity("epochs", 1, 8), strategy=PBT(4, 4))
    s.run("train.py:member", trials=40, workers=2, executor="slurm", quiet=True)
    complete(s, 17)  # the baseline, and four members in four intervals
    assert [p.name for p in s.checkpoint(0).parent.iterdir()] == [str(s.best.number)]
    assert s.replay().holds


def test_jobs_that_end_after_some_trials_are_replaced(store):
    s = study(store)
    s.run(Command("echo loss={x}"), trials=6, workers=1, executor=Slurm(slots=2, trials=3), quiet=True)
    complete(s, 6)
    said = [log.read_text() for log in Path(LOGS).iterdir()]
    assert any("it has done its share of trials" in text for text in said)
    assert len([e for e in s.storage.events(s.record.id, kinds={"run"}) if e.body.get("joined")]) == 2


def test_a_job_drains_before_its_limit_of_time_and_no_trial_suffers(store):
    """A limit of a minute. Slurm looks at it every half minute, and tells the job to begin nothing more after a quarter of it
    or at the next look: before the budget is spent in any case."""
    s = study(store, budget={"time": "50s"})
    how = Slurm(time="1m", arguments=["--signal=B:TERM@45"])
    s.run("train.py:nap", workers=1, executor=how, quiet=True)
    assert s.counts["failed"] == 0
    assert {t.attempt for t in s.trials if t.state == "done"} == {1}
    assert len({e.position for e in s.storage.events(s.record.id, kinds={"run"}) if e.body.get("joined")}) >= 2


def test_the_same_line_goes_on_after_kill_9_of_the_driver_with_the_jobs_that_run(store, cluster, drive):
    s = study(store)
    driver = drive(store, "'train.py:held'", "trials=20", "workers=2")
    until(lambda: len({t.worker for t in s.trials if t.state == "running" and t.number >= 3}) == 2)
    before = {job for job, _ in cluster.jobs()}
    driver.kill()
    driver.wait()
    Path("go").touch()
    s.run("train.py:held", trials=20, workers=2, executor="slurm", quiet=True)
    complete(s, 20)
    joined = [e for e in s.storage.events(s.record.id, kinds={"run"}) if e.body.get("joined")]
    assert len(before) == len(joined) == 2
    assert {t.attempt for t in s.trials} == {1}


def test_sigterm_of_the_driver_ends_its_jobs_and_gives_their_trials_back(store, cluster, drive):
    s = study(store)
    driver = drive(store, "'train.py:long'", "trials=8", "workers=2")
    until(lambda: any(t.number == 1 and t.state == "running" for t in s.trials))
    driver.terminate()
    assert driver.wait(240) != 0
    assert not cluster.jobs()
    assert s.counts["running"] == s.counts["failed"] == 0
    assert s.verify() == []


def test_what_slurm_refuses_is_said_at_once(store):
    with pytest.raises(SpecError, match=r"executor='slurm': .*[Ii]nvalid partition"):
        study(store).run("train.py:nap", trials=2, executor=Slurm(partition="gpu"), quiet=True)


def test_jobs_that_cannot_work_end_the_run_with_what_they_wrote(store):
    with pytest.raises(RunFailed, match=r"jobs ended without having begun a trial; trimtab-slurm/.*no-python"):
        study(store).run("train.py:nap", trials=2, executor=Slurm(python="no-python"), quiet=True)


def test_an_objective_that_returns_nothing_ends_the_run(store):
    with pytest.raises(ObjectiveError, match="loss"):
        study(store).run("train.py:nothing", trials=9, executor="slurm", quiet=True)
