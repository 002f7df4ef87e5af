"""A study's rows as figures and document need them: which trials are feasible, the baseline, the best."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..engine.incumbents import Candidate, baseline_metrics, candidates, feasible, fully_trained, pareto
from ..engine.ledger import Ledger, baseline_trial
from ..engine.planning import bound
from ..explanation import Explanation
from ..goals import Metrics
from ..records import TOLD, Changes, State, StudyRecord, StudySpec, Trial
from ..standing import Standings, standings

STATUSES = ("feasible", "infeasible", "stopped early", "failed")
MOST_DRAWN = 2000
"""Trials that a figure draws one by one; more would hide one another, and make a document large."""
_BEST = MOST_DRAWN // 4


@dataclass(frozen=True)
class Facts:
    """One snapshot of a study and all its trials, by number. certified: the trial of the evidence. goal: the goal to
    explain."""

    study: StudyRecord
    trials: Sequence[Trial]
    certified: int | None = None
    goal: int = 0

    @property
    def spec(self) -> StudySpec:
        return self.study.spec

    @cached_property
    def searched(self) -> list[Trial]:
        """Search and imported trials, by number: everything but the evidence."""
        return sorted((t for t in self.trials if t.purpose in TOLD), key=lambda t: t.number)

    @cached_property
    def baseline(self) -> Trial | None:
        """Trial 0, if it is the run of the study's baseline."""
        return baseline_trial(self.spec, {t.number: t for t in self.searched[:1]})

    @cached_property
    def reference(self) -> Metrics | None:
        """What relative constraints compare with; None while unknown."""
        return baseline_metrics(self.spec, self.baseline)

    @cached_property
    def candidates(self) -> list[Candidate]:
        """Settings with results, as far as they were fully trained."""
        return candidates(self.spec, self.searched, self.reference)

    @cached_property
    def standings(self) -> Standings:
        """The admissible settings, best first."""
        return standings(self.spec, self.candidates)

    @property
    def best(self) -> Candidate | None:
        return self.standings.best

    @cached_property
    def front(self) -> list[Candidate]:
        """The Pareto front, by trial number."""
        return pareto(self.spec, self.candidates)

    @cached_property
    def bound(self) -> str | None:
        """Which limit of the budget prevents further trials, in words; None while there is room."""
        ledger = Ledger(self.study)
        ledger.absorb(Changes(self.study, self.trials))
        return bound(ledger, max((t.ended for t in self.trials if t.ended is not None), default=0.0))

    @cached_property
    def explanation(self) -> Explanation | None:
        """What explains the results, and the certified setting (else the best); None if there are too few results."""
        told = Explanation.of(self.study, self.trials, self.goal, self.certified)
        return told if told.ready else None

    def status(self, t: Trial) -> str | None:
        """One of STATUSES for an ended trial (feasible: not known to violate a constraint), None for the others."""
        if t.state is State.FAILED:
            return "failed"
        if t.state is State.STOPPED:
            return "stopped early"
        if t.state is not State.DONE:
            return None
        return "infeasible" if feasible(self.spec, t.metrics, self.reference) is False else "feasible"

    @cached_property
    def by_status(self) -> dict[str, list[Trial]]:
        """The search trials that ended, by status, in the order of STATUSES."""
        found: dict[str, list[Trial]] = {s: [] for s in STATUSES}
        for t in self.searched:
            if (status := self.status(t)) is not None:
                found[status].append(t)
        return found

    @cached_property
    def drawn(self) -> frozenset[int]:
        """The trials that figures draw: all that ended, or some MOST_DRAWN of them (see `left_out`)."""
        ended = sorted(t.number for group in self.by_status.values() for t in group)
        if len(ended) <= MOST_DRAWN:
            return frozenset(ended)
        goal = self.spec.goals[0]
        ranked = sorted(
            (t for t in self.by_status["feasible"] if goal.metric in t.metrics), key=lambda t: goal.loss(t.metrics)
        )
        kept = {t.number for t in [*ranked[:_BEST], *self.incumbents(), *(c.trial for c in self.front)]}
        kept |= {t.number for _, t in self.marked(goal.metric)}
        others = [number for number in ended if number not in kept]
        return frozenset([*kept, *others[:: math.ceil(len(others) / max(1, MOST_DRAWN - len(kept)))]])

    def sampled(self, group: Iterable[Trial]) -> list[Trial]:
        """The trials of a group that figures draw."""
        return [t for t in group if t.number in self.drawn]

    @property
    def left_out(self) -> str:
        """Which trials figures do not draw, in words; "" if they draw all."""
        ended = sum(map(len, self.by_status.values()))
        if ended == len(self.drawn):
            return ""
        front = ", the Pareto front" if len(self.spec.goals) > 1 else ""
        kept = f"all that were the best so far, the best {_BEST}{front}, and an even sample of the others"
        return f"{len(self.drawn):,} of {ended:,} trials are drawn: {kept}. Lines, axes and fifths are those of all trials."

    def incumbents(self) -> list[Trial]:
        """Search trials with a better result than every earlier feasible one, among full trainings."""
        goal, found, low = self.spec.goals[0], [], math.inf
        for t in self.searched:
            full = fully_trained(self.spec, t.fidelity)
            if full and self.status(t) == "feasible" and (loss := goal.loss(t.metrics)) < low:
                found.append(t)
                low = loss
        return found

    def marked(self, metric: str) -> list[tuple[str, Trial]]:
        """("baseline", its trial) and ("best", its trial), if they exist and have the metric."""
        best = None if self.best is None else self.best.trial
        pair = (("baseline", self.baseline), ("best", best))
        return [(kind, t) for kind, t in pair if t is not None and metric in t.metrics]
