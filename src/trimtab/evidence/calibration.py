"""Can the model of the results be trusted? Each result predicted from all others.

With K the covariance of the results and a = K^-1 y, leaving out result i the prediction is y_i - a_i / (K^-1)_ii with
variance 1 / (K^-1)_ii (Rasmussen and Williams, eq. 5.12): no model is fitted again.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ..formatting import number, percent
from .belief import Belief

Z90 = 1.6448536269514722


@dataclass(frozen=True)
class Calibration:
    """Over n results, each left out: r2 (1 is perfect, 0 is the mean), the share inside the 90 % intervals, the rank
    correlation of predictions and results, and where each result lay in its predictive distribution (`levels`, uniform
    on [0, 1] if the model is honest). `results` and `predicted`, with standard deviations `sd`, are losses in the metric's
    unit; far outliers are pulled in, as the model sees them."""

    n: int
    r2: float
    inside: float
    rank: float
    levels: tuple[float, ...]
    results: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()

    def __repr__(self) -> str:
        inside = f"{percent(self.inside)} inside the 90 % intervals"
        return f"<Calibration over {self.n} results: r2 {number(self.r2, 3)}, {inside}, rank {number(self.rank, 3)}>"

    @property
    def honest(self) -> bool:
        """Whether the share inside is within 3 standard errors of 90 %, and at least 0.75."""
        return self.inside >= max(0.75, 0.9 - 3 * math.sqrt(0.09 / max(1, self.n)))


def leave_one_out(belief: Belief) -> Calibration:
    """The calibration of a model over the results on which it is conditioned."""
    root, y = belief.posterior.root, belief.data.y
    precision = np.einsum("ij,ij->j", root, root)
    error = belief.posterior.alpha / precision
    z = error * np.sqrt(precision)
    variance = float(np.sum((y - y.mean()) ** 2))
    predicted = np.argsort(np.argsort(y - error)), np.argsort(np.argsort(y))
    rank = float(np.corrcoef(*predicted)[0, 1]) if len(y) > 2 else float("nan")
    r2 = 1 - float(np.sum(error**2)) / variance if variance > 0 else float("nan")
    inside, levels = float(np.mean(np.abs(z) <= Z90)), tuple(ndtr(z).tolist())
    told = (
        belief.centre + belief.unit * y,
        belief.centre + belief.unit * (y - error),
        belief.unit / np.sqrt(precision),
    )
    return Calibration(len(y), r2, inside, rank, levels, *(tuple(v.tolist()) for v in told))
