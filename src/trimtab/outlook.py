"""Whether more search is worth it: what a study may still gain, compared with the noise and with the cost of trials. Pure.

The model of all results (see `evidence.belief`) answers two questions. Losses are minimised.

    regret   How far is the best known setting from the best possible one? At most  min ucb(known) - min lcb(any)
             (Makarova et al. 2022, eq. 3). If that is below the standard error of the best, a gain would be luck.
    gain     What will the next trial bring? The largest expected improvement of any setting. Multiplied by its `worth`,
             it is compared with what a trial costs.

Here ucb and lcb are mean +- sqrt(beta) sd, with beta = 2 log(d n^2 pi^2 / (6 delta)) / 5 and delta = 0.1, as in that
paper. "Any" setting is one of many random ones, or near the best known one; so the bound is itself an estimate. Under
constraints, it is one that may meet them by the models of how far they are exceeded, and a gain counts by the chance that
it does.

Where trials were stopped or paused, the model knows them as strategies do (see `strategies.levelling`). A model of those
that went on, which are the better ones, would take what it does not know for as good, and expect gains without end. The
noise is that of full trainings.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
from scipy.special import ndtr

from .checks import nonnegative, shown, whole
from .engine.incumbents import Candidate, admissible, baseline_metrics, candidates, in_full
from .engine.ledger import baseline_trial
from .engine.matrix import rows
from .errors import SpecError
from .evidence.belief import Belief
from .formatting import duration, number, plural
from .numerics.acquisition import improvement
from .records import StudySpec, Trial
from .standing import believed, limits
from .strategies.ladder import settings
from .strategies.levelling import levelled
from .strategies.variation import perturbed

VERSION = 3
"""Of the outlook and the model beneath it: rises whenever the same results would give another outlook. Events without a
version are of the first one, which knew nothing of constraints."""
_ANYWHERE, _NEAR = 4096, 512  # how many random settings are looked at, and how many near the best known one
_REACH = 0.1  # how far from it these are at most, in the unit cube
_DELTA = 0.1
_RECENT = 20  # trials whose mean cost is that of the next one


@dataclass(frozen=True)
class Enough:
    """When a search has found enough.

    tolerance: a regret that does not matter, in the metric's unit; counts if the noise is smaller.
    worth: what one unit of the metric is worth: seconds of a trial, or money if trials have a price; None: ignore cost.
    least: how many settings must have results before it may stop (default: 10 plus two for each parameter).
    every: how many results there are between two checks.
    """

    tolerance: float = 0.0
    worth: float | None = None
    least: int | None = None
    every: int = 10

    def __post_init__(self) -> None:
        for name, value in (("tolerance", self.tolerance), ("worth", self.worth)):
            if value is not None or name == "tolerance":
                object.__setattr__(self, name, nonnegative(f"enough: {name}", value))
        for name, count in (("least", self.least), ("every", self.every)):
            if count is not None or name == "every":
                object.__setattr__(self, name, whole(f"enough: {name}", count))

    def last_check(self, results: int) -> int:
        """With how many results the latest check is made when there are `results`; 0 before the first check."""
        return self.every * (results // self.every)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Outlook:
    """What a study may still gain. `text()` is the advice.

    regret: an upper bound on how far the best setting is from the best possible one. error: the standard error of the
    best. gain: the expected improvement by the next trial. All three are in the metric's unit, and NaN while too little is
    known. cost: of a trial, in `unit`. reason: why to stop ("noise" or "cost"), or "". again: after how many results to
    ask again.
    """

    metric: str
    results: int  # how many results this is derived from
    regret: float  # upper bound on the distance of the best setting from the best possible one
    error: float  # standard error of the best setting
    gain: float  # expected improvement by the next trial
    cost: float  # of a trial
    unit: str  # of the cost: "seconds" or "money"
    reason: str  # why to stop: "noise" or "cost"; "": go on
    again: int = 0  # while too little is known: after how many results to ask again; 0: unknown

    def __repr__(self) -> str:
        return self.text()

    def text(self) -> str:
        """The advice, in one or two sentences."""
        if math.isnan(self.regret):
            when = f"; ask again after {self.again}" if self.again else ""
            told = plural(self.results, "result")
            return f"after {told} too little is known of {self.metric} to say whether more would help{when}"
        paid = duration(self.cost) if self.unit == "seconds" else f"{number(self.cost, 3)} (money)"
        facts = (
            f"after {self.results} results the best {self.metric} is at most {number(self.regret, 3)} from the best there "
            f"is, its standard error is {number(self.error, 3)}; the next trial is expected to gain "
            f"{number(self.gain, 3)} and costs {paid}"
        )
        advice = {
            "noise": "stop: what is left to gain is below the noise or the tolerance",
            "cost": "stop: what is left to gain is not worth its cost",
            "": "go on",
        }
        return f"{advice[self.reason]} ({facts})"

    def to_json(self) -> dict[str, Any]:
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}


def outlook(spec: StudySpec, told: Sequence[Trial], enough: Enough) -> Outlook:
    """The outlook after these results, in the order in which they ended. Raises SpecError if there are several goals."""
    one_goal_only(spec)
    goal = spec.goals[0]
    zero = next((t for t in told if t.number == 0), None)  # trial 0 ends among the first: the search is short
    first = None if zero is None else baseline_trial(spec, {0: zero})
    before = baseline_metrics(spec, first)
    found = candidates(spec, told, before)
    allowed = admissible(found)
    cost, unit = _cost(told)
    least = 10 + 2 * len(spec.space) if enough.least is None else enough.least
    full = believed(spec, found) if len(found) >= least and allowed else None
    belief = full if full is None or all(in_full(spec, t) for t in told) else _of_all(spec, told, before)
    if full is None or belief is None:
        due = enough.every * math.ceil(least / enough.every)  # the first check that may know enough
        again = due if len(told) < due else 0
        return Outlook(goal.metric, len(told), math.nan, math.nan, math.nan, cost, unit, "", again)
    best, regret, gain = _future(spec, belief, limits(spec, found, before) or [], allowed, len(told))
    reason, error = "", full.noise / math.sqrt(best.n)
    if regret <= max(error, enough.tolerance):
        reason = "noise"
    elif enough.worth is not None and gain * enough.worth < cost:
        reason = "cost"
    return Outlook(goal.metric, len(told), regret, error, gain, cost, unit, reason)


def enough_from(given: object) -> Enough:
    """A user's argument `enough`: True stands for the default Enough. Raises SpecError."""
    if given is True:
        return Enough()
    if not isinstance(given, Enough):
        raise SpecError(f"enough={shown(given)} is neither True nor an Enough; write trimtab.outlook.Enough(worth=...)")
    return given


