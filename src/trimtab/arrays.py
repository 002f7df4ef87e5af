"""Array types, named by their entries. Shapes are given in docstrings and comments, as in X (n, d)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]

HUGE = 1e300  # values are clipped to +-HUGE, so that their differences are finite


def within(x: Array, low: Array | float, high: Array | float) -> Array:
    """x, clipped to [low, high]. For a column of few numbers, np.clip takes twice as long."""
    return np.asarray(np.minimum(np.maximum(x, low), high))
