"""Is the setting that `study.best` names truly better than that of the best single result?

    python benchmarks/best.py [--studies 204] [--trials 100]

Studies of the default strategy on the problems of benchmarks/noisy.py, with noise of 0.3, 1 and 2 times the spread of the
true loss over random settings. The figure is the true loss of the named setting above that of the truly best one that the
study tried, in units of that spread; smaller is better. "evidence" is the setting that the certificate chooses after it
has measured the finalists again (20 further runs). Prints a table and writes benchmarks/results/best.csv.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import csv
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from noisy import Problem, problems

import trimtab as tt

HEAD = ["noise / signal", "studies", "best single", "study.best", "difference", "se", "evidence"]


def study(p: Problem, ratio: float, seed: int, trials: int) -> tuple[float, float, float]:
    """Regrets of the best single result, of study.best and of the certificate's choice."""
    sd = ratio * p.signal

    def objective(trial: object) -> float:
        noise = random.Random(f"{trial.seed}/{trial.number}").gauss(0, sd)
        return p.loss(trial.params) + noise

    made = tt.Study("best", p.space, minimize="loss", baseline=p.baseline, seed=seed)
    made.run(objective, trials=trials, quiet=True)
    done = [t for t in made.trials if t.state == "done"]
    least = min(p.loss(t.params) for t in done)
    single = min(done, key=lambda t: t.metrics["loss"])
    proof = made.evidence(objective, replicates=2, quiet=True)
    single_, best, chosen = ((p.loss(s) - least) / p.signal for s in (single.params, made.best.params, proof.tuned))
    return single_, best, chosen


def line(name: str, rows: Sequence[tuple[float, float, float]]) -> list[object]:
    single, best, chosen = np.mean(rows, axis=0)
    d = np.array([b - s for s, b, _ in rows])
    return [name, len(rows), single, best, d.mean(), d.std(ddof=1) / math.sqrt(len(d)), chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=204)
    parser.add_argument("--trials", type=int, default=100)
    asked = parser.parse_args()
    began, every, table = time.process_time(), problems(), []
    rows = {
        ratio: [study(p, ratio, s, asked.trials) for s in range(asked.studies // 12) for p in every]
        for ratio in (0.3, 1.0, 2.0)
    }
    table = [line(f"{ratio:g}", found) for ratio, found in rows.items()]
    table.append(line("all", [r for found in rows.values() for r in found]))
    print(" | ".join(f"{h:>14}" for h in HEAD))
    for name, n, *figures in table:
        print(" | ".join([f"{name:>14}", f"{n:>14}", *(f"{v:>14.3f}" for v in figures)]))
    target = Path(__file__).parent / "results" / "best.csv"
    target.parent.mkdir(exist_ok=True)
    with target.open("w", newline="") as file:
        csv.writer(file).writerows([HEAD, *table])
    print(f"Trimtab {tt.__version__}, {time.process_time() - began:.0f} s of CPU; {target}")


if __name__ == "__main__":
    main()
