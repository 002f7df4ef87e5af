"""What explains a study's results: which parameters matter, how far each may be changed, why a trial was proposed."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, TypeVar, cast

import numpy as np

from .checks import one_of
from .engine import incumbents, matrix
from .engine.ledger import Ledger
from .errors import SpecError, nearest
from .evidence import ablation, calibration, effects, sensitivity
from .evidence import interactions as together
from .evidence.belief import Belief
from .evidence.fanova import fanova
from .evidence.importance import by_branch, importance
from .evidence.phrases import band, chosen_and_span, share
from .formatting import number, plural, setting, signed, table, value
from .records import Changes, Purpose, StudyRecord, StudySpec, Trial
from .records.history import spec_at
from .space import Params
from .standing import believed, limits, standings

METHODS = ("ped-anova", "fanova", "sobol")
_Answer = TypeVar("_Answer", bound=Callable[..., Any])


def _once(answer: _Answer) -> _Answer:
    """A method of Explanation that computes each answer when it is first asked for. Callers get copies."""

    @wraps(answer)
    def kept(self: "Explanation", *args: Any, **named: Any) -> Any:
        asked = f"{answer.__name__} {args} {named}"
        if asked not in self._answers:
            self._answers[asked] = answer(self, *args, **named)
        return copy(self._answers[asked])

    return cast(_Answer, kept)


@dataclass(frozen=True)
class Explanation:
    """What explains the results for one goal of a study.

    Most answers are those of a model of the results, a Gaussian process; `calibration` says how far to trust it. It is
    not needed for `why`, for `branches`, and for `importance` by PED-ANOVA or fANOVA.
    """

    ledger: Ledger
    goal: int = 0
    chosen: int | None = None  # the trial whose setting is explained; None: the best
    specs: Sequence[tuple[int, StudySpec]] = ()  # (position, the spec in force from there on); empty: always this one
    _answers: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @staticmethod
    def of(study: StudyRecord, trials: Sequence[Trial], goal: int = 0, chosen: int | None = None) -> "Explanation":
        """What explains these trials of a study. Nothing is read from its store."""
        ledger = Ledger(study)
        ledger.absorb(Changes(study, trials))
        return Explanation(ledger, goal, chosen)

    def __repr__(self) -> str:
        """Without asking anything of the model."""
        known = plural(len(self.ledger.told), "result")
        return f"<Explanation of {self.metric}: study {self.ledger.study.name!r}, {known}>"

    def text(self, table: Callable[[Sequence[str], Sequence[Sequence[str]]], str] = table) -> str:
        """What matters, how far each parameter may move, the path from the baseline, and what to be careful about.

        table: what draws the table of parameters.
        """
        shares, alone, safe = self.importance(), self.sobol(), {s.name: s for s in self.safe_ranges()}
        names = sorted(shares, key=lambda n: -shares[n])
        rows = [[n, share(shares[n]), band(alone[n]), *chosen_and_span(safe.get(n))] for n in names]
        head = ["parameter", "importance", "variance by itself (90 % interval)", "best", "does as well"]
        spec = self.spec
        parts = [f"of {self.metric}, one of {len(spec.goals)} goals:"] if len(spec.goals) > 1 else []
        parts.append(table(head, rows))
        if spec.baseline is not None:
            steps = (
                f"  {s.name}: {value(s.before)} to {value(s.after)}, {signed(s.gain, 3)} ± {number(s.sd, 2)}"
                for s in self.ablation()
            )
            parts.append("\n".join(["from the baseline, by the model:", *steps]))
        if pairs := [f"  {a} and {b}: {band(i)}" for (a, b), i in self.interactions().items() if i.shown]:
            parts.append("\n".join(["variance by two together:", *pairs]))
        if left_out := together.unpaired(spec.space):
            parts.append(f"in no pair, for more than {together.MANY} options: {', '.join(left_out)}")
        parts += [f"beware: {f.text}" for f in self.findings()]
        return "\n\n".join(parts)

    @property
    def ready(self) -> bool:
        """Whether there are enough results for a model, and there is a best setting."""
        try:
            return bool(self.best) and self._belief is not None
        except SpecError:
            return False

    @cached_property
    def _candidates(self) -> list[incumbents.Candidate]:
        return incumbents.of_ledger(self.ledger)

    @cached_property
    def _belief(self) -> Belief:
        spec = self.spec
        found = believed(spec, self._candidates, self.goal)
        if found is None and (why_none := Belief.impossible(spec.space)):
            raise SpecError(
                f"study {spec.name!r} {why_none}: nothing can be explained; write ordered=True if neighbours are alike"
            )
        if found is None:
            raise SpecError(
                f"study {spec.name!r} has {plural(len(self._candidates), 'setting')} with a result, too few or all alike: "
                "nothing can be explained; run more trials"
            )
        return found

    @cached_property
    def best(self) -> Params:
        """The setting that is explained: the best one, unless another was chosen. Raises SpecError if there is none yet."""
        spec = self.spec
        if self.chosen is not None:
            return spec.current(self.ledger.trials[self.chosen].params)
        best = standings(spec, self._candidates).best
        if best is None:
            raise SpecError(f"study {spec.name!r} has no best setting yet; run more trials")
        return spec.current(best.trial.params)

    @_once
    def importance(self, method: str = "ped-anova") -> dict[str, float]:
        """How much each parameter matters, by name.

        "ped-anova": its share in what distinguishes the best trials (a tenth, at least ten, at most half) from all of them;
            shares sum to 1.
        "fanova": the share of the variance of a random forest that it causes by itself (needs scikit-learn).
        "sobol": the same share for the Gaussian process; the method `sobol` gives it with intervals.
        """
        if one_of("method", method, METHODS) == "sobol":
            return {name: index.value for name, index in self.sobol().items()}
        X, y = self._rows()
        return (importance if method == "ped-anova" else fanova)(X, y, self.spec.space)

    def branches(self) -> dict[str, dict[str, float]]:
        """In a space with conditions: the importance (PED-ANOVA) of parameters within each branch, by "parent=value"."""
        return by_branch(*self._rows(), self.spec.space)

    @_once
    def sobol(self) -> dict[str, effects.Index]:
        """The first-order Sobol' index of each parameter, with a 90 % interval: `value`, `low`, `high`."""
        return effects.indices(self._belief)

    @_once
    def totals(self) -> dict[str, effects.Index]:
        """The total Sobol' index of each parameter, what it causes by itself and with others, with a 90 % interval."""
        return together.totals(self._belief)

    @_once
    def interactions(self) -> dict[tuple[str, str], effects.Index]:
        """The second-order Sobol' index of each pair of parameters, what they cause only together; the largest comes first.
        `shown` says whether the results show that they do.

        Only the twelve parameters with the largest total index are paired, and no parameter with the one whose value
        decides whether it is active. Unordered choices of more than 40 options are in no pair; `surface` takes them.
        """
        return together.interactions(self._belief, self.totals())

    @_once
    def surface(self, first: str, second: str) -> together.Surface:
        """The goal over two parameters, averaged over all others: `first`, `second`, `mean`."""
        names = self._known(first), self._known(second)
        made = None if first == second else together.surface(self._belief, *names, self._maximize)
        if made is None:
            raise SpecError(f"{first!r} and {second!r} do not vary together; name two parameters that do")
        return made

    @_once
    def dependence(self, name: str) -> effects.Dependence:
        """The goal against one parameter, averaged over all others: `values`, `mean`, `low`, `high`."""
        found = effects.dependence(self._belief, self._known(name), self._maximize)
        if found is None:
            raise SpecError(f"{name!r} is active in next to no settings, so that there is nothing to average over")
        return found

    @property
    def spec(self) -> StudySpec:
        """The spec of the study, as it is now."""
        return self.ledger.study.spec

    @property
    def metric(self) -> str:
        """The goal that is explained."""
        return self.spec.goals[self.goal].metric

    @property
    def _maximize(self) -> bool:
        return self.spec.goals[self.goal].maximize

    def _known(self, name: str) -> str:
        names = self.spec.space.names
        if name not in names:
            raise SpecError(f"{name!r} is not a parameter{nearest(name, names)}")
        return name

    @_once
    def ablation(self) -> list[ablation.Step]:
        """The changes that lead from the baseline to the best setting, the most helpful first, with predicted `gain` and `sd`.

        To check a prediction, run that step: `study.enqueue(step.params)`. Raises SpecError if there is no baseline.
        """
        baseline = self.spec.baseline
        if baseline is None:
            raise SpecError("an ablation path begins at the baseline, and this study has none; give baseline=")
        return ablation.path(self._belief, baseline, self.best)

    @_once
    def safe_ranges(self) -> list[sensitivity.Safe]:
        """How far each parameter may be moved from the best setting, with all others fixed, until the predicted loss rises
        by more than one standard error, a constraint is expected to break, or trials are expected to fail."""
        return sensitivity.safe_ranges(self._belief, self.best, self._bounds())

    def _bounds(self) -> list[Belief]:
        """Models of what is above zero in settings that cannot be used: the excess over each constraint's limit, and the
        share of trials that fail less a half."""
        X, y = self._rows()
        baseline = incumbents.baseline_metrics(self.spec, self.ledger.baseline)
        failing = Belief.of(self.spec.space, X, np.isnan(y) - 0.5)
        return [*(limits(self.spec, self._candidates, baseline) or []), *([failing] if failing else [])]

    @_once
    def findings(self) -> list[sensitivity.Finding]:
        """What to know before using the best setting: it is at the edge of a range, it is unstable, results are noisy, or the
        model errs or predicts next to nothing."""
        belief, baseline = self._belief, self.spec.baseline
        return [
            *sensitivity.findings(belief, self.best, baseline, self.calibration(), self.safe_ranges()),
            *self._far(),
            *self._cut_short(),
        ]

    def _far(self) -> list[sensitivity.Finding]:
        """A finding if the baseline's result is so far from the others that the model takes it for a better one."""
        spec, fence = self.spec, self._belief.fence
        metrics = incumbents.baseline_metrics(spec, self.ledger.baseline)
        if metrics is None or not spec.goals[self.goal].loss(metrics) > fence + 0.01 * self._belief.unit:
            return []
        value, taken = number(metrics[self.metric]), number(-fence if self._maximize else fence)
        text = (
            f"the baseline's {self.metric} of {value} is so far from the other results that the model takes it for {taken}: "
            "the path from the baseline shows less than was gained"
        )
        return [sensitivity.Finding("model", (), text)]

    def _cut_short(self) -> list[sensitivity.Finding]:
        """A finding if the model knows only the lesser part of the trials: those that were trained to the end."""
        spec, known = self.spec, sum(c.n for c in self._candidates)
        short = len([t for t in self.ledger.told if t.metrics and not incumbents.in_full(spec, t)])
        if short <= known:
            return []
        text = (
            f"{plural(short, 'trial')} ended early and {plural(known, 'trial')} at the end of training, which alone are in the "
            "model: they are the better ones, and show less of what makes a setting bad"
        )
        return [sensitivity.Finding("model", (), text)]

    @_once
    def calibration(self) -> calibration.Calibration:
        """How well the model predicts each result from all the others."""
        return calibration.leave_one_out(self._belief)

    def why(self, trial: int | Trial) -> str:
        """Why a trial was proposed: by which strategy, how much that knew, and what it expected."""
        t = self.ledger.trials.named(trial)
        return why(t, self.ledger, spec_at(self.specs, t.seen) if self.specs else self.spec)

    def _rows(self) -> tuple[Any, Any]:
        """X (n, d) in the unit cube, and losses (n,), of all results."""
        spec = self.spec
        rows = matrix.rows(spec, self.ledger.told, incumbents.baseline_metrics(spec, self.ledger.baseline))
        return rows.X, rows.Y[:, self.goal]


