"""The covariance function of the Gaussian process: a trend plus Matérn-5/2.

    k(x, x') = v p(x).p(x') + s (1 + r + r^2/3) exp(-r)      (Rasmussen and Williams 2006, section 2.7 and eq. 4.17)
    r = |z - z'|,   z_c = sqrt(5) x_c / l_g(c),   p(x): main effects, see `trend`

Notation: n points, C columns, D groups of columns that share a lengthscale, B features of the trend; theta = (log l_1 ..
log l_D, log noise, log s, log v).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..arrays import Array, Ints
from . import trend

_SQRT_5 = np.sqrt(5.0)


class Points(NamedTuple):
    """Points as a kernel sees them: scaled columns Z = sqrt(5) X / l (n, C), and features of the trend P (n, B)."""

    Z: Array
    P: Array


@dataclass(frozen=True)
class Kernel:
    """A covariance function."""

    groups: Ints  # (C,)
    inverse: Array  # (C,) sqrt(5) / l of each column
    scale: float  # s
    trend_scale: float  # v

    @staticmethod
    def of(theta: Array, groups: Ints) -> "Kernel":
        """The kernel with hyperparameters theta (D + 3,) on columns of these `groups` (C,)."""
        D = len(theta) - 3
        inverse = _SQRT_5 * np.exp(-theta[:D])[groups]
        return Kernel(groups, inverse, float(np.exp(theta[D + 1])), float(np.exp(theta[D + 2])))

    def points(self, X: Array) -> Points:
        """Points X (n, C) of the unit cube as this kernel sees them."""
        return Points(X * self.inverse, trend.features(X, self.groups))

    def between(self, a: Points, b: Points) -> tuple[Array, Array]:
        """Covariances of n points a with m points b, and the part G of `matern` that their derivatives need: each (n, m)."""
        k, G = matern(a.Z, b.Z, self.scale)
        k += self.trend_scale * (a.P @ b.P.T)
        return k, G

    def variance(self, a: Points) -> Array:
        """The prior variance of each point: (n,)."""
        return np.asarray(self.scale + self.trend_scale * np.einsum("ij,ij->i", a.P, a.P))


def matern(A: Array, B: Array, s: float) -> tuple[Array, Array]:
    """Covariances k of points A (a, C) and B (b, C), scaled to z, and G = s (1 + r) e^-r / 3, both (a, b).

    dk/dlog l_g = G sum_{c in g} (A_c - B_c)^2 and dk/dA_c = -G (A_c - B_c).
    """
    squared = _squared_distances(A, B)
    r = np.sqrt(squared)
    E = np.subtract(np.log(s / 3).astype(r.dtype), r)
    np.exp(E, out=E)  # s e^-r / 3
    r += 1
    r *= E
    squared *= E
    np.multiply(r, 3, out=E)
    squared += E  # s (1 + r + r^2/3) e^-r
    return squared, r


def _squared_distances(A: Array, B: Array) -> Array:
    """Squared Euclidean distances (a, b) by one matrix product."""
    out: Array = (-2 * A) @ B.T
    out += np.einsum("ij,ij->i", A, A)[:, None]
    out += np.einsum("ij,ij->i", B, B)
    return np.maximum(out, 0, out=out)
