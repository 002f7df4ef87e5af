"""The nouns of the record: what a study is, what a trial is, what may happen to it. Values only; no clock, no IO.

usage    what a study may spend, what one trial gets, and what it has used
sources  what an earlier study teaches a new one
columns  many trials as columns
history  what the events of a study say of its course
copied   mappings in values, handed out as copies
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from .. import other_tuners
from ..arrays import Array
from ..canonical import dumps
from ..errors import SpecError
from ..fidelity import Fidelity
from ..goals import Constraint, Goal, Metrics, constraint
from ..space import Params, Space
from .copied import copied
from .sources import Source
from .usage import Budget as Budget
from .usage import Cost as Cost
from .usage import Resources as Resources

Json = Mapping[str, Any]


class State(StrEnum):
    """Where a trial stands. Each compares equal to its text: `trial.state == "done"`."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"  # early, by a rule
    FAILED = "failed"  # with a `reason`
    CANCELLED = "cancelled"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset({State.QUEUED, State.DONE, State.STOPPED, State.FAILED, State.CANCELLED}),
    State.DONE: frozenset(),
    State.STOPPED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""Legal transitions of a trial."""

OPEN = frozenset({State.QUEUED, State.RUNNING})
"""The states of a trial that has not ended."""
COUNTED = frozenset({State.DONE, State.STOPPED, State.FAILED})
"""The final states that a budget of trials counts."""
GOOD = frozenset({State.DONE, State.STOPPED})
"""The final states with a result that counts."""


class Purpose(StrEnum):
    """Why a trial is run. Only `search` and `import` trials are shown to strategies, stopping rules and `best`."""

    SEARCH = "search"
    SELECT = "select"  # evidence: which of the best settings goes on to the certificate
    CERTIFY = "certify"  # evidence: a run of a pair, tuned or baseline, on a fresh seed
    IMPORT = "import"  # a result that was measured elsewhere


TOLD = frozenset({Purpose.SEARCH, Purpose.IMPORT})
"""The purposes of trials whose results are told to strategies."""


class Reason(StrEnum):
    """Why a trial failed."""

    ERROR = "error"  # the objective raised, exited or crashed
    TIMEOUT = "timeout"
    MEMORY = "memory"
    STALL = "stall"  # no report for longer than allowed
    LOST = "lost"  # its worker or its process died in each of storage.MAX_ATTEMPTS attempts
    BAD_RESULT = "bad result"  # NaN, infinity, a wrong type, a missing metric


@copied("baseline", "settings", "assumed")
@dataclass(frozen=True)
class StudySpec:
    """Everything that decides what a study proposes, fixed when it is created and changed only by audited revisions."""

    name: str
    space: Space
    goals: tuple[Goal, ...]
    constraints: tuple[Constraint, ...] = ()
    budget: Budget = field(default_factory=Budget)
    baseline: Params | None = None
    strategy: str = "auto"
    settings: Json = field(default_factory=dict)  # of the strategy
    seed: int = 0
    replicates: int = 1
    retries: int = 0  # how often a trial that failed by itself is tried again
    max_failures: int | None = 20  # in a row
    deterministic: bool = False
    assumed: Json = field(default_factory=dict)  # by parameter: the value that trials had before it was in the space
    fidelity: Fidelity | None = None
    stopping: tuple[Json, ...] = ()  # rules, each {"rule": name, ...its settings}: a trial stops when one says so
    sources: tuple[Source, ...] = ()  # earlier studies that it was warm-started from

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the objective must return."""
        return tuple(dict.fromkeys([*(g.metric for g in self.goals), *(c.metric for c in self.constraints)]))

    @cached_property
    def text(self) -> str:
        """The spec as canonical JSON. Cached, because every fold and every change of the study needs it."""
        return dumps(self.to_json())

    def current(self, params: Params) -> Params:
        """The params of a trial that may be older than the current space, as params of the current space.

        A parameter that did not exist then takes the value that was assumed for it; inactive ones are left out.
        """
        if not self.assumed:
            return params
        merged = {k: v for k, v in {**self.assumed, **params}.items() if k in self.space.params}
        if any(self.space.params[name].when for name in merged.keys() - params.keys()):
            (active,) = self.space.decode(self.space.encode([merged]))
            return {k: v for k, v in merged.items() if k in active}
        return merged

    def encode(self, settings: Iterable[Params]) -> Array:
        """Rows X (n, d) of settings of any age, in the current space."""
        return self.space.encode([self.current(params) for params in settings])

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "space": self.space.to_json(),
            "goals": [{"metric": g.metric, "maximize": g.maximize} for g in self.goals],
            "subject_to": [c.text for c in self.constraints],
            "budget": self.budget.to_json(),
            "baseline": None if self.baseline is None else dict(self.baseline),
            "settings": dict(self.settings),
            "assumed": dict(self.assumed),
            **({"sources": [source.to_json() for source in self.sources]} if self.sources else {}),
            **{k: getattr(self, k) for k in _PLAIN},
            # Left out where there is none, so that specs written before these fields existed keep their text and hash.
            **({"fidelity": self.fidelity.to_json()} if self.fidelity else {}),
            **({"stopping": [dict(rule) for rule in self.stopping]} if self.stopping else {}),
        }

    @staticmethod
    def from_json(data: Json) -> "StudySpec":
        """The spec whose `to_json()` is `data`. Raises SpecError for a field that this version does not know: going on
        without it would be another study."""
        if unknown := sorted(data.keys() - _KNOWN):
            raise SpecError(f"{unknown[0]!r} is not known of a study")
        return StudySpec(
            name=data["name"],
            space=Space.from_json(data["space"]),
            goals=tuple(Goal(g["metric"], g["maximize"]) for g in data["goals"]),
            constraints=tuple(constraint(text) for text in data["subject_to"]),
            budget=Budget(**data["budget"]),
            baseline=data["baseline"],
            settings=data["settings"],
            assumed=data["assumed"],
            fidelity=Fidelity(**data["fidelity"]) if "fidelity" in data else None,
            stopping=tuple(data.get("stopping", ())),
            sources=tuple(Source.from_json(source) for source in data.get("sources", ())),
            **{k: data[k] for k in _PLAIN},
        )


