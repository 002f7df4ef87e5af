"""Random spaces, configurations and rows for hypothesis, and for loops over seeds."""

import numpy as np
from hypothesis import strategies as st

from trimtab.space import Params, Space
from trimtab.testing import random_space


def spaces(*, most: int = 5, finite: bool = False, requirements: bool = True) -> st.SearchStrategy[Space]:
    """Random spaces; finite ones have at most some thousand configurations for each parameter."""
    return st.randoms(use_true_random=False).map(
        lambda random: random_space(random, most=most, finite=finite, requirements=requirements)
    )


def configs(space: Space) -> st.SearchStrategy[Params]:
    """Allowed configurations of a space."""
    return st.integers(0, 2**32 - 1).map(lambda seed: space.decode(space.sample(1, np.random.default_rng(seed)))[0])


def random_rows(space: Space, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows (n, d) that need not be canonical: in, on and outside the cube, and NaN."""
    X = rng.uniform(-0.1, 1.1, (n, len(space)))
    odd = rng.choice([0.0, 1.0, -0.0, 0.5, np.nan, np.inf, -np.inf], X.shape)
    return np.where(rng.random(X.shape) < 0.2, odd, X)
