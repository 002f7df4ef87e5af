"""Pure statistics over the record: the certificate of a gain, and what explains the results."""

from .certificate import Comparison, ConstraintCheck, Evidence, Finalist, Worth
from .datasets import Across, across
from .design import Contest, Design
from .holdout import HeldOut, held_out
from .importance import importance
from .judgement import certify

__all__ = [
    "Across",
    "Comparison",
    "ConstraintCheck",
    "Contest",
    "Design",
    "Evidence",
    "Finalist",
    "HeldOut",
    "Worth",
    "across",
    "certify",
    "held_out",
    "importance",
]
