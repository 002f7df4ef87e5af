"""Random faults against workers of one study, then the independent check.

    python -m chaos --storage sqlite|postgresql [--seconds 600] [--workers 5] [--trials 1500] [--seed 1]   (from tests/)

Workers (`trimtab worker`) are killed with SIGKILL and replaced, frozen past their leases and woken, asked to drain; the
objective's own processes are killed; the study is paused; the PostgreSQL server is killed, stopped for up to 30
seconds or for all of them, or cut off. Where no process was killed, every value that the objective returned must be in the
study. `--only` chooses among these faults:

    python -m chaos --storage postgresql --workers 32 --trials 2000 --objective nap --only kill_worker --every 2

kills one of 32 workers every two seconds while they do 2,000 trials of a second each. When the time is over the faults end,
workers finish the budget, and `checker` reads the database. The seed decides which fault comes when; what it hits depends
on the machine. Exit status 1 when a promise was broken.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

import trimtab as tt

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from chaos import checker  # noqa: E402

STUDY = "chaos"
RETURNS = "returns"  # what the objective returned, before the study knew
KILLERS = {"kill_worker", "kill_objective", "freeze"}
"""Faults after which a value that was returned need not have arrived: its process was killed, or lost its lease."""


class Crowd:
    """The workers, and what is done to them."""

    def __init__(self, url, folder, size):
        self.url, self.folder, self.size = url, folder, size
        self.alive, self.frozen, self.started = [], {}, 0

    def fill(self):
        """A new worker in each place that is empty."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(tt.__file__).parents[1]),
            "CHAOS_RETURNS": str(self.folder / RETURNS),
        }
        self.alive = [p for p in self.alive if p.poll() is None]
        while len(self.alive) < self.size:
            self.started += 1
            with open(self.folder / "workers.log", "ab") as log:
                call = [
                    sys.executable,
                    "-m",
                    "trimtab",
                    "worker",
                    "--storage",
                    self.url,
                    "--allow",
                    "objective.py",
                    "--idle",
                    "3s",
                ]
                self.alive.append(subprocess.Popen(call, cwd=HERE, env=environment, stderr=log, stdout=log))

    def wake(self, now):
        for process, until in [*self.frozen.items()]:
            if until <= now:
                del self.frozen[process]
                self.signal(process, signal.SIGCONT)

    def signal(self, process, number):
        with suppress(ProcessLookupError):
            process.send_signal(number)

    def end(self):
        for process in self.alive:
            self.signal(process, signal.SIGKILL)
            process.wait()


class Faults:
    """What may happen. Each method is one fault."""

    def __init__(self, chance, crowd, study, server, proxy):
        self.chance, self.crowd, self.study, self.server, self.proxy = chance, crowd, study, server, proxy

    def menu(self):
        common = [self.kill_worker] * 6 + [self.kill_objective] * 4 + [self.freeze] * 2 + [self.drain, self.pause]
        return common + (
            [self.crash_server, self.stop_server, self.outage, self.cut_network, self.cut_network]
            if self.server
            else []
        )

    def kill_worker(self):
        self.crowd.signal(self.chance.choice(self.crowd.alive), signal.SIGKILL)

    def kill_objective(self):
        with suppress(psutil.Error, IndexError):
            self.chance.choice(psutil.Process(self.chance.choice(self.crowd.alive).pid).children()).kill()

    def freeze(self):
        process = self.chance.choice(self.crowd.alive)
        self.crowd.signal(process, signal.SIGSTOP)
        self.crowd.frozen[process] = time.monotonic() + self.chance.uniform(5, 40)

    def drain(self):
        self.crowd.signal(self.chance.choice(self.crowd.alive), signal.SIGTERM)

    def pause(self):
        self.study.pause()
        time.sleep(self.chance.uniform(0, 3))
        self.study.resume()

    def crash_server(self):
        self.server.kill()
        time.sleep(self.chance.uniform(0, 5))
        self.server.start()

    def stop_server(self):
        self.server.stop()
        time.sleep(self.chance.uniform(1, 30))
        self.server.start()

    def outage(self):
        self.server.stop()
        time.sleep(30)
        self.server.start()

    def cut_network(self):
        self.proxy.cut()
        time.sleep(self.chance.uniform(0, 20))
        self.proxy.mend()


