"""Nevergrad's NGOpt, Hyperopt's TPE and SMAC3's random forest for robustness.py. Each can be in an environment of its own.

Nevergrad and Hyperopt get the space flat: of a conditional parameter the value is ignored where it does not apply. SMAC
gets its conditions. Ordered choices are integer indices for Hyperopt, a `TransitionChoice` for Nevergrad and an ordinal
for SMAC.
"""

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tuners import Params, Result

import trimtab as tt


def active(space: tt.Space, params: Params) -> dict[str, Any]:
    """The parameters that apply, numbers within their bounds and of their kind; parents come before children."""
    kept: dict[str, Any] = {}
    for name, p in space.params.items():
        if any(kept.get(parent) not in values for parent, values in (p.when or {}).items()):
            continue
        value = params[name]
        if not isinstance(p, tt.Choice):
            value = min(max(value, p.low), p.high)
            value = round(value) if isinstance(p, tt.Int) else float(value)
        kept[name] = value
    return kept


def pending(case: str) -> int:
    """How many trials are under way at any time."""
    last = case.rsplit(maxsplit=1)[-1]
    return int(last) if last.isdigit() else 1


class Nevergrad:
    """NGOpt, told the budget, the number of workers, and that results are noisy where they are. It has no word for a
    failure: a failed trial is told the worst result so far."""

    def __init__(self, space: tt.Space, seed: int, trials: int, case: str) -> None:
        import nevergrad as ng

        def parameter(p: Any) -> Any:
            if isinstance(p, tt.Choice):
                return (ng.p.TransitionChoice if p.ordered else ng.p.Choice)(list(p.options))
            made = (ng.p.Log if p.log else ng.p.Scalar)(lower=p.low, upper=p.high)
            return made.set_integer_casting() if isinstance(p, tt.Int) else made

        parameters = ng.p.Dict(**{name: parameter(p) for name, p in space.params.items()})
        parameters.random_state.seed(seed)
        parameters.function.deterministic = case != "noise"
        workers = pending(case)
        self.space, self.worst = space, 0.0
        self.search = ng.optimizers.NGOpt(parametrization=parameters, budget=trials, num_workers=workers)

    def ask(self) -> tuple[Any, Params]:
        trial = self.search.ask()
        return trial, active(self.space, trial.value)

    def tell(self, trial: Any, result: Result | None) -> None:
        loss = self.worst if result is None else result[0][0]
        self.worst = max(self.worst, loss)
        self.search.tell(trial, loss)

    def best(self) -> Params | None:
        return active(self.space, self.search.provide_recommendation().value)


class Hyperopt:
    """TPE by one `suggest` for each proposal, as `fmin` calls it; failed trials have its status for that."""

    def __init__(self, space: tt.Space, seed: int) -> None:
        import hyperopt as ho

        def node(name: str, p: Any) -> Any:
            if isinstance(p, tt.Choice):
                return ho.hp.uniformint(name, 0, len(p.options) - 1) if p.ordered else ho.hp.choice(name, p.options)
            if isinstance(p, tt.Int):
                if p.log:
                    return ho.hp.qloguniform(name, math.log(p.low), math.log(p.high), 1)
                return ho.hp.uniformint(name, p.low, p.high)
            if p.log:
                return ho.hp.loguniform(name, math.log(p.low), math.log(p.high))
            return ho.hp.uniform(name, p.low, p.high)

        self.space, self.nodes = space, {name: node(name, p) for name, p in space.params.items()}
        self.domain, self.trials = ho.base.Domain(lambda _: 0.0, self.nodes), ho.Trials()
        self.rng = np.random.default_rng(seed)

    def ask(self) -> tuple[Any, Params]:
        import hyperopt as ho

        numbers = self.trials.new_trial_ids(1)
        self.trials.refresh()
        (trial,) = ho.tpe.suggest(numbers, self.domain, self.trials, int(self.rng.integers(2**31 - 1)))
        params = ho.space_eval(self.nodes, {k: v[0] for k, v in trial["misc"]["vals"].items() if v})
        for name, p in self.space.params.items():
            if isinstance(p, tt.Choice) and p.ordered:
                params[name] = p.options[int(params[name])]
        return trial, active(self.space, params)

    def tell(self, trial: Any, result: Result | None) -> None:
        import hyperopt as ho

        trial["state"] = ho.JOB_STATE_DONE
        failed = {"status": ho.STATUS_FAIL}
        trial["result"] = failed if result is None else {"loss": result[0][0], "status": ho.STATUS_OK}
        self.trials.insert_trial_docs([trial])
        self.trials.refresh()

    def best(self) -> Params | None:
        return None


class Smac:
    """The facade for hyperparameter optimisation as it comes, told the budget and whether results are noisy. A failed
    trial has crashed, at the worst result so far: the infinite default has no logarithm."""

    def __init__(self, space: tt.Space, seed: int, trials: int, case: str) -> None:
        import ConfigSpace
        from smac import HyperparameterOptimizationFacade, Scenario

        def parameter(name: str, p: Any) -> Any:
            if isinstance(p, tt.Choice):
                return (ConfigSpace.OrdinalHyperparameter if p.ordered else ConfigSpace.CategoricalHyperparameter)(
                    name, list(range(len(p.options)))
                )
            return (ConfigSpace.Integer if isinstance(p, tt.Int) else ConfigSpace.Float)(
                name, (p.low, p.high), log=p.log
            )

        made = ConfigSpace.ConfigurationSpace(seed=seed)
        made.add([parameter(name, p) for name, p in space.params.items()])
        for name, p in space.params.items():
            for parent, values in (p.when or {}).items():
                choice = space.params[parent]
                assert isinstance(choice, tt.Choice), f"{name} depends on a number"
                indices = [choice.options.index(v) for v in values]
                made.add(ConfigSpace.InCondition(made[name], made[parent], indices))
        scenario = Scenario(
            made, deterministic=case != "noise", n_trials=trials, seed=seed, output_directory=Path(tempfile.mkdtemp())
        )

        def never(config: Any, seed: int = 0) -> float:
            raise AssertionError(f"asked and told, never run: {config} {seed}")

        self.space, self.worst = space, 0.0
        self.search = HyperparameterOptimizationFacade(scenario, never, overwrite=True, logging_level=50)

    def params(self, config: Any) -> Params:
        made = {
            name: p.options[int(config[name])] if isinstance(p, tt.Choice) else config[name]
            for name, p in self.space.params.items()
            if name in config
        }
        return active(self.space, made)

    def ask(self) -> tuple[Any, Params]:
        trial = self.search.ask()
        return trial, self.params(trial.config)

    def tell(self, trial: Any, result: Result | None) -> None:
        from smac.runhistory.dataclasses import StatusType, TrialValue

        loss = self.worst if result is None else result[0][0]
        self.worst = max(self.worst, loss)
        status = StatusType.CRASHED if result is None else StatusType.SUCCESS
        self.search.tell(trial, TrialValue(cost=loss, status=status))

    def best(self) -> Params | None:
        return self.params(self.search.intensifier.get_incumbents()[0])
