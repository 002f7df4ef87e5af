"""A trial's directory for checkpoints, made when it is first asked for: empty, or a copy of the one that is handed over.

The copy is made beside its place and then renamed, so that a process that is killed in the middle of it leaves no half of
a checkpoint: what it leaves is called `.NUMBER-...`, and is collected when the trial has ended.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def taken_over(own: Path, earlier: Iterable[Path]) -> None:
    """Move what an earlier attempt has saved, the last one first, to the directory `own`, if that is not there yet: who still
    runs that attempt does not find its directory any more."""
    for before in () if own.is_dir() else earlier:
        with suppress(FileNotFoundError):
            os.rename(before, own)
            return


def handed_over(own: Path, parent: Path | None) -> Path:
    """The directory `own`, which exists afterwards, begun as a copy of `parent` where there is such a directory."""
    if own.is_dir() or parent is None or not parent.is_dir():
        own.mkdir(parents=True, exist_ok=True)
        return own
    copy = Path(tempfile.mkdtemp(prefix=f".{own.name}-", dir=own.parent))
    try:
        shutil.copytree(parent, copy, dirs_exist_ok=True)
        os.rename(copy, own)
    except OSError:
        shutil.rmtree(copy, ignore_errors=True)
        if not own.is_dir():  # else another attempt at the same trial was faster
            raise
    return own
