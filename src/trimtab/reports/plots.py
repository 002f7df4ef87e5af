"""The figures of a study in a notebook: `study.plot.history()`."""

from collections.abc import Callable, Sequence

from ..checks import members, shown, whole
from ..errors import SpecError
from ..explanation import Explanation
from ..goals import goal_index
from ..records import StudyRecord, Trial
from . import explanation_figures, figures, lineage_figures
from .facts import Facts
from .style import Figure, empty


class Plots:
    """The figures of one study, each drawn from its current rows."""

    def __init__(self, load: Callable[[], tuple[StudyRecord, Sequence[Trial]]]) -> None:
        self._load = load

    def __repr__(self) -> str:
        return f"<Plots: {', '.join(name for name in vars(Plots) if not name.startswith('_'))}>"

    def _facts(self) -> Facts:
        return Facts(*self._load())

    def history(self, goal: int | str = 0) -> Figure:
        """Every result of one goal (given by metric or index) by trial number, and the best so far."""
        facts = self._facts()
        return figures.history(facts, goal_index(facts.spec.goals, goal))

    def parallel(self) -> Figure:
        """Every finished trial as a line across the parameters."""
        return figures.parallel(self._facts())

    def slices(self, params: Sequence[str] | None = None, columns: int = 3) -> Figure:
        """One panel per parameter: its value against the first goal."""
        names = None if params is None else members("params", params, "parameters; write params=['name']")
        return figures.slices(self._facts(), names, whole("columns", columns))

    def importance(self) -> Figure:
        """The share of each parameter in what separates good from bad trials."""
        return figures.importance(self._facts())

    def timeline(self) -> Figure:
        """When each trial ran, and what ran at the same time."""
        return figures.timeline(self._facts())

    def pareto(self, goals: tuple[int | str, int | str] = (0, 1)) -> Figure:
        """Two goals (given by metric or index) against each other, with the Pareto front."""
        facts = self._facts()
        if len(facts.spec.goals) == 1:
            return figures.pareto(facts)
        if len(members("goals", goals, two := "two goals; write goals=(0, 1)")) != 2:
            raise SpecError(f"goals={shown(goals)} are not {two}")
        across, up = (goal_index(facts.spec.goals, goal) for goal in goals)
        return figures.pareto(facts, (across, up))

    def lineage(self, number: int | Trial | None = None) -> Figure:
        """For a population: which trial continued from which, with the line of one trial (default: the best) in front."""
        return lineage_figures.lineage(self._facts(), number=_number(number))

    def schedule(self, number: int | Trial | None = None) -> Figure:
        """For a population: the parameters over the training that led to one trial (default: the best)."""
        return lineage_figures.schedule(self._facts(), number=_number(number))

    def effects(self) -> Figure:
        """The share of the variance that each parameter causes by itself, and that it takes part in, with 90 %
        intervals."""
        return self._explained(explanation_figures.effects)

    def pairs(self) -> Figure:
        """The share of the variance that two parameters cause only together."""
        return self._explained(explanation_figures.pairs)

    def dependence(self, name: str) -> Figure:
        """The first goal against one parameter, averaged over all others. Raises SpecError for an unknown name."""
        study, trials = self._load()
        found = Explanation.of(study, trials).dependence(name)
        return explanation_figures.dependence(found, study.spec, study.spec.goals[0].metric)

    def surface(self, first: str, second: str) -> Figure:
        """The first goal over two parameters, averaged over all others. Raises SpecError if they do not vary together."""
        study, trials = self._load()
        told = Explanation.of(study, trials)
        return explanation_figures.surface(told.surface(first, second), study.spec, told.best, study.spec.goals[0])

    def ablation(self) -> Figure:
        """From the baseline to the best, one change after the other: what each adds, by the model."""
        return self._explained(explanation_figures.ablation)

    def safe_ranges(self) -> Figure:
        """How far each parameter may move from the best, all others fixed."""
        return self._explained(explanation_figures.safe)

    def calibration(self) -> Figure:
        """Each result against the model's prediction from all others."""
        return self._explained(explanation_figures.calibration)

    def _explained(self, draw: Callable[[Explanation], Figure]) -> Figure:
        """The figure of what explains the results; an empty one if there are too few of them."""
        told = self._facts().explanation
        return empty("no model: too few results, or too many options") if told is None else draw(told)


def _number(trial: int | Trial | None) -> int | None:
    return trial.number if isinstance(trial, Trial) else trial
