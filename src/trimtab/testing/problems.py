"""Random problems, histories and difficult numbers on which strategies are tested."""

from random import Random
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import SpecError
from ..space import Choice, Float, Int, Space
from ..strategies import Problem, Rows, Strategy
from .spaces import random_space

LINES = 14  # rows of a case of HARD
SAFE = Space(x=Int(0, 1000), y=Int(1, 1000, log=True), c=Choice("a", "b", "c"))
ODD = {
    "one column": Space(x=Int(0, 40)),
    "one point": Space(x=Choice("only")),
    "one allowed point": Space(a=Int(0, 30), b=Int(0, 30)).require("a == 3", "b == 4"),
    "a fixed column": Space(x=Float(2, 2), y=Choice(1, 2)),
    "a long column": Space(x=Int(1, 10**9, log=True)),
}
WIDE = Space({f"i{i}": Int(0, 1000) for i in range(60)} | {f"c{i}": Choice("a", "b", "c") for i in range(40)})
FINITE = Space(
    a=Choice("x", "y", "z"), b=Int(1, 3, when={"a": ["x", "y"]}), c=Choice(True, False, ordered=True)
).require("b != 2 or c == True")


def accepts(strategy: Strategy[Any], space: Space) -> bool:
    """Whether the strategy can search the space at all."""
    try:
        strategy.init(Problem(space))
    except SpecError:
        return False
    return True


def random_problem(strategy: Strategy[Any], random: Random) -> Problem:
    """A problem that the strategy accepts."""
    space = random_space(random, finite=not accepts(strategy, Space(x=Float(0, 1))))
    return Problem(
        space,
        goals=random.choice([1, 1, 1, 2, 3]),
        constraints=random.choice([0, 0, 1, 2]),
        budget=random.choice([None, 10, 40, 200]),
        deterministic=random.random() < 0.3,
        replicates=random.choice([1, 1, 1, 2, 3]),
        seed=random.randrange(2**32),
    )


def random_history(problem: Problem, n: int, rng: np.random.Generator) -> Rows:
    """n finished rows: smooth goals with noise, failures, unknown constraints, some points more than once."""
    X = problem.space.sample(max(n, 1), rng)[rng.integers(0, max(n, 1), n)]
    F = np.nan_to_num(X, nan=0.3)
    Y = ((F[:, :, None] - rng.random((X.shape[1], problem.goals))) ** 2).sum(1) + 0.01 * rng.standard_normal((n, 1))
    C = F @ rng.standard_normal((X.shape[1], problem.constraints)) + rng.normal()
    C[rng.random(C.shape) < 0.2] = np.nan
    failed = rng.random(n) < rng.choice([0, 0.1, 0.6])
    Y[failed], C[failed] = np.nan, np.nan
    return Rows(X, Y, C, rng.random(n))


def _lines(**values: object) -> dict[str, Array]:
    return {k: np.broadcast_to(np.asarray(v, dtype=float), LINES)[:, None].copy() for k, v in values.items()}


_COUNT = np.arange(LINES)
_SPIKE = np.where(_COUNT == 5, 1.0, 0.0)
HARD = {
    "constant": _lines(Y=3.0),
    "all zero": _lines(Y=0.0),
    "one huge": _lines(Y=_SPIKE * 1e300),
    "one very good": _lines(Y=-_SPIKE * 1e300),
    "both ends": _lines(Y=_SPIKE * 1e300 - np.roll(_SPIKE, 2) * 1e300),
    "infinite": _lines(Y=np.where(_SPIKE > 0, np.inf, _COUNT)),
    "minus infinity": _lines(Y=np.where(_SPIKE > 0, -np.inf, _COUNT)),
    "only infinities": _lines(Y=np.where(_SPIKE > 0, -np.inf, np.inf)),
    "tiny": _lines(Y=_COUNT * 1e-300),
    "subnormal": _lines(Y=_COUNT * 5e-324),
    "close together": _lines(Y=1e15 + _COUNT),
    "all failed": _lines(Y=np.nan),
    "one success": _lines(Y=np.where(_SPIKE > 0, 1.0, np.nan)),
    "one feasible": _lines(Y=_COUNT, C=1 - 2 * _SPIKE),
    "none feasible": _lines(Y=_COUNT, C=_COUNT + 1.0),
    "all feasible": _lines(Y=_COUNT, C=-1e300),
    "on the edge": _lines(Y=_COUNT, C=0.0),
    "unknown constraint": _lines(Y=_COUNT, C=np.nan),
    "infinite constraint": _lines(Y=_COUNT, C=np.where(_SPIKE > 0, -np.inf, np.inf)),
}
