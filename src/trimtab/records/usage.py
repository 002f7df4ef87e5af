"""Budgets, resources and costs: what a study may spend, what one trial gets, and what it has used. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from ..calls import checked_call
from ..checks import nonnegative, positive, shown, whole
from ..errors import SpecError, nearest
from ..units import byte_count, seconds

_NO_LIMIT = "; leave it out for no limit"
LEAST = 2**20  # bytes of memory; a smaller number was surely meant in another unit


UNITS = {"cpu_hours": "CPU hours", "gpu_hours": "GPU hours", "cost": "of cost", "kwh": "kWh"}
"""The budget's limits on what trials consume, with their units in words."""


@checked_call
@dataclass(frozen=True)
class Budget:
    """What a study may spend, over all workers and all calls of run. None: no limit.

    trials: finished search trials.
    time: seconds (or "30m") in which at least one trial ran.
    cpu_hours: as measured. gpu_hours: trial hours times the `gpus` in `Resources`.
    cost: money, by the prices in `Resources`.
    kwh: energy, by the `watts` in `Resources`.
    """

    trials: int | None = None
    time: float | str | None = None
    cpu_hours: float | None = None
    gpu_hours: float | None = None
    cost: float | None = None
    kwh: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", seconds(self.time, "budget time"))
        if self.trials is not None:
            trials = whole("budget trials", self.trials, repair=_NO_LIMIT)
            object.__setattr__(self, "trials", trials)
        for name in UNITS:
            v = getattr(self, name)
            if v is not None:
                object.__setattr__(self, name, positive(f"budget {name}", v, repair=_NO_LIMIT))

    @property
    def unlimited(self) -> bool:
        """Whether it never ends a study."""
        return all(getattr(self, f.name) is None for f in fields(self))

    @property
    def countable(self) -> bool:
        """Whether at most the number of trials is limited, so that no trial's cost matters to the next."""
        return all(getattr(self, f.name) is None for f in fields(self) if f.name != "trials")

    def measured(self, used: "Cost") -> dict[str, tuple[float, float]]:
        """(used, limit) of each limit on what trials consume, by name: CPU hours, GPU hours, money, energy."""
        all_used = {"cpu_hours": used.cpu / 3600, "gpu_hours": used.gpu / 3600, "cost": used.money, "kwh": used.energy}
        limits = {name: getattr(self, name) for name in all_used}
        return {name: (all_used[name], limit) for name, limit in limits.items() if limit is not None}

    def to_json(self) -> dict[str, Any]:
        """Omits the limit on energy if there is none, so that older specs keep their text."""
        return {k: v for k, v in asdict(self).items() if k != "kwh" or v is not None}


@checked_call
@dataclass(frozen=True)
class Resources:
    """What one trial gets, and the limits at which it is ended.

    cpus: CPU slots; also the thread limit of numeric libraries.
    memory: bytes (or "2GiB") of the trial and its children.
    time: seconds (or "5m") of wall time.
    stall: seconds without a report.
    price: money per trial hour.
    prices: money per "cpu_hour" used, per "gpu_hour" held, and per "kwh".
    watts: power of a busy "cpu" and of a "gpu" held.
    custom: a cluster's own resources by name, such as {"tpu": 1}; Ray looks for a node that has them.
    """

    cpus: int = 1
    gpus: float = 0
    memory: float | str | None = None
    time: float | str | None = None
    stall: float | str | None = None
    price: float = 0.0
    prices: Mapping[str, float] = field(default_factory=dict)
    watts: Mapping[str, float] = field(default_factory=dict)
    custom: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cpus", whole("resources cpus", self.cpus))
        for name in ("gpus", "price"):
            object.__setattr__(self, name, nonnegative(f"resources {name}", getattr(self, name)))
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise SpecError(f"resources gpus={self.gpus!r}: ask for a whole number of GPUs, or for a part of one")
        for name, known in (("prices", _PRICES), ("watts", _WATTS), ("custom", None)):
            object.__setattr__(self, name, _numbers(name, getattr(self, name), known))
        memory = byte_count(self.memory, "resources memory")
        if memory is not None and memory < LEAST:
            raise SpecError(
                f"resources memory={self.memory!r} is {memory:g} bytes, too few for any program; write '2GiB'"
            )
        object.__setattr__(self, "memory", memory)
        object.__setattr__(self, "time", seconds(self.time, "resources time"))
        object.__setattr__(self, "stall", seconds(self.stall, "resources stall"))

    @property
    def limited(self) -> bool:
        """Whether a supervised process is needed to enforce the limits."""
        return (self.memory, self.time, self.stall) != (None, None, None)

    @property
    def costs_money(self) -> bool:
        """Whether a trial has a price."""
        return self.price > 0 or any(self.prices.values())

    def charge(self, wall: float, cpu: float, memory: float = 0.0) -> "Cost":
        """The cost of a trial with this wall time and CPU time (seconds) and peak memory (bytes).

        GPUs count for as long as they are held, at the power that `watts` gives.
        """
        cpu_hours, gpu_hours = cpu / 3600, self.gpus * wall / 3600
        kwh = (cpu_hours * self.watts.get("cpu", 0.0) + gpu_hours * self.watts.get("gpu", 0.0)) / 1000
        bought = {"cpu_hour": cpu_hours, "gpu_hour": gpu_hours, "kwh": kwh}
        money = wall / 3600 * self.price + sum(bought[k] * price for k, price in self.prices.items())
        return Cost(wall, cpu, wall * self.gpus, memory, money, energy=kwh)


