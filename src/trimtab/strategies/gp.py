"""Bayesian optimisation with a Gaussian process: for spaces of any mix of types, up to some thousand results.

A Sobol design comes first. Then each proposal maximises an acquisition (see `climb`) of the models (see `surrogate`):

    one goal                lower confidence bound and log expected improvement in turn; both explore ever less in the
                            second half of a budget of trials. While the best results tie, log expected improvement by a
                            whole step of the results
    two or three goals      log expected hypervolume improvement (see `front`)
    more goals              made one by a random weighting for each proposal
    constraints             log expected improvement plus the log probability that they hold; while nothing feasible is
                            known, that probability and less violation in turn
    failures                plus the log probability that the trial succeeds
    a budget of time or     divided by a power of the expected cost, which cools from 1 to 0 as the budget is spent
    money, not of trials
    earlier studies         every second proposal is one of their best settings (see `transfer`)
    pending trials          they count as results equal to the model's mean (Desautels et al. 2014); the bound alone is
                            used, unless results tie, and its width goes round: some proposals exploit, others explore
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np

from ..arrays import Array
from ..checks import flag
from ..numerics.acquisition import Term, log_below, log_improvement, log_per_cost, log_rate, lower_bound
from ..numerics.gp import Posterior, noise
from . import History, Problem, Proposal, Rows, front, transfer
from .climb import LogPrior, Search, candidates
from .features import check_width
from .points import SMALL, Taken, at_random, by_sobol, listing, one_by_one, size
from .priors import Prior
from .surrogate import ConstraintModel, Surrogate, surrogate

_BETA, _LAST_BETA = 1.8, 0.3  # width of the confidence bound at first, and at the end of the budget
_BETAS = (0.5, 1.0, 1.8, 3.0)  # widths that are used in turn while results are pending
_DESIGN = 4  # points of the initial design
_DOUBT = 2.0  # where improvement is expected, the model errs by twice its standard deviation: benchmarks/calibration.py
_NOISY = 0.2  # share of noise in the variance of results; from there on, exploration does not fade
_INCUMBENTS = 5  # points that the pool perturbs
_EARLIER = "mean of earlier best"  # the acquisition of proposals among the best settings of earlier studies
_TOP = 8  # best results among which the incumbent's mean is taken
_TIES = 3  # equal best results from which on an improvement is a step of the results, or none
_ROUNDING = 1e-9  # results that are closer are equal, in the model's units


@dataclass(frozen=True)
class GP:
    """Gaussian-process search.

    ladder: whether the model uses a trial's results at all rungs of a fidelity, with the rung as an input (see
    `surrogate`), instead of its last result only.
    """

    ladder: bool = False
    name: str = "gp"
    version: str = "23"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals", "priors", "warm start"})

    def init(self, problem: Problem) -> History:
        """Raises SpecError if ladder is neither True nor False, or if the space has too many options."""
        flag("ladder", self.ladder)
        check_width(problem.space, self.name)
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        problem, at_once = state.problem, len(pending) + n
        succeeded = not state.rows.failed.all()
        unweighted = cache(lambda: surrogate(state, None, self.ladder))

        def propose(taken: Taken, pending: Array) -> Proposal | None:
            count = len(state.rows) + len(pending)
            if not succeeded or count < design_size(problem):
                return _by_design(problem, taken, count) or at_random(taken, rng)
            weights = _weights(problem, rng)
            known = unweighted() if weights is None else surrogate(state, weights, self.ladder)
            belief = _belief(problem, known, pending, count, taken, at_once)
            return _by_model(belief, taken, rng) or at_random(taken, rng)

        return one_by_one(state, pending, n, propose)

    def shortfall(self, state: History, pending: Array, x: Array, rng: np.random.Generator) -> float:
        """By how much the acquisition at x falls short of the largest one found (see strategies.Judge)."""
        problem, rows = state.problem, state.rows
        count = len(rows) + len(pending)
        if not count >= design_size(problem) or rows.failed.all():
            return np.inf
        with np.errstate(all="ignore"):
            known = surrogate(state, _weights(problem, rng), self.ladder)
            taken = Taken.of(state, pending)
            belief = _belief(problem, known, pending, count, taken, len(pending) + 1)
            best = _by_model(belief, taken, rng)
            if best is None:
                return np.inf
            mine, most = belief.search.score(np.stack([x, best.x]))
        return float(max(0.0, most - mine))


def design_size(problem: Problem) -> int:
    """The number of points in the initial design: few, because even a vague model finds better points than a design."""
    return _DESIGN if problem.budget is None else min(_DESIGN, -(-problem.budget // 4))


def _weights(problem: Problem, rng: np.random.Generator) -> Array | None:
    """The weight of each of many goals in the next proposal: uniform on the simplex. None if each goal has a model."""
    return rng.dirichlet(np.ones(problem.goals)) if problem.goals > front.MOST else None


def _by_design(problem: Problem, taken: Taken, count: int) -> Proposal | None:
    """The next point of the initial design: best settings of earlier studies, where the user expects good values, or the
    Sobol sequence. None if there is none left."""
    starts = transfer.starts(problem)
    left = taken.admitted(starts, len(starts))
    if left and 2 * (len(starts) - len(left)) <= count:  # in turn with points that do not depend on the sources
        return Proposal(starts[left[0]], why={"design": "warm start"})
    if (prior := Prior.of(problem.space)) is not None and count % 2 == 0:
        expected = prior.design(problem.space, count // 2, problem.seed)
        for i in taken.admitted(expected, 1):
            return Proposal(expected[i], why={"design": "prior"})
    return by_sobol(problem, taken, count)


@dataclass(frozen=True)
class _Belief:
    """What the next proposal maximises: `kind` names it, `search` has its terms. `among` (k, d): the only rows to choose
    from, if given. The posteriors of the goals explain the proposal."""

    search: Search
    known: Surrogate
    kind: str
    goals: Sequence[Posterior]
    among: Array | None = None

    def why(self, x: Array, value: float) -> Mapping[str, Any]:
        """What the models expect at x (d,), as JSON: in units of the goals, unless these were made one.

        mean: the median of the belief, which is normal in the model's own units. sd: half the width of its central 68 %.
        """
        F, known = self.search.features.encode(x[None]), self.known
        why: dict[str, Any] = {"acquisition": self.kind, "value": value, "rows": len(known.X)}
        z, sd = np.array([(mean[0], var[0] ** 0.5) for mean, var in (goal.predict(F) for goal in self.goals)]).T
        if known.weights is not None:
            why |= {"weights": known.weights.tolist(), "scalar": z[0], "scalar_sd": sd[0]}
        else:
            warps = [goal.warped for goal in known.goals]
            mean = [_finite(warp.inverse(float(m))) for warp, m in zip(warps, z, strict=True)]
            spread = [_finite(warp.spread(float(m), float(s))) for warp, m, s in zip(warps, z, sd, strict=True)]
            why |= {"mean": mean, "sd": spread} if len(mean) > 1 else {"mean": mean[0], "sd": spread[0]}
        if self.kind in ("lcb", _EARLIER) and known.success is None and known.weights is None:
            why["value"] = known.goals[0].warped.inverse(-value)  # the bound itself
        return {k: _finite(v) if isinstance(v, float) else v for k, v in why.items()}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _belief(problem: Problem, known: Surrogate, pending: Array, count: int, taken: Taken, at_once: int) -> _Belief:
    """The acquisition for the next proposal, when `count` points are told or pending and `at_once` trials run."""
    waiting = known.features.encode(pending)
    goals = [goal.model.posterior(waiting) for goal in known.goals]
    holds: list[Term] = [(c.model.posterior(waiting), partial(log_below, bound=c.bound)) for c in known.constraints]
    infeasible = bool(holds) and not known.feasible.any()
    # While trials are pending, exploring less showed no gain.
    exploration = 1.0 if len(pending) else _exploration(problem, count, noise(known.goals[0].model.theta))
    taught = goals[0].lessons and not holds and known.cost is None
    among = _earlier(problem, taken) if taught and not _by_bound(count) else None
    if infeasible:
        kind, terms = _feasibility(holds, known.constraints, count, exploration)
    elif among is not None:
        kind, terms = _EARLIER, [(goals[0], partial(lower_bound, beta=0.0))]
    else:
        least = _least_improvement(problem, known)
        kind, improvement = _improvement(known, goals, waiting, count, exploration, least)
        terms = [*holds, improvement]
    if known.success is not None:
        model, rate = known.success
        terms.append((model.posterior(waiting), partial(log_rate, centre=rate)))
    if known.cost is not None and not infeasible:
        kind += " per cost"
        model, unit = known.cost
        power = unit * _thrift(problem, known.spent, at_once)
        terms.append((model.posterior(waiting), partial(log_per_cost, power=power)))
    lengths = np.exp(np.min([goal.model.theta[: len(problem.space)] for goal in known.goals], axis=0))
    log_prior = _log_prior(Prior.of(problem.space), known)
    return _Belief(Search(problem.space, known.features, terms, lengths, log_prior), known, kind, goals, among)


def _earlier(problem: Problem, taken: Taken) -> Array | None:
    """The best settings (k, d) of earlier studies that are not taken; None if there are none."""
    best = transfer.promising(problem)
    left = taken.admitted(best, len(best))
    return best[left] if len(left) else None


def _improvement(
    known: Surrogate, goals: Sequence[Posterior], waiting: Array, count: int, exploration: float, least: float
) -> tuple[str, Term]:
    """By how much a point is better, and the name of this acquisition. waiting (w, columns): features of pending points.
    least: the least improvement that counts."""
    if len(goals) > 1:
        worst = np.array([goal.warped.z.max() for goal in known.goals])
        return "log-ehvi", front.improvement(goals, known.F[known.feasible], waiting, worst, count)
    if not known.constraints and known.cost is None:
        beta = _width(count, len(waiting), exploration, tied=least > 0)
        if beta is not None:
            return "lcb", (goals[0], partial(lower_bound, beta=beta))
    best = _incumbent_mean(known, goals[0]) - least
    return "log-ei", (goals[0], partial(log_improvement, best=best, doubt=_doubt(exploration)))


def _width(count: int, waiting: int, exploration: float, tied: bool) -> float | None:
    """The width of the bound that the next proposal maximises; None if it maximises the improvement."""
    if waiting:  # where results tie, only the widest bound leads away from them
        beta = _BETAS[count % len(_BETAS)]
        return None if tied and beta < max(_BETAS) else beta
    if tied or not _by_bound(count):
        return None
    return _LAST_BETA + (_BETA - _LAST_BETA) * exploration


def _least_improvement(problem: Problem, known: Surrogate) -> float:
    """The least improvement that counts, in the units of the goal's model: a step of the results where these may tie over a
    region of the space, which needs a continuous parameter. With constraints or costs, any counts."""
    if known.constraints or known.cost is not None or size(problem.space) < np.inf:
        return 0.0
    return _step(known.goals[0].warped.z)


def _step(z: Array) -> float:
    """By how much results z (n,), as the model sees them, improve at least if they improve: 0.0 unless the best of them tie.

    Accuracies on few rows come in steps. Where they are equal over a region, the model is sure of it, so that a tiny
    improvement there seems likelier than a large one elsewhere, although no result can show it. A step is the least
    difference among the better half of the results and the next one.
    """
    if (z - z.min() <= _ROUNDING).sum() < _TIES:
        return 0.0
    levels = np.unique(z)
    levels = levels[np.append(True, np.diff(levels) > _ROUNDING)]
    better = max(1, int((levels <= np.median(z)).sum()))
    return float(min(np.diff(levels[: better + 1]), default=0.0))


def _feasibility(
    holds: Sequence[Term], constraints: Sequence[ConstraintModel], count: int, exploration: float
) -> tuple[str, list[Term]]:
    """What leads to a first feasible point, and the name of this acquisition: in turn, the probability that all constraints
    hold, and the log expected improvement of each that the least violating point breaks, where the others hold.

    The probability by itself would, while it is small everywhere, be largest where least is known: on the edges of the
    space.
    """
    if _by_bound(count):
        return "feasibility", [*holds]
    doubt = _doubt(exploration)
    return "violation", [
        (posterior, partial(log_improvement, best=c.least, doubt=doubt) if c.least > c.bound else hold)
        for (posterior, hold), c in zip(holds, constraints, strict=True)
    ]


def _doubt(exploration: float) -> float:
    """By what the standard deviation of a model is multiplied where improvement is expected."""
    return 1 + (_DOUBT - 1) * exploration


def _exploration(problem: Problem, count: int, variance: float) -> float:
    """The share of its exploration that a search keeps after `count` trials: 1 up to half of the budget, 0 at its end.

    What a trial teaches serves only those that follow. With earlier studies, which have explored already, it falls from
    the start. It falls less where results are noisy, because what looks best may not be: `variance` is that of the noise,
    as a share of that of the results.
    """
    if problem.budget is None:
        return 1.0
    left = max(0.0, 1 - count / problem.budget)
    kept = left if problem.sources else min(1.0, 2 * left)
    return kept + (1 - kept) * min(1.0, variance / _NOISY)


def _thrift(problem: Problem, spent: float, at_once: int) -> float:
    """The power of the cost by which the improvement is divided: 1 at first, 0 when the budget is spent (EI-cooling, Lee
    et al. 2020, section 3). `spent` is the sum over all trials; a second of the clock pays for all that run at once."""
    if not problem.cost_budget:
        return 0.0
    return max(0.0, 1 - spent / (at_once if problem.cost_is_time else 1) / problem.cost_budget)


def _log_prior(prior: Prior | None, known: Surrogate) -> LogPrior | None:
    """What the user's prior adds to the logarithm of the acquisition; None where it says nothing or misleads."""
    if prior is None:
        return None
    power = prior.power(known.X, -known.ranking().argsort().astype(float))
    return partial(prior.weighed, power=power) if power > 0 else None


def _by_bound(count: int) -> bool:
    """Whether a proposal maximises the bound, which explores more, rather than the improvement: every second one."""
    return count % 2 == 0


def _by_model(belief: _Belief, taken: Taken, rng: np.random.Generator) -> Proposal | None:
    """The admissible point with the largest acquisition; None if the search met only points that are taken."""
    search = belief.search
    if belief.among is not None or size(search.space) <= SMALL:
        X = listing(search.space) if belief.among is None else belief.among
        values = search.score(X)
        order = np.argsort(-values, kind="stable")
        X, values = X[order], values[order]
    else:
        X, values = candidates(search, belief.known.X[belief.known.ranking()[:_INCUMBENTS]], rng)
    for i in taken.admitted(X, 1):
        return Proposal(X[i], why=belief.why(X[i], float(values[i])))
    return None


def _incumbent_mean(known: Surrogate, goal: Posterior) -> float:
    """The lowest posterior mean among the best feasible results, free of their noise: what is to be improved on."""
    best = known.ranking()[: min(_TOP, int(known.feasible.sum()) or _TOP)]
    return float(goal.predict(known.F[best])[0].min())
