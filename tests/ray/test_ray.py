"""Trials on a real Ray cluster of several nodes on this machine; nodes and drivers that are killed. Run by `make ray`."""

import os
import re
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import ray
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.cluster_utils import Cluster
from waiting import until

import trimtab as tt
from trimtab.errors import RunFailed, SpecError
from trimtab.executors import Job
from trimtab.executors.ray import Ray
from trimtab.objective import as_program
from trimtab.objective.trial import payload
from trimtab.records import Resources
from trimtab.running import runner, staffing
from trimtab.strategies.pbt import PBT

os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  (else Ray's workers give way to all else: minutes on a busy machine)
os.environ["RAY_raylet_start_wait_time_s"] = "300"  # noqa: SIM112
SPACE = tt.Space(x=tt.Float(0, 1, default=0.5))


@pytest.fixture(scope="module")
def cluster():
    """Three nodes with one CPU each."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


def study(url, **how):
    return tt.Study("s", SPACE, minimize="loss", storage=url, seed=1, strategy="random", **how)


def sleeper():
    """Made here, so that it is sent by value: nodes do not know this module."""

    def slow(trial):
        trial.report(1, loss=0.5)
        time.sleep(2)
        return trial.params["x"]

    return slow


def test_trials_run_on_all_nodes_with_reports_limits_and_failures(cluster, url):
    def objective(trial):
        trial.report(1, loss=0.5)
        if trial.number == 1:
            raise ValueError("boom")
        if trial.number == 2:
            time.sleep(3600)
        return trial.params["x"]

    s = study(url)
    s.run(objective, trials=6, workers=3, executor="ray", resources=Resources(time="15s"), quiet=True)
    assert [str(t.reason or t.state) for t in s.trials] == ["done", "error", "timeout", "done", "done", "done"]
    assert s.trials[1].error.startswith("ValueError: boom")
    assert {r.number for r in s.storage.reports(s.record.id)} == set(range(6))
    assert all(t.cost.wall > 0 for t in s.trials)
    assert s.verify() == []


def test_jobs_that_find_no_room_wait_for_it(cluster, url, monkeypatch):
    monkeypatch.setattr("trimtab.executors.ray.UNPLACED", 2.0)
    s = study(url)
    s.run(lambda trial: 1.0, trials=8, workers=5, executor="ray", quiet=True)
    assert s.counts["done"] == 8


def test_what_finds_no_room_is_demand_that_an_autoscaler_sees_and_is_said(cluster, url, monkeypatch, caplog):
    monkeypatch.setattr("trimtab.executors.ray.NO_ROOM", 9.0)
    s = study(url, budget=tt.Budget(cpu_hours=8 / 3600))  # what waits uses nothing of it
    how = {"executor": "ray", "resources": Resources(custom={"rare": 1}), "quiet": True}
    run = threading.Thread(target=lambda: s.run(lambda trial: 1.0, trials=3, **how))
    run.start()

    def demand():
        asked = get_cluster_status(cluster.address).resource_demands.ray_task_actor_demand
        return [bundle.bundle for d in asked for bundle in d.bundles_by_count]

    until(lambda: {"CPU": 1.0, "rare": 1.0} in demand())
    until(lambda: caplog.messages)
    assert (
        "no node has had room for a trial for 9 s: it asks for CPU 1, rare 1; the nodes have CPU 3, rare 0"
        in caplog.text
    )
    special = cluster.add_node(num_cpus=1, resources={"rare": 1})
    run.join()
    assert s.counts["done"] == 3
    first = s.trials[0]
    assert first.cost.waiting > 9.0
    assert first.started - first.created > 9.0  # so the wait uses no budget of time either
    cluster.remove_node(special)


def test_evidence_runs_on_the_cluster(cluster, url):
    here = os.getpid()

    def objective(trial):
        assert os.getppid() != here
        return trial.params["x"] * (1 + 1e-3 * (trial.seed % 7))

    s = study(url)
    s.run(objective, trials=4, executor="ray", quiet=True)
    found = s.evidence(objective, replicates=3, workers=3, executor="ray", quiet=True)
    assert len(found.pairs) == 3
    assert found.decision == "proven"
    assert s.verify() == []


def test_a_trial_may_ask_for_a_placement_group_of_its_own(cluster, url):
    """Beside the CPU of the trial there are two: each group needs that the one before is gone, also after a failure."""
    address = cluster.address

    def trains(trial):
        import ray

        ray.init(address=address, log_to_driver=False)
        try:
            group = ray.util.placement_group([{"CPU": 1}, {"CPU": 1}], strategy="SPREAD")
            ray.get(group.ready(), timeout=120)
            if trial.number == 1:
                raise ValueError("with its group")
            return float(len(group.bundle_specs))
        finally:
            ray.shutdown()

    s = study(url)
    s.run(trains, trials=3, executor="ray", quiet=True)
    assert [t.metrics.get("loss") for t in s.trials] == [2.0, None, 2.0], [t.error for t in s.trials]


def test_a_node_that_is_killed_gives_its_trial_back(cluster, url):
    lost = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()

    def watch(ledger):
        if ledger.counts["done"] >= 4 and lost.any_processes_alive():
            cluster.remove_node(lost, allow_graceful=False)

    s = study(url)
    with staffing.hired(s._live, sleeper(), staffing.Slots(4, executor="ray"), quiet=True) as crew:
        crew.watch = watch
        runner.search(crew, runner.Terms(trials=12))
    assert not lost.any_processes_alive()
    assert s.counts["done"] == 12
    assert max(t.attempt for t in s.trials) == 2
    assert s.verify() == []


def test_a_job_that_was_given_to_an_actor_that_had_gone_begins_at_another_one(cluster, url):
    """Else three actors that nobody missed would make a lost trial of one that never began."""
    limits = Resources(custom={"spot": 1})
    s = study(url)
    executor = Ray(3, as_program(lambda trial: 1.0, s.spec), limits)

    def carried_out(n):
        numbers = [s.ask().number for _ in range(n)]
        for trial in s.trials[numbers[0] :]:
            executor.launch(Job((1, trial.number, 1), payload(trial, ["loss"]), lambda message: {}, limits))
        ended = []
        until(lambda: ended.extend(executor.reap(1.0)) or len(ended) == n)
        return [how.message for _, how in ended]

    done = {"state": "done", "metrics": {"loss": 1.0}}
    lost = cluster.add_node(num_cpus=3, resources={"spot": 3})
    assert carried_out(3) == [done] * 3
    cluster.remove_node(lost, allow_graceful=False)
    new = cluster.add_node(num_cpus=3, resources={"spot": 3})
    assert carried_out(1) == [done]
    executor.close()
    cluster.remove_node(new)


def test_a_job_whose_actor_cannot_be_made_goes_to_one_that_works(cluster, url, tmp_path, caplog):
    go, s = tmp_path / "go", study(url)

    def held(trial):
        trial.report(1, loss=1.0)
        while trial.number == 0 and not go.exists():
            time.sleep(0.05)
        return 1.0

    executor, heard, ended = Ray(2, as_program(held, s.spec), Resources()), [], []

    def launch():
        trial = s.ask()
        job = Job(
            (1, trial.number, 1),
            payload(s.trials[trial.number], ["loss"]),
            lambda m: heard.append(m) or {},
            Resources(),
        )
        executor.launch(job)

    launch()
    until(lambda: executor.reap(1.0) or heard)
    executor._task = ray.put(b"no task")  # from now on no node can make an actor
    launch()
    until(lambda: executor.reap(1.0) or "a node could not begin a trial" in caplog.text)
    assert executor.free() == 0
    go.touch()
    until(lambda: ended.extend(executor.reap(1.0)) or len(ended) == 2)
    assert [how.message["state"] for _, how in ended] == ["done", "done"]
    executor.close()
    launch()
    with pytest.raises(RunFailed, match=r"a node could not begin a trial: .*pickle"):
        until(lambda: executor.reap(1.0))


def test_an_actor_that_is_lost_before_its_job_begins_costs_it_no_attempt(cluster, url, monkeypatch):
    s = study(url)
    executor, ended = Ray(1, as_program(lambda trial: 1.0, s.spec), Resources()), []
    executor.launch(Job((1, 0, 1), payload(s.storage.page(1, s.ask().number, 1)[0], ["loss"]), dict, Resources()))
    (held,) = executor._busy.values()
    ray.kill(held.host)  # as with its node, while it is being placed
    until(lambda: ended.extend(executor.reap(1.0)) or ended)
    assert ended[0][1].message == {"state": "done", "metrics": {"loss": 1.0}}
    executor.close()


OTHER = """
    import sys
    import ray
    import trimtab as tt

    ray.init(address=sys.argv[2], log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": sys.argv[3]}})
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", storage=sys.argv[1], seed=1)
    study.run(lambda trial: 1.0, trials=2, executor="ray", quiet=True)
    """


def test_a_node_with_another_trimtab_is_an_error_before_the_first_trial(cluster, url, tmp_path):
    (tmp_path / "trimtab").mkdir()
    (tmp_path / "trimtab" / "__init__.py").write_text("raise ImportError('this is version 0')")
    call = [sys.executable, "-c", textwrap.dedent(OTHER), url, cluster.address, str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    said = "executor='ray': a node could not begin a trial: ImportError: this is version 0; it needs this Trimtab"
    assert said in done.stderr.splitlines()[-1]
    assert tt.Study("s", storage=url).counts["queued"] == 1


def learner():
    """Made here, so that it is sent by value; the actor of trial 7 is killed when a part of its parent's state is copied."""

    def train(trial):
        import json
        import os
        import shutil
        import signal

        copytree = shutil.copytree

        def killed(source, target, **how):
            (target / "state").write_text("half of i")
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)

        shutil.copytree = killed if (trial.number, trial.attempt) == (7, 1) else copytree
        state = trial.checkpoint / "state"
        w, done = json.loads(state.read_text()) if state.exists() else (4.0, 0)
        assert (done > 0) == (trial.parent is not None)
        for epoch in range(done + 1, int(trial.fidelity) + 1):
            w -= trial.params["x"] * (w - 1 / epoch) + 1e-4 * (trial.seed % 7)
        state.write_text(json.dumps([w, int(trial.fidelity)]))
        return w * w

    return train


def test_a_population_begins_on_the_cluster_and_ends_on_this_machine(cluster, url):
    s = tt.Study(
        "s", SPACE, minimize="loss", fidelity=tt.Fidelity("epochs", 1, 8), strategy=PBT(4, 4), storage=url, seed=1
    )
    s.run(learner(), trials=10, workers=3, executor="ray", quiet=True)
    s.run(learner(), trials=40, workers=2, quiet=True)
    assert s.counts["done"] == len(s.trials) == 16 + (s.baseline is not None)
    assert [t.number for t in s.trials if t.attempt > 1] == [7]
    assert [p.name for p in s.checkpoint(0).parent.iterdir()] == [str(s.best.number)]
    assert s.replay().exact == s.replay().proposals
    assert s.verify() == []
    assert s.schedule().train(learner()) == s.best.metrics


DRIVER = """
    import os, sys, time
    import ray
    import trimtab as tt

    go = sys.argv[3]

    def held(trial):
        time.sleep(0.05)  # no trial is so short that others are claimed ahead
        while trial.number >= 3 and not os.path.exists(go):
            time.sleep(0.05)
        return trial.params["x"]

    ray.init(address=sys.argv[2], log_to_driver=False)
    space = tt.Space(x=tt.Float(0, 1, default=0.5))
    study = tt.Study("s", space, minimize="loss", storage=sys.argv[1], seed=1, strategy="random")
    study.run(held, trials=10, workers=3, executor="ray", quiet=True)
    """


def test_the_same_line_goes_on_after_kill_9_of_the_driver(cluster, url, tmp_path):
    call = [sys.executable, "-c", textwrap.dedent(DRIVER), url, cluster.address, str(tmp_path / "go")]
    s = study(url)
    with subprocess.Popen(call) as driver:
        until(lambda: (s.counts["done"], s.counts["running"]) == (3, 3))
        driver.kill()
    (tmp_path / "go").touch()
    subprocess.run(call, check=True, timeout=240)
    assert s.counts["done"] == 10
    assert [t.number for t in s.trials] == list(range(10))
    assert s.verify() == []


GUARDED = """
    import os, subprocess, sys
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.wait_for_nodes()
    call = [sys.executable, "-m", "trimtab", "run", sys.argv[1], "--executor", "ray", "--quiet"]
    there = {**os.environ, "RAY_ADDRESS": made.address}
    for change in ({}, {"RAY_AUTH_TOKEN": "b" * 64}):
        done = subprocess.run(call, env={**there, **change}, capture_output=True, text=True)
        print(done.returncode, done.stdout.split("\\n")[0], done.stderr.strip().split("\\n")[-1], sep="|")
    made.shutdown()
    """

STUDY = """
    study: guarded
    space: {x: {float: [0, 1]}}
    minimize: loss
    budget: {trials: 3}
    command: sh -c 'echo loss={x}'
    """


def test_a_cluster_with_a_token_takes_those_who_have_it(tmp_path):
    (tmp_path / "guarded.py").write_text(textwrap.dedent(GUARDED))
    (tmp_path / "study.yaml").write_text(textwrap.dedent(STUDY))
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
    call = [sys.executable, "guarded.py", "study.yaml"]
    done = subprocess.run(
        call, cwd=tmp_path, env={**os.environ, **secret}, stdout=subprocess.PIPE, text=True, check=True
    )
    let_in, kept_out = (line.split("|") for line in done.stdout.splitlines()[-2:])
    assert let_in[0] == "0"
    assert kept_out[0] == "2"
    assert kept_out[2].startswith("trimtab: executor='ray': ")
    assert kept_out[2].endswith("RAY_AUTH_MODE and RAY_AUTH_TOKEN")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "ray://127.0.0.1:1", "nobody.invalid:6379", "a:99999"])
def test_an_address_at_which_nobody_listens_is_refused_at_once(address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray would try for minutes"))
    with pytest.raises(SpecError, match=rf"nobody answers at {re.escape(address)} \(.*; check RAY_ADDRESS"):
        Ray(1, as_program(sleeper(), study("memory://").spec), Resources())


def test_an_executor_that_is_not_known(url):
    with pytest.raises(SpecError, match=r"executor='rya' is not known; did you mean 'ray'\?"):
        study(url).run(sleeper(), trials=1, executor="rya", quiet=True)
