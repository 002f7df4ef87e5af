"""From a study's record to its certificate: select among the most promising settings, run the pairs, judge, record.

Two stages. *Select*: if noise hides which setting is best, or whether it meets the constraints, the most promising ones
race on fresh seeds, the same for all (`select` trials). *Certify*: the chosen one runs against the baseline on seeds
that no selection has seen (`certify` trials). What was fixed beforehand is recorded with the runs; looking again, or at
another setting, is corrected for. `evidence` has the statistics.

    pairs    the runs: settings on equal seeds
    looks    what the record has already shown about a question
    holdout  tuned against baseline on held-out rows
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from ..arrays import Array
from ..canonical import same_setting
from ..checks import whole
from ..engine import incumbents
from ..engine.ledger import Ledger
from ..engine.lineage import ancestry
from ..errors import SpecError, Stale
from ..evidence import Contest, Design, Evidence, Finalist, Worth, certify
from ..evidence.race import ENOUGH, Entrants, race
from ..evidence.random_search import equal_trials, over_random
from ..formatting import first_line, number, plural
from ..live import LiveStudy
from ..records import OPEN, Change, Purpose, State, Trial
from ..running import runner
from ..space import Params
from ..standing import Standings, believed, limits, standings
from . import pairs
from .looks import Seen, mixed, others_since

POOL = 50  # settings that may enter a race when others break a limit
STEP = 5  # pairs between two looks of a sequential certificate

Hire = Callable[[], AbstractContextManager[runner.Staff]]
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
    made = standings_of(ledger)
    first = _tuned(ledger, question, made)
    pairs.contest(spec, first)  # a wrong call is told before anything runs
    with ExitStack() as stack:
        staff = cache(lambda: stack.enter_context(hire()))  # hired when first needed: often nothing has to run
        finalists = _finalists(live, question, made, staff)
        contest = pairs.contest(spec, ledger.trials[finalists[0].trial] if finalists else first)
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
        found, seen, asked = _answered(live, question, contest, metrics, judge, staff)
    worth = _worth(live.refresh(), contest.tuned, goal.metric)
    if question.on_search_folds:  # the search's value cannot measure optimism
        worth = replace(worth, searched=math.nan)
    found = replace(found, finalists=finalists, worth=worth)
    said = [*_raced(live, finalists), *_beside(live, question, asked, contest, seen)]
    found = replace(found, notices=(*found.notices, *said))
    if last(live) != found:
        try:
            live.storage.revise(live.study, Change("evidence", body={"evidence": found.to_json()}))
        except Stale as error:  # what cannot be recorded is not returned either: it would be an uncounted look
            raise SpecError(f"this evidence cannot be recorded: {error}") from None
    return found


def _answered(
    live: LiveStudy,
    question: Question,
    contest: Contest,
    metrics: Sequence[str],
    judge: Judge,
    staff: Callable[[], runner.Staff],
) -> tuple[Evidence, Seen, Question]:
    """The evidence, corrected for everything that has been seen of these metrics by the time it is ready; what that
    was; and the question as it had to be asked because of it."""
    seen, asked = _corrected(live, question, contest, metrics)
    while True:
        corrected = partial(judge, design=asked.design, compared=seen.compared)
        looks = range(STEP, asked.replicates, STEP) if question.design.sequential else ()
        counts = [*(n for n in looks if n >= seen.ended), asked.replicates]  # pairs that have run all count
        found = corrected([]) if contest.same else _run(live, asked.design, counts, contest, corrected, staff)
        before = seen.compared, asked
        seen, asked = _corrected(live, question, contest, metrics)
        if (seen.compared, asked) == before:  # there was no other look while it ran
            return found, seen, asked


def _corrected(live: LiveStudy, question: Question, contest: Contest, metrics: Sequence[str]) -> tuple[Seen, Question]:
    """What has been seen by now, and the question as it has to be asked because of it."""
    seen = Seen.of(live, contest, metrics)
    asked = replace(question, replicates=max(question.replicates, seen.ended))
    if seen.grown(asked.replicates):
        asked = replace(asked, design=replace(asked.design, sequential=True))
    return seen, asked


def last(live: LiveStudy) -> Evidence | None:
    """The last evidence on record."""
    bodies = [e.body["evidence"] for e in live.storage.events(live.study, kinds={"evidence"})]
    return Evidence.from_json(bodies[-1]) if bodies else None


def standings_of(ledger: Ledger) -> Standings:
    """Which settings are best by what the record supports."""
    return standings(ledger.study.spec, incumbents.of_ledger(ledger))


def _tuned(ledger: Ledger, question: Question, made: Standings) -> Trial:
    """The trial that is named, or the best one. Raises SpecError if there is none."""
    return best(ledger, made) if question.tuned is None else ledger.trials.named(question.tuned)


def best(ledger: Ledger, made: Standings) -> Trial:
    """The trial of the best setting. Raises SpecError while there is none."""
    if made.best is not None:
        return made.best.trial
    done, spec = ledger.counts[State.DONE], ledger.study.spec
    if done:
        why = f"of {plural(done, 'finished trial')}, none {incumbents.admission(spec)}"
    else:
        why = "0 trials are done" + (_failed(ledger) or "; run some first")
    raise SpecError(f"study {spec.name!r} has no best trial yet: {why}")


def _failed(ledger: Ledger) -> str:
    """How many trials failed, and why the last one did."""
    last = max(ledger.failures_in_a_row(0), key=lambda t: t.told or 0, default=None)
    if last is None:
        return ""
    failed = f"{ledger.counts[State.FAILED]} failed; the last one, trial {last.number}, by {last.reason}"
    return f", {failed}: {first_line(last.error)}"


def _completed(live: LiveStudy, staff: Callable[[], runner.Staff], wanted: Callable[[], list[int]]) -> None:
    """Run the wanted trials to their ends, and cancelled ones again: whoever could leave runs out could choose the
    answer.

    Raises StudyMismatch if the study was cancelled or archived.
    """
    numbers = wanted()
    while any(live.ledger.trials[n].state in OPEN for n in numbers):
        runner.run_to_the_end(live, staff(), numbers)
        numbers = wanted()


# ---------------------------------------------------------------------------------------------------------- select


def _finalists(
    live: LiveStudy, question: Question, made: Standings, staff: Callable[[], runner.Staff]
) -> tuple[Finalist, ...]:
    """The settings that were measured again, the chosen one first; empty if there is nothing to choose.

    With constraints, even a clear winner runs again, and the next in order may replace it: on fresh seeds, or on the
    rows of the certificate, a constraint that held in the search may not hold.
    """
    spec = live.spec
    limited = bool(spec.constraints) and not spec.deterministic
    if question.tuned is not None or question.finalists == 1:
        return ()
    pool = made.finalists(question.finalists)
    first = len(pool)
    if limited:
        pool += [s.candidate for s in made.order[:POOL] if s.candidate not in pool]
    elif first < 2:
        return ()
    before = incumbents.baseline_metrics(spec, live.ledger.baseline)
    sides = [(c.number, spec.current(c.params)) for c in pool]
    searched = np.array([incumbents.excesses(spec, c.metrics, before) for c in pool]).reshape(len(pool), -1)
    entrants = Entrants(*made.losses(pool, spec.space.encode([params for _, params in sides])), searched, made.noise)
    winner, runs = race(entrants, first, ENOUGH * question.finalists, lambda runs: _measured(live, sides, runs, staff))
    losses, excess = _measured(live, sides, runs, staff)
    goal = spec.goals[0]
    ran = [winner, *(i for i in range(len(pool)) if runs[i] and i != winner)]
    return tuple(_finalist(sides[i][0], -losses[i] if goal.maximize else losses[i], excess[i]) for i in ran)


def _measured(
    live: LiveStudy, sides: pairs.Sides, runs: Sequence[int], staff: Callable[[], runner.Staff]
) -> tuple[Array, Array]:
    """Losses (k, r) and excess over each limit (k, r, c) of this many `select` runs of each side; NaN if a run is
    missing.

    A limit relative to the baseline compares with the baseline's run on the same seed.
    """
    spec, r = live.spec, max(runs)
    relative = any(c.relative for c in spec.constraints)
    reference = [(0, spec.baseline)] if relative and spec.baseline is not None else []

    def wanted() -> list[int]:
        numbers = list[int]()
        for count in sorted({*runs} - {0}):
            equally_often = [side for side, n in zip(sides, runs, strict=True) if n == count]
            numbers += pairs.enqueue(live, Purpose.SELECT, equally_often, count, {})
        return numbers + pairs.enqueue(live, Purpose.SELECT, reference, r, {})

    _completed(live, staff, wanted)
    have = pairs.found(live.refresh(), Purpose.SELECT, sides)
    beside = pairs.found(live.ledger, Purpose.SELECT, reference)
    goal = spec.goals[0]
    losses = np.full((len(sides), r), math.nan)
    excess = np.full((len(sides), r, len(spec.constraints)), math.nan)
    for side, count in enumerate(runs):
        for i in range(count):
            metrics = pairs.metrics(have, side, i) or {}
            losses[side, i] = goal.loss(metrics)
            excess[side, i] = incumbents.excesses(spec, metrics, pairs.metrics(beside, 0, i))
    return losses, excess


def _finalist(trial: int, values: Array, excess: Array) -> Finalist:
    """The summary of a finalist's runs; `excess` (r, c)."""
    known = np.isfinite(values)
    broke = (excess[known] > 0).any(axis=1)  # what is unknown (NaN) is not broken
    return Finalist(trial, int(known.sum()), float(values[known].mean()) if known.any() else math.nan, int(broke.sum()))


