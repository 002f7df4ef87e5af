"""Pure statistics over the record: the certificate of a gain, and what explains the results.

the certificate    design (the question), certificate (the answer), judgement (of pairs), holdout (of held-out rows),
                   intervals, datasets (several studies)
which setting      selection and race (of finalists), random_search (what it would have found)
explanation        belief (the model of all results), calibration (can it be trusted?), importance, fanova, effects and
                   interactions (Sobol' indices, at base_points), ablation, sensitivity, phrases
"""

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
