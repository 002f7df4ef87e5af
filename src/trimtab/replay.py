"""Does the record give its proposals again? Pure: events and trials in, an account out.

A proposal is a function of the record up to `seen`, the pending trials, the study's seed, the number of trials and the
number asked for. So it can be made again, under the spec in force at `seen`: audited revisions are followed.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, repeat
from typing import Any, overload

from . import engine
from .canonical import same_setting
from .engine import incumbents
from .engine.ledger import baseline_trial
from .engine.wrapping import wrapped
from .errors import SpaceError, UserError
from .formatting import plural
from .outlook import VERSION, derived
from .records import TOLD, Event, Proposal, Purpose, Report, State, StudySpec, Trial
from .records.history import spec_at, specs_between, specs_of
from .stopping import rules
from .strategies import Strategy

SHORTFALL = 0.01
"""How far a proposal made on another kind of machine may fall short of the best acquisition value, as a share of it."""

_BY_HAND = ("user", "")
Maker = Callable[[StudySpec], Strategy[Any]]
Judged = tuple[int, dict[int, str], dict[int, str]]
"""How many decisions there were, what is wrong with some of them, and what only another version can derive: by number."""


@dataclass(frozen=True)
class Replay:
    """The outcome of deriving every proposal of a study again.

    proposals: number of search trials that a strategy proposed.
    exact: how many of them came out as recorded.
    close: numbers of those that did not, but are as good by the strategy's own measure (see SHORTFALL); this counts only
        on another kind of machine.
    different: number -> what is wrong.
    other_versions: number -> which version of the strategy proposed it, and which one this Trimtab has. Versions propose
        different settings, so these are not judged: only the version that made them can derive them.
    programs: other versions of Trimtab that the record names.
    machines, here: numeric fingerprints that the record names; that of this machine.
    verdicts: number of trials that a stopping rule ended.
    overturned: number -> what is wrong, for verdicts that do not come out again.
    looks: how often the search ended because it had found enough.
    misjudged: event -> what is wrong with such an end.
    other_rules, other_outlooks: the same as other_versions, of the rules that stopped trials and of the outlooks that ended
        the search (event -> which): those that do not come out again here.
    by_hand, imported: search trials that no strategy proposed; results from elsewhere. Neither can be derived.
    """

    proposals: int
    exact: int
    close: tuple[int, ...] = ()
    different: Mapping[int, str] = field(default_factory=dict)
    other_versions: Mapping[int, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    here: str = ""
    verdicts: int = 0
    overturned: Mapping[int, str] = field(default_factory=dict)
    looks: int = 0
    misjudged: Mapping[int, str] = field(default_factory=dict)
    other_rules: Mapping[int, str] = field(default_factory=dict)
    other_outlooks: Mapping[int, str] = field(default_factory=dict)
    by_hand: int = 0
    imported: int = 0

    @property
    def holds(self) -> bool:
        """Whether every proposal, stop and end of the search follows from the record."""
        return not self.wrong and not self.unjudged

    @property
    def wrong(self) -> int:
        """How many proposals, stops and ends of the search do not follow from the record."""
        return len(self.different) + len(self.overturned) + len(self.misjudged)

    @property
    def unjudged(self) -> int:
        """How many of them only another version of Trimtab can derive."""
        return len(self.other_versions) + len(self.other_rules) + len(self.other_outlooks)

    def to_json(self) -> dict[str, Any]:
        return {
            "proposals": self.proposals,
            "exact": self.exact,
            "close": list(self.close),
            "different": {str(n): why for n, why in self.different.items()},
            **({"other_versions": {str(n): v for n, v in self.other_versions.items()}} if self.other_versions else {}),
            **({"verdicts": self.verdicts} if self.verdicts else {}),
            **({"overturned": {str(n): why for n, why in self.overturned.items()}} if self.overturned else {}),
            **({"looks": self.looks} if self.looks else {}),
            **({"misjudged": {str(n): why for n, why in self.misjudged.items()}} if self.misjudged else {}),
            **({"other_rules": {str(n): v for n, v in self.other_rules.items()}} if self.other_rules else {}),
            **({"other_outlooks": {str(n): v for n, v in self.other_outlooks.items()}} if self.other_outlooks else {}),
            **({"by_hand": self.by_hand} if self.by_hand else {}),
            **({"imported": self.imported} if self.imported else {}),
            "machines": list(self.machines),
            "here": self.here,
        }

    def __repr__(self) -> str:
        return self.text()

    def _unjudged(self) -> list[str]:
        """A line for each version of a strategy, rule or outlook that made decisions, and is not the one here."""
        named = f"Trimtab {' or '.join(self.programs)}" if self.programs else "the version that made them"
        return [
            f"not judged: {plural(count, what)} of {which}; replay with {named}"
            for what, others in (
                ("proposal", self.other_versions),
                ("stop", self.other_rules),
                ("end", self.other_outlooks),
            )
            for which, count in Counter(others.values()).items()
        ]

    def text(self) -> str:
        """One line that sums up, then one for each proposal that differs."""
        said = f"{self.exact} of {self.proposals} proposals derived again exactly"
        if self.close:
            said += f", {len(self.close)} more within {SHORTFALL:.0%} of the best acquisition"
            said += " (another numpy, BLAS or processor)"
        lines = [f"trial {n}: {why}" for n, why in sorted(self.different.items())]
        if lines:
            said += f", {len(lines)} differ"
        if self.other_versions:
            said += f", {len(self.other_versions)} not judged"
        heads = [said, *self._unjudged()]
        if beside := underived(self.by_hand, self.imported):
            heads.append(beside)
        if self.verdicts:
            right = self.verdicts - len(self.overturned) - len(self.other_rules)
            wrong = f", {len(self.overturned)} differ" if self.overturned else ""
            heads.append(f"{right} of {self.verdicts} stops derived again exactly{wrong}")
        if self.looks:
            right = self.looks - len(self.misjudged) - len(self.other_outlooks)
            heads.append(f"{right} of {self.looks} ends of the search derived again")
        lines += [f"event {n}: {why}" for n, why in sorted(self.misjudged.items())]
        return "\n".join([*heads, *lines, *(f"trial {n}: {why}" for n, why in sorted(self.overturned.items()))])


def underived(by_hand: int, imported: int) -> str:
    """What the search was told besides its own proposals; "" if nothing."""
    said = [f"{plural(by_hand, 'trial')} chosen by hand"] if by_hand else []
    said += [f"{plural(imported, 'result')} from elsewhere"] if imported else []
    return f"beside them: {', '.join(said)}, which cannot be derived" if said else ""


def replay(
    trials: Sequence[Trial], events: Sequence[Event], strategy_of: Maker, here: str = "", machines: Iterable[str] = ()
) -> Replay:
    """Derive every proposal again.

    strategy_of: makes the strategy that a spec names; if it raises, that is a difference. here, machines: numeric
    fingerprints of this machine and of those that the record names; "as good" counts only between two kinds. Enqueued
    and imported trials and those of the evidence are not proposals.
    """
    specs, past, batches = specs_of(events), Past(trials), _batches(trials)
    elsewhere = {*machines} != {here}
    exact, close, different, other_versions = 0, list[int](), dict[int, str](), dict[int, str]()
    folded: engine.Fold | None = None
    moments = sorted(batches)
    for (at, seen), pending in zip(moments, past.pending(moments), strict=True):
        spec, batch = spec_at(specs, seen), batches[at, seen]
        try:
            strategy = strategy_of(spec)
            foreign = _of_other_versions(batch, wrapped(spec, strategy))
            other_versions |= foreign
            if len(foreign) == len(batch):
                continue
            folded = _fold(spec, strategy, past, seen, folded)
            again = engine.suggest(spec, folded, pending, at, batch[0].batch)
        except UserError as error:
            different |= {t.number: str(error) for t in batch}
            continue
        for t, made in zip(batch, chain(again, repeat(None)), strict=False):
            if t.number in foreign:
                continue
            why = _difference(t, made)
            if why is None:
                exact += 1
                continue
            earlier = [*pending, *(b for b in batch if b.number < t.number)]
            if elsewhere and _same_origin(t, made) and _as_good(spec, folded, earlier, t):
                close.append(t.number)
            else:
                different[t.number] = why
    return Replay(
        proposals=sum(map(len, batches.values())),
        exact=exact,
        close=tuple(close),
        different=different,
        other_versions=other_versions,
        machines=tuple(sorted({*machines})),
        here=here,
        by_hand=sum(t.purpose is Purpose.SEARCH and t.strategy in _BY_HAND for t in trials),
        imported=sum(t.purpose is Purpose.IMPORT for t in trials),
    )


def _of_other_versions(batch: Iterable[Trial], here: Strategy[Any]) -> dict[int, str]:
    """The trials that another version of the strategy proposed (see Replay.other_versions)."""
    return {
        t.number: f"{t.strategy} version {t.version}, which is version {here.version} here"
        for t in batch
        if t.strategy == here.name and t.version != here.version
    }


def _batches(trials: Sequence[Trial]) -> dict[tuple[int, int], list[Trial]]:
    """What strategies proposed, grouped by (trials that existed, event that was seen): each group was asked for at
    once."""
    batches: dict[tuple[int, int], list[Trial]] = {}
    for t in trials:
        if t.purpose is Purpose.SEARCH and t.strategy not in _BY_HAND:
            batches.setdefault((t.at, t.seen), []).append(t)
    return batches


def verdicts(trials: Sequence[Trial], reports: Iterable[Report], events: Sequence[Event]) -> Judged:
    """Judge every stopped trial again, under the rules in force while it was open, on the reports known then.

    A trial that did not obey its rule continued, and is no stop.
    """
    specs = specs_of(events)
    known = [
        (r.number, r.step, r.metrics, r.written)
        for r in reports
        if r.number < len(trials) and trials[r.number].purpose is Purpose.SEARCH
    ]
    stopped = [t for t in trials if t.verdict]
    judged: dict[str, Mapping[int, rules.Verdict]] = {}  # by the rules' key
    wrong, others = dict[int, str](), dict[int, str]()
    for t in stopped:
        again, versions = list[rules.Verdict | None](), dict[str, str]()
        for spec in specs_between(specs, t.seen, t.told or 0):  # it was told to stop before it ended
            fresh = engine.stopping_rules(spec, trials[0])
            versions |= fresh.versions
            if fresh.key not in judged:
                judged[fresh.key] = rules.verdicts(fresh, known)
            again.append(judged[fresh.key].get(t.number))
        if any(_same_stop(t, verdict) for verdict in again):
            continue
        by, version = t.verdict["rule"], t.verdict.get("version", "1")
        if versions.get(by, version) != version:
            others[t.number] = f"{by} version {version}, which is version {versions[by]} here"
        else:
            wrong[t.number] = _other_stop(t, again[-1])
    return len(stopped), wrong, others


def _same_stop(t: Trial, again: rules.Verdict | None) -> bool:
    """Whether a rule stops the trial again as recorded, whatever its version."""
    return again is not None and {**again.to_json(), "version": ""} == {**t.verdict, "version": ""}


def _other_stop(t: Trial, again: rules.Verdict | None) -> str:
    """How the verdict on a trial differs from the record."""
    if again is None:
        return f"recorded {t.verdict['why']!r}, but its rules let it go on"
    return f"recorded {t.verdict['why']!r}, derived again {again.why!r}"


def enoughs(trials: Sequence[Trial], events: Sequence[Event]) -> Judged:
    """Check again wherever the search ended because it had found enough."""
    specs, past = specs_of(events), Past(trials)
    wrong, others = dict[int, str](), dict[int, str]()
    ends = [e for e in events if e.kind == "enough"]
    for e in ends:
        spec = spec_at(specs, e.position)
        if why := derived(spec, past.told[: past.known(e.position)], e.body):
            version = e.body.get("version", 1)
            if version == VERSION:
                wrong[e.position] = why
            else:
                others[e.position] = f"the search by outlook version {version}, which is version {VERSION} here"
    return len(ends), wrong, others


class Past:
    """What strategies saw at earlier moments. told: the ended trials, in the order of their ends; first: trial 0, if it
    ended."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._trials = [t for t in trials if t.purpose in TOLD]
        ended = [t for t in self._trials if t.told is not None and t.state is not State.CANCELLED]
        self.told = sorted(ended, key=lambda t: t.told or 0)
        self.first = [t for t in ended if t.number == 0]

    def known(self, seen: int) -> int:
        """How many of `told` had ended by event `seen`."""
        return bisect_right(self.told, seen, key=lambda t: t.told or 0)

    def pending(self, moments: Sequence[tuple[int, int]]) -> Iterator[list[Trial]]:
        """For each (trials that existed, event that was seen), in order, the trials that were open then."""
        earliest = [*accumulate((seen for _, seen in reversed(moments)), min)][::-1]  # that is still to be looked at
        waiting, come = list[Trial](), 0
        for (at, seen), least in zip(moments, earliest, strict=True):
            while come < len(self._trials) and self._trials[come].number < at:
                waiting.append(self._trials[come])
                come += 1
            waiting = [t for t in waiting if t.told is None or t.told > least]
            yield [t for t in waiting if t.told is None or t.told > seen]


