"""What things are called in other tuners (Optuna, Ray Tune, Hyperopt, scikit-learn, SMAC, Ax), and how they are said here.

Errors about an argument or an attribute that does not exist answer with it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from .errors import nearest

_Class = TypeVar("_Class", bound=type)
_Said = TypeVar("_Said")


def _each(table: Mapping[str, _Said]) -> Mapping[str, _Said]:
    """A table by single words, from one whose keys are several words with the same answer."""
    return {word: said for words, said in table.items() for word in words.split()}


ARGUMENTS = _each(
    {
        "n_trials num_samples max_evals total_trials n_iter": ("trials", "budget"),
        "timeout time_budget_s walltime_limit": ("time", "budget"),
        "n_jobs n_workers max_concurrent_trials": ("workers",),
        "verbose show_progress_bar show_progressbar": ("quiet",),
        "study_name": ("name",),
        "direction directions metric mode": ("minimize", "maximize"),
        "sampler search_alg algo method": ("strategy",),
        "pruner scheduler": ("stopping",),
        "search_space param_space param_distributions param_grid configspace parameters": ("space",),
        "constraints_func outcome_constraints": ("subject_to",),
        "random_state": ("seed",),
        "min lower min_budget grace_period": ("low", "float", "int"),
        "max upper max_budget max_t": ("high", "float", "int"),
        "bounds low high uniform loguniform type": ("low", "high", "float", "int"),
        "q": ("step",),
        "log_scale": ("log",),
        "default_value": ("default",),
        "weights": ("prior",),
        "reduction_factor": ("factor", "eta"),
        "cv n_splits": ("folds",),
        "scoring": ("metric",),
        "value values categories choices options": ("metrics", "choice"),
        "state": ("failed",),
    }
)
"""Arguments elsewhere, and the arguments or keys of a study file that may be meant here."""

_LOOP = "write your own loop of study.ask() and study.tell(trial, metrics)"
_STUDY = "write tt.Study(name, space, minimize='loss')"
INSTEAD = _each(
    {
        "callbacks": f"log inside the objective, or {_LOOP}",
        "catch": "a trial that raises fails, and the study goes on",
        "load_if_exists": "the same line continues a study that exists",
        "param_distributions param_grid param_space": f"{_STUDY}: the space belongs to the study",
        "refit": "fit once more with study.best.params",
    }
)
"""Arguments elsewhere that have no counterpart in the call, and what is done instead."""

PACKAGE = _each(
    {
        "create_study load_study Tuner Scenario AxClient": _STUDY,
        "fmin optimize run": f"{_STUDY}, then study.run(objective, trials=100)",
        "uniform quniform Real FloatDistribution": "write tt.Float(0, 1), or with a step tt.Float(0, 1, step=0.1)",
        "loguniform qloguniform": "write tt.Float(1e-4, 1, log=True): the bounds themselves, not their logarithms",
        "randint qrandint lograndint Integer IntDistribution": "write tt.Int(1, 9); both bounds are included",
        "choice Categorical CategoricalDistribution": "write tt.Choice('a', 'b')",
        "grid_search": "write tt.Choice('a', 'b') in the space, and strategy='grid' in the study",
        "sample_from": "write when={'parent': value} for a condition; compute other values in the objective",
        "samplers": "give the study a strategy, such as strategy='tpe'",
        "pruners schedulers": "give the study a rule, such as stopping='median'",
        "TrialPruned": "when trial.should_stop() says so, return from the objective",
        "visualization": "the figures are methods of study.plot",
        "report": "write trial.report(step, loss=value)",
    }
)
"""Names of other packages, for those who look for them in this one."""

STUDY = _each(
    {
        "optimize fit": "write study.run(objective, trials=100)",
        "best_params best_params_ best_config incumbent": "write study.best.params",
        "best_value best_values best_score_": "write study.best.metrics",
        "best_trial get_best_result": "write study.best",
        "best_trials pareto_front": "write study.pareto",
        "trials_dataframe get_dataframe cv_results_": "write study.frame()",
        "best_estimator_ predict": "make an estimator with study.best.params, and fit it",
        "get_trials": "write study.trials",
        "get_next_trial get_next_trials": "write study.ask()",
        "complete_trial": "write study.tell(trial, metrics)",
        "enqueue_trial": "write study.enqueue(params)",
        "add_trial add_trials attach_trial": "write study.add(params, metrics)",
        "stop": f"a run ends by trials=, time= or enough=; for anything else {_LOOP}",
        "direction directions": "write study.spec.goals",
        "set_user_attr user_attrs": "write study.note(number, text), for a trial",
    }
)
TRIAL = _each(
    {
        "value values": "write trial.metrics",
        "config": "write trial.params",
        "user_attrs": "write trial.metrics, for all that the objective returned, or trial.notes",
        "intermediate_values": "write trial.curve",
        "duration": "write trial.cost.wall, for seconds",
    }
)
ACTIVE_TRIAL = _each(
    {
        "should_prune": "write: if trial.should_stop(): return what it has reached",
        "set_user_attr user_attrs": "return numbers as further metrics; for a text write trial.note(text)",
    }
)


def meant(unknown: str, names: Iterable[str]) -> str:
    """The argument or key that was probably meant, of these names, as the end of an error message."""
    known = [n for n in ARGUMENTS.get(unknown, ()) if n in names]
    if known:
        return f"; did you mean {' or '.join(map(repr, known))}?"
    return f"; {INSTEAD[unknown]}" if unknown in INSTEAD else nearest(unknown, names)


def answering(words: Mapping[str, str]) -> Callable[[_Class], _Class]:
    """A class whose AttributeError for one of these words says how it is said here."""

    def answered(cls: _Class) -> _Class:
        def missing(self: object, name: str) -> Any:
            if name in words:
                raise AttributeError(f"a {cls.__name__} has no {name!r}; {words[name]}")
            return object.__getattribute__(self, name)  # fails again, with the error of Python or of a property

        cls.__getattr__ = missing  # type: ignore[attr-defined]
        return cls

    return answered