def one_goal_only(spec: StudySpec) -> None:
    """Raises SpecError for a study with several goals, of which nothing can be said."""
    if len(spec.goals) > 1:
        raise SpecError("whether more search is worth it can be said of one goal, this study has several")


def _of_all(spec: StudySpec, told: Sequence[Trial], baseline: Mapping[str, float] | None) -> Belief | None:
    """The model of full trainings by all trials, also those that were stopped or paused."""
    every = levelled(settings(rows(spec, told, baseline)))
    return Belief.of(spec.space, every.X, every.Y[:, 0])


def _future(
    spec: StudySpec, belief: Belief, bounds: Sequence[Belief], allowed: Sequence[Candidate], n: int
) -> tuple[Candidate, float, float]:
    """(the best setting, bound on its regret, expected improvement by the next trial) after n results.

    bounds: models of how far each constraint is exceeded.
    """
    X = spec.encode(c.params for c in allowed)
    mean, sd = belief.predict(X)
    width = math.sqrt(max(0.0, 2 * math.log(len(spec.space) * n**2 * math.pi**2 / (6 * _DELTA)) / 5))
    best = int(np.argmin(mean + width * sd))
    rng = np.random.default_rng(0)
    free, steps = np.ones(len(spec.space), dtype=bool), _REACH * rng.random(_NEAR)
    near = perturbed(spec.space, X[best], steps, 0.0, free, rng)
    every = np.concatenate([X, near, spec.space.sample(_ANYWHERE, rng)])
    mean_of, sd_of = belief.predict(every)
    possible, chance = np.ones(len(every), dtype=bool), np.ones(len(every))
    for bound in bounds:
        excess, doubt = bound.predict(every)
        possible &= excess - width * doubt <= 0
        chance *= ndtr(-excess / doubt)
    possible[: len(X)] = True  # they have met the constraints
    regret = float((mean + width * sd)[best] - (mean_of - width * sd_of)[possible].min())
    gain = float((improvement(mean_of, sd_of, float(mean.min())) * chance).max())
    return allowed[best], max(regret, 0.0), gain


def _cost(told: Sequence[Trial]) -> tuple[float, str]:
    """The mean cost of the latest trials: in money if they have a price, else in seconds."""
    latest = [t.cost for t in islice((t for t in reversed(told) if t.attempt > 0), _RECENT)]
    if any(c.money for c in latest):
        return math.fsum(c.money for c in latest) / len(latest), "money"
    return math.fsum(c.wall for c in latest) / max(len(latest), 1), "seconds"


def derived(spec: StudySpec, told: Sequence[Trial], body: Mapping[str, Any]) -> str:
    """Derive the outlook in the body of an `enough` event again. Returns how it differs; "" if it does not.

    told: all results of the study; the event's outlook is that of the first of them. Numbers may differ by 1 %, as
    another machine's arithmetic may.
    """
    recorded = body["outlook"]
    again = outlook(spec, told[: recorded["results"]], Enough(**body["enough"])).to_json()
    for key, then in recorded.items():
        now = again.get(key)
        close = (
            isinstance(then, float) and isinstance(now, float) and math.isclose(then, now, rel_tol=0.01, abs_tol=1e-9)
        )
        if then != now and not close:
            return f"recorded {key} {then!r}, derived again {now!r}"
    return ""
