"""What the search was worth: its own value of the tuned setting, its cost, and what random search would have found."""

import math

import numpy as np

from ..engine import incumbents
from ..engine.ledger import Ledger
from ..evidence import Worth
from ..evidence.random_search import equal_trials, over_random
from ..records import Purpose, State, Trial
from ..standing import believed, limits


def worth_of_search(ledger: Ledger, tuned: Trial, metric: str) -> Worth:
    """What the search that found a trial's setting was worth, by `metric`."""
    spec, every = ledger.study.spec, incumbents.of_ledger(ledger)
    own = incumbents.of_trial(spec, every, tuned)
    searched = [t for t in ledger.told if t.purpose is Purpose.SEARCH]
    hours = sum(t.cost.wall for t in searched) / 3600
    bounds = limits(spec, every, incumbents.baseline_metrics(spec, ledger.baseline))
    own_value = math.nan if own is None else own.metrics.get(metric, math.nan)
    if len(spec.goals) > 1 or bounds is None or not searched:  # random search for one of the goals is another question
        return Worth(own_value, hours)
    if not all(incumbents.in_full(spec, t) for t in searched):
        return Worth(own_value, hours)  # the model knows only those that went on: it expects too much of any setting
    costs = np.array([t.cost.wall for t in searched])
    full = np.array([t.cost.wall if t.state is State.DONE else math.nan for t in searched])
    blind = np.array([t.strategy in ("random", "sobol") or "design" in t.why for t in searched])
    row = spec.space.encode([spec.current(tuned.params)])[0]
    gain = over_random(believed(spec, every), spec.space, row, equal_trials(costs, full, blind), bounds)
    return Worth(own_value, hours, gain)
