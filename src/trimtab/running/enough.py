"""Whether a running search has found enough, by its outlook, which is checked as results come in."""

from ..live import LiveStudy
from ..outlook import VERSION, Enough, outlook
from ..records import Change


class EnoughCheck:
    """Checks whether a study has found enough, as often as `enough` says. Without an `enough`, it never has."""

    def __init__(self, live: LiveStudy, enough: Enough | None) -> None:
        self._live, self._enough = live, enough
        self._checked = 0  # how many results there were at the last check
        self._found = False

    @property
    def asked(self) -> bool:
        """Whether there is anything to check."""
        return self._enough is not None

    def has_enough(self) -> bool:
        """Whether more search is not worth it, by the ledger as it stands. Once true, it stays true."""
        if self._enough is not None and not self._found:
            self._found = self._check(self._enough)
        return self._found

    def _check(self, enough: Enough) -> bool:
        told = self._live.ledger.told
        due = enough.last_check(len(told))
        if due == self._checked:
            return False
        self._checked = due
        found = outlook(self._live.spec, told[:due], enough)
        if found.reason:
            self._record({"enough": enough.to_json(), "outlook": found.to_json(), "version": VERSION})
        return bool(found.reason)

    def _record(self, body: dict[str, object]) -> None:
        """Record why the search ends, unless another process has already done so."""
        recorded = self._live.storage.events(self._live.id, kinds={"enough"})
        if all({k: e.body.get(k) for k in body} != body for e in recorded):
            self._live.storage.revise(self._live.id, Change("enough", body=body))
