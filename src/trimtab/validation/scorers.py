"""Scorers of scikit-learn by name, and whether they can score the targets at all: asked before the first trial."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..checks import shown
from ..errors import SpecError, nearest
from .splits import kind_of

Scorer = Callable[..., float]  # of (estimator, X, y)

_REPAIRS = {
    "multiclass": "choose a scorer for more than two classes, such as 'f1_macro' or 'roc_auc_ovr'",
    "continuous": "write metric='r2', or another scorer of numbers",
}


def scorers(metric: str | Sequence[str] | Mapping[str, str | Scorer]) -> tuple[dict[str, Scorer], dict[str, str]]:
    """By metric: its scorer; and of those that scikit-learn scores, the scorer's name. Raises SpecError for a name that it
    does not know."""
    from sklearn.metrics import get_scorer, get_scorer_names

    known, asked = get_scorer_names(), _asked(metric)
    functions = isinstance(metric, Mapping)  # only there do they have names
    unknown = [s for s in asked.values() if not (functions and callable(s)) and not (isinstance(s, str) and s in known)]
    if unknown or not asked:
        raise SpecError(f"metric={shown(metric)}: {_said_of(unknown[0] if unknown else None, known)}")
    named = {name: s for name, s in asked.items() if isinstance(s, str)}
    return {name: get_scorer(s) if name in named else s for name, s in asked.items()}, named


def _asked(metric: Any) -> dict[str, Any]:
    """By metric: what was given as its scorer."""
    if isinstance(metric, Mapping):
        return dict(metric)
    given = list(metric) if isinstance(metric, Sequence) and not isinstance(metric, str) else [metric]
    return {str(s): s for s in given}


def _said_of(unknown: Any, known: Sequence[str]) -> str:
    """What is wrong with a scorer that was given, and what to give."""
    if callable(unknown):
        return "a function needs a name; write metric={'name': function}"
    close = "" if unknown is None else nearest(unknown, known).partition("; known")[0]
    return (
        f"no scorer of scikit-learn{f'{close} Give' if close else '; give'} one of sklearn.metrics.get_scorer_names(), or a "
        "mapping from a name to a function"
    )


def check_scorable(scorers: Mapping[str, Scorer], y: Any) -> None:
    """Raises SpecError for a scorer that can score neither a constant classifier nor a constant regressor.

    Text labels are such a case, for scorers that look for one class: every trial would be trained, and then fail.
    """
    kinds = ["DummyClassifier", "DummyRegressor"]
    for name, scorer in scorers.items():
        errors = [_error(kind, scorer, y) for kind in (kinds if kind_of(y) != "continuous" else kinds[::-1])]
        if all(errors):
            said = next((e for e in errors if isinstance(e, ValueError)), errors[0])
            first = str(said).partition("\n")[0].rstrip(".")
            raise SpecError(f"metric={name!r} cannot score this y: {first}; {_repair(y)}")


def _repair(y: Any) -> str:
    """What to do if a scorer cannot score these targets."""
    if kind_of(y) == "binary" and np.asarray(y).dtype.kind not in "biuf":
        return "write y as 0 and 1 (1: the class to be found), or choose another scorer"
    return _REPAIRS.get(kind_of(y), "choose another scorer")


def _error(kind: str, scorer: Scorer, y: Any) -> Exception | None:
    """What a scorer raises for an estimator of `sklearn.dummy`, which learns nothing from the rows; None if it scores."""
    from sklearn import dummy

    rows = np.zeros((len(y), 1))
    with warnings.catch_warnings(action="ignore"):  # such as that a constant prediction has no precision
        try:
            scorer(getattr(dummy, kind)().fit(rows, y), rows, y)
        except (AttributeError, TypeError, ValueError) as error:
            return error
    return None
