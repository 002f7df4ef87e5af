"""The record as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UserError
from ..records import Trial

if TYPE_CHECKING:
    import pandas as pd


def rows(trials: Sequence[Trial]) -> list[dict[str, object]]:
    """One flat mapping per trial: its own columns, then params.* and metrics.*."""
    return [
        {
            "number": t.number,
            "state": str(t.state),
            "purpose": str(t.purpose),
            "reason": None if t.reason is None else str(t.reason),
            "seed": t.seed,
            "strategy": t.strategy,
            "attempt": t.attempt,
            "started": t.started,
            "ended": t.ended,
            "wall": t.cost.wall,
            "cpu": t.cost.cpu,
            "memory": t.cost.memory,
            "money": t.cost.money,
            **{f"params.{k}": v for k, v in t.params.items()},
            **{f"metrics.{k}": v for k, v in t.metrics.items()},
        }
        for t in trials
    ]


def frame(trials: Sequence[Trial]) -> "pd.DataFrame":
    """The trials as a DataFrame. Raises UserError when pandas is missing."""
    try:
        import pandas as pd
    except ImportError:
        raise UserError('study.frame() needs pandas; pip install "trimtab[frame]"') from None
    return pd.DataFrame(rows(trials))
