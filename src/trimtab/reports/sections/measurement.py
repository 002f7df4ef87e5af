"""How results were measured, as the record of a `CrossValidation` says."""

from collections.abc import Mapping
from typing import Any

from ...formatting import plural
from .table import Pairs

CHECKED = (
    "rows that occur twice, in several groups or on both sides of the hold-out; columns that give the target away; rare "
    "classes, where accuracy is scored; tables whose indices differ"
)
"""What a CrossValidation looks for before the first trial (see validation.diagnostics)."""

ESTIMATOR = "Estimator, before a trial sets its parameters"


def measurement(protocol: Mapping[str, Any]) -> Pairs:
    """Splits, rows, metrics, estimator and findings of a cross-validation."""
    rows = protocol["rows"]
    apart = f"; {rows['holdout']:,} kept apart as a hold-out" if rows["holdout"] else "; none kept apart"
    return [
        ("How the data is split", splits(protocol)),
        ("Rows", f"{rows['search']:,} for search and certificate{apart}"),
        ("Scored by", ", ".join(protocol["metrics"])),
        (ESTIMATOR, estimator(protocol)),
        ("Looked for before the first trial", CHECKED),
        ("Found", "; ".join(protocol["checks"]) or "nothing"),
    ]


def estimator(protocol: Mapping[str, Any]) -> str:
    """The estimator as it was given, on one line."""
    return " ".join(protocol["estimator"].split())


def splits(protocol: Mapping[str, Any]) -> str:
    """ "5 folds, 2 times; they respect groups and classes; drawn anew for every trial" """
    said = [plural(protocol["folds"], "fold") + (f", {protocol['repeats']} times" if protocol["repeats"] > 1 else "")]
    said.append(f"they respect {protocol['respects']}")
    said += [f"{plural(protocol['gap'], 'time')} left out between training and test"] if protocol["gap"] else []
    same = protocol["splits"] == "shared" or protocol["respects"] == "time order"
    return "; ".join([*said, "the same for all trials" if same else "drawn anew for every trial"])


def classes(protocol: Mapping[str, Any]) -> str:
    """The number of rows in each class; empty for numbers."""
    return ", ".join(f"{name}: {count:,}" for name, count in protocol["classes"].items())
