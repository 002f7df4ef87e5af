"""Workers among equals: they serve what they were allowed, share budgets, drain, and none of them is missed."""

import math
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from leases import run_out
from waiting import until

import trimtab as tt
from trimtab.cli import cli
from trimtab.errors import ObjectiveError, SpecError
from trimtab.live.checkpoints import QUOTA
from trimtab.objective import Command
from trimtab.records import Change
from trimtab.running import runner, served
from trimtab.running.worker import Worker
from trimtab.storage import open_storage
from trimtab.strategies.pbt import PBT
from trimtab.strategies.random import Random

TRAIN = """
import os
import time

def quick(trial):
    trial.report(1, loss=0.5)
    return abs(trial.params["x"] - 0.3)

def held(trial):
    while not os.path.exists("go"):
        time.sleep(0.05)
    return trial.params["x"]

def heavy(trial):
    (trial.checkpoint / "weights").write_bytes(bytes(4096))
    return trial.params["x"]

def full(trial):
    (trial.checkpoint / "weights").symlink_to("/dev/full")
    (trial.checkpoint / "weights").write_text("7")

def broken(trial):
    return None

def meddling(trial):
    if trial.number == 3:
        from pathlib import Path
        Path("cells.csv").write_text("age,income\\n31,3.6\\n")
    return trial.params["x"]
"""
CELLS = "age,income\n31,3.5\n"


@pytest.fixture(autouse=True)
def train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "train.py"
    file.write_text(TRAIN)
    return file


def study(url, name="s", trials=8, **how):
    space = tt.Space(x=tt.Float(0, 1, default=0.5))
    return tt.Study(
        name, space, minimize="loss", storage=url, seed=1, **{"budget": {"trials": trials}, "strategy": "random", **how}
    )


def serve(url, *allow, idle=0.3, **how):
    """What a worker says until it has nothing to do."""
    said = []
    store = open_storage(url)
    Worker(store, allow, say=said.append, **how).run(idle=idle)
    store.close()
    return said