def storm(said, url, folder, server, proxy):
    """Run the study through the faults to its end; what happened how often."""
    space = tt.Space(
        x=tt.Float(0, 1, default=0.5), y=tt.Float(1e-3, 1, log=True, default=0.1), kind=tt.Choice("a", "b", default="a")
    )
    study = tt.Study(STUDY, space, minimize="loss", storage=url, seed=said.seed, strategy=said.strategy,
                     budget={"trials": said.trials}, max_failures=None)  # fmt: skip
    os.chdir(HERE)
    study.submit(f"objective.py:{said.objective}")
    chance, happened = random.Random(said.seed), Counter()
    workers_url = url if proxy is None else url.replace(str(server.port), str(proxy.port))
    crowd = Crowd(workers_url, folder, said.workers)
    faults = Faults(chance, crowd, study, server, proxy)
    began = time.monotonic()
    try:
        while time.monotonic() < began + said.seconds and finished(study) < said.trials:
            crowd.fill()
            time.sleep(chance.uniform(0, 2 * said.every))
            crowd.wake(time.monotonic())
            fault = chance.choice([f for f in faults.menu() if f.__name__ in (said.only or f.__name__)])
            fault()
            happened[fault.__name__] += 1
        print(
            f"{finished(study)} of {said.trials} trials after {time.monotonic() - began:.0f} s of faults: {dict(happened)}",
            flush=True,
        )
        crowd.wake(float("inf"))
        while finished(study) < said.trials:
            crowd.fill()
            time.sleep(1)
        calm = time.monotonic()
        while study.record.count and any(t.state == "running" for t in study.trials) and time.monotonic() < calm + 20:
            time.sleep(0.5)
        print(f"all leases closed {time.monotonic() - calm:.1f} s after the last trial had ended")
    finally:
        crowd.end()
    trials = study.trials
    print(f"{crowd.started} workers, {time.monotonic() - began:.0f} s")
    print(f"states {dict(Counter(str(t.state) for t in trials))}, attempts {dict(Counter(t.attempt for t in trials))}")
    print(f"events {dict(Counter(e.kind for e in study.storage.events(study.record.id)))}", flush=True)
    return study, set(happened)


def finished(study):
    counts = study.counts
    return counts["done"] + counts["failed"] + counts["stopped"]


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--storage", choices=["sqlite", "postgresql"], required=True)
    ask.add_argument("--seconds", type=float, default=600)
    ask.add_argument("--workers", type=int, default=5)
    ask.add_argument("--trials", type=int, default=1500)
    ask.add_argument("--every", type=float, default=4, help="mean seconds between two faults")
    ask.add_argument("--only", nargs="+", help="names of the faults, such as kill_worker; all of them otherwise")
    ask.add_argument("--objective", choices=["objective", "nap"], default="objective", help="nap: sleeps for a second")
    ask.add_argument("--strategy", default="random")
    ask.add_argument("--seed", type=int, default=1)
    said = ask.parse_args()
    server = proxy = None
    with tempfile.TemporaryDirectory(prefix="trimtab-chaos-") as folder:
        os.environ["XDG_STATE_HOME"] = folder
        url = f"sqlite:///{folder}/chaos.db"
        if said.storage == "postgresql":
            import postgres
            from proxies import Proxy

            server = postgres.Server(max_connections=20 + 4 * said.workers)
            url, proxy = server.database(), Proxy(server.port)
        try:
            study, happened = storm(said, url, Path(folder), server, proxy)
            wrong = checker.check(url, STUDY, budget=said.trials) + checker.derived(study)
            if not happened & KILLERS:
                returns = Path(folder) / RETURNS
                wrong += checker.delivered(url, STUDY, returns)
                print(f"{len(returns.read_text().splitlines())} values were returned")
            print("\n".join(wrong) or "all promises kept")
            if wrong:
                print((Path(folder) / "workers.log").read_text()[-3000:])
            study.storage.close()
        finally:
            for thing in filter(None, (proxy, server)):
                thing.close()
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
