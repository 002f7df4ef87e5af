"""The progress line of a running study: rewritten in place on a terminal; elsewhere a plain line now and then.

It goes to standard error, so that standard output stays the program's own.
"""

import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from .. import streams
from ..engine.incumbents import Candidate, baseline_metrics, best, candidates
from ..engine.ledger import Ledger
from ..engine.planning import Terms
from ..formatting import duration, number, plural
from ..goals import Metrics
from ..records import OPEN, Purpose, State, StudySpec
from ..records.usage import UNITS

if TYPE_CHECKING:
    from rich.live import Live

EVERY = 10.0  # seconds between two plain lines, unless there is a new best trial
MANY = 2000  # results; when there are more, replicates are no longer averaged for the progress line


def line(ledger: Ledger, leader: Candidate | None, eta: float | None) -> str:
    """The state of a study in one line: counts, the best so far (`leader`), what is left of the budget, and `eta`, the
    seconds that are left (None: unknown)."""
    counts = ledger.counts
    states = [f"{counts[State.DONE]} done", f"{len(ledger.running())} running", f"{counts[State.FAILED]} failed"]
    if counts[State.STOPPED]:
        states.insert(1, f"{counts[State.STOPPED]} stopped early")
    parts = [", ".join(states), _evidence(ledger), _best(ledger.study.spec, leader), _budget_left(ledger)]
    if eta is not None:
        parts.append(f"about {duration(max(1, round(eta)))} to go")
    return " · ".join(p for p in parts if p)


def _evidence(ledger: Ledger) -> str:
    """The progress of the evidence, while its trials run."""
    purposes = {t.purpose for t in ledger.open.values()}
    purpose = next((p for p in (Purpose.CERTIFY, Purpose.SELECT) if p in purposes), None)
    if purpose is None:
        return ""
    runs = ledger.evidence_trials(purpose)
    ended = sum(t.state not in OPEN for t in runs)
    if purpose is Purpose.SELECT:  # how many there will be is not known: the race ends when one is left
        return f"evidence: finalists measured again, {plural(ended, 'run')}"
    return f"evidence: {ended} of {plural(len(runs), 'run')}"


def _best(spec: StudySpec, leader: Candidate | None) -> str:
    if leader is None:
        return "no feasible result yet" if spec.constraints else "no result yet"
    metric = spec.goals[0].metric
    text = f"best {metric} {number(leader.metrics[metric])} (trial {leader.number}"
    if spec.constraints:
        text += {True: ", feasible", False: ", not feasible", None: ", feasibility unknown"}[leader.feasible]
    return text + ")"


def _budget_left(ledger: Ledger) -> str:
    """What remains of the budget's limits, except for time, which `eta` covers."""
    b, spent = ledger.study.spec.budget, ledger.study.spent
    left = [] if b.trials is None else [f"{max(0, b.trials - ledger.counted)} of {plural(b.trials, 'trial')}"]
    for name, (used, limit) in b.measured(spent).items():
        left.append(f"{number(max(0.0, limit - used), 3)} of {number(limit, 3)} {UNITS[name]}")
    return f"{', '.join(left)} left" if left else ""


class Progress:
    """A context manager that shows `line` whenever it is updated.

    stream: standard error by default. quiet: show nothing. terms: when the search is to end; None if there is no search.
    """

    def __init__(
        self, spec: StudySpec, stream: TextIO | None = None, quiet: bool = False, terms: Terms | None = None
    ) -> None:
        self._terms = terms
        self._name = spec.name
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._live: Live | None = None
        self._latest = self._ended = ""  # the line as it is now, and without the time to go
        self._shown = ""  # what was last written of the latter
        self._at: float | None = None  # when it was written
        self._start: tuple[float, int] | None = None  # time of the first update, and how many trials had finished then
        self._leader: Candidate | None = None
        self._told = 0  # how many results have been looked at
        self._judged_by: tuple[StudySpec, Metrics | None] | None = None  # the spec and the baseline's metrics behind it

    def __enter__(self) -> "Progress":
        terminal = streams.is_terminal(self._stream) and os.environ.get("TERM") not in ("dumb", "unknown")
        if terminal and not self._quiet:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=self._stream), auto_refresh=False)
            with suppress(*streams.LOST):
                self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._latest = self._ended  # nothing is to go any more
        if self._live is not None:
            with suppress(*streams.LOST):
                if self._ended:
                    self._draw(self._live)
                self._live.stop()
            self._live = None
        elif self._ended != self._shown:
            self._write()

    def update(self, ledger: Ledger, now: float) -> None:
        """Show the study as it is at `now` (seconds, by the clock of the terms)."""
        if self._quiet:
            return
        better = self._follow(ledger)
        eta = self._eta(ledger, now)
        self._latest, self._ended = (f"{self._name}: {line(ledger, self._leader, x)}" for x in (eta, None))
        if self._live is not None:
            with suppress(*streams.LOST):
                self._draw(self._live)
        elif better or self._at is None or now - self._at >= EVERY:
            self._at = now
            self._write()

    def _follow(self, ledger: Ledger) -> bool:
        """Look for a new leader if there are new results; True if there is one.

        Only the new results are compared with the leader. All are looked at again if the spec has changed or the
        baseline has ended, and after each result as long as replicates may change the mean of an earlier setting.
        """
        told, before, spec = ledger.told, self._leader, ledger.study.spec
        if self._told == len(told):
            return False
        judged_by = (spec, baseline_metrics(spec, ledger.baseline))
        again = judged_by != self._judged_by or (spec.replicates > 1 and self._told < MANY)
        new = candidates(spec, told if again else told[self._told :], judged_by[1])
        self._leader = best(spec, new if again or before is None else [before, *new])
        self._told, self._judged_by = len(told), judged_by
        return self._leader is not None and (before is None or self._leader.number != before.number)

    def _eta(self, ledger: Ledger, now: float) -> float | None:
        """Seconds until the search is to end, at the pace since the first update; None if unknown, or without a search."""
        if self._terms is None:
            return None
        b, done = ledger.study.spec.budget, ledger.counted
        if self._start is None:
            self._start = (now, done)
        since, had = self._start
        if any(n is not None and done >= n for n in (b.trials, self._terms.trials)):
            return None
        found = [b.time - ledger.wall(ledger.now)] if isinstance(b.time, float) else []
        if self._terms.until is not None:
            found.append(self._terms.until - now)
        if done > had:
            trials = [float(n - done) for n in (b.trials, self._terms.trials) if n is not None]
            trials += [(limit - x) / (x / done) for x, limit in b.measured(ledger.study.spent).values() if x > 0]
            found += [n * (now - since) / (done - had) for n in trials]
        left = min(found, default=0.0)
        return left if left > 0 else None

    def _draw(self, live: "Live") -> None:
        from rich.text import Text

        live.update(Text(streams.visible(self._latest), overflow="ellipsis", no_wrap=True), refresh=True)

    def _write(self) -> None:
        self._shown = self._ended
        streams.tell(self._latest, self._stream)
