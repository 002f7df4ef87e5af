"""The runs behind an evidence: finalists measured again, and pairs of baseline and tuned setting on equal seeds."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import engine
from ..canonical import same_setting
from ..checks import shown
from ..engine.ledger import Ledger
from ..errors import SpecError, nearest
from ..evidence import Contest
from ..goals import Goal, Metrics
from ..live import LiveStudy
from ..records import OPEN, Proposal, Purpose, State, StudySpec, Trial
from ..running import runner
from ..running.crew import Crew
from ..space import Params

Sides = Sequence[tuple[int, Params]]
"""Settings that run on the same seeds, each with the number of the trial that it comes from (the baseline's: 0)."""
Again = Counter[tuple[Purpose, int]]
"""How often the runs on a purpose's seed i (a replicate) are begun again: `begun_again`."""
GetCrew = Callable[[], Crew]
"""Returns the crew that runs trials, and hires it when first called: often nothing has to run."""


def goal(spec: StudySpec, metric: str | None) -> Goal:
    """The goal to certify: the first one, or the one named."""
    if metric is None:
        return spec.goals[0]
    for g in spec.goals:
        if isinstance(metric, str) and g.metric == metric:
            return g
    raise SpecError(
        f"metric={shown(metric)} is no goal of the study{nearest(str(metric), [g.metric for g in spec.goals])}"
    )


def contest(spec: StudySpec, tuned: Trial) -> Contest:
    """The baseline against a trial's setting. Raises SpecError if there is nothing to compare."""
    if spec.baseline is None:
        raise SpecError(
            "evidence compares with a baseline, and this study has none, as not every parameter has a default; name it: "
            "study.revise(baseline={...}), or baseline: {...} in the study file and trimtab revise"
        )
    if tuned.state is not State.DONE:
        raise SpecError(f"tuned={tuned.number}: this trial is {tuned.state}; name one that is done")
    return Contest(spec.baseline, spec.current(tuned.params), tuned.number)


def begun_again(ledger: Ledger) -> Again:
    """The seeds on which every run has failed, of two settings or more: with how many such attempts.

    What fails for all of them is no matter of a setting (a file was missing), and nobody has seen a result to choose by.
    So they run again on the same seed, all of them. The failed runs stay on record, and a further attempt says in its `why`
    how many there were before. Who calls this once decides for a whole evidence: what fails in it does not run for ever.
    """
    attempts = defaultdict[tuple[Purpose, int, int], list[Trial]](list)
    for purpose in (Purpose.SELECT, Purpose.CERTIFY):
        for t in ledger.evidence_trials(purpose):
            attempts[purpose, t.replicate or 0, _attempt(t)].append(t)
    found = Counter[tuple[Purpose, int]]()
    for (purpose, i, attempt), runs in sorted(attempts.items()):
        all_failed = all(t.state is State.FAILED for t in runs) and len({t.parent for t in runs}) > 1
        if all_failed and attempt == found[purpose, i]:
            found[purpose, i] += 1
    return found


def _attempt(t: Trial) -> int:
    """How many attempts on the seed of this run there were before."""
    return int(t.why.get("again", 0))


def enqueue(
    live: LiveStudy, purpose: Purpose, sides: Sides, runs: int, design: Mapping[str, Any], again: Again
) -> list[int]:
    """Make sure that replicates 0 .. runs-1 of every side exist; returns their numbers, new and old.

    Every other replicate runs the sides in the opposite order, so that a machine that grows faster or slower from run to
    run favours none of them. `design` is what was fixed before the runs: it is recorded with them. If another process was
    faster, missing runs are determined again: it may have asked for the same ones.
    """
    forward = list(enumerate(sides))

    def missing(ledger: Ledger) -> list[Proposal]:
        have = found(ledger, purpose, sides, again)
        return [
            Proposal(
                params=params,
                seed=engine.trial_seed(ledger.study.spec.seed, str(purpose), i),
                purpose=purpose,
                strategy="evidence",
                version="3",
                parent=parent,
                replicate=i,
                why={**design, **({"again": again[purpose, i]} if again[purpose, i] else {})},
            )
            for i in range(runs)
            for side, (parent, params) in (forward[::-1] if i % 2 else forward)
            if (side, i) not in have
        ]

    live.enqueue_wanted(missing)
    return sorted(t.number for (_, i), t in found(live.ledger, purpose, sides, again).items() if i < runs)


def complete(live: LiveStudy, crew: GetCrew, wanted: Callable[[], list[int]]) -> None:
    """Run the wanted trials to their ends, and cancelled ones again: whoever could leave runs out could choose the
    answer.

    Raises StudyMismatch if the study was cancelled or archived.
    """
    numbers = wanted()
    while any(live.ledger.trials[n].state in OPEN for n in numbers):
        runner.run_to_the_end(crew(), numbers)
        numbers = wanted()


def metrics(have: Mapping[tuple[int, int], Trial], side: int, i: int) -> Metrics | None:
    """The metrics of a side's replicate i; None for a run that failed or is missing."""
    t = have.get((side, i))
    return t.metrics if t is not None and t.state is State.DONE else None


def found(ledger: Ledger, purpose: Purpose, sides: Sides, again: Again) -> dict[tuple[int, int], Trial]:
    """The study's trials of this purpose for these settings, by (side, replicate): the first of each, in the attempt that
    counts.

    Cancelled ones don't count, and neither do those of settings that a revision has changed since.
    """
    spec, have = ledger.study.spec, dict[tuple[int, int], Trial]()
    for t in ledger.evidence_trials(purpose):
        if t.state is not State.CANCELLED and _attempt(t) == again[purpose, t.replicate or 0]:
            params = spec.current(t.params)
            for side, (parent, wanted) in enumerate(sides):
                if t.parent == parent and same_setting(params, wanted):
                    have.setdefault((side, t.replicate or 0), t)
    return have