_PLAIN = ("strategy", "seed", "replicates", "retries", "max_failures", "deterministic")
_KNOWN = {
    *("name", "space", "goals", "subject_to", "budget", "baseline", "settings", "assumed", "fidelity", "stopping"),
    *("sources", *_PLAIN),
    "workers",  # in early specs; it never meant anything
}


@copied("params")
@dataclass(frozen=True)
class Proposal:
    """A trial to be enqueued, with what its proposer knew."""

    params: Params
    seed: int
    purpose: Purpose = Purpose.SEARCH
    strategy: str = ""
    version: str = ""
    why: Json = field(default_factory=dict)
    parent: int | None = None
    replicate: int | None = None  # of an evidence trial: which pair it belongs to
    priority: int = 0  # higher first, then lower number
    fidelity: float | None = None  # how far it shall be trained; the study's top one otherwise


@dataclass(frozen=True)
class Report:
    """Metrics of a running trial at a step."""

    number: int
    attempt: int
    step: float
    metrics: Mapping[str, float]
    at: float  # seconds since the epoch
    written: int = field(default=0, compare=False)  # 1, 2, 3, ... in the order in which a study's were written


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. Its texts are private: events hold only salted hashes of them."""

    state: State
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: Reason | None = None
    error: str = ""  # message and traceback
    output: str = ""  # captured standard output and error
    notes: tuple[str, ...] = ()
    cost: Cost = field(default_factory=Cost)
    verdict: Json = field(default_factory=dict)  # of the rule that stopped it (see stopping.rules)


@other_tuners.answering(other_tuners.TRIAL)
@copied("params", "metrics")
@dataclass(frozen=True)
class Trial:
    """A row of the record: one setting, and its result. Read-only.

    number, state, purpose ("search", "import", "select" or "certify"), params, seed: what was to be evaluated.
    strategy, version, why: who proposed it. seen, at: the last event and how many trials that proposer knew.
    metrics, reason, error, output, notes, cost: how it ended, and what it used.
    created, started, ended: Unix times. attempt: how often it was claimed.
    parent: the trial whose checkpoint it started from. replicate: for evidence, which run of its setting it is.
    fidelity, reached, curve, verdict: how far it was to be trained and got, its metrics at the rungs, and why a rule
        stopped it.
    """

    study: int
    number: int
    state: State
    purpose: Purpose
    params: Params
    seed: int
    strategy: str = ""
    version: str = ""
    why: Json = field(default_factory=dict)
    seen: int = 0  # position of the last event that its proposer had read
    at: int = 0  # how many trials existed when it was proposed
    batch: int = 1  # how many trials were proposed together
    parent: int | None = None
    replicate: int | None = None
    priority: int = 0
    created: float = 0.0
    attempt: int = 0  # rises with each claim: the fencing token
    worker: str | None = None
    lease_until: float | None = None  # while running; None then means a hold without expiry
    started: float | None = None
    ended: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: Reason | None = None
    cost: Cost = field(default_factory=Cost)
    # Texts that events only commit to: {"error" | "output" | "worker": [salt, text], "notes": [[salt, text], ...]}
    private: Json = field(default_factory=dict)
    fidelity: float | None = None  # how far it was to be trained; None in a study without one
    # Once it has ended: step -> metrics, at the rungs that it passed.
    curve: Mapping[float, Metrics] = field(default_factory=dict)
    verdict: Json = field(default_factory=dict)  # why a rule stopped it
    told: int | None = None  # position of the event that ended it: strategies are told results in this order
    revision: int = 0  # position of the last event that touched it

    def __repr__(self) -> str:
        """On one line: number, state, params and metrics."""
        return f"<Trial {self.number}: {self.state_text}, params={dict(self.params)}, metrics={dict(self.metrics)}>"

    @property
    def state_text(self) -> str:
        """The state, with the reason of a failure: "failed (timeout)"."""
        return f"{self.state} ({self.reason})" if self.reason else str(self.state)

    @property
    def error(self) -> str:
        """Message and traceback of a failed trial."""
        return str(self.private["error"][1]) if "error" in self.private else ""

    @property
    def output(self) -> str:
        """What the trial wrote to standard output and error."""
        return str(self.private["output"][1]) if "output" in self.private else ""

    @property
    def reached(self) -> float | None:
        """The fidelity at which it ended; None in a study without one, or if unknown."""
        return max(self.curve, default=None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noted about the trial, by its objective or by hand, in order."""
        return tuple(text for _, text in self.private.get("notes", []))

    @property
    def counts(self) -> bool:
        """Whether the budget of trials counts it: a finished search trial."""
        return self.purpose is Purpose.SEARCH and self.state in COUNTED


