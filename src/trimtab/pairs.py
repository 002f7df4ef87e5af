"""The runs behind an evidence: pairs of baseline and tuned setting, with equal seeds within a pair."""

from collections.abc import Sequence

from . import engine
from .book import Book
from .errors import SpecError, nearest
from .goals import Goal, Metrics
from .records import Proposal, Purpose, State, StudySpec, Trial
from .space import Params

Pair = tuple[Metrics | None, Metrics | None]


def goal(spec: StudySpec, metric: str | None) -> Goal:
    """The goal to certify: the first one, or the one named."""
    if metric is None:
        return spec.goals[0]
    for g in spec.goals:
        if g.metric == metric:
            return g
    raise SpecError(f"metric={metric!r} is no goal of the study{nearest(metric, [g.metric for g in spec.goals])}")


def contestants(book: Book, tuned: Trial, replicates: int) -> tuple[Params, Trial]:
    """The baseline's params and the tuned trial. Raises SpecError where there is nothing to compare."""
    if isinstance(replicates, bool) or not isinstance(replicates, int) or replicates < 2:
        raise SpecError(f"replicates={replicates!r} must be a whole number of at least 2")
    if book.spec.baseline is None:
        raise SpecError(
            "evidence compares with a baseline, and this study has none; give baseline=, or a default to each parameter"
        )
    if tuned.state is not State.DONE:
        raise SpecError(f"tuned={tuned.number}: this trial is {tuned.state}; name one that is done")
    return book.spec.baseline, tuned


def enqueue(book: Book, tuned: Trial, replicates: int) -> list[int]:
    """Make sure that pairs 0 .. replicates-1 exist as certify trials; returns their numbers, new and old.

    What is missing is looked up again when another process was faster: it may have asked for the same pairs.
    """

    def missing(ledger: engine.Ledger) -> list[Proposal]:
        spec, have = ledger.study.spec, _found(ledger, tuned)
        return [
            Proposal(
                params=params,
                seed=engine.trial_seed(spec.seed, "certify", i),
                purpose=Purpose.CERTIFY,
                strategy="evidence",
                version="1",
                parent=parent,
                replicate=i,
            )
            for i in range(replicates)
            for is_tuned, parent, params in _sides(spec, tuned)
            if (is_tuned, i) not in have
        ]

    book.put(missing)
    return sorted(t.number for (_, i), t in _found(book.ledger, tuned).items() if i < replicates)


def results(book: Book, tuned: Trial, replicates: int) -> Sequence[Pair]:
    """(baseline metrics, tuned metrics) of each pair; None for a run that failed."""
    have = _found(book.ledger, tuned)

    def metrics(is_tuned: bool, i: int) -> Metrics | None:
        t = have.get((is_tuned, i))
        return t.metrics if t is not None and t.state is State.DONE else None

    return [(metrics(False, i), metrics(True, i)) for i in range(replicates)]


def _sides(spec: StudySpec, tuned: Trial) -> list[tuple[bool, int, Params]]:
    """(whether it is the tuned one, parent, params) of the two settings, in today's space."""
    baseline = [] if spec.baseline is None else [(False, 0, spec.baseline)]
    return [*baseline, (True, tuned.number, tuned.complete(spec.assumed, spec.space))]


def _found(ledger: engine.Ledger, tuned: Trial) -> dict[tuple[bool, int], Trial]:
    """The study's certify trials for these two, by (whether of the tuned setting, replicate): the first of each.

    Cancelled ones don't count, and neither do those of settings that a revision has changed since.
    """
    spec, found = ledger.study.spec, dict[tuple[bool, int], Trial]()
    sides = _sides(spec, tuned)
    for _, t in sorted(ledger.trials.items()):
        if t.purpose is Purpose.CERTIFY and t.state is not State.CANCELLED:
            params = dict(t.complete(spec.assumed, spec.space))
            for is_tuned, parent, wanted in sides:
                if t.parent == parent and params == dict(wanted):
                    found.setdefault((is_tuned, t.replicate or 0), t)
    return found