def why(t: Trial, ledger: Ledger, spec: StudySpec) -> str:
    """Where a trial comes from, in a few lines (see Explanation.why). spec: the one in force when it was proposed."""
    known = bisect_right(ledger.told.positions, t.seen)
    origin = {
        "user": "asked for by the user",
        "baseline": "the baseline",
        "evidence": f"a {t.purpose} run of the evidence",
    }
    who = origin.get(
        t.strategy, f"proposed by {t.strategy} (version {t.version})" if t.strategy else "recorded by hand"
    )
    if t.purpose is Purpose.IMPORT:
        who = "measured elsewhere, added by the user"
    lines = [
        f"trial {t.number}: {who}, with {plural(known, 'result')} known and {plural(t.at, 'trial')} made",
        f"setting: {setting(t.params)}",
    ]
    reasons = {k: v for k, v in t.why.items() if v is not None}
    if {"mean", "sd"} <= reasons.keys() and (expected := _expected(reasons["mean"], reasons["sd"], spec)):
        lines.append(f"expected: {expected}")
        del reasons["mean"], reasons["sd"]
    if "acquisition" in reasons:
        name, reached = _plain(reasons.pop("acquisition")), _plain(reasons.pop("value", None))
        lines.append(f"chosen for: {_CHOSEN.get(name, f'the largest {name}, {reached}')}")
    if reasons:
        lines.append(f"noted: {', '.join(f'{k} {_plain(v)}' for k, v in reasons.items())}")
    return "\n".join(lines)