@dataclass(frozen=True)
class _Start(Sequence[Trial]):
    """The first n of many trials, without copying them."""

    of: Sequence[Trial]
    n: int

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, i: int) -> Trial: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Trial]: ...
    def __getitem__(self, i: int | slice) -> Trial | Sequence[Trial]:
        places = range(self.n)[i]
        return self.of[places] if isinstance(places, int) else [self.of[j] for j in places]


def _fold(spec: StudySpec, strategy: Strategy[Any], past: Past, seen: int, last: engine.Fold | None) -> engine.Fold:
    """The strategy's state after what had ended by event `seen`."""
    known = _Start(past.told, past.known(seen))
    baseline = baseline_trial(spec, {t.number: t for t in past.first if (t.told or 0) <= seen})
    return engine.fold(spec, strategy, known, incumbents.baseline_metrics(spec, baseline), last)


def _same_origin(t: Trial, made: Proposal | None) -> bool:
    """Whether nothing but the params differs: only these can be changed by another machine's arithmetic."""
    if made is None or t.parent != made.parent:
        return False
    return (t.strategy, t.version, t.seed) == (made.strategy, made.version, made.seed)


def _difference(t: Trial, made: Proposal | None) -> str | None:
    """What differs from the record; None if the proposal is the same."""
    if made is None:
        return "nothing is proposed in its place"
    if t.strategy != made.strategy:
        return f"{t.strategy} version {t.version} proposed it, but {made.strategy} version {made.version} would now"
    if (t.parent, t.fidelity) != (made.parent, t.fidelity if made.fidelity is None else made.fidelity):
        return f"recorded {_stretch(t)}, derived again {_stretch(made)}"
    if not same_setting(t.params, made.params):
        return f"recorded {dict(t.params)}, derived again {dict(made.params)}"
    return None if t.seed == made.seed else f"recorded seed {t.seed}, derived again {made.seed}"


def _stretch(t: Trial | Proposal) -> str:
    """Where a trial begins and ends, in words."""
    begins = "as beginning anew" if t.parent is None else f"as going on from trial {t.parent}"
    return begins if t.fidelity is None else f"{begins}, to {t.fidelity:g}"


def _as_good(spec: StudySpec, folded: engine.Fold, earlier: Sequence[Trial], t: Trial) -> bool:
    """Whether the strategy finds the recorded point within SHORTFALL of the best that it knows now, after earlier ones."""
    try:
        return engine.shortfall(spec, folded, earlier, t) <= SHORTFALL
    except SpaceError:  # it is not even in the space
        return False
