"""Low-discrepancy points of the unit cube."""

from functools import lru_cache

import numpy as np

from ..arrays import Array

_BLOCK = 64


def sobol(start: int, n: int, d: int, seed: int) -> Array:
    """Points start .. start + n - 1 of the scrambled Sobol sequence that `seed` names: (n, d), in [0, 1)."""
    first, last = start // _BLOCK, (start + n + _BLOCK - 1) // _BLOCK
    blocks = [_block(b, d, seed) for b in range(first, last)]
    return np.concatenate([np.empty((0, d)), *blocks])[start - first * _BLOCK :][:n]


@lru_cache(maxsize=256)
def _block(index: int, d: int, seed: int) -> Array:
    from scipy.stats.qmc import Sobol  # scipy.stats is slow to import, and not every study needs it

    engine = Sobol(d, scramble=True, seed=np.random.default_rng(seed))
    if index:
        engine.fast_forward(index * _BLOCK)
    points: Array = engine.random(_BLOCK)
    points.setflags(write=False)
    return points


def rotated(n: int, d: int, rng: np.random.Generator) -> Array:
    """n Sobol points shifted at random modulo 1 (Cranley and Patterson 1976): (n, d)."""
    return (sobol(0, n, d, 0) + rng.random(d)) % 1.0
