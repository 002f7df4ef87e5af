"""How much of its slots' time an executor spends in objectives: CPU-bound trials of a second, and of 10 ms, on two workers.

Utilisation is the time inside objectives over workers times the time from the first trial's begin to the last one's end.
"Steady" is the same without the start of processes and the tail: from when as many trials have begun as there are workers,
to the begin of the last one; the overhead of a trial is the rest of a slot's time there, divided by the trials. Objectives
write when they began and ended, so that all systems are measured alike. Ray Tune runs in the same call where it is
installed:

    pip install "ray[tune]"
    python benchmarks/utilisation.py --systems trimtab,ray-tune [--cases "1 s,10 ms"] [--workers 2] [--out FILE]
"""

import argparse
import csv
import logging
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimtab.objective import ActiveTrial

HERE = Path(__file__).parent


def spin(seconds: float, log: str) -> None:
    """Use so many seconds of CPU time."""
    began, until = time.time(), time.process_time() + seconds
    while time.process_time() < until:
        pass
    _note(log, began)


def nap(seconds: float, log: str) -> None:
    """Wait so long, without a CPU."""
    began = time.time()
    time.sleep(seconds)
    _note(log, began)


def _note(log: str, began: float) -> None:
    with open(log, "a") as file:  # one write: lines of several processes do not mix
        file.write(f"{began} {time.time()}\n")


@contextmanager
def cluster(slots: int) -> Iterator[None]:
    """A Ray cluster of this machine that offers so many CPUs, however many there are."""
    import ray

    ray.init("local", num_cpus=slots, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def trimtab(work: Callable[[float, str], None], seconds: float, trials: int, workers: int, log: str, how: str) -> None:
    """The default store for work that matters (SQLite, durable); strategy and executor as `how` says."""
    import trimtab as tt

    strategy, executor = how.split("/")

    def objective(trial: "ActiveTrial") -> float:
        work(seconds, log)
        return float(trial.params["x"])

    space = tt.Space(x=tt.Float(0, 1), y=tt.Float(1e-4, 1, log=True), n=tt.Int(1, 9), c=tt.Choice("a", "b"))
    with tempfile.TemporaryDirectory() as folder, cluster(workers) if executor == "ray" else nullcontext():
        study = tt.Study("u", space, minimize="loss", storage=f"sqlite:///{folder}/t.db", seed=1, strategy=strategy)
        study.run(objective, trials=trials, workers=workers, executor=executor, quiet=True)
        assert study.counts["done"] == trials


def ray_tune(work: Callable[[float, str], None], seconds: float, trials: int, workers: int, log: str, how: str) -> None:
    """Random search by Ray Tune's tuner with its defaults."""
    from ray import tune

    def objective(config: dict[str, Any]) -> dict[str, float]:
        work(seconds, log)
        return {"loss": config["x"]}

    space = {
        "x": tune.uniform(0, 1),
        "y": tune.loguniform(1e-4, 1),
        "n": tune.randint(1, 10),
        "c": tune.choice(["a", "b"]),
    }
    with tempfile.TemporaryDirectory() as folder, cluster(workers):
        settings = tune.TuneConfig(metric="loss", mode="min", num_samples=trials, reuse_actors=how == "reuse")
        run = tune.RunConfig(storage_path=folder, verbose=0)
        tune.Tuner(objective, param_space=space, tune_config=settings, run_config=run).fit()


SYSTEMS = {  # what runs, how, and at most how many trials
    "trimtab": (trimtab, "random/local", 1000),
    "trimtab-auto": (trimtab, "auto/local", 1000),
    "trimtab-ray": (trimtab, "random/ray", 1000),
    "ray-tune": (ray_tune, "default", 60),
    "ray-tune-reuse": (ray_tune, "reuse", 60),
}
CASES = {
    "1 s": (spin, 1.0, 40),
    "10 ms": (spin, 0.01, 500),
    "nap 10 ms": (nap, 0.01, 500),
    "nap 2 s": (nap, 2.0, 40),
}


def measure(system: str, case: str, workers: int) -> dict[str, object]:
    """One row of the table."""
    run, how, most = SYSTEMS[system]
    work, seconds, trials = CASES[case]
    trials = min(trials, most)
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        run(work, seconds, trials, workers, log, how)
        spans = [tuple(map(float, line.split())) for line in Path(log).read_text().splitlines()]
    assert len(spans) == trials, f"{len(spans)} of {trials} trials"
    busy = math.fsum(end - begin for begin, end in spans)
    elapsed = max(end for _, end in spans) - min(begin for begin, _ in spans)
    begins = sorted(begin for begin, _ in spans)
    low, high = begins[workers - 1], begins[-1]
    within = math.fsum(max(0.0, min(end, high) - max(begin, low)) for begin, end in spans)
    rest = (workers * (high - low) - within) / max(1, trials - workers)
    return {
        "system": system, "case": case, "workers": workers, "trials": trials, "elapsed s": round(elapsed, 2),
        "utilisation": round(busy / (workers * elapsed), 4), "steady": round(within / (workers * (high - low)), 4),
        "overhead ms": round(1000 * rest, 1),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default="trimtab", help=f"of {', '.join(SYSTEMS)}")
    parser.add_argument("--cases", default="1 s,10 ms", help=f"of {', '.join(CASES)}")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", default=None, help="a CSV file")
    said = parser.parse_args()
    made = []
    for case in said.cases.split(","):
        for system in said.systems.split(","):
            made.append(measure(system, case, said.workers))
            if len(made) == 1:
                print("  ".join(f"{k:>14}" for k in made[0]))
            print("  ".join(f"{v:>14}" for v in made[-1].values()), flush=True)
    if said.out:
        with open(said.out, "w", newline="") as file:
            writer = csv.DictWriter(file, list(made[0]))
            writer.writeheader()
            writer.writerows(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
