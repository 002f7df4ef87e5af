"""What the results support: one Gaussian process over the losses of a study, in the metric's own unit.

Every statement about settings that uses all results (which is best, what matters, what a change would do) reads this
model. Losses are minimised, and NaN if a trial failed (ignored). Far outliers on the bad side are pulled in, because
one diverged trial would flatten everything else.

Notation: X (n, d) rows of the unit cube, y (n,) mean loss of each setting over its `results` (n,) runs.
"""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Ints
from ..numerics import gp
from ..numerics.descent import Minimum
from ..space import Space
from ..strategies.features import MOST as MOST_OPTIONS
from ..strategies.features import Features, too_wide
from .intervals import power_of_two

LEAST = 4  # settings below which there is no model
MOST = 400  # settings on which the model is conditioned
_BLOCK = 4096  # settings that are predicted at once
_FITTED = 256  # settings on which its hyperparameters are fitted
_FAR = 3.0  # see `standard`
_NOISY = 0.1  # if noise has a larger share in the variance of the results, their values are not trusted (decision 5)
_HUGE = 1e150  # larger losses count as this: squares of such differences overflow
_PRIOR = gp.Prior(reach=1.0, spread=1.0, rate=0.0)  # smoother and noisier than in a search: luck must not be believed


@dataclass(frozen=True)
class Belief:
    """A posterior over the loss of every setting, and the standard deviation of the noise of one run. Losses beyond
    `fence` count as `fence`."""

    space: Space
    features: Features
    data: gp.Data
    theta: Array
    posterior: gp.Posterior
    centre: float
    unit: float
    fence: float

    @staticmethod
    def of(space: Space, X: Array, y: Array, results: Array | None = None, exact: bool = False) -> "Belief | None":
        """The model of rows X with losses y; `exact` if equal settings give equal losses. None: too few results, or too
        many options."""
        known = np.isfinite(y)
        X, y = X[known], np.clip(y[known], -_HUGE, _HUGE)
        if len(y) < LEAST or np.ptp(y) == 0 or too_wide(space):
            return None
        weights = np.ones(len(y)) if results is None else 1.0 / results[known]
        z, centre, unit = standard(y)
        features = Features.of(space)
        data = gp.Data(features.encode(X), z, weights, features.groups, exact, _PRIOR)
        part = data.take(spread(len(y), _FITTED))
        theta = gp.fit(part, start(features.group_count, len(part)), iterations=60, tolerance=1e-4).x
        kept = data.take(leading(z, MOST))
        return Belief(
            space, features, kept, theta, gp.condition(kept, theta), centre, unit, centre + unit * float(z.max())
        )

    @staticmethod
    def impossible(space: Space) -> str:
        """Why there is no model, however many results there are, in words; "" if there may be one."""
        if not too_wide(space):
            return ""
        return f"has more than {MOST_OPTIONS:,} options of unordered choices, too many for a model"

    @property
    def noise(self) -> float:
        """Standard deviation of the noise of one run, in the metric's unit."""
        return float(self.unit * np.sqrt(gp.noise(self.theta)))

    @property
    def share(self) -> float:
        """The share of noise in the variance of single results. The model's data may be means of several results, which have
        less noise: the difference is added again."""
        noise = gp.noise(self.theta)
        means = float(np.var(self.data.y)) + noise * (1 - float(self.data.weights.mean()))
        return float(noise / max(1e-12, means))

    @property
    def noisy(self) -> bool:
        """Whether the best single result is more likely lucky than good."""
        return self.share > _NOISY

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (n,) of the noise-free loss at rows X (n, d), in the metric's unit."""
        parts = [self.posterior.predict(self.features.encode(block)) for block in blocks(X)]
        mean, var = (np.concatenate(part) for part in zip(*parts, strict=True))
        return self.centre + self.unit * mean, self.unit * np.sqrt(var)

    def joint(self, X: Array) -> tuple[Array, Array]:
        """Mean (n,) and covariance (n, n) of the noise-free loss at rows X (n, d), in the metric's unit."""
        mean, covariance = self.posterior.joint(self.features.encode(X))
        return self.centre + self.unit * mean, self.unit**2 * covariance


def blocks(X: Array) -> list[Array]:
    """Rows in blocks: a prediction needs MOST numbers for each."""
    return [X[i : i + _BLOCK] for i in range(0, len(X), _BLOCK)] or [X]


def start(D: int, n: int) -> Minimum:
    """The start of the fit, with much noise: from a start with little, the fit may end at a model that follows the noise."""
    begin = gp.default_start(D, n)
    theta = begin.x.copy()
    theta[D] = -1.0
    return begin._replace(x=theta)


def standard(y: Array) -> tuple[Array, float, float]:
    """Losses of mean 0 and standard deviation 1, far ones pulled in, with the centre and unit to transform back.

    Far is beyond both fences: three times the range of the better half, and three times that of the third quarter.
    """
    median, upper = (float(v) for v in np.quantile(y, [0.5, 0.75]))
    reach = float(np.quantile(median - y[y <= median], 0.9))
    fence = max(median + _FAR * reach, upper + _FAR * (upper - median))
    pulled = np.minimum(y, fence) if fence > median else y
    centre, ordinary = float(pulled.mean()), power_of_two(pulled)
    unit = ordinary * float((pulled / ordinary).std()) or 1.0
    return (pulled - centre) / unit, centre, unit


def spread(n: int, most: int) -> Ints:
    """At most `most` of n rows, evenly spread over the study."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).round().astype(np.intp)


def leading(z: Array, most: int) -> Ints:
    """At most `most` rows: the better half of them by loss, the rest evenly spread; in their order."""
    if len(z) <= most:
        return np.arange(len(z))
    order = np.argsort(z, kind="stable")
    best, rest = order[: most // 2], np.sort(order[most // 2 :])
    return np.sort(np.concatenate([best, rest[spread(len(rest), most - len(best))]]))
