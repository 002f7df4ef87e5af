"""What a study says about its results: its trials, the best of them, what explains them, and whether more search is
worth it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import standing
from ..engine import incumbents, planning
from ..evidence import Evidence
from ..goals import goal_index
from ..live import LiveStudy
from ..outlook import Enough, Outlook, enough_from, outlook
from ..proof.looks import last_certificate
from ..records import State, StudyRecord, StudySpec, Trial
from ..records.history import doubts, specs_of
from ..running.restarts import restart_notice
from ..standing import Standings
from ..storage import Storage
from ..strategies import Strategy
from .arguments import trial_number
from .idle_rules import idle_rules_notice

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..explanation import Explanation
    from ..reports.plots import Plots
    from ..schedule import Schedule


class Answers:
    """The part of `Study` that answers questions without adding to the record."""

    storage: Storage
    _live: LiveStudy
    _standings: tuple[int, Standings | None] = (0, None)  # the last ones, and the position of the record then

    # ------------------------------------------------------------------------------------------------- what it holds

    @property
    def record(self) -> StudyRecord:
        """The study's row, as it is now."""
        return self._live.refresh().study

    @property
    def name(self) -> str:
        """The name under which the store has the study."""
        return self._live.spec.name

    @property
    def spec(self) -> StudySpec:
        """What decides what the study proposes, with all revisions so far."""
        return self.record.spec

    @property
    def strategy(self) -> Strategy[Any]:
        """The strategy that proposes settings: the object that was passed, or the one that the spec names."""
        return self._live.strategy_of(self.spec)

    @property
    def trials(self) -> list[Trial]:
        """All trials, whatever their purpose and state, by number."""
        return list(self._live.refresh().trials.values())

    @property
    def counts(self) -> dict[str, int]:
        """The number of search trials in each state."""
        ledger = self._live.refresh()
        held = {State.QUEUED: len(ledger.queued()), State.RUNNING: len(ledger.running())}
        return {str(s): held.get(s, ledger.counts[s]) for s in State}

    @property
    def spent(self) -> dict[str, tuple[float, float]]:
        """(used, limit) of each limit of the budget, by name; time in seconds."""
        ledger = self._live.refresh()
        return planning.used(ledger, ledger.now)

    @property
    def bound(self) -> str | None:
        """Which limit of the budget prevents further trials, in words; None while there is room."""
        ledger = self._live.refresh()
        return planning.bound(ledger, ledger.now)

    @property
    def baseline(self) -> Trial | None:
        """The baseline's trial (number 0); None if the study has none, or it has not been proposed yet."""
        return self._live.refresh().baseline

    def checkpoint(self, number: int) -> Path:
        """The directory in which trial `number` has saved its state. After the trial has ended, it is kept only as long as
        it is needed (see `live.checkpoints`). Raises SpecError if there is no such trial."""
        return self._live.checkpoints.path(self._live.refresh().trials.named(trial_number(number)).number)

    def frame(self) -> "DataFrame":
        """The trials as a pandas DataFrame: one row per trial, columns params.* and metrics.*."""
        from ..reports.tables import frame

        return frame(self.trials)

    @property
    def plot(self) -> "Plots":
        """Figures (Plotly) of the trials, of what explains them, and of populations: see `Plots`."""
        from ..reports.plots import Plots

        return Plots(lambda: (self.record, self.trials))

    # --------------------------------------------------------------------------------------------- which setting is best

    def feasible(self, trial: Trial | int) -> bool | None:
        """Whether the metrics of a trial (or of the one with this number) meet all constraints; None while a relative one
        cannot be judged."""
        ledger = self._live.ledger
        of = trial if isinstance(trial, Trial) else self._live.refresh().trials.named(trial_number(trial))
        return incumbents.feasible(
            ledger.study.spec, of.metrics, incumbents.baseline_metrics(ledger.study.spec, ledger.baseline)
        )

    def candidates(self) -> list[incumbents.Candidate]:
        """One entry for each setting with a result: its first trial, its mean metrics over replicates, its feasibility."""
        return incumbents.of_ledger(self._live.refresh())

    @property
    def standings(self) -> Standings:
        """All admissible settings, best first, with what the data supports about each."""
        ledger = self._live.refresh()
        position, made = self._standings
        if position != ledger.study.position or made is None:
            made = standing.of_ledger(ledger)
            self._standings = (ledger.study.position, made)
        return made

    @property
    def best(self) -> Trial:
        """The trial of the best feasible setting, by what the data supports. Raises SpecError if there is none yet."""
        return standing.best_trial(self._live.refresh(), self.standings)

    @property
    def pareto(self) -> list[Trial]:
        """The Pareto front: of the settings that meet the constraints, those that no other one beats in every goal. Of each,
        the first trial."""
        return [c.trial for c in incumbents.pareto(self.spec, self.candidates())]

    @property
    def notices(self) -> list[str]:
        """What a reader of the results should know, including what the strategy does not take into account."""
        spec, first, lines = self.spec, self.baseline, self._live.shortcomings()
        relative = [c.text for c in spec.constraints if c.relative]
        if relative and first is not None and first.state in (State.FAILED, State.CANCELLED):
            lines.append(f"the baseline {first.state}: whether {', '.join(relative)} holds is unknown")
        events = self.storage.events(self._live.id, kinds={"inputs", "run"})
        lines += doubts(events)
        lines += filter(None, [idle_rules_notice(self._live), restart_notice(self._live)])
        best = self.standings.best
        if best is not None and not spec.space.allowed(spec.space.encode([spec.current(best.params)]))[0]:
            lines.append(f"trial {best.number}, the best, has a setting that a revision of the space has ruled out")
        return [*lines, *filter(None, [self.standings.warning])]

    def result(self) -> Evidence | None:
        """The latest evidence in the record; None if there is none."""
        return last_certificate(self._live)

    # ----------------------------------------------------------------------------------------- what the results mean

    def explain(self, goal: int | str = 0) -> "Explanation":
        """What explains the results for one goal: importance, dependence, safe ranges, findings, and why a trial was
        proposed.

        goal: its metric, or its index among the goals. Raises SpecError if there is no such goal.
        """
        from ..explanation import Explanation

        ledger = self._live.refresh()
        events = self.storage.events(ledger.study.id, kinds={"create", "spec"})
        return Explanation(ledger, goal_index(ledger.study.spec.goals, goal), specs=specs_of(events))

    def outlook(self, enough: Enough | None = None) -> Outlook:
        """Whether more search is worth it: the gain that is left, compared with the noise and with its cost.

        It is that of the latest check that was due (see `Enough`), if there was one. `text()` is the advice. Raises SpecError
        if there are several goals.
        """
        ledger, when = self._live.refresh(), Enough() if enough is None else enough_from(enough)
        results = len(ledger.told)
        return outlook(ledger.study.spec, ledger.told[: when.last_check(results) or results], when)

    def schedule(self, number: int | None = None) -> "Schedule":
        """With which parameters trial `number` (default: the best one) was trained, until when: see `schedule`."""
        from ..schedule import Schedule

        number = self.best.number if number is None else trial_number(number)
        ledger = self._live.refresh()
        return Schedule.of(ledger.study.spec, ledger.trials, number)