def _raced(live: LiveStudy, finalists: Sequence[Finalist]) -> list[str]:
    """Whether the finalists ran different code. They run again only if the record lacks a run."""
    sides = [(f.trial, live.spec.current(live.ledger.trials[f.trial].params)) for f in finalists]
    if not mixed(live, pairs.found(live.ledger, Purpose.SELECT, sides)):
        return []
    return [
        "the objective or its data changed among the runs by which the finalists were compared: what was chosen may be due "
        "to that, what the pairs show is not"
    ]


# --------------------------------------------------------------------------------------------------------- certify


def _run(
    live: LiveStudy,
    design: Design,
    counts: Sequence[int],
    contest: Contest,
    judge: Judge,
    staff: Callable[[], runner.Staff],
) -> Evidence:
    """Run the pairs, and judge whenever there are so many (`counts`) of them, until the interval decides."""
    sides = contest.sides
    fixed = {
        "minimum_effect": design.minimum_effect,
        "equivalence": design.equivalence,
        "sequential": design.sequential,
    }
    for count in counts:
        _completed(live, staff, partial(pairs.enqueue, live, Purpose.CERTIFY, sides, count, fixed))
        have = pairs.found(live.refresh(), Purpose.CERTIFY, sides)
        alike = sorted({*range(count)} - mixed(live, have))
        found = judge([(pairs.metrics(have, 0, i), pairs.metrics(have, 1, i)) for i in alike])
        found = replace(found, failed_pairs=found.failed_pairs + count - len(alike))
        if found.decision in ("proven", "worse"):
            break
    return found


