"""The peers of multifidelity.py, on its simulated workers: each gets the same reports at the same simulated times.

Optuna, SMAC3, DEHB and Syne Tune can each be in an environment of its own: what is missing is left out.
"""

import heapq
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from curves import RUNGS

Run = Callable[[Any], tuple[float, int]]  # a task -> when it reached the target, and trials until then
Report = Callable[[int, float], bool]  # (rung, loss) -> whether the trial stops


def by_reports(peer: Callable[[Any], Callable[[], tuple[dict[str, Any], Report]]]) -> Run:
    """A peer that begins trials and hears their reports: `ask` gives a configuration, and what to report to."""

    def run(task: Any) -> tuple[float, int]:
        ask, order, begun = peer(task), itertools.count(), task.workers
        queue: list[tuple[float, int, tuple[Report, np.ndarray, np.ndarray, int]]] = []

        def begin(now: float) -> None:
            config, report = ask()
            losses, seconds = (a[0] for a in task.curves.at_rungs([config]))
            heapq.heappush(queue, (now + seconds[0], next(order), (report, losses, seconds, 0)))

        for _ in range(task.workers):
            begin(0.0)
        while queue:
            now, _, (report, losses, seconds, k) = heapq.heappop(queue)
            if now >= task.limit:
                break
            stop = report(k, float(losses[k]))
            if k + 1 == len(RUNGS) and task.reached(losses[k]):
                return now, begun
            if stop or k + 1 == len(RUNGS):
                begin(now)
                begun += 1
            else:
                heapq.heappush(
                    queue, (now + seconds[k + 1] - seconds[k], next(order), (report, losses, seconds, k + 1))
                )
        return task.limit, begun

    return run


def optuna(pruner: str) -> Run:
    """TPE with a pruner, both as documented; trials report at the rungs."""

    def peer(task: Any) -> Callable[[], tuple[dict[str, Any], Report]]:
        import optuna as op

        op.logging.set_verbosity(op.logging.ERROR)
        pruners: dict[str, Callable[[], Any]] = {
            "hyperband": lambda: op.pruners.HyperbandPruner(min_resource=1, max_resource=RUNGS[-1], reduction_factor=3),
            "sh": lambda: op.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        }
        study = op.create_study(sampler=op.samplers.TPESampler(seed=task.seed), pruner=pruners[pruner]())

        def ask() -> tuple[dict[str, Any], Report]:
            trial = study.ask()
            config = {
                name: (trial.suggest_int if kind == "int" else trial.suggest_float)(name, low, high, log=log)
                for name, (kind, low, high, log) in task.curves.space.items()
            }

            def report(k: int, loss: float) -> bool:
                trial.report(loss, RUNGS[k])
                if k + 1 == len(RUNGS):
                    study.tell(trial, loss)
                elif trial.should_prune():
                    study.tell(trial, state=op.trial.TrialState.PRUNED)
                    return True
                return False

            return config, report

        return ask

    return by_reports(peer)


def syne(scheduler: str) -> Run:
    """A multi-fidelity scheduler of Syne Tune, driven as its tuner does."""

    def peer(task: Any) -> Callable[[], tuple[dict[str, Any], Report]]:
        import datetime

        from syne_tune import config_space as domain
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer import baselines

        kinds = {
            ("int", False): domain.randint,
            ("int", True): domain.lograndint,
            ("float", False): domain.uniform,
            ("float", True): domain.loguniform,
        }
        space = {name: kinds[kind, log](low, high) for name, (kind, low, high, log) in task.curves.space.items()}
        np.random.seed(task.seed)  # its brackets are drawn from the global generator
        made = getattr(baselines, scheduler)(
            space, metric="loss", time_attr="epoch", max_t=RUNGS[-1], random_seed=task.seed, grace_period=1,
            reduction_factor=3,
        )  # fmt: skip
        numbers = itertools.count()

        def ask() -> tuple[dict[str, Any], Report]:
            trial = Trial(next(numbers), made.suggest().config, datetime.datetime(2020, 1, 1))
            made.on_trial_add(trial)

            def report(k: int, loss: float) -> bool:
                return str(made.on_trial_result(trial, {"loss": loss, "epoch": RUNGS[k]})) == "STOP"

            return trial.config, report

        return ask

    return by_reports(peer)


