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

from . import answer, certificates, design, explained, history, measurement, trials

__all__ = ["answer", "certificates", "design", "explained", "history", "measurement", "trials"]
