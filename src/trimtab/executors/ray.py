"""Jobs on a Ray cluster: each slot is an actor that holds the CPUs, GPUs and memory of one trial.

The actor runs its jobs in a supervised process on its node, as `local` does, and relays their messages. So limits,
captured output and the killing of children are the same everywhere. An actor that Ray cannot place yet is demand that
Ray's autoscaler sees. If a node is lost, the jobs of its actors end as killed from outside.
"""

import logging
import math
import os
import pickle
import queue
import signal
import socket
import time
from dataclasses import dataclass, replace
from typing import Any

from ..errors import RunFailed, SpecError
from ..records import Resources
from . import Exit, Job, Key
from .child import Task
from .local import Local

UNPLACED = 10.0  # seconds after which a job whose actor finds no room is given to an idle actor
NO_ROOM = 30.0  # seconds without room for the first actor before there is a warning
AGAIN = 30.0  # seconds until another actor is made for a job, after a node could not create the first
TRIES = 3  # how many actors may be lost before a job has begun
REACH = 10.0  # seconds in which a cluster must accept a connection
_BEAT = 1.0  # seconds for which an actor waits at a time for its process

_log = logging.getLogger(__name__)


class Host:
    """The actor: lives on a node and runs one job at a time. `run` and `next` are called in two threads."""

    def __init__(self, task: bytes, resources: Resources) -> None:
        self._local = Local(1, pickle.loads(task), resources)
        self._resources = resources
        self._out: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, key: Key, payload: dict[str, Any]) -> None:
        """Run a job to its end."""
        self._out.put(("placed", None))
        self._local.launch(Job(key, payload, self._relay, self._resources))
        while not (ended := self._local.reap(_BEAT)):
            pass
        self._out.put(("exit", ended[0][1]))

    def _relay(self, message: Any) -> Any:
        self._out.put(("message", message))
        return self._replies.get()

    def next(self, reply: Any = None) -> tuple[str, Any]:
        """The next of: ("placed", None) when a job begins, ("message", m), and ("exit", Exit) when it has ended.

        reply: the reply to the message returned before, if it was one.
        """
        if reply is not None:
            self._replies.put(reply)
        return self._out.get()


