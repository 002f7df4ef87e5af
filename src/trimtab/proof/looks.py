"""What the record has already shown of a question that is asked again, and what has changed under it.

An interval is worth its 95 % if it was the only one. Whoever asks of another setting, another goal, the same pairs as they
grow, or until a stop that luck chose, has looked more than once; the record knows, and the certificate is corrected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..book import Book
from ..canonical import alike, dumps
from ..engine.ledger import BASELINE
from ..evidence import Contest, Evidence
from ..records import OPEN, Purpose, Trial


@dataclass(frozen=True)
class Seen:
    """Looks and runs before this one. compared: how many comparisons there are now, one for each tuned trial, baseline and
    goal. ended: pairs of this question that have run. planned: pairs of it that were asked for, run or not. fewest: pairs of
    the smallest look at them, 0 for one that stops when it is clear; None without any. ratio: the largest
    n_test / n_train that an earlier look at this study took; None without any."""

    compared: int = 1
    ended: int = 0
    planned: int = 0
    fewest: int | None = None
    ratio: float | None = None

    def grown(self, count: int) -> bool:
        """Whether `count` pairs are not what was planned, or were looked at before there were so many."""
        return self.planned > count or (self.fewest is not None and self.fewest < count)

    @staticmethod
    def of(book: Book, contest: Contest, metrics: Sequence[str]) -> "Seen":
        """Of the question that compares these settings by these goals."""
        spec = book.ledger.study.spec
        tuned, baseline = contest.trial, dumps(dict(contest.baseline))
        bodies = [e.body["evidence"] for e in book.storage.events(book.study, kinds={"evidence"})]
        earlier = [Evidence.from_json(b) for b in bodies]
        bases = [dumps(dict(spec.today(e.baseline))) for e in earlier]
        asked = {(tuned, baseline, metric) for metric in metrics}
        looks = {
            (e.tuned_trial, base, metric)
            for e, base in zip(earlier, bases, strict=True)
            for metric in (e.metric, *(g.metric for g in e.goals))
        }
        same = [e for e, base in zip(earlier, bases, strict=True) if (e.tuned_trial, base) == (tuned, baseline)]
        runs = [
            t
            for t in book.ledger.apart(Purpose.CERTIFY)
            if t.parent == tuned and alike(spec.today(t.params), contest.tuned)
        ]
        return Seen(
            compared=len(asked | looks),
            ended=max((1 + (t.replicate or 0) for t in runs if t.state not in OPEN), default=0),
            planned=max((1 + (t.replicate or 0) for t in runs), default=0),
            fewest=min((0 if e.sequential else len(e.pairs) + e.failed_pairs for e in same), default=None),
            ratio=max((e.test_train_ratio for e in earlier), default=None),
        )


def others_since(book: Book, contest: Contest, have: Mapping[tuple[int, int], Trial]) -> list[str]:
    """What the search had that these pairs have not: its code, its baseline."""
    said, spec = [], book.ledger.study.spec
    first, tuned = book.ledger.trials.get(0), book.ledger.trials[contest.trial]
    began = first is not None and first.strategy == BASELINE
    if first is not None and began and not alike(spec.today(first.params), contest.baseline):
        said.append("the baseline was changed after the search had begun: trial 0 ran another one")
    ran = [(e.position, e.body["fingerprint"]) for e in book.storage.events(book.study, kinds={"run"})]
    searched = {code for position, code in ran if tuned.told is None or position < tuned.told}
    certified = {_before(ran, t.told) for t in have.values() if t.told is not None} - {None}
    if searched and certified - searched:
        said.append("the pairs ran other code than the search had run when it found the tuned setting")
    return said


def _before(ran: Sequence[tuple[int, str]], position: int) -> str | None:
    """The code of the last run that had been announced by then."""
    return next((code for announced, code in reversed(ran) if announced < position), None)
