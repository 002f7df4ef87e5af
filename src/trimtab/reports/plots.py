"""The figures of a study, as a notebook asks for them: `study.plot.history()`."""

from collections.abc import Callable, Sequence
from typing import Any

from ..explanation import Explanation
from ..goals import place
from ..records import StudyRecord, Trial
from . import explained, figures, lineage
from .influence import Influence, influence

Figure = Any
Trials = Sequence[Trial]


class Plots:
    """The figures of one study, each drawn from its rows as they are when it is asked for."""

    def __init__(self, load: Callable[[], tuple[StudyRecord, Trials]]) -> None:
        self._load = load

    def history(self, goal: int | str = 0) -> Figure:
        """Every result of one goal (its metric, or its place) by trial number, and the best so far."""
        study, trials = self._load()
        return figures.history(study, trials, place(study.spec.goals, goal))

    def parallel(self) -> Figure:
        """Every finished trial as a line across the parameters."""
        return figures.parallel(*self._load())

    def slices(self, params: Sequence[str] | None = None, columns: int = 3) -> Figure:
        """One panel per parameter: its value against the first goal."""
        return figures.slices(*self._load(), params=params, columns=columns)

    def importance(self) -> Figure:
        """The share of each parameter in what separates good from bad trials."""
        return figures.importance(*self._load())

    def timeline(self) -> Figure:
        """When each trial ran, and what ran at the same time."""
        return figures.timeline(*self._load())

    def pareto(self, goals: tuple[int | str, int | str] = (0, 1)) -> Figure:
        """Two goals (by metric, or place) against each other, with the Pareto front."""
        study, trials = self._load()
        if len(study.spec.goals) == 1:
            return figures.pareto(study, trials)
        across, up = (place(study.spec.goals, goal) for goal in goals)
        return figures.pareto(study, trials, (across, up))

    def lineage(self, number: int | None = None) -> Figure:
        """Of a population: who went on from whom, with the line of one trial (the best) in front."""
        return lineage.lineage(*self._load(), number=number)

    def schedule(self, number: int | None = None) -> Figure:
        """Of a population: the parameters over the training that led to one trial (the best)."""
        return lineage.schedule(*self._load(), number=number)

    def effects(self) -> Figure:
        """The share of the variance that each parameter causes by itself, and has a part in, with 90 % intervals."""
        return explained.effects(self._influence())

    def pairs(self) -> Figure:
        """The share of the variance that two parameters cause only together."""
        return explained.pairs(self._influence())

    def dependence(self, name: str) -> Figure:
        """The first goal against one parameter, averaged over all others. Raises SpecError for an unknown name."""
        study, trials = self._load()
        found = Explanation.of(study, trials).dependence(name)
        return explained.dependence(found, study.spec, study.spec.goals[0].metric)

    def surface(self, first: str, second: str) -> Figure:
        """The first goal over two parameters, averaged over all others. Raises SpecError where they do not vary together."""
        study, trials = self._load()
        told = Explanation.of(study, trials)
        return explained.surface(told.surface(first, second), study.spec, told.best, study.spec.goals[0])

    def ablation(self) -> Figure:
        """From the baseline to the best, one change after the other: what each adds, by the model."""
        return explained.ablation(self._influence())

    def safe_ranges(self) -> Figure:
        """How far each parameter may move from the best, all others fixed."""
        study, trials = self._load()
        return explained.safe(influence(study, trials), study.spec)

    def calibration(self) -> Figure:
        """Each result against what the model predicts of it from all others."""
        return explained.calibration(self._influence())

    def _influence(self) -> Influence | None:
        return influence(*self._load())