def by_budgets(peer: Callable[[Any], tuple[Callable[[], Any], Callable[[Any, float, float], None]]]) -> Any:
    """A peer that asks for (key, config, budget), and is told its loss there and its seconds."""

    def run(task: Any) -> tuple[float, int]:
        ask, tell = peer(task)
        order, queue = itertools.count(), list[tuple[float, int, Any]]()
        trained: dict[str, float] = {}  # seconds that a configuration has had
        now, free = 0.0, task.workers
        while now < task.limit:
            while free and (job := ask()) is not None:
                handle, config, budget = job
                k = int(np.argmin([abs(budget - r) for r in RUNGS]))
                losses, seconds = (a[0] for a in task.curves.at_rungs([config]))
                key = repr(sorted(config.items()))
                added = max(seconds[k] - trained.get(key, 0.0), 1e-6)
                trained[key] = max(seconds[k], trained.get(key, 0.0))
                heapq.heappush(queue, (now + added, next(order), (handle, losses[k], added, k)))
                free -= 1
            if not queue:
                break
            now, _, (handle, loss, added, k) = heapq.heappop(queue)
            free += 1
            if k + 1 == len(RUNGS) and task.reached(loss) and now < task.limit:
                return now, len(trained)
            tell(handle, loss, added)
        return task.limit, len(trained)

    return run


def smac(task: Any) -> tuple[Callable[[], Any], Callable[[Any, float, float], None]]:
    import tempfile

    from ConfigSpace import ConfigurationSpace, Float, Integer
    from smac import MultiFidelityFacade, Scenario
    from smac.runhistory.dataclasses import TrialValue

    space = ConfigurationSpace(seed=task.seed)
    for name, (kind, low, high, log) in task.curves.space.items():
        space.add((Integer if kind == "int" else Float)(name, (low, high), log=log))
    scenario = Scenario(
        space, deterministic=True, min_budget=1, max_budget=RUNGS[-1], n_trials=10_000, seed=task.seed,
        output_directory=Path(tempfile.mkdtemp()),
    )  # fmt: skip

    def never(config: Any, seed: int = 0, budget: float = 0) -> float:
        raise AssertionError(f"asked and told, never run: {config} {seed} {budget}")

    facade = MultiFidelityFacade(scenario, never, overwrite=True, logging_level=50)

    def ask() -> Any:
        info = facade.ask()
        return info, {k: info.config[k] for k in task.curves.space}, info.budget

    return ask, lambda info, loss, added: facade.tell(info, TrialValue(cost=loss, time=added))


def dehb(task: Any) -> tuple[Callable[[], Any], Callable[[Any, float, float], None]]:
    import tempfile

    from ConfigSpace import ConfigurationSpace, Float, Integer
    from dehb import DEHB
    from loguru import logger

    logger.remove()
    space = ConfigurationSpace(seed=task.seed)
    for name, (kind, low, high, log) in task.curves.space.items():
        space.add((Integer if kind == "int" else Float)(name, (low, high), log=log))
    made = DEHB(
        cs=space, min_fidelity=1, max_fidelity=RUNGS[-1], n_workers=1, seed=task.seed, output_path=tempfile.mkdtemp(),
        save_freq="end",
    )  # fmt: skip

    def ask() -> Any:
        info = made.ask()
        return info, {k: info["config"][k] for k in task.curves.space}, info["fidelity"]

    return ask, lambda info, loss, added: made.tell(info, {"fitness": float(loss), "cost": float(added)})
