"""A look at the rows that were kept apart: tuned against baseline on one hold-out set, and every look is on record.

Both settings are trained once on all search rows; the interval comes from the bootstrap over the hold-out's rows. A hold-out
that has been looked at often is no longer unseen: looks are counted in the chain, the first before its result is known.
"""

from typing import Any

import numpy as np

from . import pairs, proof
from .book import Book
from .engine import trial_seed
from .errors import SpecError
from .evidence import Evidence, held_out
from .records import Change
from .storage import Storage


def look(book: Book, objective: Any, tuned: int | None, metric: str | None, equivalence: float) -> Evidence:
    """Compare a trial's setting (the certified one, else the best) with the baseline on the objective's hold-out rows.

    Raises SpecError where the objective keeps no rows apart, or there is nothing to compare.
    """
    if not hasattr(objective, "on_holdout"):
        raise SpecError(f"objective {objective!r} keeps no rows apart; give a CrossValidation with holdout=0.2")
    ledger = book.refresh()
    spec, goal = ledger.study.spec, pairs.goal(ledger.study.spec, metric)
    if tuned is None:
        last = proof.last(book)
        chosen = proof.best(ledger, proof.standings_of(ledger)) if last is None else ledger.trials[last.tuned_trial]
    elif tuned in ledger.trials:
        chosen = ledger.trials[tuned]
    else:
        raise SpecError(f"trial {tuned} does not exist; the study has {len(ledger.trials)} trials, numbered from 0")
    baseline, params = pairs.contestants(spec, chosen)
    count = 1 + looks(book.storage, book.study)
    seed = trial_seed(spec.seed, "holdout", 0)  # of both trainings
    before, rows = objective.on_holdout(baseline, seed, goal.metric)
    after, _ = objective.on_holdout(params, seed, goal.metric)
    book.storage.revise(
        book.study, Change("holdout", body={"look": count, "metric": goal.metric, "tuned": chosen.number})
    )
    found = held_out(
        goal, baseline, params, chosen.number, before, after, rows, equivalence, count, np.random.default_rng(spec.seed)
    )
    book.storage.revise(book.study, Change("holdout", body={"result_of": count, "evidence": found.to_json()}))
    return found


def looks(storage: Storage, study: int) -> int:
    """How often the hold-out has been looked at."""
    return sum("look" in e.body for e in storage.events(study, kinds={"holdout"}))