@pytest.fixture
def spawn():
    """Starts workers; none of them outlives the test."""
    started = []

    def start(url, *words):
        call = [sys.executable, "-m", "trimtab", "worker", "--storage", url, *words]
        started.append(subprocess.Popen(call, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
        worker.wait()
        worker.stderr.close()


def test_a_worker_finishes_what_was_submitted(url):
    s = study(url)
    s.submit("train.py:quick", resources=tt.Resources(time="30s"))
    said = serve(url, "train.py")
    assert said == ["study 's': runs train.py:quick", "study 's': nothing to do (trials)", "nothing to do for 0.3 s"]
    assert s.counts["done"] == 8
    assert [len(s.storage.reports(s.record.id, t.number)) for t in s.trials] == [1] * 8
    runs = s.storage.events(s.record.id, kinds={"run"})
    assert [(e.body["objective"], e.body["workers"], e.body.get("joined")) for e in runs] == [
        ("train.py:quick", 0, None),
        ("train.py:quick", 1, True),
    ]
    assert s.verify() == []


def test_a_study_that_is_at_rest_is_looked_at_again_when_something_happens(url, monkeypatch):
    monkeypatch.setattr("trimtab.running.worker.LOOK", 0.01)
    monkeypatch.setattr(served, "LOOK", 0.01)
    done, waiting = study(url, trials=2), study(url, "t", trials=2)
    done.submit("train.py:quick")
    waiting.submit("train.py:quick")
    waiting.pause()
    looked, plan = [], runner.decide
    monkeypatch.setattr(runner, "decide", lambda live, *how: looked.append(live.id) or plan(live, *how))

    def say(line):
        if line == "study 's': nothing to do (trials)":
            looked.clear()
        if line == "study 't': nothing to do (paused)":
            threading.Timer(0.5, waiting.resume).start()

    Worker(open_storage(url), ["train.py"], say=say).run(idle=3.0)
    assert looked.count(done.record.id) <= 2
    assert (done.counts["done"], waiting.counts["done"]) == (2, 2)


def test_a_study_that_is_damaged_does_not_keep_others_from_being_served(url):
    broken, sound = study(url), study(url, "t")
    for s in (broken, sound):
        s.submit("train.py:quick")
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as c, c:
        c.execute("UPDATE studies SET spec = 'x' WHERE name = 's'")
    said = serve(url, "train.py")
    assert said[0].startswith("study number 1 is not served: study 1 (s): its column 'spec' cannot be read")
    assert said[1:3] == ["study 't': runs train.py:quick", "study 't': nothing to do (trials)"]
    assert tt.Study("t", storage=url).counts["done"] == 8


@pytest.mark.parametrize("damaged", ["before", "meanwhile"])
def test_a_study_whose_trials_are_damaged_is_given_up_and_others_are_served(damaged, url):
    broken, sound = study(url), study(url, "t")
    broken.submit("train.py:quick" if damaged == "before" else "train.py:held")
    sound.submit("train.py:quick")

    def damage(_):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as c, c:
            c.execute("UPDATE trials SET params = 'x' WHERE study = 1")

    said = []
    if damaged == "before":
        broken.enqueue({"x": 0.1})
        damage(None)
    worker = Worker(open_storage(url), ["train.py"], slots=2, say=said.append)
    if damaged == "meanwhile":
        threading.Timer(3.0, damage, [None]).start()
    worker.run(idle=5.0)
    assert any("is not served" in line and "cannot be read" in line for line in said), said
    assert sound.counts["done"] == 8


def test_a_study_whose_strategy_is_not_here_does_not_keep_others_from_being_served(url):
    theirs, other = study(url, "theirs", strategy=replace(Random(), name="theirs")), study(url, "other")
    for s in (theirs, other):
        s.submit("train.py:quick")
    said = serve(url, "train.py")
    assert any(
        line.startswith("study 'theirs': nothing to do (refused: strategy='theirs' is not known") for line in said
    )
    assert other.counts["done"] == 8


def test_a_study_that_is_deleted_is_given_up_and_others_are_served(database_url):
    gone, other = study(database_url, "gone", trials=1), study(database_url, "other")
    gone.submit("train.py:held")
    other.submit("train.py:quick")
    said = []

    def say(line):
        said.append(line)
        if line == "study 'other': nothing to do (trials)":
            gone.delete()

    Worker(open_storage(database_url), ["train.py"], slots=2, say=say).run(idle=0.3)
    assert any(line.startswith("study 'gone' is not served any more: study number") for line in said), said
    assert [r.name for r in open_storage(database_url).studies()] == ["other"]
    assert other.counts["done"] == 8


def test_a_worker_ends_after_as_many_trials_as_it_was_asked_for(url, spawn):
    s = study(url)
    s.submit("train.py:quick")
    assert serve(url, "train.py", idle=None, slots=2, trials=3)[-2:] == ["it has done its share of trials", "drained"]
    assert s.counts["done"] == 3
    worker = spawn(url, "--allow", "train.py", "--trials", "4")
    _, said = worker.communicate(timeout=300)
    assert worker.returncode == 0
    assert "it has done its share" in said
    assert s.counts["done"] == 7


def test_a_worker_goes_by_what_the_run_that_announced_its_study_asked_for(url):
    s = study(url)
    s.submit("train.py:quick")
    (said,) = s.storage.events(s.record.id, kinds={"run"})
    s.storage.revise(s.record.id, Change("run", body={**said.body, "trials": 5}))
    assert "study 's': nothing to do (trials)" in serve(url, "train.py")
    assert s.counts["done"] == 5


@pytest.mark.parametrize(("ends", "why", "done"), [(-1.0, "time", 0), (3600.0, "trials", 8)])
def test_the_time_of_an_announced_run_is_the_stores(database_url, monkeypatch, ends, why, done):
    s = study(database_url)
    s.submit("train.py:quick")
    (said,) = s.storage.events(s.record.id, kinds={"run"})
    until = s.storage.outline(s.record.id).now + ends
    s.storage.revise(s.record.id, Change("run", body={**said.body, "until": until}))
    if database_url.startswith("postgresql"):  # this worker's own clock is wrong by two hours
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + math.copysign(7200.0, ends))
    assert f"study 's': nothing to do ({why})" in serve(database_url, "train.py")
    assert s.counts["done"] == done


def test_a_worker_runs_nothing_that_its_call_does_not_allow(url, train):
    s = study(url)
    s.submit("train.py:quick")
    (refusal, _) = serve(url, "train.py:held", "quick", "other.py")
    assert (
        refusal
        == "study 's' is not served: it runs 'train.py:quick', which this worker was not allowed; add --allow 'train.py'"
    )
    train.write_text(TRAIN + "# changed\n")
    (refusal, _) = serve(url, "train.py:quick")
    assert "train.py:quick is not the code that the study was started with" in refusal
    assert s.trials == []
    s.submit("train.py:quick")
    assert "study 's': runs train.py:quick" in serve(url, "train.py:quick")
    assert s.counts["done"] == 8


def test_many_studies_that_are_not_served_share_a_line(url):
    for i in range(5):
        study(url, f"s{i}").submit("train.py:quick")
    why = "it runs 'train.py:quick', which this worker was not allowed; add --allow 'train.py'"
    named = f"'s0', 's1', 's2' and 2 others; of the first, because {why} (of another: name it with --study)"
    assert serve(url, "other.py") == [f"5 studies are not served: {named}", "nothing to do for 0.3 s"]
    assert serve(url, "other.py", names=["s3", "s4"])[1] == f"study 's4' is not served: {why}"


def test_code_that_was_mended_is_tried_again(url, train, monkeypatch):
    monkeypatch.setattr("trimtab.running.worker.AGAIN", 0.1)
    monkeypatch.setattr("trimtab.running.worker.LOOK", 0.1)
    s = study(url)
    s.submit("train.py:quick")
    train.write_text("def quick(trial): return 1 / 0")
    said = []

    def mend(line):
        said.append(line)
        train.write_text(TRAIN)

    store = open_storage(url)
    Worker(store, ["train.py"], say=mend, trials=8).run()
    store.close()
    assert "is not the code" in said[0]
    assert said[1] == "study 's': runs train.py:quick"
    assert s.counts["done"] == 8


def test_a_function_of_one_program_cannot_be_shared(url):
    with pytest.raises(ObjectiveError, match=r"is a function of one program.* name it as 'file.py:function'"):
        study(url).submit(lambda trial: 1.0)
    study(url).run(lambda trial: 1.0, trials=2, quiet=True)
    (refusal, _) = serve(url, "train.py")
    assert "is a function of one program" in refusal


def test_a_worker_that_finds_no_study_says_where_it_looked(url):
    store = open_storage(url)
    assert serve(url, "train.py") == [f"{store.url} holds no open study yet", "nothing to do for 0.3 s"]
    study(url, "credit")
    said = serve(url, "train.py", names=["credti"])
    assert said[0] == f"{store.url} holds no open study 'credti' yet; did you mean 'credit'?"
    store.close()


def test_a_study_without_an_end_is_not_submitted(url):
    endless = tt.Study("e", tt.Space(x=tt.Float(0, 1)), minimize="loss", storage=url)
    with pytest.raises(SpecError, match="nothing says when to stop; give the study a budget"):
        endless.submit("train.py:quick")


def test_several_studies_share_the_slots(url):
    a, b, c = (study(url, name, trials=4) for name in "abc")
    a.submit("train.py:quick")
    b.submit(Command("echo loss=0.5"))
    c.submit("train.py:broken")
    said = serve(url, "train.py", "echo loss=0.5", slots=2)
    assert a.counts["done"] == b.counts["done"] == 4
    assert any("study 'c': nothing to do (wrong: missing metric 'loss'" in line for line in said)
    assert c.counts["failed"] in (3, 4)  # one more may have been running
    assert a.verify() == b.verify() == c.verify() == []


def test_a_study_over_its_quota_does_not_stop_the_others(url, monkeypatch):
    monkeypatch.setenv(QUOTA, "10KiB")
    large = study(url, "large", strategy=PBT(4, 4), fidelity=tt.Fidelity("epochs", 1, 4))
    large.submit("train.py:heavy")
    other = study(url, "other")
    other.submit("train.py:quick")
    said = serve(url, "train.py")
    assert other.counts["done"] == 8
    assert large.counts["running"] == 0
    assert large.counts["done"] < 8
    assert any("refused: checkpoints in" in line and f"{QUOTA} is 10 KiB: raise it" in line for line in said)


def test_a_study_whose_checkpoints_have_no_room_costs_no_trial_and_does_not_stop_the_others(url):
    a, b = study(url, "a"), study(url, "b")
    a.submit("train.py:full")
    b.submit("train.py:quick")
    said = serve(url, "train.py", slots=2)
    assert b.counts["done"] == 8
    assert (a.counts["failed"], a.counts["running"]) == (0, 0)
    assert any("study 'a': nothing to do (refused: checkpoints in" in line and "have no room" in line for line in said)


def test_only_the_named_studies_are_served(url):
    a, b = study(url, "a", trials=2), study(url, "b", trials=2)
    a.submit("train.py:quick")
    b.submit("train.py:quick")
    serve(url, "train.py", names=["b"])
    assert (a.counts["done"], b.counts["done"]) == (0, 2)


def test_the_workers_that_are_left_finish_the_study(database_url, spawn):
    s = study(database_url, trials=10)
    s.submit("train.py:held")
    crowd = [spawn(database_url, "--allow", "train.py", "--slots", "2", "--idle", "1") for _ in range(2)]
    until(lambda: len({t.worker for t in s.trials if t.state == "running"}) == 2 and s.counts["running"] == 4)
    crowd[0].kill()
    crowd[0].communicate()
    (dead,) = {t.worker for t in s.trials if t.state == "running" and f":{crowd[0].pid}:" in t.worker}
    run_out(database_url, dead)
    Path("go").touch()
    _, said = crowd[1].communicate(timeout=300)
    assert crowd[1].returncode == 0, said
    assert s.counts["done"] == 10
    assert [t.number for t in s.trials] == list(range(10))
    assert max(t.attempt for t in s.trials) <= 2
    assert s.verify() == []


def stop(worker):
    """SIGTERM, and wait until it has been heard."""
    worker.send_signal(signal.SIGTERM)
    assert any(line == "stopping: running trials are finished first\n" for line in worker.stderr)


def test_sigterm_drains_and_a_second_one_gives_back(url, spawn):
    s = study(url, trials=50)
    s.submit("train.py:held")

    def running():
        return [t for t in s.trials if t.state == "running"]

    worker = spawn(url, "--allow", "train.py", "--slots", "2")
    until(lambda: len(running()) == 2)
    stop(worker)
    Path("go").touch()
    _, said = worker.communicate(timeout=300)
    assert worker.returncode == 0
    assert said.endswith("drained\n")
    assert running() == []
    assert s.counts["done"] == 2

    Path("go").unlink()
    worker = spawn(url, "--allow", "train.py")
    until(running)
    stop(worker)
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=300)
    assert worker.returncode == 143, said
    assert running() == []
    assert s.counts["done"] == 2
    assert s.verify() == []


