"""kill -9 anything, any time: no finished result is lost, none is counted twice, the same command continues."""

import os
import runpy
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from leases import run_out
from waiting import until

import trimtab as tt

SLOW = """
    import os, sys, time
    import trimtab as tt

    go = sys.argv[2]

    def objective(trial):
        while trial.number >= {held} and not os.path.exists(go):
            time.sleep(0.05)
        return trial.params["x"] ** 2 + trial.params["y"]

    space = tt.Space(x=tt.Float(-1, 1, default=0.5), y=tt.Float(0, 1, default=0.5))
    study = tt.Study("s", space, minimize="loss", seed=3, storage=sys.argv[1], strategy="{strategy}")
    study.run(objective, trials={trials}, workers={workers}, quiet=True)
    """


def script(tmp_path, url, **how):
    """The call that runs a study whose trials from number `held` on do not end before there is a file `go`."""
    path = tmp_path / "study.py"
    how = {"held": 1000, "trials": 12, "workers": 2, "strategy": "gp", **how}
    path.write_text(textwrap.dedent(SLOW).format(**how))
    return [sys.executable, str(path), url, str(tmp_path / "go")]


@pytest.fixture
def start():
    """Starts programs; none of them outlives the test."""
    started = []

    def begin(call, **how):
        started.append(subprocess.Popen(call, **how))
        return started[-1]

    yield begin
    for program in started:
        program.kill()
        program.wait()


def count(url, state, attempt=1):
    """How many trials are in that state, in that attempt or a later one."""
    path = url.removeprefix("sqlite:///")
    if not os.path.exists(path):
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=30)) as c:
            query = "select count(*) from trials where state = ? and attempt >= ?"
            return c.execute(query, (state, attempt)).fetchone()[0]
    except sqlite3.OperationalError:  # the tables are being made
        return 0


def kill_with_its_children(parent):
    """kill -9 a program, and wait until its worker processes have died with it."""
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    until(lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children))


def test_kill_9_of_the_parent_and_of_a_worker_in_mid_trial(tmp_path, url, start):
    call = script(tmp_path, url, held=4)
    parent = start(call)
    until(lambda: (count(url, "done"), count(url, "running")) == (4, 2))
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 2
    children[0].send_signal(signal.SIGKILL)
    until(lambda: count(url, "running", attempt=2) == 1)
    kill_with_its_children(parent)
    before = {t.number: t for t in tt.Study("s", storage=url).trials if t.state == "done"}
    assert len(before) == 4
    (tmp_path / "go").touch()
    subprocess.run(call, check=True, timeout=600)
    study = tt.Study("s", storage=url)
    assert study.counts["done"] == 12
    assert [t.number for t in study.trials] == list(range(12))
    assert all(study.trials[n] == t for n, t in before.items())
    assert study.verify() == []


RUNGS = """
    import os, sys, time
    import trimtab as tt

    go = sys.argv[2]

    def objective(trial):
        for epoch in range(1, 10):
            while trial.number >= 8 and epoch == 3 and not os.path.exists(go):
                time.sleep(0.05)
            saved = trial.checkpoint / "epoch"
            with open(trial.checkpoint / "log", "a") as log:
                log.write(f"{epoch} after {saved.read_text() if saved.exists() else 0}\\n")
            saved.write_text(str(epoch))
            loss = trial.params["x"] ** 2 + 1 / epoch
            trial.report(epoch, loss=loss)
            if trial.should_stop():
                return None
        return loss

    space = tt.Space(x=tt.Float(-1, 1, default=0.9))
    study = tt.Study(
        "s", space, minimize="loss", seed=3, storage=sys.argv[1], strategy="random", fidelity=tt.Fidelity("epochs", 1, 9)
    )
    study.run(objective, trials=24, workers=2, quiet=True)
    """


