"""What explains a study's results: which parameters matter, how far each may move, why a trial was proposed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from . import engine, matrix
from .errors import SpecError, nearest
from .evidence import ablation, calibration, effects, sensitivity
from .evidence.belief import Belief
from .evidence.fanova import fanova
from .evidence.importance import by_branch, importance
from .records import Trial
from .space import Params
from .standing import believed, standings
from .words import number, setting

METHODS = ("ped-anova", "fanova", "sobol")


@dataclass(frozen=True)
class Explanation:
    """Answers about one goal of a study, from the record as it was when this was made. All but `importance` and `why`
    read a model of the results (a Gaussian process): ask `calibration` how far to trust it."""

    ledger: engine.Ledger
    goal: int = 0

    @cached_property
    def _candidates(self) -> list[engine.Candidate]:
        spec = self.ledger.study.spec
        return engine.candidates(spec, self.ledger.told, engine.baseline_metrics(spec, self.ledger.baseline))

    @cached_property
    def _belief(self) -> Belief:
        spec = self.ledger.study.spec
        found = believed(spec, self._candidates, self.goal)
        if found is None:
            raise SpecError(
                f"study {spec.name!r} has {len(self._candidates)} settings with a result, too few or all alike: nothing can be "
                "explained; run more trials"
            )
        return found

    @cached_property
    def _best(self) -> Params:
        spec = self.ledger.study.spec
        best = standings(spec, self._candidates).best
        if best is None:
            raise SpecError(f"study {spec.name!r} has no best setting yet; run more trials")
        return best.trial.complete(spec.assumed, spec.space)

    def importance(self, method: str = "ped-anova") -> dict[str, float]:
        """How much each parameter matters, by name.

        "ped-anova": its share in what separates the best tenth of the trials from all (sums to 1). "fanova": the share of
        the variance of a random forest that it causes by itself (needs scikit-learn). "sobol": the same of the Gaussian
        process, which `sobol` gives with intervals.
        """
        if method not in METHODS:
            raise SpecError(f"method={method!r} is not known{nearest(method, METHODS)}")
        if method == "sobol":
            return {name: index.value for name, index in self.sobol().items()}
        X, y = self._rows()
        return (importance if method == "ped-anova" else fanova)(X, y, self.ledger.study.spec.space)

    def branches(self) -> dict[str, dict[str, float]]:
        """In a conditional space: the importance (PED-ANOVA) within each branch, by "parent=value"."""
        return by_branch(*self._rows(), self.ledger.study.spec.space)

    def sobol(self) -> dict[str, effects.Index]:
        """First-order Sobol' index of each parameter, with a 90 % interval: `value`, `low`, `high`."""
        return effects.indices(self._belief)

    def dependence(self, name: str) -> effects.Dependence:
        """The goal against one parameter, averaged over all others: `values`, `mean`, `low`, `high`."""
        spec = self.ledger.study.spec
        if name not in spec.space.names:
            raise SpecError(f"{name!r} is not a parameter{nearest(name, spec.space.names)}")
        return effects.dependence(self._belief, name, spec.goals[self.goal].maximize)

    def ablation(self) -> list[ablation.Step]:
        """The steps from the baseline to the best, the most helpful first, with predicted `gain` and `sd`. Raises SpecError
        where there is no baseline. To see what the model got right, `study.enqueue(step.params)` and run."""
        baseline = self.ledger.study.spec.baseline
        if baseline is None:
            raise SpecError("an ablation path begins at the baseline, and this study has none; give baseline=")
        return ablation.path(self._belief, baseline, self._best)

    def safe_ranges(self) -> list[sensitivity.Safe]:
        """How far each parameter may move from the best, the others staying: within one standard error of the best."""
        return sensitivity.safe_ranges(self._belief, self._best)

    def findings(self) -> list[sensitivity.Finding]:
        """What to know before the best is used: at the edge of a range, unstable, noise, a model that errs."""
        belief, baseline = self._belief, self.ledger.study.spec.baseline
        return sensitivity.findings(belief, self._best, baseline, self.calibration(), belief.share)

    def calibration(self) -> calibration.Calibration:
        """How well the model predicts each result from all others."""
        return calibration.leave_one_out(self._belief)

    def why(self, trial: int) -> str:
        """Why a trial was proposed: by which strategy, from what it knew, and what it expected."""
        if trial not in self.ledger.trials:
            raise SpecError(
                f"trial {trial} does not exist; the study has {len(self.ledger.trials)} trials, numbered from 0"
            )
        return why(self.ledger.trials[trial], self.ledger)

    def _rows(self) -> tuple[Any, Any]:
        """Rows of the unit cube and losses of all that was told."""
        spec = self.ledger.study.spec
        rows = matrix.rows(spec, self.ledger.told, engine.baseline_metrics(spec, self.ledger.baseline))
        return rows.X, rows.Y[:, self.goal]


def why(t: Trial, ledger: engine.Ledger) -> str:
    """A trial's origin in a few lines, from what the record holds of it."""
    known = sum((o.told or 0) <= t.seen for o in ledger.told)
    origin = {
        "user": "asked for by the user",
        "baseline": "the baseline",
        "evidence": f"a {t.purpose} run of the evidence",
    }
    who = origin.get(
        t.strategy, f"proposed by {t.strategy} (version {t.version})" if t.strategy else "recorded by hand"
    )
    lines = [
        f"trial {t.number}: {who}, when {known} results were known and {t.at} trials existed",
        f"setting: {setting(t.params)}",
    ]
    said = {k: v for k, v in t.why.items() if v is not None}
    if "mean" in said and "sd" in said:
        lines.append(
            f"expected: {number(said.pop('mean'))} ± {number(said.pop('sd'), 2)} (as a loss: smaller is better)"
        )
    if "acquisition" in said:
        lines.append(f"chosen for: the largest {said.pop('acquisition')}, {number(said.pop('value', None))}")
    if said:
        lines.append(f"noted: {', '.join(f'{k} {_plain(v)}' for k, v in said.items())}")
    return "\n".join(lines)


def _plain(v: Any) -> str:
    if isinstance(v, float):
        return number(v)
    if isinstance(v, Mapping):
        return "; ".join(f"{k} {_plain(x)}" for k, x in v.items())
    return ", ".join(map(_plain, v)) if isinstance(v, list | tuple) else str(v)
