"""kill -9 anything, any time: no finished result is lost, none is counted twice, the same command continues."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import psutil
from waiting import until

import trimtab as tt

SLOW = """
    import sys, time
    import trimtab as tt

    def objective(trial):
        time.sleep({pause})
        return trial.params["x"] ** 2 + trial.params["y"]

    space = tt.Space(x=tt.Float(-1, 1, default=0.5), y=tt.Float(0, 1, default=0.5))
    study = tt.Study("s", space, minimize="loss", seed=3, storage=sys.argv[1], strategy="{strategy}")
    study.run(objective, trials={trials}, workers={workers}, quiet=True)
    """


def script(tmp_path, **how):
    path = tmp_path / "study.py"
    path.write_text(textwrap.dedent(SLOW).format(**{"pause": 0.2, "trials": 12, "workers": 2, "strategy": "gp", **how}))
    return path


def finished(url):
    path = url.removeprefix("sqlite:///")
    if not os.path.exists(path):
        return 0
    try:
        with sqlite3.connect(path, timeout=30) as c:
            return c.execute("select count(*) from trials where state = 'done'").fetchone()[0]
    except sqlite3.OperationalError:  # the tables are being made
        return 0


def test_kill_9_of_the_parent_and_of_a_worker_in_mid_trial(tmp_path, url):
    path = script(tmp_path)
    parent = subprocess.Popen([sys.executable, str(path), url])
    until(lambda: finished(url) >= 3)
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 2
    children[0].send_signal(signal.SIGKILL)
    until(lambda: finished(url) >= 5)
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    until(lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children))
    before = {t.number: t for t in tt.Study("s", storage=url).trials if t.state == "done"}
    subprocess.run([sys.executable, str(path), url], check=True, timeout=600)
    study = tt.Study("s", storage=url)
    assert study.counts["done"] == 12
    assert [t.number for t in study.trials] == list(range(12))
    assert all(study.trials[n] == t for n, t in before.items())
    assert study.verify() == []


RUNGS = """
    import sys, time
    import trimtab as tt

    def objective(trial):
        for epoch in range(1, 10):
            time.sleep(0.03)
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


def stopped_in_mid_trial(parent, url):
    """Whether the parent is stopped now, with a running trial that has saved something: it cannot end any more."""
    parent.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    study = tt.Study("s", storage=url)
    if any(t.state == "running" and (study.checkpoint(t.number) / "epoch").exists() for t in study.trials):
        return True
    parent.send_signal(signal.SIGCONT)
    return False


def test_kill_9_in_mid_rung_and_the_verdicts_stay_those_of_the_record(tmp_path, url):
    path = tmp_path / "study.py"
    path.write_text(textwrap.dedent(RUNGS))
    parent = subprocess.Popen([sys.executable, str(path), url])
    until(lambda: finished(url) >= 3 and stopped_in_mid_trial(parent, url))
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    until(lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children))
    study = tt.Study("s", storage=url)
    before = {t.number: t for t in study.trials if t.state in ("done", "stopped")}
    begun = [t.number for t in study.trials if t.state == "running" and (study.checkpoint(t.number) / "epoch").exists()]
    saved = {n: (study.checkpoint(n) / "epoch").read_text() for n in begun}  # is there for the next attempt
    subprocess.run([sys.executable, str(path), url], check=True, timeout=600)
    study = tt.Study("s", storage=url)
    assert study.counts["done"] + study.counts["stopped"] == 24
    assert study.counts["stopped"] >= 5
    assert any(t.attempt > 1 for t in study.trials)
    assert all(study.trials[n] == t for n, t in before.items())
    assert study.verify() == []
    replayed = study.replay()
    assert replayed.holds, replayed.text()
    assert replayed.verdicts == study.counts["stopped"]
    assert saved
    best = study.checkpoint(study.best.number)
    assert [p.name for p in best.parent.iterdir()] == [best.name]  # nobody's is left but the best one's


def test_four_processes_share_one_budget_on_sqlite(tmp_path, url):
    path = script(tmp_path, pause=0, trials=200, workers=1, strategy="random")
    crowd = [subprocess.Popen([sys.executable, str(path), url], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for p in crowd:
        _, errors = p.communicate(timeout=600)
        assert p.returncode == 0, errors
        assert "locked" not in errors
    study = tt.Study("s", storage=url)
    assert study.counts["done"] == 200
    assert [t.number for t in study.trials] == list(range(200))
    assert len({tuple(t.params.items()) for t in study.trials}) == 200
    assert study.verify() == []


def test_ctrl_c_gives_running_trials_back(tmp_path, url):
    path = script(tmp_path, pause=30, trials=4)
    parent = subprocess.Popen([sys.executable, str(path), url], stderr=subprocess.PIPE, text=True)

    def running():
        return sum(t.state == "running" for t in tt.Study("s", storage=url).trials)

    until(lambda: os.path.exists(url.removeprefix("sqlite:///")))
    time.sleep(1)
    until(lambda: running() == 2)
    parent.send_signal(signal.SIGINT)
    _, errors = parent.communicate(timeout=300)
    assert "Run the same line again to go on" in errors
    states = [str(t.state) for t in tt.Study("s", storage=url).trials]
    assert states == ["queued", "queued"]
    assert tt.Study("s", storage=url).verify() == []
