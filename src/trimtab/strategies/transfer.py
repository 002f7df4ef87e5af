"""What earlier studies teach a Gaussian process: where to start, and trends that its own results correct.

Each source has a model of its own, fitted once (a teacher). The goal is then modelled as

    f(x) = sum_i a_i (m_i(x) - c_i) + g(x),    a_i >= 0

where m_i is a teacher's mean, c_i its average over the known points, and g a Gaussian process of the residuals (stacked
residuals, as in Golovin et al. 2017). The weights are those of a ridge regression of the results on the means, shrunk
towards equal shares while results are few, and fade as the study gets more results of its own. A teacher that ranks the
known points the wrong way round, or hardly better than chance, is dropped: the guard against misleading sources.
Settings of sources alternate with points of the usual design, so a source that is dropped has cost two of the design's
four points. As long as a teacher is left, every second proposal is one of the settings that were best in a source, the
one that the model expects to be best here: a measured good setting is a better guess than what a mean of few results
extrapolates.

Notation: n known points, s sources, d columns.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from ..arrays import Array
from ..numerics import gp
from ..numerics.rank_correlation import spearman
from ..numerics.warp import half_rank
from . import Problem, Source
from .features import Features
from .points import distinct

_ROWS = 160  # of a source that its model is conditioned on: the best half of them, and some spread over the rest
_STARTS = 5  # settings that sources propose while there is no model, at most
_BEST = 20  # settings of each source that count as its best
_PULL = 1.0  # weight of the teachers' prior shares, in results
_TRUST = 0.8  # sum of the prior shares
_JUDGED = 4  # results from which on teachers are judged
_FADED = 12  # results from which on teachers have no weight: a lasting trend would keep a search near its beginning
_FIT = 0.25  # rank correlation with the results below which a teacher is dropped


def teachers(problem: Problem) -> list[gp.Posterior]:
    """One model for each source, of its first goal."""
    features = Features.of(problem.space)
    return [_teacher(features, source) for source in problem.sources if len(source.X) > 1]


def _teacher(features: Features, source: Source) -> gp.Posterior:
    X, y = _reduced(source)
    z = half_rank(y).z
    data = gp.Data(features.encode(X), z, np.ones(len(z)), features.groups)
    return gp.condition(data, gp.cold_fit(data).x)


def _reduced(source: Source) -> tuple[Array, Array]:
    """At most _ROWS rows of a source: one half are the best, the others are spread over the rest."""
    order = np.argsort(source.Y[:, 0], kind="stable")
    half = _ROWS // 2
    if len(order) > _ROWS:
        order = np.concatenate([order[:half], order[half:][np.linspace(0, len(order) - half - 1, half).astype(int)]])
    return source.X[order], source.Y[order, 0]


def lessons_of(known: Sequence[gp.Posterior], F: Array, z: Array) -> tuple[gp.Lesson, ...]:
    """One lesson from each teacher that the results z (n,) at features F (n, columns) support: weight a_i, centre c_i."""
    fading = max(0.0, 1 - len(z) / _FADED)
    if not known or fading == 0:
        return ()
    M = np.stack([teacher.predict(F)[0] for teacher in known], axis=1)  # (n, s)
    kept = [i for i in range(len(known)) if len(z) < _JUDGED or spearman(M[:, i], z) >= _FIT]
    if not kept:
        return ()
    centres = M[:, kept].mean(0)
    prior = np.full(len(kept), _TRUST / len(kept))
    pull = np.sqrt(_PULL) * np.eye(len(kept))
    weights, _ = nnls(np.vstack([M[:, kept] - centres, pull]), np.concatenate([z - z.mean(), pull @ prior]))
    return tuple(
        gp.Lesson(fading * float(a), float(c), known[i])
        for a, c, i in zip(weights, centres, kept, strict=True)
        if a > 0
    )


def prior_mean(lessons: Sequence[gp.Lesson], F: Array) -> Array:
    """The sum of the lessons at features F (n, columns): (n,)."""
    out = np.zeros(len(F))
    for weight, centre, teacher in lessons:
        out += weight * (teacher.predict(F)[0] - centre)
    return out


def starts(problem: Problem) -> Array:
    """Settings (k, d) to start with, allowed and distinct, from the best ones of the sources. Greedily, each is the one
    that most lowers the average over teachers of the best rank of a chosen setting (Wistuba, Schilling and
    Schmidt-Thieme 2015, "Sequential model-free hyperparameter tuning")."""
    known = teachers(problem)
    count = _STARTS if problem.budget is None else min(_STARTS, problem.budget // 5)
    if not known or count < 1:
        return np.empty((0, len(problem.space)))
    X = promising(problem)
    F = Features.of(problem.space).encode(X)
    M = np.stack([teacher.predict(F)[0] for teacher in known], axis=1)
    ranks = np.argsort(np.argsort(M, axis=0, kind="stable"), axis=0, kind="stable").astype(float)
    chosen: list[int] = []
    best = np.full(len(known), np.inf)
    while len(chosen) < min(count, len(X)):
        score = np.minimum(ranks, best).mean(1)
        score[chosen] = np.inf
        chosen.append(int(np.argmin(score)))
        best = np.minimum(best, ranks[chosen[-1]])
    return X[chosen]


def promising(problem: Problem) -> Array:
    """The best settings (k, d) of each source that are allowed, without repeats."""
    space = problem.space
    if not problem.sources:
        return np.empty((0, len(space)))
    X = np.concatenate([s.X[np.argsort(s.Y[:, 0], kind="stable")[:_BEST]] for s in problem.sources])
    X = X[space.allowed(X)]
    return X[distinct(space.keys(X))[1]]
