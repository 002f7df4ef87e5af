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
from ..evidence.intervals import MOST_PAIRS
from ..formatting import number, plural
from ..goals import Goal
from ..live import LiveStudy
from ..records import Change, Purpose, StudySpec, Trial
from ..running.crew import Crew
from . import finalists, pairs
from .looks import Seen, last_certificate, mixed, others_since
from .worth import worth_of_search

STEP = 5  # pairs between two looks of a sequential certificate

Hire = Callable[[], AbstractContextManager[Crew]]


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
            object.__setattr__(self, name, whole(name, value, least, most=MOST_PAIRS))
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
    spec, named, made = ledger.study.spec, question.tuned, standing.of_ledger(ledger)
    goals = [pairs.goal(spec, question.metric), *(spec.goals[1:] if question.metric is None else [])]
    first = standing.best_trial(ledger, made) if named is None else ledger.trials.named(named)
    pairs.contest(spec, first)  # a wrong call is an error before anything runs
    again = pairs.begun_again(ledger)
    with ExitStack() as stack:
        crew = cache(lambda: stack.enter_context(hire()))
        ran = finalists.measured_again(live, made, question.finalists, crew, again) if named is None else ()
        contest = pairs.contest(spec, ledger.trials[ran[0].trial] if ran else first)
        found, notices = _Case(live, spec, goals, question, contest, crew, again).answer()
    worth = worth_of_search(live.refresh(), ledger.trials[contest.trial], goals[0].metric)
    if question.on_search_folds:  # the search's value cannot measure optimism
        worth = replace(worth, searched=math.nan)
    notices = [*found.notices, *finalists.notices(live, ran, again), *notices]
    found = replace(found, finalists=ran, worth=worth, notices=tuple(notices))
    if last_certificate(live) != found:
        try:
            live.storage.revise(live.id, Change("evidence", body={"evidence": found.to_json()}))
        except Stale as error:  # what cannot be recorded is not returned either: it would be an uncounted look
            raise SpecError(f"this evidence cannot be recorded: {error}") from None
    return found


@dataclass(frozen=True)
class _Case:
    """A question about one contest, judged by `goals`, the first of which is certified."""

    live: LiveStudy
    spec: StudySpec
    goals: Sequence[Goal]
    question: Question
    contest: Contest
    crew: pairs.GetCrew
    again: pairs.Again

    def answer(self) -> tuple[Evidence, list[str]]:
        """The evidence, corrected for all earlier looks at these goals, also those made while it ran; and what a reader must
        know of how it was asked."""
        seen, asked = self._corrected(0)
        while True:
            found, before = self._run(asked, seen), (seen.compared, asked)
            seen, asked = self._corrected(len(found.pairs))
            if (seen.compared, asked) == before:  # there was no other look while it ran
                return found, self._notices(asked, seen)

    def _corrected(self, complete: int) -> tuple[Seen, Question]:
        """The looks by now, and the question with the design and number of pairs that they make necessary, where so many are
        complete."""
        seen = Seen.of(self.live, self.contest, [g.metric for g in self.goals])
        asked = replace(self.question, replicates=max(self.question.replicates, seen.ended))
        if seen.grown(asked.replicates, complete):
            asked = replace(asked, design=replace(asked.design, sequential=True))
        return seen, asked

    def _run(self, asked: Question, seen: Seen) -> Evidence:
        """Run the pairs, and judge at each number of pairs at which is looked, until the interval decides."""
        if self.contest.same:
            return self._judged(asked, seen, 0)
        looks = range(STEP, asked.replicates, STEP) if self.question.design.sequential else ()
        fixed = {name: getattr(asked.design, name) for name in ("minimum_effect", "equivalence", "sequential")}
        for count in [*(n for n in looks if n >= seen.ended), asked.replicates]:  # pairs that have run all count
            wanted = partial(pairs.enqueue, self.live, Purpose.CERTIFY, self.contest.sides, count, fixed, self.again)
            pairs.complete(self.live, self.crew, wanted)
            self.live.refresh()
            found = self._judged(asked, seen, count)
            if found.decision in ("proven", "worse"):
                break
        return found

    def _judged(self, asked: Question, seen: Seen, count: int) -> Evidence:
        """What the first `count` pairs show."""
        have = self._have()
        apart = mixed(self.live, have) & {*range(count)}
        return certify(
            self.goals[0],
            self.contest,
            [(pairs.metrics(have, 0, i), pairs.metrics(have, 1, i)) for i in range(count) if i not in apart],
            asked.design,
            constraints=self.spec.constraints,
            others=self.goals[1:],
            compared=seen.compared,
            seen=asked.on_search_folds,
            deterministic=self.spec.deterministic,
            left_out=len(apart),
        )

    def _have(self) -> dict[tuple[int, int], Trial]:
        """The runs of the pairs, by side and replicate."""
        return pairs.found(self.live.ledger, Purpose.CERTIFY, self.contest.sides, self.again)

    def _notices(self, asked: Question, seen: Seen) -> list[str]:
        """Where the question departs from the design on record, which pairs were left out, and why the interval is wider than
        that of a single look."""
        said, design, have = list[str](), self.question.design, self._have()
        if asked.design.sequential and not design.sequential:
            said.append(
                "an earlier look had fewer pairs, or more were planned: the interval is one that holds however often one looks"
            )
        if asked.replicates > self.question.replicates:
            said.append(f"{plural(asked.replicates, 'pair')} had run already, and all of them count")
        if apart := mixed(self.live, have):
            said.append(
                f"{plural(len(apart), 'pair')} left out: the objective or its data changed between their two runs; with more "
                "replicates, others run"
            )
        if repeated := sum(self.again[Purpose.CERTIFY, i] > 0 for i in range(asked.replicates)):
            said.append(
                f"all runs of {plural(repeated, 'pair')} had failed and were made again, on the same seeds: nobody had seen a "
                "result of them"
            )
        designs = [t.why for _, t in sorted(have.items()) if t.why]
        before = float(designs[0].get("minimum_effect", 0.0)) if designs else 0.0
        if have and before != design.minimum_effect:
            said.append(
                f"minimum_effect was fixed as {number(before)} before the runs and is {number(design.minimum_effect)} now"
            )
        if asked.on_search_folds:
            said.append(
                "these are the folds that the search chose by, which flatters the gain: on them none is proven; study.holdout "
                "compares on rows that nobody has seen"
            )
        ratio = max(seen.ratio or 0.0, asked.said_ratio or 0.0)
        if ratio > design.test_train_ratio:
            given = number(design.test_train_ratio, 3)
            said.append(f"test_train_ratio was said to be {number(ratio, 3)}, and is {given} here")
        return [*said, *others_since(self.live, self.contest, have)]
