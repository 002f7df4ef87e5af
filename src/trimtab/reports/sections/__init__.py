"""What the document says, as plain tables and sentences: rows in, text out. How it looks is the template's business.

answer        the answer first, and the question that it answers
design        what was searched, by what means, and what that took
measurement   how a cross-validation measured the results
trials        the trials one by one, their numbers by state, and how they failed
explained     what explains the results
certificates  what the pairs of a certificate show, and every certificate that was asked for
history       whether the record is intact, what was changed by hand, and on what it ran
"""

from .answer import comparison, headline, question, rule, shown, tuned
from .certificates import ANSWERS, answer_rows, check_rows, evidence_pairs, pair_rows
from .design import budget_text, learnt, methods, proposers, protocol, repetitions, space_rows, strategy, training
from .explained import (
    MEANING,
    PARAMETERS,
    TOP,
    curve_rows,
    curves,
    interaction_rows,
    model_pairs,
    parameter_rows,
    path,
    path_rows,
    surfaces,
)
from .history import flat, integrity, machine, revisions
from .measurement import CHECKED, ESTIMATOR, classes, estimator, measurement
from .trials import MOST_ROWS, PURPOSES, count_rows, failure_rows, reconciliation, trial_rows

__all__ = [
    "ANSWERS",
    "CHECKED",
    "ESTIMATOR",
    "MEANING",
    "MOST_ROWS",
    "PARAMETERS",
    "PURPOSES",
    "TOP",
    "answer_rows",
    "budget_text",
    "check_rows",
    "classes",
    "comparison",
    "count_rows",
    "curve_rows",
    "curves",
    "estimator",
    "evidence_pairs",
    "failure_rows",
    "flat",
    "headline",
    "integrity",
    "interaction_rows",
    "learnt",
    "machine",
    "measurement",
    "methods",
    "model_pairs",
    "pair_rows",
    "parameter_rows",
    "path",
    "path_rows",
    "proposers",
    "protocol",
    "question",
    "reconciliation",
    "repetitions",
    "revisions",
    "rule",
    "shown",
    "space_rows",
    "strategy",
    "surfaces",
    "training",
    "trial_rows",
    "tuned",
]
