"""What a search strategy is, and the table of the built-in ones.

A strategy is three pure functions over rows of the unit cube (see `space`). It keeps no hidden state, reads no clock,
and draws randomness only from the `rng` that it is given:

    state = fold(tell, finished rows, init(problem));   proposals = ask(state, pending, n, rng)

`tell` only accumulates, with the law tell(tell(s, A), B) == tell(s, A + B); models are fitted in `ask`. Everything is
minimised. A failed trial is a row of NaN in Y and C. Constraint columns are feasible if C <= 0 (NaN: unknown).

Each strategy in the table below has a module of its own. The other modules are parts of them:

    points, scalarisation, honours            for all: points not proposed yet; several goals as one; which needs of a study
                                              a strategy does not take into account
    surrogate, features, climb, front,        of `gp`: models, their inputs, the search of a maximum, fronts, earlier
    transfer, priors                          studies, users' expectations
    breeding, variation                       of `evolution`, `nsga2` and `nsga3`
    coordinates                               of `cma`
    population                                of `pbt` and `pb2`
    levelling                                 wraps any strategy: results of unequal fidelity
    promotion, ladder, freeze_thaw            wrap any strategy: trials that pause

Notation: d columns, n rows, m goals, k constraints.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from ..arrays import Array, Ints, Mask
from ..checks import shown, text
from ..errors import SpecError, TrimtabError, nearest
from ..numerics.tally import Tally
from ..space import Space

S = TypeVar("S")


@dataclass(frozen=True)
class Source:
    """Results of an earlier study, in the space of this one: X (n, d), Y (n, m) minimised, none of them failed."""

    name: str
    X: Array
    Y: Array


@dataclass(frozen=True)
class Problem:
    """What a strategy may know before the first result."""

    space: Space
    goals: int = 1
    constraints: int = 0
    budget: int | None = None  # finished search trials the study pays for; None: no limit
    deterministic: bool = False  # the user says that equal params give equal results
    replicates: int = 1  # how often a point may be proposed
    seed: int = 0  # of the study: for low-discrepancy sequences; per-ask randomness comes with `rng`
    sources: tuple[Source, ...] = field(default=(), compare=False)  # of a warm start
    cost_budget: float | None = None  # how much the study may spend, in the unit of Rows.cost; None if it counts trials
    cost_is_time: bool = False  # whether that unit is wall time, which parallel trials spend together
    rungs: tuple[float, ...] = ()  # levels of the fidelity, in rising order; the last one is a full training
    brackets: tuple[float, ...] = ()  # shares of the trials that are first judged at each rung; (): all at the first

    @property
    def no_rows(self) -> "Rows":
        """Empty rows of the right shapes."""
        return Rows.empty(len(self.space), self.goals, self.constraints)


LINEAGE = ("number", "parent", "level", "reached", "member")
"""The columns of Rows.lineage: a trial's number, that of the trial whose state it continues from, the fidelity that it trains
to, the one that it has reached, and the member of a population that it belongs to."""
NUMBER, PARENT, LEVEL, REACHED, MEMBER = range(len(LINEAGE))


_LEFT_OUT = np.empty(0)
_USUAL: Mapping[str, Callable[[int, int], Array]] = {  # columns that may be left out -> what they then are, for n and m
    "C": lambda n, _: np.empty((n, 0)),
    "cost": lambda n, _: np.zeros(n),
    "curve": lambda n, m: np.empty((n, 0, m)),
    "lineage": lambda n, _: np.full((n, len(LINEAGE)), np.nan),
}


def _left_out() -> Array:
    return _LEFT_OUT


@dataclass(frozen=True)
class Rows:
    """Finished trials, in the order in which they ended. Without C there are no constraints, without a curve no fidelity."""

    X: Array  # (n, d), NaN where inactive
    Y: Array  # (n, m), minimised, NaN where the trial failed
    C: Array = field(default_factory=_left_out)  # (n, k), feasible where <= 0
    cost: Array = field(default_factory=_left_out)  # (n,) seconds, or in the unit of Problem.cost_budget
    # (n, R, m) as Y, at each rung of the fidelity; NaN where it was not reached. R is 0 in a study without one.
    curve: Array = field(default_factory=_left_out)
    lineage: Array = field(default_factory=_left_out)  # (n, 5), NaN where there is none

    def __post_init__(self) -> None:
        for name, usual in _USUAL.items():
            if getattr(self, name) is _LEFT_OUT:
                object.__setattr__(self, name, usual(len(self.X), self.Y.shape[1]))

    @staticmethod
    def empty(d: int, m: int, k: int) -> "Rows":
        """No rows of d columns, m goals and k constraints, without a fidelity."""
        return Rows(np.empty((0, d)), np.empty((0, m)), np.empty((0, k)))

    @property
    def _columns(self) -> tuple[Array, ...]:
        return self.X, self.Y, self.C, self.cost, self.curve, self.lineage

    def __add__(self, other: "Rows") -> "Rows":
        if not (len(self) and len(other)):  # the number of rungs of empty rows may be another one
            return max(self, other, key=len)
        return Rows(*(np.concatenate(both) for both in zip(self._columns, other._columns, strict=True)))

    @property
    def failed(self) -> Mask:
        """Which trials failed (n,): they have no value of some goal."""
        return np.asarray(np.isnan(self.Y).any(axis=1))

    def __getitem__(self, which: slice | Sequence[int] | Ints) -> "Rows":
        """Some of the rows, as `rows[:5]` or `rows[[0, 2]]`."""
        return Rows(*(column[which] for column in self._columns))

    def __len__(self) -> int:
        return len(self.X)


@dataclass(frozen=True)
class Proposal:
    """A point to try: x (d,) in the unit cube, snapped, NaN if inactive."""

    x: Array
    parent: int | None = None  # number of the trial whose state it goes on from
    why: Mapping[str, Any] = field(default_factory=dict)  # JSON: what was believed of the point, for the record
    fidelity: float | None = None  # how far it shall be trained; to the top otherwise


@runtime_checkable
class Strategy(Protocol[S]):
    """A search algorithm. `name` and `version` go into the record; raise the version when proposals change."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def init(self, problem: Problem) -> S:
        """The state before the first result. Raises SpecError for a problem that it cannot search."""
        ...

    def tell(self, state: S, rows: Rows) -> S:
        """The state after more finished trials."""
        ...

    def ask(self, state: S, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Up to n proposals (fewer, or none, if a finite space has no more points). `pending` is (p, d)."""
        ...


def learns(made: Strategy[Any]) -> bool:
    """Whether the strategy's proposals depend on results. One with `learns = False` proposes the same whether a point is
    pending or has a result, and whatever that is; so it may propose before results are known."""
    return bool(getattr(made, "learns", True))


@runtime_checkable
class Judge(Protocol):
    """A strategy that can say how good a point is by its own measure, for a replay on another kind of machine."""

    def shortfall(self, state: Any, pending: Array, x: Array, rng: np.random.Generator) -> float:
        """How far the point x (d,) falls short of the best that it would propose now: 0.01 is 1 % of an acquisition
        known by its logarithm, or a hundredth of a standard deviation of the results; inf if it can't tell."""
        ...


@runtime_checkable
class Continuing(Protocol):
    """A strategy whose trials continue where earlier ones ended, such as the intervals of a population's members.

    It is told every trial at the fidelity that it reached, and may propose nothing while trials are under way. Its
    proposals name a parent and a fidelity; `why["member"]` comes back as the column `member` of Rows.lineage.
    """

    def begun(self, state: Any, under_way: Rows) -> Any:
        """The state for one `ask` or `needed`, including the trials under way (rows without results)."""
        ...

    def needed(self, state: Any) -> frozenset[int]:
        """Numbers of the ended trials that a later proposal may continue from: their checkpoints must stay.

        A trial that is not needed now will never be needed later.
        """
        ...


@dataclass(frozen=True)
class History:
    """The state of strategies that need only the problem and all rows so far."""

    problem: Problem
    rows: Rows
    keys: tuple[bytes, ...]  # identity of each row
    points: Tally  # how often each was told

    @staticmethod
    def start(problem: Problem) -> "History":
        """The state before the first result."""
        return History(problem, problem.no_rows, (), Tally())

    def with_rows(self, rows: Rows) -> "History":
        """The state after more rows; the law of `tell` holds."""
        new = self.problem.space.keys(rows.X)
        return History(self.problem, self.rows + rows, (*self.keys, *new), self.points.plus(new))


_TABLE = {  # name -> module:class
    "auto": "auto:Auto",
    "cma": "cma:CMA",
    "evolution": "evolution:Evolution",
    "forest": "forest:Forest",
    "gp": "gp:GP",
    "grid": "grid:Grid",
    "nsga2": "nsga2:NSGA2",
    "nsga3": "nsga3:NSGA3",
    "pb2": "pb2:PB2",
    "pbt": "pbt:PBT",
    "priorband": "priorband:PriorBand",
    "random": "random:Random",
    "sobol": "sobol:Sobol",
    "tpe": "tpe:TPE",
}


def names() -> list[str]:
    """The strategies that can be named: the built-in ones and those of installed plug-ins."""
    return sorted({*_TABLE, *(e.name for e in entry_points(group="trimtab.strategies"))})


def strategy(which: "str | Strategy[Any]", **settings: Any) -> Strategy[Any]:
    """The strategy called `which`, made with its settings; a strategy object is returned as it is.

    Raises SpecError for a name that neither we nor a plug-in (entry point group `trimtab.strategies`) know, for a plug-in
    that fails, and for anything that is not a strategy.
    """
    if isinstance(which, type):
        raise SpecError(f"strategy={which.__name__} is a class; make one: strategy={which.__name__}()")
    if not isinstance(which, str):
        if not isinstance(which, Strategy):
            raise SpecError(
                f"strategy={shown(which)} is neither a name, such as 'gp', nor has name, version, init, tell and ask"
            )
        for part in ("name", "version"):
            text(
                f"strategy {part}",
                getattr(which, part),
                "settings are given by their names, such as NSGA2(population=30)",
            )
        return which
    if which in _TABLE:
        module, _, cls = _TABLE[which].partition(":")
        made: Strategy[Any] = getattr(import_module(f"{__name__}.{module}"), cls)(**settings)
        return made
    for entry in entry_points(group="trimtab.strategies", name=which):
        return strategy(_plugged(entry, settings))
    raise SpecError(f"strategy={which!r} is not known{nearest(which, names())}")


def _plugged(entry: EntryPoint, settings: Mapping[str, Any]) -> Any:
    """What a plug-in makes."""
    try:
        return entry.load()(**settings)
    except TrimtabError:
        raise
    except Exception as error:
        raise SpecError(
            f"strategy={entry.name!r}: the plug-in {entry.value!r} fails with {type(error).__name__}: {error}; "
            "see whether it is installed in a version for this Trimtab, and its settings"
        ) from error