_CHOSEN = {
    "lcb": "the best value that it may turn out to have: the model's confidence bound (lcb)",
    "mean of earlier best": "the best expectation among the best settings of earlier studies",
}
"""What acquisitions are whose largest value says nothing by itself."""


def _expected(mean: Any, sd: Any, spec: StudySpec) -> str:
    """The value that was expected of each goal, with its standard deviation; "" if a strategy means something else by
    these names. mean: of the losses, one or a list."""
    means, sds = ([v] if not isinstance(v, list) else v for v in (mean, sd))
    if len(means) != len(sds) or not all(isinstance(v, float | int | None) for v in (*means, *sds)):
        return ""
    if len(means) != len(spec.goals):
        return ", ".join(f"{number(m)} ± {number(s, 2)}" for m, s in zip(means, sds, strict=True))
    values = [-m if g.maximize and m is not None else m for g, m in zip(spec.goals, means, strict=True)]
    told = zip(spec.goals, values, sds, strict=True)
    return ", ".join(f"{g.metric} {number(v)} ± {number(sd, 2)}" for g, v, sd in told)


def _plain(v: Any) -> str:
    if v is None or isinstance(v, float):
        return number(v)
    if isinstance(v, Mapping):
        return "; ".join(f"{k} {_plain(x)}" for k, x in v.items())
    return ", ".join(map(_plain, v)) if isinstance(v, list | tuple) else str(v)
