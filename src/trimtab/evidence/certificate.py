"""Is the tuned setting better than the baseline? A paired comparison on runs that the search never saw.

This module holds what a certificate says, as values, text and JSON; `judgement` makes it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..canonical import jsonable
from ..formatting import duration, estimate, number, percent, plural, signed
from ..space import Params

LEVEL = 0.95
FEW = 5  # pairs below which the interval leans on normality


@dataclass(frozen=True)
class ConstraintCheck:
    """How well the tuned setting met a constraint: its mean of the metric, the share of pairs in which it held, the
    number of pairs, and the 95 % interval of the share among all such runs.

    On a hold-out: its value there, and the share of `resamples` of the rows in which it held.
    """

    text: str
    mean: float
    held: float
    pairs: int = 0
    interval: tuple[float, float] = (0.0, 1.0)
    resamples: int = 0

    @property
    def kept(self) -> bool:
        """Whether it held in at least 95 % of the pairs, or resamples."""
        return self.held >= LEVEL

    @property
    def said(self) -> str:
        """In words: "held in 19 of 20 pairs (75.1 to 99.9 % of such runs)"."""
        if math.isnan(self.held):
            return "judged in no pair"
        if self.resamples:
            return f"held in {percent(self.held)} of {self.resamples:,} resamples of the rows"
        if not self.pairs:
            return f"held in {percent(self.held)} of pairs"
        low, high = (number(100 * v, 3) for v in self.interval)
        return (
            f"held in {round(self.held * self.pairs)} of {plural(self.pairs, 'pair')} ({low} to {high} % of such runs)"
        )


@dataclass(frozen=True)
class Comparison:
    """The gain in another goal of the study, over the same pairs; fields as in `Evidence`."""

    metric: str
    maximize: bool
    difference: float
    interval: tuple[float, float]
    decision: str


@dataclass(frozen=True)
class Finalist:
    """A setting that was measured again before one was chosen: its trial, the number of such runs, their mean, and how
    many of them violated a constraint."""

    trial: int
    runs: int
    mean: float
    broke: int = 0


@dataclass(frozen=True)
class Worth:
    """What the search was worth. NaN if unknown.

    searched: the search's own value of the tuned setting.
    hours: of work that the search took.
    over_random: by how much the tuned setting should beat what random search finds at equal cost (positive is better), by a
        model of the study's own results.
    """

    searched: float = math.nan
    hours: float = math.nan
    over_random: float = math.nan


@dataclass(frozen=True)
class Evidence:
    """What the certify trials say about the tuned setting against the baseline.

    baseline, tuned, tuned_trial: the params that were compared, and the trial that had the tuned ones in the search.
    pairs: (baseline, tuned) values of `metric` in replicate order, without failed pairs (`failed_pairs`).
    difference: their mean; positive if tuned is better, whatever the direction. interval: its two-sided 95 % interval.
    p_better, p_equivalent, p_worse: probabilities with the zone of practical equivalence, +-`equivalence` in the metric's
        unit (NaN if there are fewer than two pairs). Identical replicates, and fewer than six identical differences,
        count as one pair, unless the study is `deterministic`.
    decision: "proven" if the interval is above 0 (above `minimum_effect`, if one was set), "worse" if it is below 0, else
        "not shown". What would be proven is "not shown" on folds by which the search chose (time-ordered data), or if
        the tuned setting fails in more than 5 % of the pairs and more often than the baseline, and "infeasible" unless
        it meets every constraint in at least 95 % of the pairs.
    constraints: one check for each, over the same pairs.
    notices: what a reader must also know.
    protocol: "seeds", "folds" or "hold-out".
    compared: as how many comparisons it counts, by Bonferroni's correction (see `proof.looks.counted`).
    sequential: whether the interval holds however often one looks.
    reserve: the share of the error that the interval leaves unused (0.5: a textbook interval at 97.5 %).
    doubtful: whether a gain in these pairs would be no proof: the search chose on these folds, or the tuned setting fails.
    more: pairs that would probably (80 %) show a gain of this size; 0 if it is shown, None if no number would.
    detectable: the gain that this many pairs show with that probability; NaN if it is unknown, or no gain would do.
    goals: the other goals.
    finalists: what was measured again before the tuned setting was chosen.
    worth: what the search had said of the tuned setting, how long it took, and its gain over random search.
    """

    metric: str
    maximize: bool
    baseline: Params
    tuned: Params
    tuned_trial: int
    pairs: tuple[tuple[float, float], ...]
    difference: float
    interval: tuple[float, float]
    p_better: float
    p_equivalent: float
    p_worse: float
    equivalence: float
    decision: str
    test_train_ratio: float
    failed_pairs: int
    constraints: tuple[ConstraintCheck, ...]
    notices: tuple[str, ...]
    protocol: str = "seeds"
    minimum_effect: float = 0.0
    compared: int = 1
    sequential: bool = False
    reserve: float = 0.0
    doubtful: bool = False
    more: int | None = None
    detectable: float = math.nan
    goals: tuple[Comparison, ...] = ()
    finalists: tuple[Finalist, ...] = ()
    worth: Worth = Worth()

    @property
    def optimism(self) -> float:
        """By how much the search's own value of the tuned setting was too good (positive: too good). NaN if unknown."""
        said, found = self.worth.searched, self.means[1]
        if math.isclose(said, found, rel_tol=1e-12):  # the mean of equal values may differ from them in its last digit
            return 0.0
        return said - found if self.maximize else found - said

    @property
    def gains(self) -> tuple[float, ...]:
        """The difference in each pair; positive is better, whatever the direction."""
        return tuple(gains(self.pairs, self.maximize).tolist())

    @property
    def means(self) -> tuple[float, float]:
        """Means of the metric over the complete pairs: baseline, tuned. NaN without pairs."""
        if not self.pairs:
            return math.nan, math.nan
        baseline, tuned = np.mean(self.pairs, axis=0)
        return float(baseline), float(tuned)

    @property
    def test(self) -> str:
        """The test behind the interval, in a sentence."""
        count = plural(len(self.pairs), "pair")
        each = f", corrected as one of {self.compared} comparisons" if self.compared > 1 else ""
        if self.protocol == HOLDOUT:
            return f"bootstrap of one hold-out set, two-sided 95 % interval{each}"
        kind = "always-valid paired t interval (Wang & Ramdas 2023)" if self.sequential else "paired Student t"
        said = f"{kind} over {count}, two-sided 95 % interval{each}"
        if self.test_train_ratio == 0:
            return f"{said}; the pairs are taken as independent{self._kept}"
        ratio = number(self.test_train_ratio, 3)
        return (
            f"{said}; variance corrected for overlapping training sets, n_test/n_train = {ratio} (Nadeau & Bengio 2003)"
        )

    @property
    def _kept(self) -> str:
        if not self.reserve:
            return ""
        level = 100 * (1 - (1 - LEVEL) / self.compared * (1 - self.reserve))
        return f"; {percent(self.reserve)} of the error is kept in reserve (the textbook interval at {number(level)} %)"

    def __eq__(self, other: object) -> bool:
        """What is unknown (NaN) in both is equal."""
        return isinstance(other, Evidence) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.metric, self.tuned_trial, self.pairs))

    def __repr__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Aligned lines for a terminal."""
        return "\n".join(f"{label:<12}{line}" for label, line in self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        return [
            ("decision", f"{self.decision}: {_SAID[self.decision]} on {self.metric}"),
            *(self._compared() if self.pairs else [("tuned", f"trial {self.tuned_trial}")]),
            *self.beside,
            *(
                ("constraint", f"{c.text}: {c.said}, {'value' if c.resamples else 'mean'} {number(c.mean)}")
                for c in self.constraints
            ),
            *(("note", notice) for notice in self.notices),
        ]

    def _compared(self) -> list[tuple[str, str]]:
        baseline, tuned = (number(v) for v in self.means)
        difference, low, high = estimate(self.difference, self.interval)
        return [
            ("difference", f"{difference}, 95 % interval {low} to {high} (positive is better)"),
            ("baseline", f"{self.metric} {baseline}"),
            ("tuned", f"{self.metric} {tuned} (trial {self.tuned_trial})"),
            ("probability", chances(self.p_better, self.p_equivalent, self.p_worse, self.equivalence)),
            ("test", self.test),
        ]

    @property
    def beside(self) -> list[tuple[str, str]]:
        """Label and text on the minimum effect, other goals, power, and what the search was worth."""
        lines = []
        if self.minimum_effect:
            lines.append(
                ("minimum", f"proven needs an interval above {number(self.minimum_effect)}, the minimum effect")
            )
        for c in self.goals:
            gain, low, high = estimate(c.difference, c.interval)
            lines.append(("goal", f"{c.metric} {c.decision}: {gain}, interval {low} to {high} (positive is better)"))
        if self.decision == "not shown" and (power := self._power()):
            lines.append(("power", power))
        if len(self.finalists) > 1:
            lines.append(("finalists", _raced(self.finalists)))
        if not math.isnan(self.optimism):
            lines.append(("optimism", f"{signed(self.optimism, 3)}: the search had said {number(self.worth.searched)}"))
        if not math.isnan(self.worth.over_random):
            lines.append(
                ("random", f"{signed(self.worth.over_random, 3)} over random search at equal cost, by the model")
            )
        if self.worth.hours > 0:
            known = self.worth.hours > 0.1 and self.pairs
            gain = f", {signed(self.difference / self.worth.hours, 3)} per hour" if known else ""
            lines.append(("cost", f"{duration(3600 * self.worth.hours)} of search{gain}"))
        return lines

    def _power(self) -> str:
        """What these pairs could have shown, and how many would show a gain; "" if neither is known."""
        said = []
        if not math.isnan(self.detectable):
            shown = number(self.detectable, 2)
            said.append(f"{plural(len(self.pairs), 'pair')} would show {shown} with probability 80 %")
        if self.more:
            said.append(f"about {plural(self.more, 'more pair')} would settle a difference like the one seen")
        elif said:
            said.append("no number of pairs is likely to prove a gain")
        return "; ".join(said)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; what is unknown or unbounded is null."""
        made: dict[str, Any] = jsonable(asdict(self))
        return made

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Evidence":
        """The evidence whose `to_json()` is `data`; fields that an older version did not have take their defaults."""
        made = {**data, **{name: _number(data.get(name)) for name in _NUMBERS}}
        made["pairs"] = tuple((b, t) for b, t in data["pairs"])
        made["interval"] = _interval(data["interval"])
        made["constraints"] = tuple(
            ConstraintCheck(
                c["text"],
                _number(c["mean"]),
                _number(c["held"]),
                c.get("pairs", 0),
                _interval(c.get("interval", [0.0, 1.0])),
                c.get("resamples", 0),
            )
            for c in data["constraints"]
        )
        made["notices"] = tuple(data["notices"])
        made["goals"] = tuple(
            Comparison(**{**c, "difference": _number(c["difference"]), "interval": _interval(c["interval"])})
            for c in data.get("goals", [])
        )
        made["finalists"] = tuple(
            Finalist(f["trial"], f["runs"], _number(f["mean"]), f.get("broke", 0)) for f in data.get("finalists", [])
        )
        made["worth"] = Worth(**{k: _number(v) for k, v in data.get("worth", {}).items()})
        return Evidence(**made)


