"""Array types, named by their entries. Shapes are given in docstrings and comments, as in X (n, d)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]

HUGE = 1e300  # values are clipped to +-HUGE, so that their differences are finite


def within(x: Array, low: Array | float, high: Array | float) -> Array:
    """x with what lies outside of [low, high] at its ends, as np.clip has it, which takes twice as long for a
    column of few numbers."""
    return np.asarray(np.minimum(np.maximum(x, low), high))