class StudyState(StrEnum):
    """Whether new trials start: open; paused (until resumed); cancelled (no more trials); archived (read-only)."""

    OPEN = "open"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    ARCHIVED = "archived"


LIVING = frozenset({StudyState.OPEN, StudyState.PAUSED})
"""The states of studies that may still have trials to run."""


@dataclass(frozen=True)
class StudyRecord:
    """A study's row."""

    id: int
    uid: str  # random, never reused; the hash chain starts from it
    name: str
    spec: StudySpec
    state: StudyState
    created: float
    count: int  # trials that exist: numbers 0 .. count-1
    reserved: int  # search trials that exist and are not cancelled: how much of the budget of trials is given out
    spent: Cost  # of all ended search trials
    position: int  # of the last event
    head: str  # hash of that event

    def __repr__(self) -> str:
        return f"<StudyRecord {self.name!r} ({self.state}): {self.count} trials, {self.position} events, head {self.head[:16]}>"


@dataclass(frozen=True)
class Event:
    """An entry of the study's hash chain. `hash` covers the previous event's hash and all other fields."""

    position: int  # 1, 2, 3, ...
    kind: str
    number: int | None
    at: float
    body: Json
    hash: str

    @property
    def look(self) -> bool:
        """Whether this event announces a look at the hold-out rows (see proof.holdout)."""
        return self.kind == "holdout" and "look" in self.body

    @property
    def changed(self) -> str:
        """Which code or data had changed when this event was written, unless the change was refused; "" if none."""
        if self.kind != "inputs" or self.body["refused"]:
            return ""
        return "; ".join(f"{name}: {what}" for name, what in self.body["changed"].items())


@dataclass(frozen=True)
class Changes:
    """What changed since a reader last looked, as one consistent snapshot."""

    study: StudyRecord
    trials: Sequence[Trial]  # those that events since then have touched, and every open one
    now: float = field(default=0.0, compare=False)  # the store's time; leases are compared with this clock only
    base: str = field(default="", compare=False)  # the hash of the event that they follow; "" if there is none


@dataclass(frozen=True)
class Change:
    """An audited change to a study or to a trial; `kind` names it (see storage.Storage.revise)."""

    kind: str
    number: int | None = None
    spec: StudySpec | None = None
    text: str = ""  # private: events hold a commitment to it
    body: Json = field(default_factory=dict)
    trials: Sequence[tuple[Proposal, Outcome]] = ()
    attempt: int | None = None
    cost: Cost = field(default_factory=Cost)  # of a cancel or requeue: what the attempt had used
    actor: str = ""
