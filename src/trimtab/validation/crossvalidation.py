"""`CrossValidation`: an objective that evaluates a scikit-learn estimator on folds, in pairs, with held-out rows.

Which splits a trial sees depends on its purpose:

    search    all folds, split by the trial's own seed (or the same for all trials, with splits="shared"). Each fold is
              reported as a step, so that a stopping rule may end the trial
    select    the same, split by a seed that all finalists share
    certify   one fold: replicate i is fold i mod k of repetition i // k. These splits are independent of the others

Rows that are held out are in none of them. Only `Study.holdout` looks at them, and each look is an event.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from ..calls import checked_call
from ..canonical import digest, stable_repr
from ..capture import Input, look
from ..checks import nonnegative, one_of, shown, whole
from ..errors import ObjectiveError, SpecError, UserError, nearest
from ..formatting import plural
from ..objective import ActiveTrial
from ..objective.source import name_of, text_of
from .diagnostics import diagnose
from .scorers import check_scorable, scorers
from .splits import Rows, Split, as_array, missing, plan, strata_of

_SPLITS = ("reshuffle", "shared")


@checked_call
class CrossValidation:
    """An objective: the mean score of an estimator over folds.

      estimator: a scikit-learn estimator, on which each trial sets its params (`step__name` for pipelines), or a function
          that makes one from the params. A `random_state` that is None is set from the trial's seed.
      X, y: rows and targets.
      folds, repeats: how many folds a search trial has, and how often they are split anew.
      stratify: whether each fold has the same share of each class; default: if y holds classes (text, or whole numbers) and
          the estimator is not a regressor. Or a label for each row, of which each fold is to have the same share.
      groups: a label for each row; rows of a group never train and test in the same fold.
      time: a value for each row; training times come before test times, with `gap` times between.
      metric: a scikit-learn scorer's name, a list of them, or a mapping from a metric's name to scorer(estimator, X, y), or to
          a scorer's name. scikit-learn's are better when greater, so maximise them.
      splits: "reshuffle" gives every trial its own splits, so that the search cannot fit one split; "shared" gives all trials
          the same, which rules that stop trials by folds need.
      holdout: share of the rows that only `Study.holdout` sees.
      seed: of the splits.

    Raises SpecError for invalid arguments, UserError if scikit-learn is missing. `checks` lists what is doubtful about the
    data, such as leakage; `protocol` is what is recorded.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        folds: int = 5,
        repeats: int = 1,
        stratify: Any = None,
        groups: Any = None,
        time: Any = None,
        gap: int = 0,
        metric: str | Sequence[str] | Mapping[str, str | Callable[..., float]] = "accuracy",
        splits: str = "reshuffle",
        holdout: float = 0.0,
        seed: int = 0,
    ) -> None:
        _check_library()
        splits = one_of("splits", splits, _SPLITS)
        holdout = nonnegative("holdout", holdout, repair="; a share of the rows")
        if holdout >= 1:
            raise SpecError(f"holdout={holdout!r} must be a share of the rows, at least 0 and below 1")
        repeats = whole("repeats", repeats, most=1_000)
        if time is not None and repeats > 1:
            raise SpecError(
                f"repeats={repeats!r}: rows with a time have one order, and so one set of folds; leave it out"
            )
        rows, targets = _rows("X", X), _rows("y", y)
        if targets != rows:
            raise SpecError(f"X has {rows} rows and y has {targets}; give one target for each row")
        seed = whole("seed", seed, 0)
        _check_estimator(estimator)
        _check_targets(y)
        self.estimator, self.X, self.y = estimator, as_array(X), y
        self.repeats, self.splits, self.seed = repeats, splits, seed
        strata = strata_of(y, estimator, stratify)
        self.plan = plan(y, strata, folds, groups, time, gap)
        self.metrics, self._named = scorers(metric)
        check_scorable({name: self.metrics[name] for name in self._named}, y)
        try:
            self._search, self._holdout = self.plan.search_and_holdout(len(y), holdout, seed)
            self.plan.split(self._search, seed)
        except ValueError as error:  # scikit-learn's
            at = "" if time is None else f" at {len(np.unique(np.asarray(time)))} times"
            raise SpecError(
                f"folds={folds}, gap={gap}, holdout={holdout}: no such splits of {len(y)} rows{at}: {error}"
            ) from None
        # Too few rows of a kind may be left for the search.
        left, kept, ordered = (_taken(values, self._search) for values in (y, groups, time))
        plan(left, left if strata is y else _taken(strata, self._search), folds, kept, ordered, gap)
        scored = {*self.metrics, *self._named.values()}
        self.checks: list[str] = diagnose(self.X, self.plan, self._search, self._holdout, scored)

    def __repr__(self) -> str:
        kept = f", {len(self._holdout)} held out" if len(self._holdout) else ""
        doubts = f", {plural(len(self.checks), 'doubt')} in checks" if self.checks else ""
        return (
            f"<CrossValidation by {', '.join(self.metrics)}: {self.plan.folds} folds of {len(self._search)} rows"
            f" (respecting {self.plan.kind}){kept}{doubts}>"
        )

    # ------------------------------------------------------------------------------------------- what a study asks of it

    @property
    def replicates(self) -> int:
        """How many pairs evidence has by default: two repetitions of the folds, or one if rows have a time."""
        return self.plan.folds if self.plan.times is not None else 2 * self.plan.folds

    @property
    def most_replicates(self) -> int | None:
        """The largest possible number of pairs: one set of folds if rows have a time; None for no limit."""
        return None if self.plan.times is None else self.plan.folds

    @property
    def test_train_ratio(self) -> float:
        """The number of test rows over that of training rows: 1 / (folds - 1), or in time order the mean over folds."""
        if self.plan.times is None:
            return 1 / (self.plan.folds - 1)
        return float(np.mean([len(b) / len(a) for a, b in self.plan.split(self._search, self.seed)]))

    @property
    def protocol(self) -> dict[str, Any]:
        """What the record holds about the evaluation, as JSON: rows, splits, classes, estimator, fingerprints, doubts.

        It is part of the objective's fingerprint, so that another estimator or another function of the user's is other code.
        """
        p = self.plan
        inputs = {"X": self.X, "y": self.y, "groups": p.groups, "time": p.times, "stratify": p.own_strata}
        return {
            "kind": "cross-validation",
            "folds": p.folds,
            "repeats": self.repeats,
            "respects": p.kind,
            "gap": p.gap,
            "splits": self.splits,
            "seed": self.seed,
            "metrics": list(self.metrics),
            "rows": {"search": len(self._search), "holdout": len(self._holdout)},
            "classes": {} if p.strata is None else _counts(p.strata),
            "estimator": stable_repr(self.estimator)
            if hasattr(self.estimator, "get_params")
            else name_of(self.estimator),
            "code": {name: digest(text) for name, text in self._texts.items()},
            "data": {k: look(Input(k, as_array(v))).fingerprint for k, v in inputs.items() if v is not None},
            "checks": self.checks,
        }

    @property
    def _texts(self) -> dict[str, str]:
        """Texts in which every change of the estimator and of the user's own scorers shows.

        The repr of a pipeline is none: it leaves out much of a long one, and of functions it has only the names.
        """
        parts = self.estimator.get_params() if hasattr(self.estimator, "get_params") else {"": self.estimator}
        return {
            "estimator": "\n".join(f"{name}={_text(part)}" for name, part in sorted(parts.items())),
            **{f"metric {n}": _text(s) for n, s in self.metrics.items() if n not in self._named},
        }

    def suits(self, spec: Any) -> None:
        """Raises ObjectiveError for a study that this objective cannot serve.

        That is one that needs a metric that is not scored here, minimises a scikit-learn score (greater is always better),
        has a fidelity above the number of folds, compares trials by folds that differ between trials, or has a parameter
        that the estimator does not take.
        """
        for name in spec.metrics:
            if name not in self.metrics:
                raise ObjectiveError(
                    f"{name!r} is not scored{nearest(name, self.metrics)}; name it in the CrossValidation's metric="
                )
        for goal in spec.goals:
            if goal.metric in self._named and not goal.maximize:
                raise ObjectiveError(
                    f"minimize={goal.metric!r}: scikit-learn's scores are better when greater; maximize it"
                )
        steps, asked = self.plan.folds * self.repeats, spec.fidelity
        if asked is not None and asked.high > steps:
            raise ObjectiveError(
                f"fidelity {asked.name}: high={asked.high:g}, but a trial has {steps} folds; "
                f"write fidelity=tt.Fidelity('folds', 1, {steps})"
            )
        folds_differ = self.splits == "reshuffle" and self.plan.times is None
        if folds_differ and any(rule["rule"] == "wilcoxon" for rule in spec.stopping):
            raise ObjectiveError(
                "stopping='wilcoxon' compares trials fold by fold; make it CrossValidation(splits='shared')"
            )
        if hasattr(self.estimator, "get_params"):
            self._takes(spec.space.decode(spec.space.sample(32, np.random.default_rng(0))))

    def _takes(self, settings: Sequence[Mapping[str, Any]]) -> None:
        """Raises ObjectiveError if there is a parameter such that the estimator refuses all settings that have it."""
        taken, refused = set[str](), dict[str, Exception]()
        for params in settings:
            try:
                self._made(params)
                taken |= params.keys()
            except (TypeError, ValueError) as error:
                refused |= dict.fromkeys(params, error)
        known = self.estimator.get_params()
        for name in sorted(refused.keys() - taken, key=lambda name: name in known):
            why = str(refused[name]) if name in known else f"it has no {name!r}{_path(name, known)}"
            raise ObjectiveError(f"the estimator does not take the parameters of the space: {why}")

    def __call__(self, trial: ActiveTrial) -> dict[str, float]:
        """Evaluate a trial: mean scores over its folds, reported one by one."""
        scores: list[dict[str, float]] = []
        for step, (train, test) in enumerate(self.folds_of(trial), start=1):
            fitted = self.fit(trial.params, trial.seed, train)
            scores.append(self.score(fitted, test))
            trial.report(step, **{n: v for n, v in scores[-1].items() if n in trial.metrics or math.isfinite(v)})
            if trial.should_stop():
                break
        return {name: float(np.mean([s[name] for s in scores])) for name in self.metrics}

    def folds_of(self, trial: ActiveTrial) -> list[Split]:
        """The (training, test) rows that a trial sees."""
        k = self.plan.folds
        if trial.purpose == "certify":
            repetition, fold = divmod(trial.replicate or 0, k)
            if repetition and self.plan.times is not None:
                raise SpecError(
                    f"replicate {trial.replicate}: rows in time have only {k} folds; ask for replicates={k}"
                )
            return [self.plan.split(self._search, self._stream(1, repetition))[fold]]
        base = self.seed if self.splits == "shared" and trial.purpose == "search" else trial.seed
        every = [s for r in range(self.repeats) for s in self.plan.split(self._search, self._stream(0, base, r))]
        return every if trial.fidelity is None else every[: max(1, int(trial.fidelity))]

    def _stream(self, *which: int) -> int:
        """A seed for splits, which differs for each `which`."""
        return int(np.random.SeedSequence([self.seed, *which]).generate_state(1)[0] >> 1)

    # ------------------------------------------------------------------------------------------------------- estimators

    def fit(self, params: Mapping[str, Any], seed: int, rows: Rows) -> Any:
        """The estimator of a setting, trained on some rows."""
        made = self._made(params)
        if hasattr(made, "get_params"):
            free = [n for n, v in made.get_params().items() if n.split("__")[-1] == "random_state" and v is None]
            made.set_params(**dict.fromkeys(free, seed % 2**31))
        return made.fit(_taken(self.X, rows), _taken(self.y, rows))

    def _made(self, params: Mapping[str, Any]) -> Any:
        """The estimator of a setting, untrained."""
        from sklearn.base import clone

        if hasattr(self.estimator, "get_params"):
            return clone(self.estimator).set_params(**params)
        return self.estimator(params)

    def score(self, fitted: Any, rows: Rows) -> dict[str, float]:
        """All metrics of a trained estimator on some rows."""
        return {n: float(s(fitted, _taken(self.X, rows), _taken(self.y, rows))) for n, s in self.metrics.items()}

    def on_holdout(
        self, params: Mapping[str, Any], seed: int, metrics: Sequence[str]
    ) -> tuple[dict[str, Callable[[Rows], float]], Rows]:
        """Train a setting on all search rows.

        Returns, by metric, a function from chosen hold-out rows (their indices, which may be repeated) to the score on them;
        and the group of each hold-out row (see `Plan.group_numbers`). Raises SpecError if nothing was held out, or if a metric
        is not scored.
        """
        for metric in metrics:
            if metric not in self.metrics:
                raise SpecError(f"metric={metric!r} is not scored{nearest(metric, self.metrics)}")
        if not len(self._holdout):
            raise SpecError("no rows were kept apart; make the CrossValidation with holdout=0.2")
        rows = self._holdout
        known = _PredictOnce(self.fit(params, seed, self._search), _taken(self.X, rows))
        y, every = _taken(self.y, rows), np.arange(len(rows))

        def score(metric: str, chosen: Rows) -> float:
            try:
                return float(self.metrics[metric](known, known.rows(chosen), _taken(y, chosen)))
            except ValueError:  # the chosen rows have none of some class
                if np.array_equal(chosen, every):
                    raise
                return float("nan")

        return {metric: partial(score, metric) for metric in metrics}, self.plan.group_numbers(rows)


