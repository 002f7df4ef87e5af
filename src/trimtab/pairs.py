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
    """Make sure that pairs 0 .. replicates-1 exist as certify trials; returns their numbers, new and old."""
    spec, have = book.spec, _found(book, tuned)
    missing = [
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
        for parent, params in ((0, spec.baseline), (tuned.number, tuned.params))
        if params is not None and (parent, i) not in have
    ]
    added = book.put(missing) if missing else []
    wanted = [t.number for (_, i), t in have.items() if i < replicates]
    return sorted([*wanted, *(t.number for t in added)])


def results(book: Book, tuned: Trial, replicates: int) -> Sequence[Pair]:
    """(baseline metrics, tuned metrics) of each pair; None for a run that failed."""
    have = _found(book, tuned)

    def metrics(parent: int, i: int) -> Metrics | None:
        t = have.get((parent, i))
        return t.metrics if t is not None and t.state is State.DONE else None

    return [(metrics(0, i), metrics(tuned.number, i)) for i in range(replicates)]


def _found(book: Book, tuned: Trial) -> dict[tuple[int, int], Trial]:
    """The study's certify trials for these two, by (parent, replicate); cancelled ones don't count."""
    return {
        (t.parent or 0, t.replicate or 0): t
        for t in book.of_purpose(Purpose.CERTIFY)
        if t.parent in (0, tuned.number) and t.state is not State.CANCELLED
    }
