"""What a user should hear while a study runs, each thing once: failures, metrics that are left out, and trials that start
from scratch."""

from collections.abc import Callable

from ..engine.ledger import BASELINE
from ..formatting import first_line
from ..live import LiveStudy
from ..objective.metrics import LEFT_OUT
from ..records import State, Trial
from .restarts import restart_notice


class Alerts:
    """Says, as soon as it happens, that a trial has failed (once for each reason), that a metric was left out, and that
    trials start from scratch.

    say: called with each line. Trials that ended before this object was made are not reported.
    """

    def __init__(self, live: LiveStudy, say: Callable[[str], None]) -> None:
        self._live, self._say = live, say
        self._ended = len(live.ledger.told)
        self._said: set[str] = set()

    def look(self) -> None:
        """Look at the ledger, and say what is new. Called whenever trials may have ended."""
        told, before = self._live.ledger.told, self._ended
        self._ended = len(told)
        for trial in told[before:]:
            self._hear(trial)
        if self._ended != before and "restarts" not in self._said and (text := restart_notice(self._live)) is not None:
            self._once("restarts", text)

    def _hear(self, trial: Trial) -> None:
        if trial.state is State.FAILED:
            how, which = f"failed ({trial.reason})", ", the baseline," if trial.strategy == BASELINE else ""
            self._once(how, f"trial {trial.number}{which} {how}: {first_line(trial.error)}")
        for note in trial.notes:
            if note.endswith(LEFT_OUT):
                self._once(LEFT_OUT, f"trial {trial.number}: {note}")

    def _once(self, what: str, text: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self._say(text)
