"""What a warm start takes over from an earlier study: results, copied into the spec of the new study, so that its
proposals follow from its own record alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import SpaceError
from ..space import UNSET, Params, Space

MOST = 256  # how many results of an earlier study are kept


@dataclass(frozen=True)
class Source:
    """Results of an earlier study: settings, and their losses for each goal of the new study.

    study, uid, head: its name, and the state of its record when the results were copied.
    """

    study: str
    uid: str
    head: str
    params: tuple[Params, ...]
    losses: tuple[tuple[float, ...], ...]

    @staticmethod
    def of(study: str, uid: str, head: str, results: Sequence[tuple[Params, tuple[float, ...]]]) -> "Source":
        """The source of these (params, losses) results, in their order.

        Of more than MOST, half are the best by the first goal, and half are spread evenly over the others.
        """
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
        """The same results with only these columns of the losses, in this order."""
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
