"""What a strategy does not take into account of a study, such as its constraints: users are told before the first trial.

A strategy's attribute `honours` names which of the NEEDS below its proposals take into account; a plug-in without it is
assumed to honour all. A problem that it cannot search at all is refused by its `init`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from . import Problem, Strategy, strategy

NEEDS: Mapping[str, tuple[Callable[[Problem], bool], str]] = {  # need -> whether a problem has it; what is said without
    "constraints": (lambda p: p.constraints > 0, "does not look at constraints"),
    "goals": (lambda p: p.goals > 1, "does not look for a front of several goals"),
    "priors": (lambda p: any(q.prior for q in p.space.params.values()), "does not use the prior= of parameters"),
    "warm start": (lambda p: bool(p.sources), "does not learn from the studies of warm_start"),
    "many goals": (lambda p: p.goals > 3, "makes one goal of more than three, by a random weighting for each proposal"),
}
# Strategies that are named instead, the first one of those that honour most.
_PREFERRED = ("gp", "nsga3", "nsga2", "tpe", "cma", "evolution")


def needs(problem: Problem) -> list[str]:
    """What the problem requires of a strategy, by the keys of NEEDS."""
    return [need for need, (has, _) in NEEDS.items() if has(problem)]


def honoured(made: Strategy[Any]) -> frozenset[str]:
    """Which NEEDS the strategy's proposals take into account."""
    return frozenset(getattr(made, "honours", NEEDS))


def notices(made: Strategy[Any], problem: Problem) -> list[str]:
    """A sentence for each need of the problem that the strategy does not honour, with the nearest one that does."""
    wanted = needs(problem)
    missing = [need for need in wanted if need not in honoured(made)]
    return [f"strategy {made.name!r} {NEEDS[need][1]}{_way_out(need, wanted)}" for need in missing]


def _way_out(need: str, wanted: list[str]) -> str:
    """The strategy that honours this need and most of the others."""
    able = [name for name in _PREFERRED if need in honoured(strategy(name))]
    nearest = max(able, key=lambda name: len(honoured(strategy(name)) & set(wanted)), default=None)
    return f"; strategy={nearest!r} does" if nearest else ""