def _beside(live: LiveStudy, question: Question, asked: Question, contest: Contest, seen: Seen) -> list[str]:
    """What changed between the design on record and the question, and why an interval is wider than that of a single
    look."""
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
    if before != design.minimum_effect:
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


# ----------------------------------------------------------------------------------------------------------- worth


def _worth(ledger: Ledger, params: Params, metric: str) -> Worth:
    """The search's own value of the tuned setting, the cost of the search, and what random search would have found."""
    spec, every = ledger.study.spec, incumbents.of_ledger(ledger)
    own = next((c for c in every if same_setting(spec.current(c.params), params)), None)
    searched = [t for t in ledger.told if t.purpose is Purpose.SEARCH]
    hours = sum(t.cost.wall for t in searched) / 3600
    bounds = limits(spec, every, incumbents.baseline_metrics(spec, ledger.baseline))
    own_value = math.nan if own is None else own.metrics.get(metric, math.nan)
    if len(spec.goals) > 1 or bounds is None or not searched:  # random search for one of the goals is another question
        return Worth(own_value, hours)
    costs = np.array([t.cost.wall for t in searched])
    full = np.array([_full_cost(ledger, t) for t in searched])
    blind = np.array([t.strategy in ("random", "sobol") or "design" in t.why for t in searched])
    row = spec.space.encode([params])[0]
    gain = over_random(believed(spec, every), spec.space, row, equal_trials(costs, full, blind), bounds)
    return Worth(own_value, hours, gain)


def _full_cost(ledger: Ledger, t: Trial) -> float:
    """Seconds that a trial took which was trained in full, with those that it continued; NaN if it was not: it failed, was
    stopped early, or is to be promoted later."""
    if t.state is not State.DONE or not incumbents.fully_trained(ledger.study.spec, t.fidelity):
        return math.nan
    return math.fsum(part.cost.wall for part in ancestry(ledger.trials, t.number))