class _PredictOnce:
    """A trained estimator whose methods are called once for all rows of X: what one says of chosen rows is looked up.

    A scorer gets real rows, because it may read their columns. Whatever else it asks for is answered by the estimator.
    """

    def __init__(self, fitted: Any, X: Any) -> None:
        self._fitted, self._X, self._said = fitted, X, dict[str, Any]()
        self._chosen = self._numbers = np.arange(0)

    def rows(self, chosen: Rows) -> Any:
        """The chosen rows of X, for a scorer."""
        self._chosen, self._numbers = _taken(self._X, chosen), chosen
        return self._chosen

    def __getitem__(self, part: Any) -> Any:
        return self._fitted[part]  # of a pipeline

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._fitted, name)
        if not callable(own):
            return own

        def method(*given: Any, **named: Any) -> Any:
            if named or len(given) != 1 or given[0] is not self._chosen:
                return own(*given, **named)
            if name not in self._said:
                self._said[name] = own(self._X)
            said = self._said[name]
            one_for_each = hasattr(said, "shape") and said.shape[:1] == self._X.shape[:1]
            return _taken(said, self._numbers) if one_for_each else own(self._chosen)

        method.__name__ = name  # scorers look at the name of the method that they have got
        return method


def _text(part: Any) -> str:
    """The repr of a scorer or of a part of an estimator, and the source of a function."""
    inner = getattr(part, "_score_func", part)  # what make_scorer was given
    return stable_repr(part) + (text_of(inner) if callable(inner) and not hasattr(inner, "get_params") else "")


