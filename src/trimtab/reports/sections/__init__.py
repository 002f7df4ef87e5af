"""What documents say, as plain tables and sentences: rows in, text out. How it looks is the templates' business.

answer        the answer first, and the question that it answers
design        what was searched, by what means, and what that took
measurement   how a cross-validation measured the results
table         tables, whose rows know where they come from
trials        the trials one by one, their numbers by state, and how they failed
explained     what explains the results
certificates  what the pairs of a certificate show, and every certificate that was asked for
history       whether the record is intact, what was changed by hand, and on what it ran
"""

from .answer import comparison, headline, question, rule, shown, tuned
from .certificates import answer_table, check_table, evidence_pairs, pair_table
from .design import budget_text, learnt, methods, proposers, protocol, repetitions, space_table, strategy, training
from .explained import (
    MEANING,
    TOP,
    curve_table,
    curves,
    interaction_table,
    model_pairs,
    parameter_table,
    path,
    path_rows,
    path_table,
    surfaces,
)
from .history import flat, integrity, machine, revision_table
from .measurement import CHECKED, ESTIMATOR, classes, estimator, measurement
from .table import Table, traced
from .trials import MOST_ROWS, PURPOSES, count_table, failure_table, reconciliation, trial_table

__all__ = [
    "CHECKED",
    "ESTIMATOR",
    "MEANING",
    "MOST_ROWS",
    "PURPOSES",
    "TOP",
    "Table",
    "answer_table",
    "budget_text",
    "check_table",
    "classes",
    "comparison",
    "count_table",
    "curve_table",
    "curves",
    "estimator",
    "evidence_pairs",
    "failure_table",
    "flat",
    "headline",
    "integrity",
    "interaction_table",
    "learnt",
    "machine",
    "measurement",
    "methods",
    "model_pairs",
    "pair_table",
    "parameter_table",
    "path",
    "path_rows",
    "path_table",
    "proposers",
    "protocol",
    "question",
    "reconciliation",
    "repetitions",
    "revision_table",
    "rule",
    "shown",
    "space_table",
    "strategy",
    "surfaces",
    "traced",
    "training",
    "trial_table",
    "tuned",
]
