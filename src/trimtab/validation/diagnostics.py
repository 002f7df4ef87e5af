"""Leakage from training to test rows, and other doubts about a protocol: looked for before the first trial."""

from collections.abc import Collection
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np

from ..formatting import number, percent, plural
from ..numerics.rank_correlation import spearman
from .splits import Plan, Rows

_RARE = 0.05  # share below which a class is rare, unless it is more than half of an equal share
_PROXY = 0.999  # rank correlation at which one column is the target in disguise
_FEWEST = 10  # known values below which a correlation says nothing


def diagnose(X: Any, plan: Plan, search: Rows, holdout: Rows, metrics: Collection[str]) -> list[str]:
    """One line for each doubt about the data under this plan; empty if there is none. metrics: the names of all metrics and
    of scikit-learn's scorers for them."""
    balance = _balance(plan) if "accuracy" in metrics else []
    found = [*_duplicates(X, plan, search, holdout), *balance, *_proxies(X, plan)]
    return [*_indices(X, plan), *found]


def _indices(X: Any, plan: Plan) -> list[str]:
    """Tables whose pandas index is not that of X: rows are matched by position, not by index."""
    beside = {"y": plan.y, "groups": plan.groups, "time": plan.times, "stratify": plan.own_strata}
    if not hasattr(X, "iloc"):
        return []
    return [
        f"the index of {name} is not that of X: rows go together by place, not by index; align them before"
        for name, values in beside.items()
        if hasattr(values, "iloc") and not X.index.equals(values.index)
    ]


def _duplicates(X: Any, plan: Plan, search: Rows, holdout: Rows) -> list[str]:
    """Equal rows: one copy may train while another tests."""
    keys = _keys(X)
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    again = counts[inverse] > 1
    if not again.any():
        return []
    found = []
    if plan.groups is None:
        copies = plural(int(again.sum()), "row")
        found.append(f"{copies} occur more than once: a copy may train while the other tests; group them (groups=)")
    else:
        groups = np.unique(np.asarray(plan.groups), return_inverse=True)[1]
        apart = np.unique(inverse * len(groups) + groups) // len(groups)  # each row once for each group that has it
        if crossing := int((np.bincount(apart) > 1).sum()):
            found.append(f"{plural(crossing, 'row')} occur in several groups: groups don't keep copies apart")
    if crossed := len(np.intersect1d(inverse[search], inverse[holdout])):
        found.append(f"{plural(crossed, 'row')} of the hold-out also occur in the search rows")
    return found


def _keys(X: Any) -> np.ndarray[Any, Any]:
    """A number for each row that is equal for equal rows."""
    if hasattr(X, "columns"):
        from pandas.util import hash_pandas_object

        with suppress(TypeError):  # a cell holds what has no hash, such as a list
            return np.asarray(hash_pandas_object(X, index=False))
    if hasattr(X, "tocsr"):
        rows = X.tocsr(copy=True)
        rows.sum_duplicates()  # and put the values of each row in order
        ends = pairwise(rows.indptr.tolist())  # slices of the parts: rows of a sparse matrix are slow to take
        return np.array([hash((rows.indices[a:b].tobytes(), rows.data[a:b].tobytes())) for a, b in ends])
    rows = np.asarray(X)
    if rows.dtype.kind == "O":  # whose bytes are addresses
        return np.array([hash(repr(r.tolist() if isinstance(r, np.ndarray) else r)) for r in rows])
    return np.array([hash(np.ascontiguousarray(r).tobytes()) for r in rows])


def _balance(plan: Plan) -> list[str]:
    """Rare classes, which accuracy hides."""
    if plan.classes is None:
        return []
    names, counts = np.unique(np.asarray(plan.classes), return_counts=True)
    shares = counts / counts.sum()
    return [
        f"class {name} is rare: {percent(float(s))} of the rows; accuracy will hide it, choose a metric that does not"
        for name, s in zip(names.tolist(), shares, strict=True)
        if s < min(_RARE, 0.5 / len(names))
    ]


def _proxies(X: Any, plan: Plan) -> list[str]:
    """Numeric columns that rank the rows as the target does: they may have been made from it."""
    numeric, y = X.select_dtypes("number") if hasattr(X, "columns") else X, np.asarray(plan.y)
    if hasattr(numeric, "tocsr") or y.ndim != 1:
        return []
    values, order = np.asarray(numeric), np.unique(y, return_inverse=True)[1]  # texts have an order, too
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        return []
    names = list(getattr(numeric, "columns", range(values.shape[1])))
    found = []
    for name, column in zip(names, values.astype(float).T, strict=True):
        known = np.isfinite(column)
        if known.sum() >= _FEWEST and (r := abs(spearman(column[known], order[known]))) >= _PROXY:
            found.append(
                f"column {name} gives the target away: rank correlation {number(r, 4)}; leave it out if it is made later"
            )
    return found
