"""Whether trials that are to go on from others do. They are trained from nothing, at full cost, where nothing is saved or
nobody looks for it."""

from pathlib import Path

from ..engine.lineage import parent_of
from ..live import LiveStudy
from ..objective.trial import UNREAD

_LAST = 30  # of the trials that ended are looked at


def anew(live: LiveStudy) -> str | None:
    """In words, where trials that were to go on from others began anew, as the ledger stands."""
    if live.spec.fidelity is None:
        return None
    went_on = [t for t in live.ledger.told[-_LAST:] if parent_of(t) is not None]
    if not went_on or not (any(UNREAD in t.notes for t in went_on) or _nothing_saved(live)):
        return None
    return (
        "trials are to go on from one another, and do not save to trial.checkpoint or do not look there "
        "(TRIMTAB_CHECKPOINT of a command): unless they save elsewhere, each is trained from nothing"
    )


def _nothing_saved(live: LiveStudy) -> bool:
    """Whether the checkpoints that are here are all empty."""
    held = [path for path in live.checkpoints.held() if not path.name.startswith(".")]
    return bool(held) and all(map(_empty, held))


def _empty(folder: Path) -> bool:
    """Whether there is nothing in it; one that has just been collected may have had something."""
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return False
