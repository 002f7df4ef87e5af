"""Where a timeline draws the bar of each trial: trials that ran at the same time lie in different lanes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..formatting import plural
from ..records import Trial


@dataclass(frozen=True)
class Bar:
    """A trial that ran: when it began and ended, in seconds since the epoch. more: trials that share its bar."""

    trial: Trial
    began: float
    ended: float
    more: int = 0

    @property
    def others(self) -> str:
        """How many trials share the bar, in words; "" if none do."""
        return f"and {plural(self.more, 'trial')} after it<br>" if self.more else ""

    @property
    def length(self) -> float:
        return self.ended - self.began


def lanes_of(ran: Sequence[Bar]) -> dict[int, int]:
    """The lane of each trial, by number: the first free lane of the worker that ran it, if known, for a worker may run several
    trials at a time; else a free lane whose worker runs no more trials; else a new one."""
    last: dict[str, float] = {}  # when each worker's last trial ended
    for b in ran:
        last[_worker(b)] = max(b.ended, last.get(_worker(b), b.ended))
    lanes: dict[int, int] = {}
    owners: list[str] = []
    taken: list[float] = []  # until when each lane is
    for b in sorted(ran, key=lambda b: (b.began, b.trial.number)):
        who = _worker(b)
        free = [i for i in range(len(owners)) if taken[i] <= b.began]
        own = [i for i in free if owners[i] == who]
        lane = next(iter(own + [i for i in free if last[owners[i]] <= b.began]), len(owners))
        if lane == len(owners):
            owners.append(who)
            taken.append(0.0)
        owners[lane], taken[lane] = who, b.ended
        lanes[b.trial.number] = lane
    return lanes


def joined(bars: Sequence[Bar], lanes: Mapping[int, int], close: float) -> list[Bar]:
    """The bars, fewer: of each lane, a bar that begins less than `close` seconds after the one before ends is joined to it."""
    made: list[Bar] = []
    last: dict[int, int] = {}  # in each lane: the place of its last bar
    for b in sorted(bars, key=lambda b: (b.began, b.trial.number)):
        lane = lanes[b.trial.number]
        before = made[last[lane]] if lane in last else None
        if before is not None and b.began - before.ended < close:
            made[last[lane]] = replace(before, ended=max(before.ended, b.ended), more=before.more + 1)
        else:
            last[lane] = len(made)
            made.append(b)
    return made


def _worker(b: Bar) -> str:
    return str(b.trial.private["worker"][1]) if "worker" in b.trial.private else ""
