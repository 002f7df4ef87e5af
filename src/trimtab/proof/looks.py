"""What the record has already shown about a question that is asked again, and what has changed since.

An interval holds with 95 % only if it is the only one. Asking about another setting, another goal, the same pairs as
they grow, or until a lucky stop, means looking more than once. The record knows it, and the certificate is corrected.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ..canonical import dumps, same_setting
from ..engine.ledger import BASELINE
from ..evidence import Contest, Evidence
from ..live import LiveStudy
from ..records import OPEN, Event, Purpose, StudySpec, Trial
from ..space import Params


def certificates(live: LiveStudy) -> list[Evidence]:
    """Every certificate on record, the last one at the end."""
    return [Evidence.from_json(e.body["evidence"]) for e in live.storage.events(live.id, kinds={"evidence"})]


def last_certificate(live: LiveStudy) -> Evidence | None:
    """The last certificate on record; None if there is none."""
    return next(reversed(certificates(live)), None)


@dataclass(frozen=True)
class Seen:
    """Looks and runs before this one.

    compared: as how many comparisons this one counts (see `counted`); there is one for each tuned trial, baseline and goal.
    ended: pairs of this question that have run.
    planned: pairs of it that were asked for, run or not.
    fewest: complete pairs of the smallest look at them, 0 for one that stops when the answer is clear; None without any.
    ratio: the largest n_test / n_train of an earlier look at this study; None without any.
    """

    compared: int
    ended: int
    planned: int
    fewest: int | None
    ratio: float | None

    def grown(self, count: int, complete: int) -> bool:
        """Whether more than `count` pairs were planned, or fewer than are `complete` were looked at before: the number of pairs
        may then depend on what they showed."""
        return self.planned > count or (self.fewest is not None and self.fewest < complete)

    @staticmethod
    def of(live: LiveStudy, contest: Contest, metrics: Sequence[str]) -> "Seen":
        """For the question that compares these settings by these goals."""
        spec = live.ledger.study.spec
        made = certificates(live)
        ran = [e for e in made if e.pairs]  # the others showed nothing: all runs failed, or both settings are the same
        earlier = [(sides(spec, e.tuned_trial, e.baseline), e) for e in ran]
        ours = sides(spec, contest.trial, contest.baseline)
        asked = [[(theirs, metric) for metric in (e.metric, *(g.metric for g in e.goals))] for theirs, e in earlier]
        pairs = [0 if e.sequential else len(e.pairs) for theirs, e in earlier if theirs == ours]
        certified = [t for t in live.ledger.evidence_trials(Purpose.CERTIFY) if t.parent == contest.trial]
        runs = [t for t in certified if same_setting(spec.current(t.params), contest.tuned)]
        return Seen(
            compared=counted(asked, [(ours, metric) for metric in metrics]),
            ended=max((1 + (t.replicate or 0) for t in runs if t.state not in OPEN), default=0),
            planned=max((1 + (t.replicate or 0) for t in runs), default=0),
            fewest=min(pairs, default=None),
            ratio=max((e.test_train_ratio for e in made), default=None),
        )


def counted(earlier: Iterable[Collection[Hashable]], ours: Collection[Hashable]) -> int:
    """As how many comparisons, by Bonferroni's correction, each of `ours` counts, which are asked together after the
    `earlier` ones, in their order.

    The first m comparisons count as m. Of later ones, the k-th counts as 1 + 2 + .. + k = k (k + 1) / 2, since the sum of
    2 / (k (k + 1)) over k = 2, 3, .. is 1: so many questions as may follow, all of them together add no more error than the
    first ones had, and whoever asks on changes no answer given before. m asked together after k - 1 share what they would
    have had one by one: each counts as k (k + m) / 2.
    """
    shares = dict[Hashable, int]()
    for group in (*earlier, ours):
        new, k = {*group} - shares.keys(), len(shares) + 1
        shares |= dict.fromkeys(new, len(new) if k == 1 else math.ceil(k * (k + len(new)) / 2))
    return max(shares[c] for c in ours)


def sides(spec: StudySpec, tuned: int, baseline: Params) -> tuple[int, str]:
    """What tells comparisons on one metric apart: the tuned trial, and the baseline as it is since all revisions."""
    return tuned, dumps(dict(spec.current(baseline)))


def others_since(live: LiveStudy, contest: Contest, have: Mapping[tuple[int, int], Trial]) -> list[str]:
    """How the search differs from these pairs: its code, its baseline."""
    said, spec = [], live.ledger.study.spec
    first, tuned = live.ledger.trials[0], live.ledger.trials[contest.trial]
    if first.strategy == BASELINE and not same_setting(spec.current(first.params), contest.baseline):
        said.append("the baseline was changed after the search had begun: trial 0 ran another one")
    ran = live.storage.events(live.id, kinds={"run"})
    searched = {e.body["fingerprint"] for e in ran if tuned.told is None or e.position < tuned.told}
    certified = {_code(_before(ran, t)) for t in have.values()} - {""}
    if searched and certified - searched:
        said.append("the pairs ran other code than the search had run when it found the tuned setting")
    return said


def mixed(live: LiveStudy, have: Mapping[tuple[int, int], Trial]) -> set[int]:
    """The replicates whose runs, one of each side, are not all of the same code and data, since these were changed in
    between: their differences are not those of the settings alone."""
    ran = live.storage.events(live.id, kinds={"run"})
    together: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for (_, i), t in have.items():
        together[i].append(_before(ran, t))
    return {i for i, those in together.items() if any(_differ(one, other) for one, other in combinations(those, 2))}


def _before(ran: Sequence[Event], t: Trial) -> Mapping[str, Any]:
    """What the last call of run or evidence before the trial's end announced; empty if it is unknown."""
    return next((e.body for e in reversed(ran) if t.told is not None and e.position < t.told), {})


def _code(body: Mapping[str, Any]) -> str:
    return str(body.get("fingerprint", ""))


def _differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two announcements are known to be of different code or data."""
    codes, data = {_code(one), _code(other)} - {""}, [body.get("data") or {} for body in (one, other)]
    return len(codes) > 1 or any(data[0][name] != data[1][name] for name in data[0].keys() & data[1].keys())
