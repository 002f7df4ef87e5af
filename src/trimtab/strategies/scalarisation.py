"""Several goals as one, by weights: shared by the strategies that model or rank a single column."""

import numpy as np

from ..arrays import Array, Mask
from ..numerics.warp import half_rank

_RHO = 0.05  # weight of the sum beside the maximum


def scalarised(Y: Array, failed: Mask, weights: Array | None) -> Array:
    """The goals Y (n, m), all minimised, as they are if `weights` is None. With `weights` (m,) one column (n, 1): the
    augmented Chebyshev norm of the weighted goals (Knowles 2006, eq. 2), each warped and scaled to [0, 1] first. NaN
    where a row has `failed` (n,)."""
    if weights is None or Y.shape[1] == 1 or failed.all():
        return np.where(failed[:, None], np.nan, Y if weights is None else Y[:, :1])
    scalar = np.full((len(Y), 1), np.nan)
    Z = np.stack([half_rank(column).z for column in Y[~failed].T], axis=1)
    span = Z.max(0) - Z.min(0)
    Z = weights * (Z - Z.min(0)) / np.where(span > 0, span, 1.0)
    scalar[~failed, 0] = Z.max(1) + _RHO * Z.sum(1)
    return scalar
