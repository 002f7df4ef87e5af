"""Which of a few finalists is measured to be the best: what the search supports, and fresh runs, taken together.

Every finalist runs again on the same fresh seeds. The runs' own level may differ from the search's (other splits, other
rows), so both are compared by their differences between finalists only.

Notation: k finalists, r runs each; prior means (k,) and standard deviations (k,) of their losses from the search, the
fresh losses (k, r), NaN where a run failed.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def chosen(prior: Array, sd: Array, losses: Array, noise: float) -> int:
    """The index of the finalist with the lowest posterior mean; the first on ties, 0 where no fresh run ended well.

    The noise of a difference comes from the fresh runs once the part that all finalists share in a seed is taken out;
    where too few ended, from the search (`noise`, NaN if unknown).
    """
    runs = (~np.isnan(losses)).sum(1)
    if not runs.any():
        return 0
    level = losses - np.nanmean(losses, axis=0, keepdims=True)  # the seeds' part is gone
    means = np.array([np.nanmean(row) if n else np.nan for row, n in zip(level, runs, strict=True)])
    residual = level - means[:, None]
    known = int(runs.sum() - losses.shape[1] - (runs > 0).sum() + 1)
    variance = float(np.nansum(residual**2)) / known if known > 1 else noise**2
    if not np.isfinite(variance):
        variance = float(np.nanmean(sd**2))
    prior = prior - prior[runs > 0].mean()
    trust = 1 / np.maximum(sd**2, 1e-300)
    fresh = np.where(runs > 0, runs / max(variance, 1e-300), 0.0)
    posterior = (trust * prior + fresh * np.nan_to_num(means)) / (trust + fresh)
    posterior[runs == 0] = np.inf  # it failed each time
    return int(np.argmin(posterior))
