"""Where the user expects good values: `prior=(centre, "low" | "medium" | "high")` of parameters, as a density on the
cube.

Columns are independent. A numeric one has a normal density around its centre, mixed with a uniform one so that nothing
is excluded; the centre of an unordered one has a share of the probability, and the rest is uniform over all options. A
column that is inactive or has no prior contributes nothing.

The density guides the initial design, and multiplies the acquisition with a power that decays as results come in
(Hvarfner et al. 2022, piBO). It is dropped if it misleads, that is, if results rank settings against it.

Notation: n rows, d columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from ..arrays import Array, Mask
from ..numerics.qmc import sobol
from ..numerics.rank_correlation import spearman
from ..space import Space

_WIDTH: Mapping[str, float] = {"low": 0.3, "medium": 0.15, "high": 0.07}  # sd on the cube
_SHARE: Mapping[str, float] = {"low": 0.3, "medium": 0.6, "high": 0.85}  # of the probability that is not uniform
_POWER = 5.0  # results after which the density counts once
_JUDGED = 8  # results from which on it is judged
_AGAINST = 0.0  # rank correlation of density and quality below which it is dropped


@dataclass(frozen=True)
class Prior:
    """A density over rows; `centre` (d,) in the cube (NaN: none), `width` (d,), `share` (d,), `options` (d,)."""

    centre: Array
    width: Array
    share: Array
    options: Array
    unordered: Mask

    @staticmethod
    def of(space: Space) -> "Prior | None":
        """The prior given by the parameters of a space; None if none of them has one."""
        prior = Prior.or_uniform(space)
        return prior if prior.informative else None

    @staticmethod
    def or_uniform(space: Space) -> "Prior":
        """As `of`, but uniform if none of them has one."""
        given = [p.prior for p in space.params.values()]
        codes = [
            p.scale.position(np.array([p.code(p.prior[0])]))[0] if p.prior else np.nan for p in space.params.values()
        ]
        said = [prior[1] if prior else "low" for prior in given]
        return Prior(
            np.array(codes),
            np.array([_WIDTH[word] for word in said]),
            np.array([_SHARE[word] for word in said]),
            space.cells,
            space.unordered,
        )

    @property
    def informative(self) -> bool:
        """Whether any column has a prior."""
        return not bool(np.isnan(self.centre).all())

    def log_density(self, X: Array) -> tuple[Array, Array]:
        """Logarithm of the density at rows X (n, d) relative to the uniform one, (n,), and its slope (n, d)."""
        Z = (X - self.centre) / self.width
        mass = ndtr((1 - self.centre) / self.width) - ndtr(-self.centre / self.width)
        bump = np.exp(-0.5 * Z * Z) / (np.sqrt(2 * np.pi) * self.width * mass)
        same = np.abs(X - self.centre) * self.options < 0.5
        bump = np.where(self.unordered, np.where(same, self.options, 0.0), bump)
        density = self.share * bump + 1 - self.share
        slope = np.where(self.unordered, 0.0, -self.share * bump * Z / self.width / density)
        silent = np.isnan(X) | np.isnan(self.centre)
        return np.where(silent, 0.0, np.log(density)).sum(1), np.where(silent, 0.0, slope)

    def quantiles(self, U: Array) -> Array:
        """Uniform rows U (n, d) transformed to the informative part of the density."""
        low, high = ndtr(-self.centre / self.width), ndtr((1 - self.centre) / self.width)
        moved = self.centre + self.width * ndtri(low + U * (high - low))
        choice = np.where(self.share > U, self.centre, (U - self.share) / (1 - self.share))
        moved = np.where(self.unordered, choice, moved)
        return np.clip(np.where(np.isnan(self.centre), U, moved), 0.0, 1.0)

    def design(self, space: Space, index: int, seed: int) -> Array:
        """Rows to start with, allowed: the centre, then points of a Sobol sequence of the density from `index` on."""
        centre = np.where(np.isnan(self.centre), 0.5, self.centre)[None]
        X = space.snap(np.concatenate([centre, self.quantiles(sobol(index, 8, len(space), seed))]))
        return X[space.allowed(X)]

    def weighed(self, X: Array, power: float) -> tuple[Array, Array]:
        """The logarithm of the density to this power, and its slope."""
        value, slope = self.log_density(X)
        return power * value, power * slope

    def power(self, X: Array, quality: Array) -> float:
        """How much the density counts after results at X (n, d) of this quality (n,), larger is better; 0 if they
        contradict it."""
        if len(X) >= _JUDGED and spearman(self.log_density(X)[0], quality) < _AGAINST:
            return 0.0
        return _POWER / max(len(X), 1)
