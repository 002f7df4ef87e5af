"""Who does the work of a call of run or evidence: executors, a crew with a progress line, and what the record says of it."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from ..book import Book
from ..capture import environment
from ..engine.planning import Terms
from ..errors import SpecError, nearest, whole
from ..executors import Executor
from ..records import Change, Resources
from .announcements import facts, shared
from .clock import SYSTEM
from .runner import Staff, worker
from .worker import Crew

if TYPE_CHECKING:
    from ..objective import Program


def executor(called: "Program", workers: int, resources: Resources, supervised: bool, kind: str = "local") -> Executor:
    """Where an objective runs: in this process, in supervised ones (see `staff`), or on a Ray cluster."""
    if kind == "ray":
        return _ray(called, workers, resources)
    if kind != "local":
        raise SpecError(f"executor={kind!r} is not known{nearest(kind, ['local', 'ray', 'slurm'])}")
    if supervised or workers > 1 or resources.limited:
        from ..executors.local import Local

        return Local(workers, called, resources)
    from ..executors.inline import Inline
    from ..objective import load

    return Inline(load(called))


def _ray(called: "Program", workers: int, resources: Resources) -> Executor:
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise SpecError(f"executor='ray' needs the package ray ({error}): pip install 'trimtab[ray]'") from None
    from ..executors.ray import Ray

    return Ray(workers, called, resources)


@contextmanager
def staff(
    book: Book, objective: Any, workers: int, resources: Resources, supervised: bool, quiet: bool, kind: str = "local",
    terms: Terms | None = None,
) -> Iterator[Staff]:  # fmt: skip
    """Workers for an objective, with a progress line that knows when the run is to end; all of it is put away whatever
    happens.

    One worker without limits runs in this process, where a debugger works; everything else in supervised processes.
    """
    from ..objective import program
    from .progress import Progress

    whole("workers", workers)
    priced(book, resources)
    called = program(objective, book.spec)
    slots = executor(called, workers, resources, supervised, kind)
    said = {**book.inputs.begin(called), **facts(called, resources, workers, environment())}
    with ExitStack() as cleanup:
        cleanup.callback(slots.close)
        book.storage.revise(book.study, Change("run", body=said))
        crew = Crew(book, slots, resources, before=lambda: book.inputs.check(called))
        cleanup.callback(crew.close)
        with Progress(book.spec, quiet=quiet, terms=terms) as progress, terminable():
            yield Staff(
                f"{worker()}:{token_hex(4)}", crew, slots, lambda ledger: progress.update(ledger, SYSTEM.steady())
            )


def submit(book: Book, objective: Any, resources: Resources) -> None:
    """Announce an objective to workers elsewhere. Raises ObjectiveError when they could not have it."""
    from ..objective import program

    priced(book, resources)
    called = shared(program(objective, book.spec))
    said = {**book.inputs.begin(called), **facts(called, resources, 0, environment())}
    book.storage.revise(book.study, Change("run", body=said))


def priced(book: Book, resources: Resources) -> None:
    """Raises SpecError for a budget of money or energy where nothing says what a trial costs."""
    budget = book.spec.budget
    if budget.cost is not None and not resources.costs_money:
        raise SpecError(
            "a budget of cost needs a price: resources=tt.Resources(price=money per trial hour), or "
            "prices={'cpu_hour': ..., 'gpu_hour': ..., 'kwh': ...}"
        )
    if budget.kwh is not None and not any(resources.watts.values()):
        raise SpecError("a budget of kwh needs watts: resources=tt.Resources(watts={'cpu': ..., 'gpu': ...})")
    if resources.prices.get("kwh") and not resources.watts:
        raise SpecError("a price of kwh needs watts: resources=tt.Resources(watts={'cpu': ..., 'gpu': ...})")


@contextmanager
def terminable() -> Iterator[None]:
    """While it lasts, SIGTERM ends the run as politely as Ctrl-C does (in the main thread only)."""

    def interrupt(signum: int, _: object) -> None:
        raise KeyboardInterrupt(signum)

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
