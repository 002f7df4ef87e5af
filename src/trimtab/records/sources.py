"""What an earlier study teaches a new one: its results, kept in the new study's spec, so that proposals follow from the
record of the new study alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import SpaceError
from ..space import UNSET, Params, Space

MOST = 256  # results that are kept of a source


@dataclass(frozen=True)
class Source:
    """Results of the study called `study`, whose record had this `uid` and `head` at that time: settings and their
    losses, one for each goal of the new study."""

    study: str
    uid: str
    head: str
    params: tuple[Params, ...]
    losses: tuple[tuple[float, ...], ...]

    @staticmethod
    def of(study: str, uid: str, head: str, results: Sequence[tuple[Params, tuple[float, ...]]]) -> "Source":
        """At most MOST of the results: one half are the best by the first goal, the others are spread over the rest; in
        their order."""
        order = sorted(range(len(results)), key=lambda i: results[i][1][0])
        if len(order) > MOST:
            rest = order[MOST // 2 :]
            step = len(rest) / (MOST // 2)
            order = order[: MOST // 2] + [rest[int(i * step)] for i in range(MOST // 2)]
        kept = [results[i] for i in sorted(order)]
        return Source(study, uid, head, tuple(p for p, _ in kept), tuple(losses for _, losses in kept))

    def to_json(self) -> dict[str, Any]:
        return {
            "study": self.study,
            "uid": self.uid,
            "head": self.head,
            "params": [dict(p) for p in self.params],
            "losses": [list(losses) for losses in self.losses],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Source":
        losses = tuple(tuple(float(v) for v in losses) for losses in data["losses"])
        return Source(data["study"], data["uid"], data["head"], tuple(data["params"]), losses)

    def of_goals(self, columns: Sequence[int]) -> "Source":
        """The same results with these columns of the losses, in this order."""
        return replace(self, losses=tuple(tuple(losses[c] for c in columns) for losses in self.losses))

    def rows(self, space: Space) -> tuple[Array, Array]:
        """X (n, d) in another space, and losses Y (n, m), of the results that fit into it.

        A parameter that the earlier study did not have takes its default here, else the middle of its range; one that
        this space does not have is left out. A result with a value that this space does not allow is dropped.
        """
        usual = _usual(space)
        X, Y = [np.empty((0, len(space)))], []
        for params, losses in zip(self.params, self.losses, strict=True):
            try:
                X.append(space.encode([{**usual, **{k: v for k, v in params.items() if k in space.params}}]))
            except SpaceError:
                continue
            Y.append(losses)
        return np.concatenate(X), np.array(Y, dtype=float).reshape(len(Y), len(self.losses[0]) if self.losses else 1)


def _usual(space: Space) -> Params:
    """A value of every parameter, active or not: its default, else the middle of its range."""
    middle = {name: p.value(float(p.scale.numbers(np.array([0.5]))[0])) for name, p in space.params.items()}
    return {name: middle[name] if p.default is UNSET else p.default for name, p in space.params.items()}