def test_the_command_line_submits_and_serves(url, tmp_path):
    (tmp_path / "study.yaml").write_text(
        "study: y\nobjective: train.py:quick\nspace:\n  x: {float: [0, 1]}\nminimize: loss\n"
        f"budget: {{trials: 3}}\nstorage: {url}\n"
    )
    done = CliRunner().invoke(cli, ["submit", "study.yaml"])
    assert done.output == f"study 'y' waits for workers: trimtab worker --allow train.py:quick --storage {url}\n"
    done = CliRunner().invoke(cli, ["worker", "--storage", url, "--allow", "study.yaml", "--idle", "0.2"])
    assert done.exit_code == 0, done.output
    assert "study 'y': runs train.py:quick" in done.output
    assert tt.Study("y", storage=url).counts["done"] == 3
    assert CliRunner().invoke(cli, ["worker", "--storage", url]).exit_code == 2
    refused = CliRunner().invoke(cli, ["worker", "--storage", url, "--allow", "trian.py:quick"])
    assert refused.stderr.startswith("trimtab: --allow 'trian.py:quick': there is no such file; the working folder is ")
    assert os.getcwd() == str(tmp_path)


def test_a_submitted_command_is_allowed_by_its_study_file(url, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "study: c\ncommand: echo {x}\nspace:\n  x: {float: [0, 1]}\nminimize: loss\n"
        f"budget: {{trials: 2}}\nstorage: {url}\n"
    )
    done = CliRunner().invoke(cli, ["submit", "c.yaml"])
    assert done.output == f"study 'c' waits for workers: trimtab worker --allow c.yaml --storage {url}\n"
    served = CliRunner().invoke(cli, [*shlex.split(done.output.split(": trimtab ")[1]), "--idle", "0.2"])
    assert served.exit_code == 0, served.output
    assert "study 'c': runs echo {x}" in served.output


