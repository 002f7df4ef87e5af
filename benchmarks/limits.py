"""Trials that break their limits of memory, time and silence, one after the other: how soon each is dead, and what is left.

    python benchmarks/limits.py --trials 1000

Each trial forks a process into a session of its own; both write the time every 5 ms while they live. The delay is the time
of the last such sign of life after the limit was passed. In the end there must be no process, file, descriptor or lease
that was not there before, and every trial must have failed for its reason with the peak of its memory on record.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

import trimtab as tt
from trimtab.records import Reason

MIB = 2**20
LIMITS = {"memory": 400 * MIB, "time": 1.0, "stall": 0.5}
KINDS = (Reason.MEMORY, Reason.TIMEOUT, Reason.STALL)


def objective_in(folder: str):
    """An objective whose trials break one limit after the other; what they live through is in `folder`."""

    def live(name: str) -> None:
        fd = os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY)
        while True:
            os.pwrite(fd, f"{os.getpid()} {time.time():.6f}".encode(), 0)
            time.sleep(0.005)

    def passed(number: int, when: float) -> None:
        Path(f"{folder}/{number}.passed").write_text(str(when))

    def objective(trial):
        kind = ("memory", "timeout", "stall")[trial.number % 3]
        began = time.time()
        if os.fork() == 0:
            os.setsid()
            live(f"{trial.number}.child")
        threading.Thread(target=live, args=(f"{trial.number}.self",), daemon=True).start()
        trial.report(1, loss=1.0)
        if kind == "timeout":
            passed(trial.number, began + LIMITS["time"])
        elif kind == "stall":
            passed(trial.number, time.time() + LIMITS["stall"])
            time.sleep(600)
        kept, own = [], psutil.Process()
        for step in range(2, 10**6):
            trial.report(step, loss=1.0)
            if kind == "memory":
                near = own.memory_info().rss >= LIMITS["memory"] - 40 * MIB  # the child has some of its own
                if near and not os.path.exists(f"{folder}/{trial.number}.passed"):
                    passed(trial.number, time.time())
                kept.append(b"\1" * (20 * MIB))
                kept = kept[-30:]
            time.sleep(0.005)

    return objective


def left_over(before: dict[str, set[str]]) -> dict[str, list[str]]:
    """What is there now and was not before."""
    return {kind: sorted(now - before[kind]) for kind, now in what_is_there().items()}


def what_is_there() -> dict[str, set[str]]:
    own = psutil.Process()
    return {
        "processes": {str(p) for p in own.children(recursive=True)},
        "files": set(os.listdir(tempfile.gettempdir())),
        "descriptors": {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _open(fd)},
    }


def state_of(pid: int, then: float) -> str | None:
    """How a process is that lived then; None when it is gone."""
    try:
        process = psutil.Process(pid)
        return process.status() if process.create_time() < then else None
    except psutil.NoSuchProcess:
        return None


def _open(fd: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{fd}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    said = parser.parse_args()
    space = tt.Space(x=tt.Float(0, 1))
    with tempfile.TemporaryDirectory(prefix="limits-") as folder:
        tempfile.tempdir = f"{folder}/tmp"  # files of others are no concern of ours
        os.mkdir(tempfile.tempdir)
        study = tt.Study(
            "limits", space, minimize="loss", storage=f"sqlite:///{folder}/t.db", seed=1, strategy="random", max_failures=None,
            stopping=None,
        )  # fmt: skip
        before, began = what_is_there(), time.time()
        study.run(
            objective_in(folder), trials=said.trials, workers=said.workers, resources=tt.Resources(**LIMITS), quiet=True
        )
        took = time.time() - began
        time.sleep(3.0)  # the system's first process collects the dead that are nobody's children
        left = left_over(before)
        delays: dict[str, list[float]] = {str(k): [] for k in KINDS}
        alive, wrong = [], []
        for trial in study.trials:
            wanted = KINDS[trial.number % 3]
            if trial.reason is not wanted or not trial.cost.memory > 20 * MIB or trial.lease_until is not None:
                wrong.append((trial.number, trial.state, trial.reason, trial.cost.memory))
            when = float(Path(f"{folder}/{trial.number}.passed").read_text())
            for who in ("self", "child"):
                pid, last = Path(f"{folder}/{trial.number}.{who}").read_text().split()
                delays[str(wanted)].append(float(last) - when)
                if (how := state_of(int(pid), float(last))) is not None:
                    alive.append((trial.number, who, int(pid), how))
        leases = [t.number for t in study.trials if t.state == "running"]
        print(
            f"{len(study.trials)} trials in {took:.0f} s on {said.workers} workers; events verify: {not study.verify()}"
        )
        print(f"{'limit':>10} {'processes':>10} {'median s':>10} {'99 % s':>10} {'last s':>10}")
        for kind, seen in delays.items():
            print(
                f"{kind:>10} {len(seen):>10} {np.median(seen):>10.3f} {np.quantile(seen, 0.99):>10.3f} {max(seen):>10.3f}"
            )
        print(f"left: {left}; alive: {alive}; leases: {leases}; wrong: {wrong[:5]} ({len(wrong)})")
    return int(bool(any(left.values()) or alive or leases or wrong))


if __name__ == "__main__":
    sys.exit(main())
