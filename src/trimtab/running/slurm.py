"""A study on Slurm: each job is a worker (see `worker`); the program that called `run` sees to it that there are enough.

That program watches the record until the plan closes, replaces jobs that have ended, and at last ends those that remain.
It proposes only if no trial is open. If it is killed, its jobs continue; running the same line again finds them by name.
"""

import logging
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..engine.ledger import Ledger
from ..engine.planning import Charge, Here, Terms
from ..errors import BudgetSpent, RunFailed, SpecError, TrimtabError
from ..executors import slurm
from ..executors.slurm import Slurm, SlurmError
from ..interrupts import interruptible
from ..live import LiveStudy
from ..objective import as_program
from ..outlook import Enough
from .announcements import announce, shareable
from .clock import SYSTEM
from .enough import EnoughCheck
from .progress import Progress
from .runner import check_results, decide, too_many_failures
from .staffing import Slots, check_prices

LOOK = 0.5  # seconds between two looks at the record
COUNT = 5.0  # seconds between two counts of the jobs
IDLE = "1m"  # a job that finds nothing to do for so long ends
PATIENCE = 600.0  # seconds without an answer from Slurm after which the run gives up
GRACE = 60.0  # seconds for which cancelled jobs are waited for

_log = logging.getLogger(__name__)


def options_of(executor: object) -> Slurm | None:
    """The options of `executor="slurm"` or `executor=Slurm(...)`; None for another executor."""
    if isinstance(executor, str):
        return Slurm() if executor == "slurm" else None
    return executor if isinstance(executor, Slurm) else None


