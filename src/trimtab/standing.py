"""Which settings are best by what the data supports, and how sure that is: for `best`, and for the finalists of evidence.

The best of many noisy results is mostly luck. So if results are noisy (see `Belief.noisy`), settings are ordered by the
posterior of a Gaussian process over all of them: by its mean, made one standard deviation worse as a precaution. If they
are not (or the study says that it is deterministic), settings are ordered by their values. Pure, and a function of the
record alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .arrays import Array
from .engine import incumbents
from .engine.incumbents import Candidate, admissible
from .engine.ledger import Ledger
from .errors import SpecError
from .evidence.belief import Belief
from .formatting import first_line, number, percent, plural, setting, table
from .records import State, StudySpec, Trial

_SOME = 0.05  # if noise has a larger share in the variance, settings that may be the best are worth measuring again
_ENOUGH = 10  # so many settings, plus two for each parameter, are needed to tell noise from a rough function
_CONTENDERS = 50  # how many settings are considered as the best one
_DRAWS = 2_000  # samples of the posterior
_LIKELY = 0.05  # a setting with at least this probability of being the best is a finalist
_RIVAL = 0.2  # a setting with at least this probability of being better than the best is a rival
_SHOWN = 10  # settings in the text


@dataclass(frozen=True)
class Standing:
    """A setting, with what the record supports about its first goal."""

    candidate: Candidate
    mean: float  # expected value of the metric
    sd: float  # its standard deviation
    p_best: float  # probability that the setting is the best of those tried
    p_ahead: float  # probability that it is better than the one that is named the best

    def __repr__(self) -> str:
        return f"<Standing of trial {self.candidate.number}: {self.expected}>"

    @property
    def expected(self) -> str:
        """The mean, with its standard deviation if there is one."""
        return number(self.mean, 4) + (f" ± {number(self.sd, 2)}" if self.sd else "")


@dataclass(frozen=True)
class Standings:
    """All admissible settings, the best first."""

    metric: str
    order: tuple[Standing, ...]
    noise: float  # standard deviation of a single result; NaN if unknown
    share: float  # the share of noise in the variance of the results
    belief: Belief | None = None  # the model of all results; None if there is none
    maximize: bool = False

    def __repr__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Aligned lines for a terminal: the ten best settings, and what to know before trusting the first."""
        if not self.order:
            return "no setting that may be used has a result yet"
        rows = [["trial", self.metric, "is the best", "setting"]]
        for s in self.order[:_SHOWN]:
            rows.append([str(s.candidate.number), s.expected, percent(s.p_best), setting(s.candidate.params)])
        if not self.doubted:  # a value that is trusted has no chance to show
            rows = [[trial, value, how] for trial, value, _, how in rows]
        lines, more = [table(rows[0], rows[1:])], len(self.order) - _SHOWN
        lines += [f"and {plural(more, 'other setting')}"] if more > 0 else []
        return "\n".join([*lines, *([self.warning] if self.warning else [])])

    @property
    def doubted(self) -> bool:
        """Whether settings are ordered by the model, because values are not trusted."""
        return self.belief is not None and self.belief.noisy

    @property
    def best(self) -> Candidate | None:
        """The first setting; None if there is none."""
        return self.order[0].candidate if self.order else None

    def finalists(self, most: int) -> list[Candidate]:
        """Up to `most` settings that are worth measuring again: the best one, and others that may be the best."""
        likely = [s for s in self.order[1:] if s.p_best >= _LIKELY] if self.share > _SOME else []
        likely.sort(key=lambda s: -s.p_best)
        return [s.candidate for s in [*self.order[:1], *likely][:most]]

    def losses(self, pool: Sequence[Candidate], X: Array) -> tuple[Array, Array]:
        """Mean (n,) and covariance (n, n) of the losses of candidates whose settings are X (n, d)."""
        if self.belief is not None:
            return self.belief.joint(X)
        sign = -1.0 if self.maximize else 1.0
        y = np.array([sign * c.metrics[self.metric] for c in pool])
        return y, np.zeros((len(y), len(y)))

    @cached_property
    def warning(self) -> str | None:
        """A warning if other settings may well be better than the best one; None if its lead is clear."""
        rivals = sum(s.p_ahead >= _RIVAL for s in self.order[1:])
        if not rivals:
            return None
        first = self.order[0]
        return (
            f"the lead is inside the noise: one result of {self.metric} varies by ±{number(self.noise, 2)}; trial "
            f"{first.candidate.number} is expected at {first.expected}, and "
            f"{plural(rivals, 'other setting')} may well be better"
        )


