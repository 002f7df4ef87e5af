"""The record as a table."""

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from ..errors import UserError
from ..records import Cost, Trial

if TYPE_CHECKING:
    import pandas as pd


def rows(trials: Sequence[Trial]) -> list[dict[str, object]]:
    """One flat mapping per trial: its own columns, then params.* and metrics.*, as far as it has them."""
    return [
        {
            **_own(t),
            **{f"params.{k}": v for k, v in t.params.items()},
            **{f"metrics.{k}": v for k, v in t.metrics.items()},
        }
        for t in trials
    ]


COST = tuple(f.name for f in fields(Cost))
OWN = (
    "number", "state", "purpose", "reason", "seed", "strategy", "parent", "replicate", "fidelity", "reached", "attempt",
    "started", "ended", *COST,
)  # fmt: skip


def _own(t: Trial) -> dict[str, object]:
    values = (
        t.number, str(t.state), str(t.purpose), None if t.reason is None else str(t.reason), t.seed, t.strategy, t.parent,
        t.replicate, t.fidelity, t.reached, t.attempt, t.started, t.ended, *map(t.cost.to_json().get, COST),
    )  # fmt: skip
    return dict(zip(OWN, values, strict=True))


def columns(trials: Sequence[Trial]) -> list[str]:
    """The names of all columns of `rows`, in order."""
    params = dict.fromkeys(f"params.{k}" for t in trials for k in t.params)
    metrics = dict.fromkeys(f"metrics.{k}" for t in trials for k in t.metrics)
    return [*OWN, *params, *metrics]


def frame(trials: Sequence[Trial]) -> "pd.DataFrame":
    """The trials as a DataFrame. Raises UserError if pandas is missing."""
    try:
        import pandas as pd
    except ImportError:
        raise UserError('study.frame() needs pandas; pip install "trimtab[frame]"') from None
    return pd.DataFrame(rows(trials), columns=columns(trials))