def _connect(ray: Any) -> None:
    try:
        _reach(os.environ.get("RAY_ADDRESS", ""))
        ray.init(log_to_driver=False)
    except (OSError, OverflowError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SpecError(
            f"executor='ray': {reason}; check RAY_ADDRESS, that the cluster runs and, where it asks for a token, RAY_AUTH_MODE "
            "and RAY_AUTH_TOKEN"
        ) from None


def _reach(address: str) -> None:
    """Raises OSError or OverflowError if nobody listens at "host:port": Ray itself would try that for minutes. Anything
    else, such as "auto", is left to Ray."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH).close()
    except (OSError, OverflowError) as error:
        raise type(error)(f"nobody answers at {address} ({error})") from None


class Ray:
    """An executor with `slots` actors.

    They are on the cluster to which this program is connected, else the one that RAY_ADDRESS names, else a new one on
    this machine. Raises SpecError if the cluster cannot be reached, and whatever pickling the task raises.
    """

    def __init__(self, slots: int, task: Task, resources: Resources) -> None:
        import ray

        if not ray.is_initialized():
            _connect(ray)
        self._ray, self._slots, self._resources = ray, slots, resources
        self._task = ray.put(pickle.dumps(task))
        memory = int(resources.memory) if resources.memory else None
        asked = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": memory or 0, **resources.custom}
        self._asked = {name: n for name, n in asked.items() if n}
        self._make = ray.remote(Host).options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            memory=memory,
            resources=dict(resources.custom) or None,
            max_concurrency=2,
            max_restarts=0,
        )
        self._busy: dict[Any, _Held] = {}  # by the reference to the actor's next message
        self._idle: list[Any] = []  # actors without a job
        self._put_off: list[_Held] = []  # jobs whose actors a node could not create
        self._ended: list[tuple[Job, Exit]] = []
        self._worked = False  # whether an actor has ever been placed
        self._warn_at = math.inf  # when to warn that there is no room

    def free(self) -> int:
        return max(0, self._slots - len(self._busy) - len(self._put_off) - len(self._ended))

    def launch(self, job: Job) -> None:
        """Give the job to an idle actor, or to a new one, which Ray places where there is room."""
        now = time.monotonic()
        self._begin(_Held(job, None, now, now))

    def _begin(self, held: "_Held") -> None:
        now, used = time.monotonic(), bool(self._idle)
        host = self._idle.pop() if used else self._make.remote(self._task, self._resources)
        host.run.remote(held.job.key, dict(held.job.payload))
        self._busy[host.next.remote()] = replace(held, host=host, began=now, used=used)
        self._warn_at = min(self._warn_at, now + NO_ROOM)

    def reap(self, wait: float = 0.0) -> list[tuple[Job, Exit]]:
        deadline = time.monotonic() + wait
        while True:
            self._reassign()
            if self._busy:
                left = 0.0 if self._ended else max(0.0, deadline - time.monotonic())
                ready, _ = self._ray.wait([*self._busy], num_returns=1, timeout=left)
                for reference in ready:
                    self._receive(reference)
            if self._ended or not self._busy or time.monotonic() >= deadline:
                ended, self._ended = self._ended, []
                return ended

    def _reassign(self) -> None:
        """Give jobs whose actors find no room, or could not be created, to idle actors, which hold their room already."""
        if not self._worked and time.monotonic() > self._warn_at:
            self._warn_at = math.inf
            there = self._ray.cluster_resources()
            both = [", ".join(f"{k} {of.get(k, 0):g}" for k in self._asked) for of in (self._asked, there)]
            _log.warning("no node has had room for a trial for %g s: it asks for %s; the nodes have %s", NO_ROOM, *both)
        late = time.monotonic() - UNPLACED
        for reference, held in [*self._busy.items()]:
            if self._idle and not held.placed and held.began < late:
                del self._busy[reference]
                self._ray.kill(held.host)
                self._begin(held)
        for held in [*self._put_off]:
            if self._idle or not self._busy or held.began < time.monotonic() - AGAIN:
                self._put_off.remove(held)
                self._begin(held)

    def _receive(self, reference: Any) -> None:
        """Act on what an actor says next: that its job has begun, a message of the job, or its end."""
        held = self._busy.pop(reference)
        try:
            kind, what = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._gone(held, error)
            return
        if kind == "exit":
            self._idle.append(held.host)
            self._ended.append((held.job, replace(what, cost={**what.cost, "waiting": held.waited})))
            return
        if kind == "placed":
            self._worked, reply, held = True, None, replace(held, placed=True, began=time.monotonic())
        else:
            reply = held.job.listen(what)
        self._busy[held.host.next.remote(reply)] = held

    def _gone(self, held: "_Held", error: Exception) -> None:
        """Handle an actor that is lost or could not be created. If its job has not begun, another actor gets it.

        Raises SpecError if no actor has ever been created, RunFailed if none is left and none can be created.
        """
        self._ray.kill(held.host)  # it may still live, and only be out of reach
        if isinstance(error, self._ray.exceptions.RuntimeEnvSetupError) or getattr(error, "actor_init_failed", False):
            problem = f"executor='ray': a node could not begin a trial: {str(error).strip().splitlines()[-1]}"
            if not (self._idle or any(h.placed for h in self._busy.values())):
                wrong = RunFailed if self._worked else SpecError
                raise wrong(
                    f"{problem}; it needs this Trimtab and the objective's packages, installed there or brought by runtime_env"
                )
            _log.warning("%s; trials go to other nodes", problem)
            self._put_off.append(held)
        elif held.placed or (not held.used and held.lost + 1 >= TRIES):
            lost = Exit(signal=signal.SIGKILL, output=f"its actor is gone: {error}", cost=held.cost)
            self._ended.append((held.job, lost))
        else:
            self._begin(replace(held, lost=held.lost + (not held.used)))

    def waited(self) -> dict[Key, float]:
        return {held.job.key: held.waited for held in (*self._busy.values(), *self._put_off)}

    def kill(self, job: Job) -> None:
        for reference, held in [*self._busy.items()]:
            if held.job is job:
                del self._busy[reference]
                self._ray.kill(held.host)
                self._ended.append((job, Exit(killed=True, cost=held.cost)))
        for held in [*self._put_off]:
            if held.job is job:
                self._put_off.remove(held)
                self._ended.append((job, Exit(killed=True, cost=held.cost)))

    def close(self) -> None:
        """End every actor; the connection to the cluster stays."""
        for host in [*self._idle, *(held.host for held in self._busy.values())]:
            self._ray.kill(host)
        self._busy, self._idle, self._put_off, self._ended = {}, [], [], []


@dataclass(frozen=True)
class _Held:
    """A job and the actor that holds it."""

    job: Job
    host: Any  # the actor; None before there is one
    since: float  # when the job was launched
    began: float  # when the actor got it or, once `placed`, began it
    used: bool = False  # whether the actor has run another job before
    placed: bool = False  # whether the actor has room and has begun the job
    lost: int = 0  # how many new actors were lost before they began it

    @property
    def waited(self) -> float:
        """Seconds for which it has waited for room."""
        return (self.began if self.placed else time.monotonic()) - self.since

    @property
    def cost(self) -> dict[str, float]:
        """What is known of the job's cost without its actor: how long it has waited, and run."""
        return {"wall": time.monotonic() - self.began if self.placed else 0.0, "waiting": self.waited}
