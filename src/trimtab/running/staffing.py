"""Setting up a crew for a call of run or evidence: its executor, its progress line, and the `run` event."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ..checks import flag, one_of, whole
from ..engine.ledger import Ledger
from ..engine.planning import Terms
from ..errors import SpecError
from ..executors import Executor
from ..interrupts import interruptible
from ..live import LiveStudy
from ..objective import Program, as_program
from ..records import Resources
from .announcements import announce, shareable
from .clock import SYSTEM
from .crew import Crew
from .progress import Progress


@dataclass(frozen=True)
class Slots:
    """The slots in which a call runs its trials: how many, and what each has.

    workers: how many trials run at once. resources: of each. supervised: whether in processes of their own even if nothing
    else asks for that. executor: "local", "ray" or "slurm". Raises SpecError for invalid arguments.
    """

    workers: int = 1
    resources: Resources = field(default_factory=Resources)
    supervised: bool = False
    executor: str = "local"

    def __post_init__(self) -> None:
        object.__setattr__(self, "workers", whole("workers", self.workers))
        object.__setattr__(self, "supervised", flag("supervised", self.supervised))
        one_of("executor", self.executor, ("local", "ray", "slurm"))


def executor_for(program: Program, slots: Slots, insist: Callable[[], None] = lambda: None) -> Executor:
    """The executor for an objective: Ray's, or on this machine one with supervised processes.

    A single worker without limits runs in this process, where a debugger works, unless it is to be supervised.
    insist: see `interrupts.interruptible`.
    """
    if slots.executor == "ray":
        return _ray(program, slots)
    if slots.executor == "slurm":
        raise SpecError("executor='slurm' is for searches; take 'local' or 'ray' here")
    if slots.supervised or slots.workers > 1 or slots.resources.limited:
        from ..executors.local import Local

        return Local(slots.workers, program, slots.resources)
    from ..executors.inline import Inline

    return Inline(program.load_inline(), insist)


def _ray(program: Program, slots: Slots) -> Executor:
    try:
        import_module("ray")
    except ImportError as error:
        raise SpecError(f"executor='ray' needs the package ray ({error}): pip install 'trimtab[ray]'") from None
    from ..executors.ray import Ray

    return Ray(slots.workers, program, slots.resources)


@contextmanager
def hired(
    live: LiveStudy,
    objective: Any,
    slots: Slots,
    quiet: bool,
    terms: Terms | None = None,
    watch: Callable[[], None] = lambda: None,
) -> Iterator[Crew]:
    """A context with the crew for one call: it is set up, announced in the record, and closed at the end.

    terms: when the search is to end, for the progress line; None for evidence. watch: called as the study goes on.
    """
    check_prices(live, slots.resources)
    program = as_program(objective, live.spec)
    with ExitStack() as cleanup:
        executor = executor_for(program, slots, cleanup.enter_context(interruptible()))
        crew = Crew(live, executor, slots.resources, before_claiming=lambda: live.inputs.check(program))
        cleanup.callback(crew.close)
        announce(live, program, slots.resources, slots.workers)
        progress = cleanup.enter_context(Progress(live.spec, quiet=quiet, terms=terms))

        def update(ledger: Ledger) -> None:
            progress.update(ledger, SYSTEM.steady())
            watch()

        crew.watch = update
        yield crew


def submit(live: LiveStudy, objective: Any, resources: Resources) -> None:
    """Announce in the record what the study runs, for workers elsewhere. Raises ObjectiveError if they cannot load it."""
    check_prices(live, resources)
    announce(live, shareable(as_program(objective, live.spec)), resources, workers=0)


def check_prices(live: LiveStudy, resources: Resources) -> None:
    """Raises SpecError for a budget of money, energy or GPU hours of which trials with these resources would use nothing,
    so that it would never end the study."""
    budget = live.spec.budget
    if budget.gpu_hours is not None and not resources.gpus:
        raise SpecError("a budget of gpu_hours needs gpus: resources=tt.Resources(gpus=1), or a part of one")
    if budget.cost is not None and not resources.costs_money:
        raise SpecError(
            "a budget of cost needs a price: resources=tt.Resources(price=money per trial hour), or "
            "prices={'cpu_hour': ..., 'gpu_hour': ..., 'kwh': ...}"
        )
    if budget.kwh is not None and not any(resources.watts.values()):
        raise SpecError("a budget of kwh needs watts: resources=tt.Resources(watts={'cpu': ..., 'gpu': ...})")
    if resources.prices.get("kwh") and not resources.watts:
        raise SpecError("a price of kwh needs watts: resources=tt.Resources(watts={'cpu': ..., 'gpu': ...})")
