"""Trials that break their limit of memory, time or silence, one after the other: how soon each is dead, and what is left.

    python benchmarks/limits.py [--trials 1000] [--workers 2]

Each trial forks a process into a session of its own; both write the time every 5 ms while they live. The delay is the time
of the last such sign of life after the limit was passed (for memory: after the trial was last seen 5 MiB below it, before
it took 20 MiB more). In the end there must be no process, file, descriptor or lease that was not there before, and every
trial must have failed for its reason, with the peak of its memory on record.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

import trimtab as tt
from trimtab.objective import ActiveTrial

MIB = 2**20
LIMITS = {"memory": 400 * MIB, "timeout": 1.0, "stall": 0.5}
RESOURCES = {
    "memory": tt.Resources(memory=LIMITS["memory"]),
    "timeout": tt.Resources(time=LIMITS["timeout"]),
    "stall": tt.Resources(stall=LIMITS["stall"]),
}


def breaks(kind: str, folder: str) -> Callable[[ActiveTrial], None]:
    """An objective whose trials break that limit; what they live through is in `folder`."""

    def live(name: str) -> None:
        fd = os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY)
        while True:
            os.pwrite(fd, f"{os.getpid()} {time.time():.6f}".encode(), 0)
            time.sleep(0.005)

    def objective(trial: ActiveTrial) -> None:
        began = time.time()
        if os.fork() == 0:
            os.setsid()
            live(f"{trial.number}.child")
        threading.Thread(target=live, args=(f"{trial.number}.self",), daemon=True).start()
        trial.report(1, loss=1.0)
        passed = Path(f"{folder}/{trial.number}.passed")
        if kind != "memory":
            passed.write_text(str((began if kind == "timeout" else time.time()) + LIMITS[kind]))
            time.sleep(600)
        kept: list[bytes] = []
        own = psutil.Process()
        while True:
            now = time.time()
            if own.memory_info().rss < LIMITS["memory"] - 5 * MIB:  # the child has some of its own
                passed.write_text(str(now))
            kept = [*kept[-29:], b"\1" * (20 * MIB)]
            time.sleep(0.005)

    return objective


def what_is_there() -> dict[str, set[str]]:
    descriptors = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return {
        "processes": {str(p) for p in psutil.Process().children(recursive=True)},
        "files": set(os.listdir(tempfile.gettempdir())),
        "descriptors": {os.readlink(d) for d in descriptors if os.path.islink(d)},
    }


def state_of(pid: int, then: float) -> str | None:
    """How a process is that lived then; None when it is gone."""
    try:
        process = psutil.Process(pid)
        return process.status() if process.create_time() < then else None
    except psutil.NoSuchProcess:
        return None


def measure(kind: str, trials: int, workers: int) -> bool:
    """Print a row for one kind of limit; whether everything is as it should be."""
    space = tt.Space(x=tt.Float(0, 1))
    with tempfile.TemporaryDirectory(prefix="limits-") as folder:
        tempfile.tempdir = f"{folder}/tmp"  # files of others are no concern of ours
        os.mkdir(tempfile.tempdir)
        study = tt.Study(
            kind,
            space,
            minimize="loss",
            storage=f"sqlite:///{folder}/t.db",
            seed=1,
            strategy="random",
            max_failures=None,
        )
        before, began = what_is_there(), time.time()
        study.run(breaks(kind, folder), trials=trials, workers=workers, resources=RESOURCES[kind], quiet=True)
        took = time.time() - began
        time.sleep(3.0)  # the system's first process collects the dead that are nobody's children
        left = {what: sorted(now - before[what]) for what, now in what_is_there().items()}
        wrong = [t.number for t in study.trials if t.reason != kind or t.cost.memory <= 20 * MIB]
        leases = [t.number for t in study.trials if t.state == "running" or t.lease_until is not None]
        delays, alive = [], []
        for t in study.trials:
            if t.number in wrong:
                continue
            for who in ("self", "child"):
                pid, last = Path(f"{folder}/{t.number}.{who}").read_text().split()
                delays.append(float(last) - float(Path(f"{folder}/{t.number}.passed").read_text()))
                if (how := state_of(int(pid), float(last))) is not None:
                    alive.append((t.number, who, how))
        figures = [np.median(delays), np.quantile(delays, 0.99), max(delays)]
        intact = study.verify() == []
    tempfile.tempdir = None
    print(f"{kind:>8} {trials:>7} {took:>7.0f} " + " ".join(f"{d:>9.3f}" for d in figures), end="  ")
    faults = {"left": {k: v for k, v in left.items() if v}, "alive": alive, "leases": leases, "wrong": wrong}
    faults = {k: v for k, v in faults.items() if v}
    print(faults or "nothing", "" if intact else "the record does not verify", flush=True)
    return not faults and intact and max(delays) < 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, help="a third of them for each limit")
    parser.add_argument("--workers", type=int, default=2)
    said = parser.parse_args()
    print(f"{'limit':>8} {'trials':>7} {'s':>7} {'median s':>9} {'99 % s':>9} {'last s':>9}  left over")
    share = -(-said.trials // 3)
    fine = [measure(kind, share, said.workers) for kind in LIMITS]
    return int(not all(fine))


if __name__ == "__main__":
    sys.exit(main())