def changes(s):
    return [e.body for e in s.storage.events(s.record.id, kinds={"inputs"})]


def test_a_cell_changed_under_a_worker_is_refused_before_the_next_trial(url, tmp_path):
    (tmp_path / "cells.csv").write_text(CELLS)
    s = study(url, data={"cells": "cells.csv"}, on_change="refuse")
    s.submit("train.py:meddling")
    said = serve(url, "train.py")
    assert "refused: study 's': data cells: its content changed" in said[1]
    assert s.counts["done"] == 4  # trial 3 changed it, and nothing began after that
    assert s.counts["running"] == 0
    (event,) = changes(s)
    assert (event["changed"], event["refused"]) == ({"data cells": "its content"}, True)
    serve(url, "train.py")
    assert s.counts["done"] == 4
    (tmp_path / "cells.csv").write_text(CELLS)
    serve(url, "train.py")
    assert s.counts["done"] == 8
    assert s.verify() == []


def test_a_worker_that_finds_changed_data_says_so_once_however_often_it_looks(url, tmp_path, monkeypatch):
    monkeypatch.setattr(served, "AGAIN", 0.05)
    (tmp_path / "cells.csv").write_text(CELLS)
    s = study(url, data={"cells": "cells.csv"}, on_change="refuse")
    s.submit("train.py:quick")
    (tmp_path / "cells.csv").write_text(CELLS + "1,2\n")
    serve(url, "train.py", idle=1.5)
    assert [e["refused"] for e in changes(s)] == [True]
    assert len(s.trials) == 0