def gains(values: Sequence[tuple[float, float]], maximize: bool) -> Array:
    """Differences (J,) of (baseline, tuned) values: positive is better, and what may be rounding is none."""
    equal = (math.isclose(b, t, rel_tol=1e-13) for b, t in values)
    return np.array([0.0 if e else t - b if maximize else b - t for e, (b, t) in zip(equal, values, strict=True)])


def chances(better: float, equivalent: float, worse: float, zone: float) -> str:
    """The probabilities on one line; that of practical equivalence only if a zone was set, or if both may be equal."""
    middle = ""
    if zone:
        middle = f", equivalent {percent(equivalent)} (within ±{number(zone)})"
    elif equivalent > ROUNDING:
        middle = f", equal {percent(equivalent)}"
    return f"better {percent(better)}{middle}, worse {percent(worse)}"


HOLDOUT = "hold-out"
ROUNDING = 1e-9  # what is left of probabilities that sum to 1
_NUMBERS = ("difference", "p_better", "p_equivalent", "p_worse", "detectable")
_SAID = {
    "proven": "the tuned setting beats the baseline",
    "worse": "the tuned setting is worse than the baseline",
    "not shown": "no gain over the baseline could be shown",
    "infeasible": "a gain, but by a setting that is not shown to keep its limits",
}


def _number(v: float | None) -> float:
    return math.nan if v is None else v


def _interval(ends: Sequence[float | None]) -> tuple[float, float]:
    low, high = ends
    return -math.inf if low is None else low, math.inf if high is None else high


def _raced(finalists: Sequence[Finalist]) -> str:
    broke = sum(f.broke > 0 for f in finalists)
    out = f"; {plural(broke, 'setting')} broke a limit" if broke else ""
    return f"{len(finalists)} measured again, {plural(sum(f.runs for f in finalists), 'run')} in a race{out}"
