"""Cross-validation as an objective: the protocol of an estimator's evaluation, so that nobody has to write it by hand."""

from .crossvalidation import CrossValidation

__all__ = ["CrossValidation"]
