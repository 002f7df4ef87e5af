"""How well does the evidence estimate its gain over random search? The line `random` against the truth, on simulated studies.

    python benchmarks/against_random.py [--studies 204] [--trials 100] [--search random|auto]

Problems, their truth and noise: see noisy.py. The setting is what `study.best` names after so many trials. The true gain is the
mean true loss at the lowest result of 2,000 random searches with as many trials, less that of the setting. All figures are in
units of the true loss's standard deviation over random settings; the difference has its standard error. Half a minute of CPU
with --search random. Prints a table and writes results/against_random.csv.
"""

import one_thread  # noqa: F401

# isort: split
from functools import cache

import numpy as np
from best import arguments, at_random, by_record
from figures import error, head, line, write
from noisy import Problem, problems, told

from trimtab.evidence.random_search import over_random
from trimtab.goals import Goal
from trimtab.records import StudySpec
from trimtab.standing import believed

HEAD = ["noise / signal", "studies", "true gain", "estimate", "difference", "root mean square"]
_SEARCHES = 2000


@cache
def by_random(p: Problem, ratio: float, trials: int) -> float:
    """The mean true loss at the lowest result of a random search."""
    rng = np.random.default_rng(3)
    losses = np.array([p.loss(s) for s in p.space.decode(p.space.sample(20_000, rng))])
    seen = losses[rng.integers(0, len(losses), (_SEARCHES, trials))]
    lowest = (seen + ratio * p.signal * rng.standard_normal(seen.shape)).argmin(axis=1)
    return float(seen[np.arange(_SEARCHES), lowest].mean())


def study(p: Problem, ratio: float, seed: int, trials: int, search: str) -> tuple[float, float]:
    """The true gain over random search, and its estimate."""
    tried, best = (by_record if search == "auto" else at_random)(p, ratio * p.signal, seed, trials)
    settings, losses = zip(*tried, strict=True)
    spec = StudySpec("random", p.space, (Goal("loss", False),))
    belief = believed(spec, told(settings, np.array(losses), np.ones(len(tried), dtype=bool)))
    gain = over_random(belief, p.space, p.space.encode([best])[0], trials)
    return (by_random(p, ratio, trials) - p.loss(best)) / p.signal, gain / p.signal


def row(name: str, found: np.ndarray) -> list[object]:
    """found (n, 2): true gains and estimates."""
    off = found[:, 1] - found[:, 0]
    mean = (f"{v:.3f}" for v in found.mean(axis=0))
    return [name, len(found), *mean, f"{off.mean():+.3f} ± {error(off):.3f}", f"{np.sqrt((off**2).mean()):.3f}"]


def main() -> None:
    asked = arguments(__doc__)
    each, table = max(1, asked.studies // 3 // len(problems())), list[list[object]]()
    head(HEAD)
    for ratio in (0.3, 1.0, 2.0):
        rows = [study(p, ratio, seed, asked.trials, asked.search) for p in problems() for seed in range(each)]
        table.append(row(f"{ratio:g}", np.array(rows)))
        line(table[-1])
    write("against_random", [HEAD, *table])


if __name__ == "__main__":
    main()
