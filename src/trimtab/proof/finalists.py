"""The first stage: the most promising settings run again on fresh seeds, in a race, and the winner is certified.

`evidence.race` says who runs next and who wins; here its runs (`select` trials) are made and read.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..arrays import Array
from ..engine import incumbents
from ..evidence import Finalist
from ..evidence.race import ENOUGH, Entrants, race
from ..live import LiveStudy
from ..records import Purpose
from ..standing import Standings
from . import pairs
from .looks import mixed

POOL = 50  # settings that may enter a race when others break a limit


def measured_again(
    live: LiveStudy, made: Standings, most: int, crew: pairs.GetCrew, again: pairs.Again
) -> tuple[Finalist, ...]:
    """The settings that were measured again, the winner first; empty if there is nothing to choose. most: how many begin.

    With constraints, even a clear winner runs again, and the next in order may replace it: on fresh seeds, or on the
    rows of the certificate, a constraint that held in the search may not hold.
    """
    spec = live.spec
    limited = bool(spec.constraints) and not spec.deterministic
    if most == 1:
        return ()
    pool = made.finalists(most)
    first = len(pool)
    if limited:
        pool += [s.candidate for s in made.order[:POOL] if s.candidate not in pool]
    elif first < 2:
        return ()
    before = incumbents.baseline_metrics(spec, live.ledger.baseline)
    sides = [(c.number, spec.current(c.params)) for c in pool]
    searched = np.array([incumbents.excesses(spec, c.metrics, before) for c in pool]).reshape(len(pool), -1)
    entrants = Entrants(*made.losses(pool, spec.space.encode([params for _, params in sides])), searched, made.noise)
    winner, runs = race(entrants, first, ENOUGH * most, lambda runs: _measured(live, sides, runs, crew, again))
    losses, excess = _measured(live, sides, runs, crew, again)
    goal = spec.goals[0]
    ran = [winner, *(i for i in range(len(pool)) if runs[i] and i != winner)]
    return tuple(_finalist(sides[i][0], -losses[i] if goal.maximize else losses[i], excess[i]) for i in ran)


def _measured(
    live: LiveStudy, sides: pairs.Sides, runs: Sequence[int], crew: pairs.GetCrew, again: pairs.Again
) -> tuple[Array, Array]:
    """Losses (k, r) and excess over each limit (k, r, c) of this many `select` runs of each side; NaN if a run is
    missing.

    A limit relative to the baseline compares with the baseline's run on the same seed.
    """
    spec, r = live.spec, max(runs)
    relative = any(c.relative for c in spec.constraints)
    reference = [(0, spec.baseline)] if relative and spec.baseline is not None else []

    def wanted() -> list[int]:
        numbers = list[int]()
        for count in sorted({*runs} - {0}):
            equally_often = [side for side, n in zip(sides, runs, strict=True) if n == count]
            numbers += pairs.enqueue(live, Purpose.SELECT, equally_often, count, {}, again)
        return numbers + pairs.enqueue(live, Purpose.SELECT, reference, r, {}, again)

    pairs.complete(live, crew, wanted)
    have = pairs.found(live.refresh(), Purpose.SELECT, sides, again)
    beside = pairs.found(live.ledger, Purpose.SELECT, reference, again)
    goal = spec.goals[0]
    losses = np.full((len(sides), r), math.nan)
    excess = np.full((len(sides), r, len(spec.constraints)), math.nan)
    for side, count in enumerate(runs):
        for i in range(count):
            metrics = pairs.metrics(have, side, i) or {}
            losses[side, i] = goal.loss(metrics)
            excess[side, i] = incumbents.excesses(spec, metrics, pairs.metrics(beside, 0, i))
    return losses, excess


def _finalist(trial: int, values: Array, excess: Array) -> Finalist:
    """The summary of a finalist's runs; `excess` (r, c)."""
    known = np.isfinite(values)
    broke = (excess[known] > 0).any(axis=1)  # what is unknown (NaN) is not broken
    return Finalist(trial, int(known.sum()), float(values[known].mean()) if known.any() else math.nan, int(broke.sum()))


def notices(live: LiveStudy, ran: Sequence[Finalist], again: pairs.Again) -> list[str]:
    """Whether the finalists ran different code. They run again only if the record lacks a run."""
    sides = [(f.trial, live.spec.current(live.ledger.trials[f.trial].params)) for f in ran]
    if not mixed(live, pairs.found(live.ledger, Purpose.SELECT, sides, again)):
        return []
    return [
        "the objective or its data changed among the runs by which the finalists were compared: what was chosen may be due "
        "to that, what the pairs show is not"
    ]
