"""Noisy objectives whose truth is known: what the benchmarks of evidence and of `best` are tried on.

A problem is a space and a true loss; noise is normal, its standard deviation `ratio` times that of the true loss over
random settings. The baseline is a setting of median quality, as a default often is.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

import trimtab as tt
from trimtab.engine.incumbents import Candidate
from trimtab.space import Params


@dataclass(frozen=True)
class Problem:
    name: str
    space: tt.Space
    loss: Callable[[Mapping[str, Any]], float]

    @cached_property
    def sample(self) -> tuple[list[Params], np.ndarray]:
        """A thousand random settings and their true losses."""
        settings = self.space.decode(self.space.sample(1000, np.random.default_rng(0)))
        return settings, np.array([self.loss(p) for p in settings])

    @property
    def signal(self) -> float:
        """Standard deviation of the true loss over random settings."""
        return float(self.sample[1].std())

    @property
    def baseline(self) -> Params:
        settings, losses = self.sample
        return settings[int(np.argsort(losses)[len(losses) // 2])]


def told(settings: Sequence[Params], losses: np.ndarray, feasible: np.ndarray) -> list[Candidate]:
    """Settings with one result each, as a study has them; of them there are no trials."""
    return [
        Candidate(i, s, {"loss": float(y)}, 1, bool(k), {})
        for i, (s, y, k) in enumerate(zip(settings, losses, feasible, strict=True))
    ]


@cache  # so are their samples
def problems() -> list[Problem]:
    """Smooth, many valleys, mixed and conditional."""
    return [bowl(), valleys(), network(), branches()]


def bowl() -> Problem:
    """A quadratic bowl in four columns of different weight."""
    names = ("a", "b", "c", "d")
    space = tt.Space({n: tt.Float(0.0, 1.0) for n in names})
    parts = {"a": (0.3, 4.0), "b": (0.6, 2.0), "c": (0.5, 1.0), "d": (0.8, 0.3)}
    return Problem("bowl", space, lambda p: sum(w * (p[n] - c) ** 2 for n, (c, w) in parts.items()))


def valleys() -> Problem:
    """A bowl with ripples: several local minima a column."""
    space = tt.Space({f"x{i}": tt.Float(-2.0, 2.0) for i in range(3)})
    return Problem(
        "valleys", space, lambda p: sum((v - 0.4) ** 2 + 0.6 * (1 - math.cos(4 * (v - 0.4))) for v in p.values())
    )


def network() -> Problem:
    """Rates on log scales, an integer and a choice, with an interaction: what a training script offers."""
    space = tt.Space(
        rate=tt.Float(1e-5, 1.0, log=True),
        decay=tt.Float(1e-6, 1e-1, log=True),
        layers=tt.Int(1, 8),
        dropout=tt.Float(0.0, 0.7),
        activation=tt.Choice("relu", "tanh", "gelu"),
    )

    def loss(p: Mapping[str, Any]) -> float:
        rate = math.log10(p["rate"]) + 2.5 + 0.15 * (p["layers"] - 4)
        waste = 0.02 * (p["layers"] - 4) ** 2 + 0.5 * (p["dropout"] - 0.2) ** 2
        decay = 0.05 * (math.log10(p["decay"]) + 4) ** 2 / 4
        return float(math.log1p(rate**2) + waste + decay + 0.2 * (p["activation"] == "tanh"))

    return Problem("network", space, loss)


def branches() -> Problem:
    """A choice of model, each with parameters of its own."""
    space = tt.Space(
        model=tt.Choice("linear", "tree", "forest"),
        penalty=tt.Float(1e-6, 1e2, log=True, when={"model": "linear"}),
        rate=tt.Float(1e-3, 1.0, log=True, when={"model": ["tree", "forest"]}),
        depth=tt.Int(1, 12, when={"model": "tree"}),
    )

    def loss(p: Mapping[str, Any]) -> float:
        if p["model"] == "linear":
            return float(0.5 + (math.log10(p["penalty"]) + 2) ** 2 / 10)
        depth = abs(p["depth"] - 5) / 10 if p["model"] == "tree" else 0.3
        return float(0.1 + depth + (math.log10(p["rate"]) + 1.5) ** 2 / 4)

    return Problem("branches", space, loss)