_PRICES, _WATTS = ("cpu_hour", "gpu_hour", "kwh"), ("cpu", "gpu")


def _numbers(name: str, given: object, known: Sequence[str] | None) -> dict[str, float]:
    """A mapping of names (only `known` ones, if given) to non-negative numbers."""
    if not isinstance(given, Mapping):
        raise SpecError(f"resources {name}={shown(given)} must be a mapping such as {{{(known or ['tpu'])[0]!r}: 1}}")
    for key in given:
        if known is not None and key not in known:
            raise SpecError(f"resources {name}: {key!r} is not known{nearest(str(key), known)}")
        if not isinstance(key, str):
            raise SpecError(f"resources {name}: {key!r} is no name; name it with a text")
    return {key: nonnegative(f"resources {name}: {key}", v) for key, v in given.items()}


Amounts = TypeVar("Amounts", Budget, Resources)


def amounts(kind: type[Amounts], given: "Amounts | Mapping[str, Any] | None", word: str) -> Amounts:
    """A user's Budget or Resources: given as such, as a mapping of its fields, or None for the default.

    word: what the argument is called, for errors. Raises SpecError.
    """
    if isinstance(given, kind):
        return given
    if given is not None and not isinstance(given, Mapping):
        raise SpecError(
            f"{word}={shown(given)} is not understood; write tt.{kind.__name__}(...) or a mapping of its fields"
        )
    known = [f.name for f in fields(kind)]
    for key in given or {}:
        if key not in known:
            raise SpecError(f"{word}: {key!r} is not known{nearest(str(key), known)}")
    return kind(**(given or {}))


@dataclass(frozen=True)
class Cost:
    """What a trial used: seconds of wall, CPU and GPU time, bytes of peak memory, money, energy in kWh; and the seconds
    for which it waited before for room on a cluster, and its process loaded the objective: neither is part of the wall
    time."""

    wall: float = 0.0
    cpu: float = 0.0
    gpu: float = 0.0
    memory: float = 0.0
    money: float = 0.0
    energy: float = 0.0
    loading: float = 0.0
    waiting: float = 0.0

    def to_json(self) -> dict[str, float]:
        """Omits energy, loading and waiting if they are unknown: older records keep their digests."""
        used = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: v for name, v in used.items() if v or name not in ("energy", "loading", "waiting")}

    def plus(self, other: "Cost") -> "Cost":
        """Both costs together: the sums, and the larger of the two peaks of memory."""
        return Cost(
            self.wall + other.wall,
            self.cpu + other.cpu,
            self.gpu + other.gpu,
            max(self.memory, other.memory),
            self.money + other.money,
            self.energy + other.energy,
            self.loading + other.loading,
            self.waiting + other.waiting,
        )
