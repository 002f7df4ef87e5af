"""Cross-validation as an objective, so that nobody has to write an evaluation protocol by hand."""

from .crossvalidation import CrossValidation

__all__ = ["CrossValidation"]