def run(
    live: LiveStudy, objective: Any, slots: Slots, options: Slurm, quiet: bool, terms: Terms, enough: Enough | None
) -> str:
    """Run search trials in as many jobs as hold `slots`, until the plan closes; returns why it closed (see
    `runner.search`)."""
    workers, resources = slots.workers, slots.resources
    _reachable(live.storage.url)
    check_prices(live, resources)
    program = shareable(as_program(objective, live.spec))
    name, command = f"trimtab-{live.ledger.study.uid}", _command(live, program.text, options)
    jobs = Jobs(name, -(-workers // options.slots), options.slots, options.words(resources), command)
    jobs.probe()
    until = None if terms.until is None else live.refresh().now + terms.until - SYSTEM.steady()
    asked = {k: v for k, v in (("trials", terms.trials), ("until", until)) if v is not None}
    announce(live, program, resources, workers, **asked)
    with Progress(live.spec, quiet=quiet, terms=terms) as progress, interruptible():
        try:
            return _search(live, jobs, progress, terms, resources.charge, enough)
        finally:
            jobs.close()
            progress.update(live.refresh(), SYSTEM.steady())


def _reachable(url: str) -> None:
    """Raises SpecError for a store that jobs on other machines cannot open, or only by showing its password."""
    if not url.startswith("postgresql"):
        raise SpecError(
            f"storage={url!r}: jobs on other machines cannot share it (network file systems do not lock a SQLite file "
            "reliably); use storage='postgresql://user@host/name'"
        )
    if ":***@" in url:
        raise SpecError(
            f"storage={url!r}: its password would be shown to all users of the cluster in the jobs' command lines; put it "
            "in ~/.pgpass and leave it out of the URL"
        )


def _command(live: LiveStudy, text: str, options: Slurm) -> list[str]:
    """The command line of a job: a worker that serves only this study, with only this objective."""
    worker = [options.python, "-m", "trimtab", "worker"]
    served = [f"--storage={live.storage.url}", f"--study={live.spec.name}", f"--allow={text}"]
    limit = [] if options.trials is None else [f"--trials={options.trials}"]
    return [*worker, *served, f"--slots={options.slots}", f"--idle={IDLE}", *limit]


@dataclass
class Jobs:
    """The Slurm jobs of a study. Keeps their number, and notices if they end without doing anything."""

    name: str
    most: int  # how many there may be
    slots: int  # of each job
    words: Sequence[str]  # arguments of sbatch
    command: Sequence[str]  # what each job runs
    _there: int = 0  # how many waited or ran at the last count
    _gone: int = 0  # how many have ended since the study last made progress
    _progress: object = None  # changes when the study makes progress
    _submitted: bool = False  # whether this program has ever submitted a job
    _counted: float = -math.inf  # when they were last counted
    _heard: float = field(default_factory=time.monotonic)  # when Slurm last answered

    def probe(self) -> None:
        """Count the jobs that are there already. Raises SpecError if there is no Slurm."""
        try:
            self._there = slurm.living(self.name)
        except SlurmError as error:
            raise SpecError(f"executor='slurm': {error}") from None

    def keep(self, wanted: int, progress: object) -> None:
        """Make sure that `wanted` jobs wait or run. progress: a value that changes while the study makes progress.

        Raises SpecError if Slurm refuses the first ones, RunFailed if jobs keep ending without starting a trial, or if
        Slurm has not answered for PATIENCE seconds.
        """
        now = time.monotonic()
        if now - self._counted < COUNT:
            return
        self._counted = now
        try:
            there = slurm.living(self.name)
            self._gone = 0 if progress != self._progress else self._gone + max(0, self._there - there)
            self._progress, self._there = progress, there
            if self._gone > 3 * self.most:
                raise RunFailed(
                    f"{self._gone} jobs ended without having begun a trial; {slurm.log_tail(self.name) or 'no output'}"
                )
            if there < wanted:
                slurm.submit(self.name, wanted - there, self.words, self.command)
                self._there, self._submitted = wanted, True
            self._heard = now
        except SlurmError as error:
            if not self._submitted and not self._there:
                raise SpecError(f"executor='slurm': {error}") from None
            if now - self._heard > PATIENCE:
                raise RunFailed(f"Slurm has not answered for {PATIENCE:g} s: {error}") from None
            _log.warning("Slurm: %s", error)

    def close(self) -> None:
        """End the remaining jobs, and wait until they are gone."""
        until = time.monotonic() + GRACE
        with suppress(TrimtabError):
            slurm.cancel(self.name)
            while slurm.living(self.name) and time.monotonic() < until:
                time.sleep(LOOK)


def _search(
    live: LiveStudy, jobs: Jobs, progress: Progress, terms: Terms, charge: Charge, enough: Enough | None
) -> str:
    """Watch the record and keep the jobs until the plan closes; returns why it closed."""
    closing, check, known = None, EnoughCheck(live, enough), len(live.refresh().told)
    while closing is None:
        decision = decide(live, SYSTEM.steady(), terms, Here(free=1, charge=charge))
        ledger = live.ledger
        progress.update(ledger, SYSTEM.steady())
        live.collect()
        ended, known = ledger.told[known:], len(ledger.told)
        check_results(live, ended, terms)
        closing = "enough" if check.has_enough() else decision.closing
        if closing is None:
            try:
                if decision.fill and not ledger.open:
                    live.fill(decision.fill, decision.at)
            except BudgetSpent:
                closing = "budget"
                continue
            jobs.keep(_wanted(live.ledger, jobs, terms), _begun(live.ledger))
            time.sleep(LOOK)
    while closing not in ("time", "failures") and _held(live.refresh()):  # workers finish what they have started
        progress.update(live.ledger, SYSTEM.steady())
        time.sleep(LOOK)
    live.collect()
    if closing == "failures":
        raise too_many_failures(live, live.ledger.failures_in_a_row(terms.since))
    return closing


def _wanted(ledger: Ledger, jobs: Jobs, terms: Terms) -> int:
    """The number of jobs that have something to do."""
    limits = [x for x in (ledger.study.spec.budget.trials, terms.trials) if x is not None]
    return min(jobs.most, math.ceil(max(1, min(limits) - ledger.counted) / jobs.slots)) if limits else jobs.most


def _begun(ledger: Ledger) -> object:
    """A value that changes when a trial starts or ends."""
    return len(ledger.told), sum(t.attempt for t in ledger.open.values())


def _held(ledger: Ledger) -> bool:
    """Whether a worker still holds a running trial."""
    return any(t.lease_until is not None and t.lease_until > ledger.now for t in ledger.running())