def test_by_default_a_worker_records_the_change_and_goes_on(url, tmp_path):
    (tmp_path / "cells.csv").write_text(CELLS)
    s = study(url, data={"cells": "cells.csv"})
    s.submit("train.py:meddling")
    serve(url, "train.py")
    assert s.counts["done"] == 8
    (event,) = changes(s)
    assert (event["changed"], event["refused"]) == ({"data cells": "its content"}, False)
    joined = s.storage.events(s.record.id, kinds={"run"})[-1]
    assert joined.body["data"]["cells"]["sha256"] != event["data"]["cells"]["sha256"]
    assert s.verify() == []


def test_a_worker_is_told_where_the_data_is(url, tmp_path, spawn):
    (tmp_path / "cells.csv").write_text(CELLS)
    for name, policy in (("strict", "refuse"), ("loose", "record")):
        study(url, name, 2, data={"cells": "cells.csv"}, on_change=policy).submit("train.py:quick")
    (tmp_path / "cells.csv").rename(tmp_path / "elsewhere.csv")
    said = serve(url, "train.py")
    assert (
        "study 'strict' is not served: its data 'cells' is not here (cells.csv); name it with --data cells=PATH" in said
    )
    assert "study 'loose': data 'cells' is not here and not watched; name it with --data cells=PATH" in said
    worker = spawn(url, "--allow", "train.py", "--data", "cells=elsewhere.csv", "--idle", "0.3s")
    worker.communicate(timeout=300)
    assert worker.returncode == 0
    assert [tt.Study(name, storage=url).counts["done"] for name in ("strict", "loose")] == [2, 2]
    for wrong in ("cells", "cells=nowhere.csv", "=elsewhere.csv"):
        done = CliRunner().invoke(cli, ["worker", "--allow", "train.py", "--storage", url, "--data", wrong])
        assert done.exit_code == 2
        assert "write NAME=PATH, and a path that exists" in done.output


def works_again(s, url, means, *, after, **serving):
    """A worker that has nothing to do ends it when it hears what `means` does `after` a line; returns what it said."""
    said = []

    def say(line):
        said.append(line)
        if after in line and line not in said[:-1]:
            threading.Timer(0.2, means).start()

    Worker(open_storage(url), ["train.py"], say=say, **serving).run(idle=4.0)
    return said


def test_a_study_whose_space_was_exhausted_is_served_again_when_it_grows(url):
    s = tt.Study("s", tt.Space(x=tt.Int(0, 2)), minimize="loss", storage=url, strategy="grid", budget={"trials": 9})
    s.submit("train.py:quick")
    works_again(s, url, lambda: s.revise(space=tt.Space(x=tt.Int(0, 4))), after="nothing to do (exhausted)")
    assert s.counts["done"] == 5


def test_a_study_whose_budget_was_raised_is_served_again(url):
    s = study(url, budget={"cost": 1.0})
    s.submit("train.py:quick", resources=tt.Resources(price=3.6e7))
    works_again(s, url, lambda: s.revise(budget={"trials": 20}), after="nothing to do (budget)")
    assert s.counts["done"] == 20


def test_a_study_that_returned_nonsense_is_served_again_once_it_is_submitted_again(url, train):
    s = study(url, trials=8)
    train.write_text(TRAIN.replace("return None", 'return 0.5 if os.path.exists("go") else None'))
    s.submit("train.py:broken")

    def mend():
        Path("go").touch()
        s.submit("train.py:broken")

    works_again(s, url, mend, after="nothing to do (wrong: ")
    assert (s.counts["failed"], s.counts["done"]) == (3, 5)
