"""What does a report cost, with a stopping rule that judges it?

    python benchmarks/reports.py [--trials 10000] [--steps 50] [--stores memory,sqlite]

A study is filled with trials of so many reports each (ASHA on a Fidelity of 1 to 50); then reports are timed one by one
through the referee, as a worker makes them: written, others' read, judged. Milliseconds of CPU of one process, means and
95th percentiles over 1,000 reports at the end of the study. Prints a table and writes benchmarks/results/reports.csv.
"""

import argparse
import tempfile
import time

import numpy as np
from figures import write

import trimtab as tt
from trimtab.records import Outcome, Proposal, Report, State, Trial
from trimtab.running.referee import Referee
from trimtab.storage import Storage, open_storage

TIMED = 1000


def measure(kind: str, trials: int, steps: int) -> list[float]:
    """CPU milliseconds of each of the last TIMED reports."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        store = open_storage(f"sqlite:///{folder}/t.db" if kind == "sqlite" else None)
        study = tt.Study(
            "s",
            tt.Space(x=tt.Float(0, 1)),
            minimize="loss",
            fidelity=tt.Fidelity("epochs", 1, steps),
            storage=store,
            seed=1,
        )
        number, spec = study.record.id, study.spec
        fill(store, number, trials - TIMED // steps, steps, rng)
        referee, taken = Referee(store, number, lambda: spec), list[float]()
        for i in range(TIMED // steps):
            trial = claimed(store, number, 1)
            for step in range(1, steps + 1):
                began = time.process_time()
                referee.report(trial, float(step), {"loss": float(rng.random())}, 15.0)
                taken.append(1000 * (time.process_time() - began))
            store.finish(trial, Outcome(State.DONE, {"loss": 0.5}))
            if i == 0:
                taken.clear()  # with the first report, the rules see all that were written before
        store.close()
    return taken


def claimed(store: Storage, study: int, count: int) -> Trial:
    """A running trial; `count` are enqueued at once where none waits."""
    trial = store.claim(study, "bench", 15.0)
    while trial is None:
        record = store.trials(study, since=10**9).study
        proposals = [Proposal({"x": 0.5}, seed=i) for i in range(count)]
        store.enqueue(study, proposals, at=record.count, seen=record.position)
        trial = store.claim(study, "bench", 15.0)
    return trial


def fill(store: Storage, study: int, trials: int, steps: int, rng: np.random.Generator) -> None:
    """Ended trials with their reports, each trial's written at once."""
    for i in range(trials):
        trial = claimed(store, study, min(trials - i, 200))
        losses = rng.random(steps)
        made = [Report(trial.number, 1, float(s + 1), {"loss": float(x)}, 0.0) for s, x in enumerate(losses)]
        store.report(trial, made, 15.0, since=None)
        store.finish(trial, Outcome(State.DONE, {"loss": float(losses[-1])}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--stores", default="memory,sqlite")
    given = parser.parse_args()
    rows: list[tuple[object, ...]] = [("store", "trials", "steps", "mean_ms", "p95_ms")]
    for kind in given.stores.split(","):
        taken = measure(kind, given.trials, given.steps)
        row = (kind, given.trials, given.steps, f"{np.mean(taken):.4f}", f"{np.quantile(taken, 0.95):.4f}")
        print("{:8} {:>6} trials of {} reports: {} ms of CPU a report, 95th percentile {}".format(*row))
        rows.append(row)
    write("reports", rows)


if __name__ == "__main__":
    main()
