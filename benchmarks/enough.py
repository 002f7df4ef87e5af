"""What does it save to end a search when what is left to gain is below its noise, and what does it lose?

    python benchmarks/enough.py [--trials 100] [--seeds 5] [--ratios 0.1,0.5] [--problems bowl,branches] [--stopping asha]

Noisy problems whose truth is known (noisy.py). Each study runs until `enough=True` ends it, and then on to its budget of
trials. `saved` is the share of the budget that was not needed; `lost` is how much worse the true loss of its best setting
is at that end than at the budget's, in standard deviations of the noise, and in those of the true loss over random settings.
With `--stopping`, a trial reports after 1, 3, 9 and 27 epochs, and may be stopped by that rule: its loss falls like
1 / epoch, the faster the smaller its first parameter. Prints a table with 95 % bootstrap intervals over studies; finished
ones are lines of benchmarks/results/enough.csv and are not run again.
"""

import argparse
from typing import Any

import numpy as np
from figures import FOLDER, bootstrap, finished, named
from noisy import Problem, problems

import trimtab as tt

NAMES, FIGURES = ["problem", "ratio", "seed", "budget", "stopping"], ["trials", "saved", "lost_noise", "lost_signal"]
EPOCHS = 1, 3, 9, 27


def study(problem: Problem, ratio: float, seed: int, trials: int, stopping: str) -> tuple[int, float]:
    """Trials when there was enough, and how much worse the best one was than after all of them."""
    sd = ratio * problem.signal

    def objective(trial: Any) -> float:
        return problem.loss(trial.params) + sd * float(np.random.default_rng(trial.seed).normal())

    def training(trial: Any) -> float:
        rng, loss = np.random.default_rng(trial.seed), problem.loss(trial.params)
        slow = problem.signal * (1 + float(problem.space.encode([trial.params])[0, 0]))
        for epoch in EPOCHS:
            now = loss + slow * (1 / epoch - 1 / EPOCHS[-1]) + sd * float(rng.normal())
            trial.report(epoch, loss=now)
            if trial.should_stop():
                break
        return now

    how: dict[str, Any] = {"budget": tt.Budget(trials=trials), "seed": seed}
    if stopping:
        objective = training
        how |= {"fidelity": tt.Fidelity("epochs", EPOCHS[0], EPOCHS[-1]), "stopping": stopping}
    made = tt.Study(problem.name, problem.space, minimize="loss", **how)
    made.run(objective, enough=True, quiet=True)
    count, then = len(made.trials), problem.loss(made.best.params)
    made.run(objective, quiet=True)
    return count, then - problem.loss(made.best.params)


def run(problem: Problem, ratio: float, seed: int, trials: int, stopping: str) -> tuple[int, float, float, float]:
    count, lost = study(problem, ratio, seed, trials, stopping)
    return count, 1 - count / trials, lost / (ratio * problem.signal), lost / problem.signal


def spread(values: np.ndarray) -> str:
    mean, low, high = bootstrap([values])
    return f"{mean:7.3f} ({low:6.3f} to {high:6.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ratios", default="0.1,0.5")
    parser.add_argument("--problems", help="names, separated by commas")
    parser.add_argument("--stopping", default="", help="a rule that stops trials early")
    given = parser.parse_args()
    there = {p.name: p for p in problems()}
    wanted = {name: there[name] for name in named(given.problems, there)}
    for ratio in map(float, given.ratios.split(",")):
        keys = [(p, ratio, seed, given.trials, given.stopping) for seed in range(given.seeds) for p in wanted]
        runs = finished(FOLDER / "enough.csv", NAMES, FIGURES, keys, lambda p, *rest: run(wanted[p], *rest))
        rows = np.array([runs[tuple(map(str, key))] for key in keys], dtype=float)
        saved, noise, signal = map(spread, rows.T[1:])
        print(
            f"noise {ratio:g}, {len(rows)} studies: saved {saved}   lost, in sd of noise {noise}   of truth {signal}",
            flush=True,
        )


if __name__ == "__main__":
    main()
