"""The types of arrays, by their entries, and their largest value. Shapes stand in docstrings and comments: X (n, d)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]

HUGE = 1e300  # larger values count as this, so that differences are finite
