"""Which rows train and which test: folds by class, by group or by time; and the hold-out.

scikit-learn makes the splits; this module chooses which of its splitters. Rows are given as indices (n,).
"""

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Ints
from ..checks import plain, shown, whole
from ..errors import SpecError
from ..formatting import plural

Rows = Ints
Split = tuple[Rows, Rows]

_CLASSES = ("binary", "multiclass")  # kinds of labels


@dataclass(frozen=True)
class Plan:
    """How n rows are split."""

    y: Any  # targets (n,)
    strata: Any  # labels (n,), of which each fold has the same share: the targets, if they are classes; None for none
    folds: int
    groups: Any = None  # labels (n,)
    times: Any = None  # values (n,), in whose order rows are split; rows of one time stay together
    gap: int = 0  # times left out between training and test rows

    @property
    def kind(self) -> str:
        """What the splits respect, in words."""
        if self.times is not None:
            return "time order"
        parts = {"groups": self.groups, "classes": self.classes, "strata": self.own_strata}
        return " and ".join(name for name, labels in parts.items() if labels is not None) or "nothing"

    @property
    def classes(self) -> Any:
        """The targets, if folds are stratified by them; else None."""
        return self.y if self.strata is self.y else None

    @property
    def own_strata(self) -> Any:
        """The labels other than the targets by which folds are stratified; None if there are none."""
        return None if self.strata is self.y else self.strata

    def split(self, rows: Rows, seed: int) -> list[Split]:
        """(training, test) rows of each fold. With times, training rows come before test rows, and the seed is ignored."""
        if self.times is not None:
            places = _places(self.times, rows)
            order = np.argsort(places, kind="stable")
            rows, at = rows[order], places[order]
            # What is split are times: training has all up to one, and testing a stretch after that.
            folds = self._splitter(seed).split(np.unique(at))
            return [(rows[at <= a[-1]], rows[(b[0] <= at) & (at <= b[-1])]) for a, b in folds]
        strata, groups = (None if v is None else np.asarray(v)[rows] for v in (self.strata, self.groups))
        return [(rows[a], rows[b]) for a, b in self._splitter(seed).split(rows, strata, groups)]

    def _splitter(self, seed: int) -> Any:
        from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, TimeSeriesSplit

        if self.times is not None:
            return TimeSeriesSplit(self.folds, gap=self.gap)
        if self.groups is not None:
            kind = GroupKFold if self.strata is None else StratifiedGroupKFold
        else:
            kind = KFold if self.strata is None else StratifiedKFold
        return kind(self.folds, shuffle=True, random_state=seed)

    def search_and_holdout(self, n: int, share: float, seed: int) -> Split:
        """(search, hold-out) rows of n. The hold-out is a `share` of them: the last times, or whole groups, or a random sample,
        stratified by class."""
        from sklearn.model_selection import GroupShuffleSplit, train_test_split

        rows = np.arange(n)
        if share == 0:
            return rows, rows[:0]
        if self.times is not None:
            at = _places(self.times, rows)
            first = np.sort(at)[n - max(1, round(share * n))]
            return rows[at < first - self.gap], rows[at >= first]
        if self.groups is not None:
            shuffled = GroupShuffleSplit(1, test_size=share, random_state=seed)
            a, b = next(shuffled.split(rows, groups=np.asarray(self.groups)))
        else:
            a, b = train_test_split(rows, test_size=share, random_state=seed, stratify=self.strata)
        return np.sort(a), np.sort(b)

    def group_numbers(self, rows: Rows) -> Rows:
        """The number of each row's group: of its label; in time order, of its block; else one of its own.

        A block is n^(1/3) of n times in a row, the order of length at which a block bootstrap errs least (Hall, Horowitz
        and Jing 1995, Biometrika 82).
        """
        if self.times is not None:
            at = _places(self.times, rows)
            return np.asarray(at // math.ceil((at.max() + 1) ** (1 / 3)))
        if self.groups is not None:
            return np.unique(np.asarray(self.groups)[rows], return_inverse=True)[1]
        return np.arange(len(rows))


def _places(times: Any, rows: Rows) -> Rows:
    """The place of each row's time among the distinct times of these rows, from 0 on."""
    return np.unique(np.asarray(times)[rows], return_inverse=True)[1]


def as_array(values: Any) -> Any:
    """Tables and arrays as they are; sparse matrices in the form whose rows can be taken; lists as arrays.

    Texts become objects: NumPy's own type would give each of them the room of the longest. So do lists of several lengths.
    """
    if hasattr(values, "shape"):
        return values.tocsr() if hasattr(values, "tocsr") else values
    rows = list(values)
    if not any(isinstance(v, str) for v in rows):
        with contextlib.suppress(ValueError):
            return np.asarray(rows)
    made = np.empty(len(rows), object)
    made[:] = rows
    return made


def missing(values: NDArray[Any]) -> int:
    """How many values are NaN, NaT, NA or None."""
    if values.dtype.kind in "fcmM":
        return int(np.isnan(values).sum() if values.dtype.kind in "fc" else np.isnat(values).sum())
    return sum(v is None or str(v) in ("nan", "NaT", "<NA>") for v in values.ravel() if not isinstance(v, str))


def _dimensions(values: Any) -> int:
    """How many dimensions an array, a table or a list has; 0 for anything else."""
    if isinstance(values, str | bytes | dict | set):
        return 0
    try:
        return np.ndim(values)
    except ValueError:  # lists of several lengths
        return 2


def _one_for_each_row(name: str, values: Any, n: int) -> None:
    """Raises SpecError unless there is one of these values for each of n rows."""
    if _dimensions(values) != 1:
        raise SpecError(f"{name}={shown(values)} is no list of values; give one for each row")
    if len(values) != n:
        raise SpecError(f"{name} has {len(values)} values for {n} rows; give one for each row")
    if lost := missing(np.asarray(values)):
        raise SpecError(f"{name} is missing in {lost} of {n} rows; leave these rows out")


def _ordered(times: Any) -> None:
    """Raises SpecError for times that define no order."""
    values = np.asarray(times)
    if values.dtype.kind in "US" or any(isinstance(v, str) for v in values[:1].tolist()):
        raise SpecError(
            f"time holds texts such as {plain(values[0])!r}, which sort as texts; convert them: pandas.to_datetime(...)"
        )
    try:
        np.sort(values)
    except TypeError as error:
        raise SpecError(f"time cannot be put in order: {error}") from None


def strata_of(y: Any, estimator: Any, wish: Any) -> Any:
    """Labels by which folds are to be stratified, or None: those that the user gives, or y.

    By default it is y if it holds classes and the estimator is not a regressor, for whom whole numbers are amounts. Raises
    SpecError if there are no classes.
    """
    from sklearn.base import is_regressor

    if _dimensions(wish):
        _one_for_each_row("stratify", wish, len(y))
        if (kind := kind_of(wish)) not in _CLASSES:
            raise SpecError(f"stratify needs a label for each row, and what it holds is {kind}; put it into bins first")
        return wish
    if wish is not None and not isinstance(plain(wish), bool):
        raise SpecError(f"stratify={shown(wish)} must be True or False, or hold a label for each row")
    if wish is None:
        amounts = hasattr(estimator, "get_params") and is_regressor(estimator)
        wish = not amounts and kind_of(y) in _CLASSES
    if wish and (kind := kind_of(y)) not in _CLASSES:
        raise SpecError(f"stratify=True needs classes, and y is {kind}; leave it out, or give a label for each row")
    return y if wish else None


def kind_of(y: Any) -> str:
    """What targets are, in the words of scikit-learn: "binary", "multiclass", "continuous", ...; or "records", such as
    the events and times of a survival analysis."""
    from sklearn.utils.multiclass import type_of_target

    return "records" if getattr(getattr(y, "dtype", None), "names", None) else str(type_of_target(y))


def plan(y: Any, strata: Any, folds: int, groups: Any, times: Any, gap: int) -> Plan:
    """The plan for these rows. Raises SpecError if they cannot be split so."""
    n, folds = len(y), whole("folds", folds, 2)
    if groups is not None and times is not None:
        raise SpecError(
            "groups= and time= together are not supported; give time= to test on later rows of known groups, such as "
            "series, or groups= to test on new groups"
        )
    gap = whole("gap", gap, 0, repair=": times between training and test")
    if gap and times is None:
        raise SpecError(
            f"gap={gap!r} is times between training and test in time order; give time= too, or leave it out"
        )
    for name, values in (("groups", groups), ("time", times)):
        if values is not None:
            _one_for_each_row(name, values, n)
    if times is not None:
        _ordered(times)
        if (distinct := len(np.unique(np.asarray(times)))) <= folds:
            raise SpecError(
                f"folds={folds} in time order needs {folds + 1} distinct times, and there are {distinct}: rows of one time "
                "are never on both sides; use fewer folds, or finer times"
            )
    kinds = n if groups is None else len(set(np.asarray(groups).tolist()))
    if kinds < folds:
        raise SpecError(
            f"folds={folds} needs at least so many {'rows' if groups is None else 'groups'}, and there are {kinds}"
        )
    if strata is not None and times is None:
        names, counts = np.unique(np.asarray(strata), return_counts=True)
        if counts.min() < folds:
            own = strata is not y
            raise SpecError(
                f"{'stratum' if own else 'class'} {names[counts.argmin()]} has {plural(int(counts.min()), 'row')}, fewer than "
                f"folds={folds}; use fewer folds, or "
                + ("coarser strata" if own else "stratify=False (if y holds amounts, not classes)")
            )
    return Plan(y, strata, folds, groups, times, gap)
