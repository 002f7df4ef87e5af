"""A warning for trials that should continue from a checkpoint, but start from scratch, at full cost: the objective saves
nothing, or does not load what was saved."""

from pathlib import Path

from ..engine.lineage import parent_of
from ..live import LiveStudy
from ..objective.trial import UNREAD

_LAST = 30  # ended trials that are checked


def restart_notice(live: LiveStudy) -> str | None:
    """What to tell the user if trials that should continue from others started from scratch; else None."""
    if live.spec.fidelity is None:
        return None
    went_on = [t for t in live.ledger.told[-_LAST:] if parent_of(t) is not None]
    if not went_on or not (any(UNREAD in t.notes for t in went_on) or _nothing_saved(live)):
        return None
    return (
        "trials should continue from one another, but do not save to trial.checkpoint or do not look there "
        "(TRIMTAB_CHECKPOINT of a command): unless they save elsewhere, each is trained from scratch"
    )


def _nothing_saved(live: LiveStudy) -> bool:
    """Whether there are checkpoint directories, and all of them are empty."""
    held = [path for path in live.checkpoints.held() if not path.name.startswith(".")]
    return bool(held) and all(map(_empty, held))


def _empty(folder: Path) -> bool:
    """Whether the folder is empty; False if it has just been removed, since there may have been something in it."""
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return False