def standings(spec: StudySpec, candidates: Sequence[Candidate]) -> Standings:
    """The standings of the admissible candidates by the first goal. On ties, the better one by the next goals comes first,
    then the earlier one."""
    goal, *others = spec.goals
    allowed = sorted(admissible(candidates), key=lambda c: ([g.loss(c.metrics) for g in others], c.number))
    y = np.array([goal.loss(c.metrics) for c in allowed])
    enough = len(candidates) >= _ENOUGH + 2 * len(spec.space)
    belief = believed(spec, candidates) if enough and allowed and not spec.deterministic else None
    chances = np.zeros((len(y), 2))
    if belief is None:
        mean, sd, order = y, np.zeros(len(y)), np.argsort(y, kind="stable")
        chances[order[:1]] = 1.0, 0.0  # values are trusted: the first one is the best
    else:
        X = spec.encode(c.params for c in allowed)
        mean, sd = belief.predict(X)
        order = np.argsort(mean + sd if belief.noisy else y, kind="stable")
        chances[order[:_CONTENDERS]] = _chances(belief, X[order[:_CONTENDERS]])
    sign = -1.0 if goal.maximize else 1.0
    made = tuple(Standing(allowed[i], float(sign * mean[i]), float(sd[i]), *chances[i].tolist()) for i in order)
    noise, share = (math.nan, 0.0) if belief is None else (belief.noise, belief.share)
    return Standings(goal.metric, made, noise, share, belief, goal.maximize)


def of_ledger(ledger: Ledger) -> Standings:
    """The standings of a study, by its ledger."""
    return standings(ledger.study.spec, incumbents.of_ledger(ledger))


def best_trial(ledger: Ledger, found: Standings) -> Trial:
    """The trial of the best setting in a study's standings. Raises SpecError while there is none."""
    if found.best is not None:
        return found.best.trial
    done, spec = ledger.counts[State.DONE], ledger.study.spec
    if done:
        why = f"of {plural(done, 'finished trial')}, none {incumbents.admission(spec)}"
    else:
        why = "0 trials are done" + (_failures(ledger) or "; run some first")
    raise SpecError(f"study {spec.name!r} has no best trial yet: {why}")


def _failures(ledger: Ledger) -> str:
    """How many trials failed, and why the last one did; "" if none did."""
    last = max(ledger.failures_in_a_row(0), key=lambda t: t.told or 0, default=None)
    if last is None:
        return ""
    failed = f"{ledger.counts[State.FAILED]} failed; the last one, trial {last.number}, by {last.reason}"
    return f", {failed}: {first_line(last.error)}"


def believed(spec: StudySpec, candidates: Sequence[Candidate], goal: int = 0) -> Belief | None:
    """The model of a goal's losses over all settings with results; None if there is none (see Belief.of)."""
    X = spec.encode(c.params for c in candidates)
    y = np.array([spec.goals[goal].loss(c.metrics) for c in candidates])
    n = np.array([c.n for c in candidates], dtype=float)
    return Belief.of(spec.space, X, y, n, exact=spec.deterministic)


def limits(
    spec: StudySpec, candidates: Sequence[Candidate], baseline: Mapping[str, float] | None
) -> list[Belief] | None:
    """Models of the excess over each constraint's limit, except for constraints that all settings meet. None if there is
    none for one of them."""
    X = spec.encode(c.params for c in candidates)
    n, found = np.array([c.n for c in candidates], dtype=float), []
    for constraint in spec.constraints:
        excess = np.array([constraint.excess(c.metrics, baseline) for c in candidates])
        if not np.isnan(excess).any() and (excess <= 0).all():
            continue
        made = Belief.of(spec.space, X, excess, n, exact=spec.deterministic)
        if made is None:
            return None
        found.append(made)
    return found


def _chances(belief: Belief, X: Array) -> Array:
    """For each setting of X (n, d), the probabilities (n, 2) that its loss is the lowest, and that it is below that of the
    first setting; estimated from joint samples of the posterior."""
    mean, cov = belief.joint(X)
    values, vectors = np.linalg.eigh((cov + cov.T) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = mean + np.random.default_rng(0).standard_normal((_DRAWS, len(mean))) @ root.T
    lowest = np.bincount(draws.argmin(1), minlength=len(mean)) / _DRAWS
    return np.stack([lowest, (draws < draws[:, :1]).mean(0)], axis=1)
