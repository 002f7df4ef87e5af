"""A study's strategy as it is used: wrapped, if the study has a fidelity, for results of unequal fidelity or for pauses.
Pure."""

from typing import Any

from ..records import StudySpec
from ..stopping import promotion, rule
from ..strategies import Continuing, Strategy
from ..strategies.freeze_thaw import Thawing
from ..strategies.levelling import Levelled
from ..strategies.promotion import Halving, Promoting


def wrapped(spec: StudySpec, strategy: Strategy[Any]) -> Strategy[Any]:
    """The strategy that the study's results are told to and that is asked for its points.

    Without a fidelity, or if its trials continue from one another anyway, it is the given one. If a stopping rule pauses
    trials, the wrapper decides which paused trials continue; otherwise it makes results of unequal fidelity comparable.
    """
    if spec.fidelity is None or isinstance(strategy, Continuing):
        return strategy
    for r in map(rule, spec.stopping):
        if isinstance(r, promotion.Promotion):
            return Promoting.over(strategy, Halving(r.eta or spec.fidelity.factor, r.trust, r.growing))
        if isinstance(r, promotion.FreezeThaw):
            return Promoting.over(strategy, Thawing(spec.fidelity.factor, r.trust))
    return Levelled.over(strategy)