def test_kill_9_in_mid_rung_and_the_verdicts_stay_those_of_the_record(tmp_path, url, start):
    path = tmp_path / "study.py"
    path.write_text(textwrap.dedent(RUNGS))
    call = [sys.executable, str(path), url, str(tmp_path / "go")]
    parent = start(call)
    folder = f"{url.removeprefix('sqlite:///')}.checkpoints"
    until(lambda: any(p.read_text() == "2" and int(p.parent.name) >= 8 for p in Path(folder).glob("*/*/epoch")))
    kill_with_its_children(parent)
    study = tt.Study("s", storage=url)
    before = {t.number: t for t in study.trials if t.state in ("done", "stopped")}
    begun = [t.number for t in study.trials if t.state == "running" and (study.checkpoint(t.number) / "epoch").exists()]
    saved = {n: (study.checkpoint(n) / "epoch").read_text() for n in begun}  # is there for the next attempt
    assert any(n >= 8 and epoch == "2" for n, epoch in saved.items())
    run_out(url)
    (tmp_path / "go").touch()
    subprocess.run(call, check=True, timeout=600)
    study = tt.Study("s", storage=url)
    assert study.counts["done"] + study.counts["stopped"] == 24
    assert study.counts["stopped"] >= 5
    assert any(t.attempt > 1 for t in study.trials)
    assert all(study.trials[n] == t for n, t in before.items())
    assert study.verify() == []
    replayed = study.replay()
    assert replayed.holds, replayed.text()
    assert replayed.verdicts == study.counts["stopped"]
    best = study.checkpoint(study.best.number)
    assert [p.name for p in best.parent.iterdir()] == [best.name]  # nobody's is left but the best one's


def test_four_processes_share_one_budget_on_sqlite(tmp_path, url):
    call = script(tmp_path, url, trials=200, workers=1, strategy="random")
    crowd = [subprocess.Popen(call, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for p in crowd:
        _, errors = p.communicate(timeout=600)
        assert p.returncode == 0, errors
        assert "locked" not in errors
    study = tt.Study("s", storage=url)
    assert study.counts["done"] == 200
    assert [t.number for t in study.trials] == list(range(200))
    assert len({tuple(t.params.items()) for t in study.trials}) == 200
    assert study.verify() == []


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGINT, signal.SIGTERM]], ids=["once", "twice"])
def test_ctrl_c_gives_running_trials_back(signals, tmp_path, url, start):
    parent = start(script(tmp_path, url, held=0, trials=4), stderr=subprocess.PIPE, text=True)
    until(lambda: count(url, "running") == 2)
    for each in signals:
        parent.send_signal(each)
    _, errors = parent.communicate(timeout=300)
    assert "Run the same line again to go on" in errors
    states = [str(t.state) for t in tt.Study("s", storage=url).trials]
    assert states == ["queued", "queued"]
    assert tt.Study("s", storage=url).verify() == []


CERTIFY = """
    import json, os, random, sys, time
    import trimtab as tt

    def objective(trial):
        while trial.purpose == "certify" and trial.replicate >= 2 and not os.path.exists(os.environ["GO"]):
            time.sleep(0.05)
        chance = random.Random(f"{trial.seed}/{trial.params}")
        if trial.purpose != "search" and chance.random() < 0.1:
            raise RuntimeError("now and then")
        return (trial.params["x"] - 0.3) ** 2 + chance.gauss(0, 0.1)

    def searched(url):
        space = tt.Space(x=tt.Float(-1, 1, default=0.9))
        study = tt.Study("s", space, minimize="loss", seed=3, storage=url, strategy="random")
        study.run(objective, trials=20, quiet=True)
        return study

    def certified(study, workers):
        found = study.evidence(objective, replicates=6, workers=workers, quiet=True).to_json()
        del found["worth"]  # what the search took
        return json.dumps(found)

    if __name__ == "__main__":
        print(certified(searched(sys.argv[1]), 2))
    """


def test_kill_9_in_a_certificate_and_another_that_was_asked_for_at_once_has_the_same_figures(
    tmp_path, start, database_url, monkeypatch
):
    file, go = tmp_path / "study.py", tmp_path / "go"
    file.write_text(textwrap.dedent(CERTIFY))
    monkeypatch.setenv("GO", str(go))
    script = runpy.run_path(str(file))
    study = script["searched"](database_url)

    def held(attempt):
        running = [t for t in study.trials if t.purpose == "certify" and t.state == "running"]
        return [t for t in running if t.replicate == 2 and t.attempt == attempt]

    first = start([sys.executable, str(file), database_url])
    until(lambda: len(held(1)) == 2, 100)
    second = start([sys.executable, str(file), database_url], stdout=subprocess.PIPE, text=True)
    psutil.Process(first.pid).children(recursive=True)[0].send_signal(signal.SIGKILL)
    until(lambda: held(2), 100)
    first.kill()
    first.wait()
    go.touch()
    said, _ = second.communicate(timeout=100)
    assert said.strip() == script["certified"](script["searched"]("memory://"), 1)
    certified = [t for t in study.trials if t.purpose == "certify"]
    assert len({(t.parent, t.replicate) for t in certified}) == len(certified) == 12
    assert study.verify() == []
