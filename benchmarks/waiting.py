"""What should a Gaussian process propose while other trials are pending? The rules that were tried, against each other.

    python benchmarks/waiting.py [--seeds 2] [--trials 80] [--cases 8,32] [--yahpo FOLDER] [--out FILE]

Problems, cases and columns are those of robustness.py, whose options it takes; each rule replaces the acquisition of `gp`.
Prints regrets, then the mean rank of each rule after half of the trials and after all, over the runs that all rules have.
"""

import one_thread  # noqa: F401

# isort: split
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import robustness
from families import Problem as Benchmark
from figures import FOLDER
from scipy.stats import rankdata
from tuners import Params, Trimtab

from trimtab.numerics.acquisition import Scores, Term, log_improvement, lower_bound
from trimtab.numerics.gp import Data, condition
from trimtab.strategies import Problem, gp
from trimtab.strategies.climb import Search
from trimtab.strategies.points import Taken
from trimtab.strategies.surrogate import Model, Surrogate

Rule = Callable[[Surrogate, np.ndarray, int, np.random.Generator], list[Term]]
SHIPPED = gp._belief


def in_turn(known: Surrogate, waiting: np.ndarray, count: int, rng: np.random.Generator) -> list[Term]:
    """The bound and log expected improvement in turn, as without pending trials."""
    if count % 2:
        return improvement(known, waiting, count, rng)
    return [(known.goals[0].model.posterior(waiting), partial(lower_bound, beta=1.8))]


def improvement(known: Surrogate, waiting: np.ndarray, *_: Any) -> list[Term]:
    goal = known.goals[0].model.posterior(waiting)
    return [(goal, partial(log_improvement, best=gp._incumbent_mean(known, goal)))]


def pending_incumbent(known: Surrogate, waiting: np.ndarray, count: int, rng: np.random.Generator) -> list[Term]:
    """In turn, and what has to be improved on is sought among the pending points as well."""
    goal = known.goals[0].model.posterior(waiting)
    if count % 2 == 0:
        return in_turn(known, waiting, count, rng)
    best = min(gp._incumbent_mean(known, goal), float(goal.predict(waiting)[0].min()))
    return [(goal, partial(log_improvement, best=best))]


def exploration(known: Surrogate, waiting: np.ndarray, count: int, rng: np.random.Generator) -> list[Term]:
    """Every second proposal: the largest deviation where the bound is below the best upper one (UCB-PE)."""
    if count % 2 == 0:
        return in_turn(known, waiting, count // 2, rng)
    plain = known.goals[0].model.told
    mean, var = plain.predict(known.F)
    limit = float((mean + 0.5 * np.sqrt(var)).min())
    return [(known.goals[0].model.posterior(waiting), _deviation), (plain, partial(_promising, limit=limit))]


def _deviation(mean: np.ndarray, var: np.ndarray) -> Scores:
    sd = np.sqrt(var)
    return Scores(sd, np.zeros_like(mean), 1 / (2 * sd))


def _promising(mean: np.ndarray, var: np.ndarray, limit: float) -> Scores:
    sd = np.sqrt(var)
    excess = mean - 0.5 * sd - limit
    on = np.where(excess > 0, 10.0, 0.0)
    return Scores(-on * excess, -on, on * 0.5 / (2 * sd))


def _with(data: Data, X: np.ndarray, y: np.ndarray) -> Data:
    """The data and results y at features X."""
    weights = np.append(data.weights, np.ones(len(y)))
    return replace(data, X=np.concatenate([data.X, X]), y=np.append(data.y, y), weights=weights)


def drawn(known: Surrogate, waiting: np.ndarray, count: int, rng: np.random.Generator) -> list[Term]:
    """In turn, with results drawn from the model at the pending points."""
    model = known.goals[0].model
    y = np.array([])
    for i in range(len(waiting)):  # one after the other: a joint draw
        mean, var = Model(_with(model.data, waiting[:i], y), model.theta).told.predict(waiting[i : i + 1])
        y = np.append(y, mean + np.sqrt(var) * rng.standard_normal())
    goal = condition(_with(model.data, waiting, y), model.theta)
    if count % 2 == 0:
        return [(goal, partial(lower_bound, beta=1.8))]
    best = min(float(goal.predict(X)[0].min()) for X in (known.F, waiting))
    return [(goal, partial(log_improvement, best=best))]


RULES: dict[str, Rule | None] = {
    "in turn": in_turn,
    "log-EI": improvement,
    "pending incumbent": pending_incumbent,
    "UCB-PE": exploration,
    "drawn": drawn,
    "width in turn": None,  # shipped
}


class Ruled(Trimtab):
    """Trimtab's default with another rule."""

    def __init__(self, problem: Benchmark, seed: int, trials: int, rule: Rule | None) -> None:
        super().__init__(problem.space, seed, trials)
        self.rule, self.rng = rule, np.random.default_rng(seed)

    def ask(self) -> tuple[Any, Params]:
        with patch.object(gp, "_belief", self.belief):
            return super().ask()

    def belief(
        self, problem: Problem, known: Surrogate, pending: np.ndarray, count: int, taken: Taken, at_once: int
    ) -> gp._Belief:
        shipped = SHIPPED(problem, known, pending, count, taken, at_once)
        if self.rule is None or len(pending) == 0:
            return shipped
        terms = self.rule(known, known.features.encode(pending), count, self.rng)
        search = Search(shipped.search.space, shipped.search.features, terms, shipped.search.lengths)
        return gp._Belief(search, known, "log-ei", shipped.goals)


def ruled(rule: Rule | None, problem: Benchmark, seed: int, trials: int, _: str) -> Ruled:
    return Ruled(problem, seed, trials, rule)


def ranks(rows: Sequence[robustness.Row]) -> None:
    runs: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(dict)
    for r in rows:
        runs[r["case"], r["problem"], r["seed"]][r["tuner"]] = [float(r["half"]), float(r["full"])]
    print("\n| case | rule | rank after half | after all | runs |\n|---|---|---|---|---|")
    for case in dict.fromkeys(key[0] for key in runs):
        whole = [run for key, run in runs.items() if key[0] == case and set(RULES) <= set(run)]
        values = np.array([[run[rule] for rule in RULES] for run in whole])  # (runs, rules, 2)
        for rule, (half, full) in zip(RULES, rankdata(values, axis=1).mean(0), strict=True):
            print(f"| {case} | {rule} | {half:.2f} | {full:.2f} | {len(whole)} |")


def main() -> None:
    rules = {name: partial(ruled, rule) for name, rule in RULES.items()}
    ranks(robustness.main(rules, seeds=2, cases="8,32", out=str(FOLDER / "waiting.csv")))


if __name__ == "__main__":
    main()
