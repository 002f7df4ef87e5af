"""PriorBand: random search that uses the user's prior and the best setting so far, as far as they prove right (Mallik
et al. 2023, "PriorBand: practical hyperparameter optimization in the age of deep learning").

A new setting is uniform, drawn from the prior (see `priors`), or the incumbent with some columns moved. The share of
uniform ones is 1 / (1 + eta^r) if trials are first judged at rung r (section 5.1): the more expensive the first
judgement, the less is left to chance. The rest belongs to the prior, until a full training has ended and as much has
been trained as a bracket takes. From then on it is divided between prior and incumbent by how probable each makes the
best 1/eta of the highest rung that holds eta trials, with larger weights for better ones (section 5.2): a misleading
prior is soon abandoned.

It costs next to nothing and has no model that could be misled, so it suits very many workers. The prior's centre is
tried first. Without a prior, only uniform settings and those near the incumbent are proposed.

Notation: n rows, d columns, R rungs, m goals.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np

from ..arrays import Array
from ..numerics.brackets import bracket
from ..numerics.pareto import by_front, violations
from . import History, Problem, Proposal, Rows
from .points import Taken, at_random, one_by_one
from .priors import Prior

_ETA = 3.0  # where there are no rungs
_WIDTH = 0.25  # sd of a moved column around the incumbent
_MOVED = 0.5  # probability that a column is moved
_TRIES = 64  # draws, of which the first that is allowed and new is proposed


@dataclass(frozen=True)
class PriorBand:
    """PriorBand's sampler; the study's stopping rule does the halving."""

    name: str = "priorband"
    version: str = "1"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals", "many goals", "priors"})

    def init(self, problem: Problem) -> History:
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        problem, prior = state.problem, Prior.or_uniform(state.problem.space)
        incumbent = cache(lambda: _incumbent(problem, state.rows, prior))

        def propose(taken: Taken, pending: Array) -> Proposal | None:
            number = len(state.rows) + len(pending)
            return _drawn(problem, prior, incumbent(), number, taken, rng) or at_random(taken, rng)

        return one_by_one(state, pending, n, propose)


@dataclass(frozen=True)
class _Incumbent:
    """The incumbent x (d,) and its share of the settings that are not uniform."""

    x: Array
    part: float


def _drawn(
    problem: Problem, prior: Prior, incumbent: _Incumbent | None, number: int, taken: Taken, rng: np.random.Generator
) -> Proposal | None:
    """The next setting; None if the part chosen for it finds nothing new."""
    space, eta = problem.space, _eta(problem)
    if prior.informative:
        expected = prior.design(space, 0, problem.seed)[:1]
        for i in taken.admitted(expected, 1):
            return Proposal(expected[i], why={"design": "prior"})
    uniform = 1 / (1 + eta ** (bracket(number, problem.brackets) if problem.brackets else 0))
    part = incumbent.part if incumbent else 0.0
    shares = {"uniform": uniform, "prior": (1 - uniform) * (1 - part), "incumbent": (1 - uniform) * part}
    u, V = rng.random(), rng.random((_TRIES, len(space)))
    if u < shares["incumbent"] and incumbent is not None:
        source, X = "incumbent", _moved(prior, incumbent.x, V, rng)
    elif u < 1 - uniform:
        source, X = "prior", prior.quantiles(V)
    else:
        source, X = "uniform", V
    X = space.snap(X)
    X = X[space.allowed(X)]
    for i in taken.admitted(X, 1):
        return Proposal(X[i], why={"from": source, "shares": shares})
    return None


def _moved(prior: Prior, x: Array, V: Array, rng: np.random.Generator) -> Array:
    """The setting x (d,) with each column moved with probability 1/2, by uniform V (n, d): a numeric one to a normal
    place around it, an unordered one to another option. Inactive columns of x are uniform."""
    around = replace(prior, centre=x, width=np.full(len(x), _WIDTH))
    level = np.nan_to_num(np.floor(x * prior.options))
    other = np.floor(V * (prior.options - 1))
    other = np.where(prior.options > 1, (other + (other >= level) + 0.5) / prior.options, x)
    to = np.where(prior.unordered, other, around.quantiles(V))
    return np.where(np.isnan(x), V, np.where(rng.random(V.shape) < _MOVED, to, x))


def _eta(problem: Problem) -> float:
    return problem.rungs[1] / problem.rungs[0] if len(problem.rungs) > 1 else _ETA


def _incumbent(problem: Problem, rows: Rows, prior: Prior) -> _Incumbent | None:
    """The incumbent, once a trial has been trained to the top and a bracket's worth has been trained; else None."""
    V = rows.curve if rows.curve.shape[1] else rows.Y[:, None]
    reached = np.asarray(~np.isnan(V).any(axis=2)) & ~rows.failed[:, None]  # (n, R)
    levels = np.array(problem.rungs or (1.0,))[: V.shape[1]]
    trained = float((reached * np.diff(levels, prepend=0.0)).sum())
    eta = _eta(problem)
    full = [k for k in range(V.shape[1]) if reached[:, k].sum() >= eta]
    if not full or not reached[:, -1].any() or trained < V.shape[1] * levels[-1]:
        return None
    at = np.flatnonzero(reached[:, full[-1]])
    best = at[by_front(V[at, full[-1]], violations(rows.C[at]))[: int(len(at) / eta)]]
    top = np.flatnonzero(reached[:, -1])
    x = rows.X[top[by_front(V[top, -1], violations(rows.C[top]))[0]]]
    logs = np.stack([p.log_density(rows.X[best])[0] for p in (prior, replace(prior, centre=x))])
    by_prior, by_incumbent = np.exp(logs - logs.max()) @ np.arange(len(best), 0, -1)
    return _Incumbent(x, float(by_incumbent / (by_incumbent + by_prior)))
