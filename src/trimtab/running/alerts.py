"""What a user should hear while a study runs, each thing once: failures, and trials that start from scratch."""

from collections.abc import Callable

from ..formatting import first_line
from ..live import LiveStudy
from ..records import Reason, State
from .restarts import restart_notice


class Alerts:
    """Says, as soon as it happens, that a trial has failed (once for each reason), and that trials start from scratch.

    say: called with each line. Trials that ended before this object was made are not reported.
    """

    def __init__(self, live: LiveStudy, say: Callable[[str], None]) -> None:
        self._live, self._say = live, say
        self._ended, self._failed = self._seen()
        self._reasons: set[Reason | None] = set()
        self._restarts_said = False

    def _seen(self) -> tuple[int, int]:
        ledger = self._live.ledger
        return len(ledger.told), ledger.counts[State.FAILED]

    def look(self) -> None:
        """Look at the ledger, and say what is new. Called whenever trials may have ended."""
        before, failed = self._ended, self._failed
        self._ended, self._failed = self._seen()
        if self._failed > failed:
            self._failures(before)
        if self._ended != before and not self._restarts_said and (text := restart_notice(self._live)) is not None:
            self._restarts_said = True
            self._say(text)

    def _failures(self, before: int) -> None:
        for trial in self._live.ledger.told[before:]:
            if trial.state is State.FAILED and trial.reason not in self._reasons:
                self._reasons.add(trial.reason)
                self._say(f"trial {trial.number} failed ({trial.reason}): {first_line(trial.error)}")
