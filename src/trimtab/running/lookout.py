"""Whether a search that is under way has found enough: its outlook, looked at as results come in."""

from ..live import LiveStudy
from ..outlook import Enough, outlook
from ..records import Change


class Lookout:
    """Looks whether one study has enough, each time that `enough` says so. Without `enough` nobody asks, and it never has."""

    def __init__(self, live: LiveStudy, enough: Enough | None) -> None:
        self._live, self._enough = live, enough
        self._looked = 0  # results at the last look
        self._found = False

    @property
    def asked(self) -> bool:
        return self._enough is not None

    def has_enough(self) -> bool:
        """Whether more search is not worth it, as the ledger stands. Once it is so it stays so here."""
        if self._enough is not None and not self._found:
            self._found = self._look(self._enough)
        return self._found

    def _look(self, enough: Enough) -> bool:
        told = self._live.ledger.told
        due = enough.look(len(told))
        if due == self._looked:
            return False
        self._looked = due
        found = outlook(self._live.spec, told[:due], enough)
        if found.reason:
            self._record({"enough": enough.to_json(), "outlook": found.to_json()})
        return bool(found.reason)

    def _record(self, body: dict[str, object]) -> None:
        """Say on record why the search ends, unless another process has said it already."""
        said = self._live.storage.events(self._live.study, kinds={"enough"})
        if all({k: e.body[k] for k in body} != body for e in said):
            self._live.storage.revise(self._live.study, Change("enough", body=body))