def _check_library() -> None:
    """Raises UserError if scikit-learn is missing: it splits and scores, whatever the estimator is."""
    try:
        import_module("sklearn")
    except ImportError:
        raise UserError("CrossValidation needs scikit-learn; run: pip install scikit-learn") from None


def _rows(name: str, given: Any) -> int:
    """How many rows a user's table, array or list has. Raises SpecError for anything else."""
    try:
        return int(given.shape[0]) if hasattr(given, "shape") else len(given)
    except (TypeError, IndexError):
        raise SpecError(f"{name}={shown(given)} has no rows; give a table, an array or a list") from None


def _check_estimator(estimator: Any) -> None:
    """Raises SpecError unless it is an estimator, or a function that makes one."""
    if isinstance(estimator, type) and hasattr(estimator, "get_params"):
        raise SpecError(f"estimator={estimator.__name__} is a class; give an object: {estimator.__name__}()")
    if not hasattr(estimator, "get_params") and not callable(estimator):
        raise SpecError(
            f"estimator={shown(estimator)} is neither an estimator nor a function of the params that makes one"
        )


def _check_targets(y: Any) -> None:
    """Raises SpecError if targets are missing or all the same."""
    try:
        values = np.asarray(y)
    except ValueError:
        raise SpecError(
            f"y={shown(y)} holds lists of several lengths; give one target for each row, or a column for each label: "
            "sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y)"
        ) from None
    if lost := missing(values):
        raise SpecError(f"y is missing in {lost} of {len(values)} rows; leave these rows out")
    if len(values) and (values == values[:1]).all():
        raise SpecError(f"y is {values.ravel()[0]} in all {len(values)} rows: there is nothing to learn")


def _taken(values: Any, rows: Rows) -> Any:
    """Some rows of a table, an array, a list or None."""
    if values is None:
        return None
    return values.iloc[rows] if hasattr(values, "iloc") else as_array(values)[rows]


def _counts(y: Any) -> dict[str, int]:
    """The number of rows in each class."""
    names, counts = np.unique(np.asarray(y), return_counts=True)
    return {str(name): int(count) for name, count in zip(names.tolist(), counts, strict=True)}


def _path(name: str, known: Iterable[str]) -> str:
    """The parameters of the steps within an estimator that may be meant by a name, as the end of an error message."""
    steps = [path for path in known if path.casefold().endswith(f"__{name.casefold()}")]
    return f"; did you mean {' or '.join(map(repr, steps))}?" if steps else nearest(name, known).partition("; known")[0]
