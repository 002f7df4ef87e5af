"""Pure statistics over the record: the certificate of a gain, and what explains the results."""

from .certificate import Comparison, ConstraintCheck, Evidence, Finalist, Worth
from .datasets import Across, across
from .importance import importance
from .judgement import certify, checked, held_out

__all__ = [
    "Across",
    "Comparison",
    "ConstraintCheck",
    "Evidence",
    "Finalist",
    "Worth",
    "across",
    "certify",
    "checked",
    "held_out",
    "importance",
]
