"""Array types, named by their entries. Shapes are given in docstrings and comments, as in X (n, d)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]

HUGE = 1e300  # values are clipped to +-HUGE, so that their differences are finite
