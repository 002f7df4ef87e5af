"""The record as a table."""

from collections.abc import Sequence
from dataclasses import fields
from enum import StrEnum
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


OF_TRIAL = (
    "number", "state", "purpose", "reason", "seed", "strategy", "parent", "replicate", "fidelity", "reached", "attempt",
    "started", "ended",
)  # fmt: skip
OF_COST = tuple(f.name for f in fields(Cost))


def _own(t: Trial) -> dict[str, object]:
    values = {name: getattr(t, name) for name in OF_TRIAL}
    texts = {name: str(v) for name, v in values.items() if isinstance(v, StrEnum)}
    return {**values, **texts, **{name: t.cost.to_json().get(name) for name in OF_COST}}


def columns(trials: Sequence[Trial]) -> list[str]:
    """The names of all columns of `rows`, in order."""
    params = dict.fromkeys(f"params.{k}" for t in trials for k in t.params)
    metrics = dict.fromkeys(f"metrics.{k}" for t in trials for k in t.metrics)
    return [*OF_TRIAL, *OF_COST, *params, *metrics]


def frame(trials: Sequence[Trial]) -> "pd.DataFrame":
    """The trials as a DataFrame, with times as timestamps (UTC). Raises UserError if pandas is missing."""
    try:
        import pandas as pd
    except ImportError:
        raise UserError('study.frame() needs pandas; pip install "trimtab[frame]"') from None
    table = pd.DataFrame(rows(trials), columns=columns(trials))
    times = {name: pd.to_datetime(table[name], unit="s", utc=True) for name in ("started", "ended")}
    return table.assign(**times)
