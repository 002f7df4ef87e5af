"""Studies in simulated time: a week of tuning on 64 workers over recorded curves runs in seconds, reproducibly.

    sim = Simulation()
    study = Study("plan", space, minimize="loss", fidelity=Fidelity("epochs", 1, 81), storage=sim.storage, seed=1)
    sim.run(study, training, workers=64, trials=1000)
    print(sim.clock.now() / 3600, "hours")

The training is a generator: `yield seconds, step, metrics` says how many seconds the step has taken, and what it reports.
If a stopping rule ends the trial, the generator is not continued. Engine, stopping rules and store are those of a real
study. Proposals take no simulated time.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .checks import nonnegative, whole
from .errors import SpecError
from .executors import Exit, Job, Key
from .live import LiveStudy
from .objective import ActiveTrial
from .objective.evaluation import failure
from .objective.metrics import measured
from .records import Resources
from .running import runner
from .running.crew import Crew
from .storage.memory import Memory
from .study import Study

Training = Callable[[ActiveTrial], Iterator[tuple[float, float, Mapping[str, float]]]]
"""(trial) -> (seconds since the last step, step, metrics), ...; the last metrics are the trial's."""

_FOREVER = 1e9  # seconds: leases of simulated workers do not expire


class SimulatedClock:
    """A clock that is moved on when somebody waits for trials to end, or sleeps."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def steady(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class _Run:
    """A running trial."""

    job: Job
    trial: ActiveTrial
    steps: Iterator[tuple[float, float, Mapping[str, float]]]  # the training
    began: float
    # (step, metrics) of the step under way; None: the training ends.
    step: tuple[float, Mapping[str, float]] | None = None


class Simulated:
    """An executor whose jobs are trainings in simulated time.

    until: when the search is to end; `reap` returns at that time, so that the runner can end it.
    """

    def __init__(self, slots: int, training: Training, clock: SimulatedClock, until: float | None) -> None:
        self._slots, self._training, self._clock, self._until = slots, training, clock, until
        # A heap of (when the step ends, a number that breaks ties, run).
        self._queue: list[tuple[float, int, _Run]] = []
        self._count = itertools.count()
        self._ended: list[tuple[Job, Exit]] = []

    def free(self) -> int:
        return self._slots - len(self._queue) - len(self._ended)

    def launch(self, job: Job) -> None:
        trial = ActiveTrial({**job.payload, "checkpoint": None}, job.listen)
        self._start_step(_Run(job, trial, iter(self._training(trial)), self._clock.time))

    def reap(self, wait: float = 0.0) -> list[tuple[Job, Exit]]:
        """Let time pass until a job ends; with wait=0, no time passes."""
        while wait > 0 and self._queue and not self._ended:
            when, _, run = self._queue[0]
            if self._until is not None and self._clock.time < self._until < when:
                self._clock.time = self._until  # only once: jobs that the runner does not end now run to their ends
                break
            heapq.heappop(self._queue)
            self._clock.time = when
            self._end_step(run)
        ended, self._ended = self._ended, []
        return ended

    def waited(self) -> dict[Key, float]:
        return {}

    def kill(self, job: Job) -> None:
        run = next((r for _, _, r in self._queue if r.job is job), None)
        if run is not None:
            self._queue = [entry for entry in self._queue if entry[2] is not run]
            heapq.heapify(self._queue)
            self._end(run, None)

    def close(self) -> None:
        self._queue, self._ended = [], []

    def _end_step(self, run: _Run) -> None:
        """Report the step that ends now, then start the next one or end the job."""
        try:
            if run.step is not None:
                run.trial.report(run.step[0], **run.step[1])
                if not run.trial.should_stop():
                    self._start_step(run)
                    return
            stopped = bool(run.trial.rule)
            metrics = measured(run.trial.reported, run.trial.metrics, partly=stopped)
            self._end(run, {"state": "stopped" if stopped else "done", "metrics": metrics})
        except Exception as error:
            self._end(run, failure(error))

    def _start_step(self, run: _Run) -> None:
        """Start the next step of a training; if there is none, let it end at once."""
        passed = 0.0
        try:
            seconds, step, metrics = next(run.steps)
            passed, run.step = nonnegative("seconds", seconds, repair=": how long the step has taken"), (step, metrics)
        except StopIteration:
            run.step = None
        except Exception as error:
            self._end(run, failure(error))
            return
        heapq.heappush(self._queue, (self._clock.time + passed, next(self._count), run))

    def _end(self, run: _Run, message: Mapping[str, Any] | None) -> None:
        cost = {"wall": self._clock.time - run.began}
        self._ended.append((run.job, Exit(message, killed=message is None, cost=cost)))


class Simulation:
    """A simulated clock, and a store that goes by it, for one or several studies."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.storage = Memory(clock=self.clock.now)

    def run(
        self,
        study: Study,
        training: Training,
        *,
        workers: int = 1,
        trials: int | None = None,
        time: float | str | None = None,
    ) -> None:
        """The same as Study.run, but with simulated workers. Raises SpecError for a study that is not in this store, and
        for invalid arguments."""
        if study.storage is not self.storage:
            raise SpecError(f"study {study.name!r} is not in this simulation; make it with storage=simulation.storage")
        live = LiveStudy(self.storage, study.record.id, study.strategy)
        terms = runner.terms_of(live, trials, time, self.clock)
        slots = Simulated(whole("workers", workers), training, self.clock, terms.until)
        crew = Crew(live, slots, Resources(), lease=_FOREVER, clock=self.clock, name="simulated")
        try:
            runner.search(crew, terms)
        finally:
            crew.close()
