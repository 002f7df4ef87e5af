"""What does it save to end a search when what is left to gain is below its noise, and what does it lose?

    python benchmarks/enough.py [--trials 100] [--seeds 5] [--ratios 0.1,0.5] [--problems bowl,branches]

Noisy problems whose truth is known (noisy.py). Each study runs until `enough=True` ends it, and then on to its budget of
trials. `saved` is the share of the budget that was not needed; `lost` is how much worse the true loss of its best setting
is at that end than at the budget's, in standard deviations of the noise, and in those of the true loss over random settings.
Prints a table with 95 % bootstrap intervals over studies, and writes benchmarks/results/enough.csv as it goes.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from noisy import Problem, problems

import trimtab as tt

TARGET = Path(__file__).parent / "results" / "enough.csv"
FIELDS = ("problem", "ratio", "seed", "trials", "saved", "lost_noise", "lost_signal")


def study(problem: Problem, ratio: float, seed: int, trials: int) -> tuple[int, float]:
    """Trials when there was enough, and how much worse the best one was than after all of them."""
    sd = ratio * problem.signal

    def objective(trial: Any) -> float:
        return problem.loss(trial.params) + sd * float(np.random.default_rng(trial.seed).normal())

    made = tt.Study(problem.name, problem.space, minimize="loss", budget=tt.Budget(trials=trials), seed=seed)
    made.run(objective, enough=True, quiet=True)
    count, then = made.counts["done"], problem.loss(made.best.params)
    made.run(objective, quiet=True)
    return count, then - problem.loss(made.best.params)


def interval(values: list[float]) -> str:
    rng = np.random.default_rng(0)
    means = rng.choice(values, (2000, len(values))).mean(axis=1)
    return f"{np.mean(values):7.3f} ({np.quantile(means, 0.025):6.3f} to {np.quantile(means, 0.975):6.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ratios", default="0.1,0.5")
    parser.add_argument("--problems", help="names, separated by commas")
    given = parser.parse_args()
    TARGET.parent.mkdir(exist_ok=True)
    with TARGET.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(FIELDS)
        for ratio in map(float, given.ratios.split(",")):
            rows: list[tuple[float, float, float]] = []
            for seed in range(given.seeds):
                for problem in problems():
                    if given.problems and problem.name not in given.problems.split(","):
                        continue
                    count, lost = study(problem, ratio, seed, given.trials)
                    rows.append((1 - count / given.trials, lost / (ratio * problem.signal), lost / problem.signal))
                    out.writerow((problem.name, ratio, seed, count, *rows[-1]))
                    file.flush()
            saved, noise, signal = (interval([r[k] for r in rows]) for k in range(3))
            print(
                f"noise {ratio:g}, {len(rows)} studies: saved {saved}   lost, in sd of noise {noise}   of truth {signal}",
                flush=True,
            )


if __name__ == "__main__":
    main()
