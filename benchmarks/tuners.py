"""Trimtab and Optuna's samplers as the benchmarks of search drive them: asked for a setting, told its result."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeGuard

import numpy as np

import trimtab as tt

Params = Mapping[str, Any]
Result = tuple[Sequence[float], Sequence[float]]
"""Goals, all minimised, and constraints, met where <= 0."""
Evaluate = Callable[[Params], Result | None]
"""What comes of a setting; None: the trial fails."""
Told = tuple[Params, Result | None]


class Tuner(Protocol):
    def ask(self) -> tuple[Any, Params]: ...
    def tell(self, trial: Any, result: Result | None) -> None: ...
    def best(self) -> Params | None:
        """The setting that it recommends; None: that of the lowest single result."""
        ...


class Trimtab:
    def __init__(
        self, space: tt.Space, seed: int, trials: int, strategy: str = "auto", goals: int = 1, constraints: int = 0
    ) -> None:
        self.goals, self.limits = [f"goal{j}" for j in range(goals)], [f"limit{k}" for k in range(constraints)]
        self.study = tt.Study(
            "s", space, minimize=self.goals, subject_to=[f"{limit} <= 0" for limit in self.limits],
            strategy=strategy, seed=seed, budget=tt.Budget(trials=trials), max_failures=None,
        )  # fmt: skip

    def ask(self) -> tuple[Any, Params]:
        trial = self.study.ask()
        return trial, trial.params

    def tell(self, trial: Any, result: Result | None) -> None:
        if result is None:
            self.study.tell(trial, failed="in the region that fails")
        else:
            goals, constraints = result
            self.study.tell(trial, dict(zip(self.goals + self.limits, [*goals, *constraints], strict=True)))

    def best(self) -> Params | None:
        return self.study.best.params


class Optuna:
    """One of its samplers, define-by-run; ordered choices are integer indices."""

    def __init__(self, space: tt.Space, seed: int, sampler: str, goals: int = 1, **settings: Any) -> None:
        import optuna as op

        op.logging.set_verbosity(op.logging.ERROR)
        made = getattr(op.samplers, sampler)(seed=seed, **settings)
        self.space, self.study = space, op.create_study(directions=["minimize"] * goals, sampler=made)
        self.failed = op.trial.TrialState.FAIL

    def ask(self) -> tuple[Any, Params]:
        trial = self.study.ask()
        params: dict[str, Any] = {}
        for name, p in self.space.params.items():
            if any(params.get(parent) not in values for parent, values in (p.when or {}).items()):
                continue
            if isinstance(p, tt.Choice):
                if p.ordered:
                    params[name] = p.options[trial.suggest_int(name, 0, len(p.options) - 1)]
                else:
                    params[name] = trial.suggest_categorical(name, list(p.options))
            else:
                ask = trial.suggest_int if isinstance(p, tt.Int) else trial.suggest_float
                params[name] = ask(name, p.low, p.high, log=p.log)
        return trial, params

    def tell(self, trial: Any, result: Result | None) -> None:
        if result is None:
            self.study.tell(trial, state=self.failed)
            return
        goals, constraints = result
        for k, value in enumerate(constraints):
            trial.set_constraint(f"limit{k}", float(value))
        self.study.tell(trial, list(goals))

    def best(self) -> Params | None:
        return None


def search(
    tuner: Tuner, evaluate: Evaluate, trials: int, pending: int = 1, rng: np.random.Generator | None = None
) -> tuple[list[Told], float]:
    """Settings and results in the order in which they are told, and the CPU milliseconds of ask and tell a trial.

    So many trials are always pending; which of them ends next, `rng` draws.
    """
    told: list[Told] = []
    begun: list[tuple[Any, Params]] = []
    cpu = 0.0
    while len(told) < trials:
        start = time.process_time()
        while len(begun) < min(pending, trials - len(told)):
            begun.append(tuner.ask())
        cpu += time.process_time() - start
        trial, params = begun.pop(int(rng.integers(len(begun))) if rng else 0)
        result = evaluate(params)
        start = time.process_time()
        tuner.tell(trial, result)
        cpu += time.process_time() - start
        told.append((params, result))
    return told, 1e3 * cpu / trials


def incumbents(told: Iterable[Told]) -> Iterator[Params | None]:
    """After each result the setting with the lowest mean of the results that keep all limits; None while there is none."""
    results: dict[str, list[float]] = defaultdict(list)
    settings: dict[str, Params] = {}
    for params, result in told:
        if keeps(result):
            results[str(params)].append(result[0][0])
            settings[str(params)] = params
        yield settings[min(results, key=lambda key: float(np.mean(results[key])))] if results else None


def keeps(result: Result | None) -> TypeGuard[Result]:
    """Whether a trial did not fail and all constraints are met."""
    return result is not None and all(c <= 0 for c in result[1])
