"""What whoever runs a study must hear while it goes on, each thing once: failures, and trials that begin anew."""

from collections.abc import Callable

from ..live import LiveStudy
from ..records import Reason, State
from .anew import anew
from .runner import first_line


class Warner:
    """Says so as soon as it shows: the first failure by each reason, so that nobody has to look for why trials fail, and
    that trials begin anew. What had ended before it was made is not told."""

    def __init__(self, live: LiveStudy, say: Callable[[str], None]) -> None:
        self._live, self._say = live, say
        self._ended, self._failed = self._seen()
        self._reasons: set[Reason | None] = set()
        self._anew = False

    def _seen(self) -> tuple[int, int]:
        ledger = self._live.ledger
        return len(ledger.told), ledger.counts[State.FAILED]

    def look(self) -> None:
        before, failed = self._ended, self._failed
        self._ended, self._failed = self._seen()
        if self._failed > failed:
            self._failures(before)
        if self._ended != before and not self._anew and (text := anew(self._live)) is not None:
            self._anew = True
            self._say(text)

    def _failures(self, before: int) -> None:
        for trial in self._live.ledger.told[before:]:
            if trial.state is State.FAILED and trial.reason not in self._reasons:
                self._reasons.add(trial.reason)
                self._say(f"trial {trial.number} failed ({trial.reason}): {first_line(trial)}")
