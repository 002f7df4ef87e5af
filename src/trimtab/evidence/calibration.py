"""Can the model of the results be trusted? Each result predicted from all others.

With K the covariance of the results and a = K^-1 y, leaving out result i the prediction is y_i - a_i / (K^-1)_ii with
variance 1 / (K^-1)_ii (Rasmussen and Williams, eq. 5.12): no model is fitted again. Its hyperparameters have thus seen
result i: of few results (below about 50) this flatters the model, and on noise alone r2 may be far above 0.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ..formatting import number, percent
from ..numerics.rank_correlation import spearman
from .belief import Belief

Z90 = 1.6448536269514722


@dataclass(frozen=True)
class Calibration:
    """Over n results, each left out: r2 (1 is perfect, 0 no better than the mean of the others), the share inside the 90 %
    intervals, Spearman's rank correlation of predictions and results, and where each result lay in its predictive
    distribution (`levels`, uniform on [0, 1] if the model is honest). `results` and `predicted`, with standard deviations
    `sd`, are losses in the metric's unit; far outliers are pulled in, as the model sees them."""

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

    @property
    def predictive(self) -> bool:
        """Whether the model predicts results better than their mean: by a tenth of the squared error or more."""
        return self.r2 >= 0.1


def leave_one_out(belief: Belief) -> Calibration:
    """The calibration of a model over the results on which it is conditioned."""
    root, y = belief.posterior.root, belief.data.y
    precision = np.einsum("ij,ij->j", root, root)  # of each prediction: (K^-1)_ii
    error = belief.posterior.alpha / precision
    z = error * np.sqrt(precision)
    predicted = y - error
    of_mean = (y - y.mean()) * len(y) / (len(y) - 1)  # the errors of predicting the mean of the others
    in_unit = belief.centre + belief.unit * y, belief.centre + belief.unit * predicted, belief.unit / np.sqrt(precision)
    return Calibration(
        len(y),
        1 - float(error @ error) / float(of_mean @ of_mean) if np.ptp(y) > 0 else math.nan,
        float(np.mean(np.abs(z) <= Z90)),
        math.nan if min(np.ptp(predicted), np.ptp(y)) == 0 else spearman(predicted, y),
        tuple(ndtr(z).tolist()),
        *(tuple(v.tolist()) for v in in_unit),
    )
