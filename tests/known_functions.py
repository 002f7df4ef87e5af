"""Models of random results of functions that are known, for tests of what is read off such models."""

import math
from functools import cache

import numpy as np

import trimtab as tt
from trimtab.evidence.belief import Belief

UNIT = tt.Space({f"x{i}": tt.Float(0, 1, default=0.9) for i in range(4)})
WEIGHTS = np.array([1.0, 2.0, 3.0, 4.0])
MIXED = tt.Space(
    model=tt.Choice("tree", "line", default="tree"),
    depth=tt.Int(1, 9, default=8, when={"model": "tree"}),
    slope=tt.Float(0, 1, default=0.5, when={"model": "line"}),
    rate=tt.Float(1e-3, 1, log=True, default=0.9),
)


def weighted(p):
    return float(WEIGHTS @ list(p.values()))


def mixed(p):
    part = abs(p["depth"] - 3) / 4 if p["model"] == "tree" else 1.0 + 0.1 * p["slope"]
    return part + (math.log10(p["rate"]) + 2) ** 2


def results(space, loss, n=120, noise=0.0):
    """n random rows and their losses, with normal noise."""
    rng = np.random.default_rng(4)
    X = space.sample(n, rng)
    return X, np.array([loss(p) for p in space.decode(X)]) + noise * rng.standard_normal(n)


@cache
def learned(space, loss, n=120, noise=0.0):
    """The model of these results."""
    return Belief.of(space, *results(space, loss, n, noise))
