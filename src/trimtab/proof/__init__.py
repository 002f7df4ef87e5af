"""From a study's record to its certificate: select among the most promising settings, run the pairs, judge, record.

Two stages. *Select*: if noise hides which setting is best, or whether it meets the constraints, the most promising ones
race on fresh seeds, the same for all (`select` trials). *Certify*: the chosen one runs against the baseline on seeds
that no selection has seen (`certify` trials). What was fixed beforehand is recorded with the runs; looking again, or at
another setting, is corrected for. `evidence` has the statistics.

    finalists  the first stage
    pairs      the runs of both stages: settings on equal seeds
    looks      what the record has already shown about a question
    worth      what the search was worth
    holdout    tuned against baseline on held-out rows
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial

from .. import standing
from ..checks import whole
from ..errors import SpecError, Stale
from ..evidence import Contest, Design, Evidence, certify
from ..formatting import number, plural
from ..live import LiveStudy
from ..records import Change, Purpose
from ..running.crew import Crew
from . import finalists, pairs
from .looks import Seen, last_certificate, mixed, others_since
from .worth import worth_of_search

STEP = 5  # pairs between two looks of a sequential certificate

Hire = Callable[[], AbstractContextManager[Crew]]
Judge = Callable[..., Evidence]


@dataclass(frozen=True)
class Question:
    """What a certificate is asked, as in `Study.evidence`."""

    replicates: int
    metric: str | None
    tuned: int | None
    finalists: int
    design: Design
    said_ratio: float | None  # what the objective itself says of its test_train_ratio
    most: int | None  # for how many pairs it has folds

    def __post_init__(self) -> None:
        for name, value, least in (("replicates", self.replicates, 2), ("finalists", self.finalists, 1)):
            object.__setattr__(self, name, whole(name, value, least))
        if self.most is not None and self.replicates > self.most:
            raise SpecError(
                f"replicates={self.replicates}: the objective has folds for {plural(self.most, 'pair')} only; ask for so many"
            )

    @property
    def on_search_folds(self) -> bool:
        """Whether the pairs are the folds by which the search chose: an objective with so many folds has no others."""
        return self.most is not None


def prove(live: LiveStudy, question: Question, hire: Hire) -> Evidence:
    """The answer, after whatever runs it still needs; recorded as an event unless it is already on record."""
    ledger = live.refresh()
    spec, goal = ledger.study.spec, pairs.goal(ledger.study.spec, question.metric)
    others = [g for g in spec.goals if g != goal] if question.metric is None else []
    made, named = standing.of_ledger(ledger), question.tuned
    first = standing.best_trial(ledger, made) if named is None else ledger.trials.named(named)
    pairs.contest(spec, first)  # a wrong call is an error before anything runs
    with ExitStack() as stack:
        crew = cache(lambda: stack.enter_context(hire()))
        ran = finalists.measured_again(live, made, question.finalists, crew) if named is None else ()
        contest = pairs.contest(spec, ledger.trials[ran[0].trial] if ran else first)
        judge = partial(
            certify,
            goal,
            contest,
            constraints=spec.constraints,
            others=others,
            seen=question.on_search_folds,
            deterministic=spec.deterministic,
        )
        metrics = [goal.metric, *(g.metric for g in others)]
        found, seen, asked = _answered(live, question, contest, metrics, judge, crew)
    worth = worth_of_search(live.refresh(), contest.tuned, goal.metric)
    if question.on_search_folds:  # the search's value cannot measure optimism
        worth = replace(worth, searched=math.nan)
    notices = (*found.notices, *finalists.notices(live, ran), *_notices(live, question, asked, contest, seen))
    found = replace(found, finalists=ran, worth=worth, notices=notices)
    if last_certificate(live) != found:
        try:
            live.storage.revise(live.id, Change("evidence", body={"evidence": found.to_json()}))
        except Stale as error:  # what cannot be recorded is not returned either: it would be an uncounted look
            raise SpecError(f"this evidence cannot be recorded: {error}") from None
    return found


def _answered(
    live: LiveStudy,
    question: Question,
    contest: Contest,
    metrics: Sequence[str],
    judge: Judge,
    crew: pairs.GetCrew,
) -> tuple[Evidence, Seen, Question]:
    """The evidence, corrected for all earlier looks at these metrics, also those made while it ran; the looks; and the
    question with the design and number of pairs that they made necessary."""
    seen, asked = _corrected(live, question, contest, metrics)
    while True:
        corrected = partial(judge, design=asked.design, compared=seen.compared)
        looks = range(STEP, asked.replicates, STEP) if question.design.sequential else ()
        counts = [*(n for n in looks if n >= seen.ended), asked.replicates]  # pairs that have run all count
        found = corrected([]) if contest.same else _run(live, asked.design, counts, contest, corrected, crew)
        before = seen.compared, asked
        seen, asked = _corrected(live, question, contest, metrics)
        if (seen.compared, asked) == before:  # there was no other look while it ran
            return found, seen, asked


def _corrected(live: LiveStudy, question: Question, contest: Contest, metrics: Sequence[str]) -> tuple[Seen, Question]:
    """The looks by now, and the question with the design and number of pairs that they make necessary."""
    seen = Seen.of(live, contest, metrics)
    asked = replace(question, replicates=max(question.replicates, seen.ended))
    if seen.grown(asked.replicates):
        asked = replace(asked, design=replace(asked.design, sequential=True))
    return seen, asked


def _run(
    live: LiveStudy,
    design: Design,
    counts: Sequence[int],
    contest: Contest,
    judge: Judge,
    crew: pairs.GetCrew,
) -> Evidence:
    """Run the pairs, and judge at each number of pairs in `counts`, until the interval decides."""
    sides = contest.sides
    fixed = {
        "minimum_effect": design.minimum_effect,
        "equivalence": design.equivalence,
        "sequential": design.sequential,
    }
    for count in counts:
        pairs.complete(live, crew, partial(pairs.enqueue, live, Purpose.CERTIFY, sides, count, fixed))
        have = pairs.found(live.refresh(), Purpose.CERTIFY, sides)
        alike = sorted({*range(count)} - mixed(live, have))
        found = judge([(pairs.metrics(have, 0, i), pairs.metrics(have, 1, i)) for i in alike])
        found = replace(found, failed_pairs=found.failed_pairs + count - len(alike))
        if found.decision in ("proven", "worse"):
            break
    return found


def _notices(live: LiveStudy, question: Question, asked: Question, contest: Contest, seen: Seen) -> list[str]:
    """Where the question departs from the design on record, which pairs were left out, and why the interval is wider than that
    of a single look."""
    said, design = [], question.design
    if asked.design.sequential and not design.sequential:
        said.append(
            "an earlier look had fewer pairs, or more were planned: the interval is one that holds however often one looks"
        )
    if asked.replicates > question.replicates:
        said.append(f"{plural(asked.replicates, 'pair')} had run already, and all of them count")
    have = pairs.found(live.ledger, Purpose.CERTIFY, contest.sides)
    if apart := mixed(live, have):
        said.append(
            f"{plural(len(apart), 'pair')} left out: the objective or its data changed between their two runs; with more "
            "replicates, others run"
        )
    designs = [t.why for _, t in sorted(have.items()) if t.why]
    before = float(designs[0].get("minimum_effect", 0.0)) if designs else 0.0
    if have and before != design.minimum_effect:
        said.append(
            f"minimum_effect was fixed as {number(before)} before the runs and is {number(design.minimum_effect)} now"
        )
    if question.on_search_folds:
        said.append(
            "these are the folds that the search chose by, which flatters the gain: on them none is proven; study.holdout "
            "compares on rows that nobody has seen"
        )
    ratio = max(seen.ratio or 0.0, question.said_ratio or 0.0)
    if ratio > design.test_train_ratio:
        given = number(design.test_train_ratio, 3)
        said.append(f"test_train_ratio was said to be {number(ratio, 3)}, and is {given} here")
    return [*said, *others_since(live, contest, have)]
