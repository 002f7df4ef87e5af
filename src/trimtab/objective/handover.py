"""A trial's checkpoint directory, made when the objective first asks for it: empty, or a copy of its parent's.

The copy is made beside its final place, under a name like `.NUMBER-...`, and then renamed. So a process that is killed
meanwhile leaves no partial checkpoint; what it leaves is removed when the trial has ended.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def take_over(own: Path, earlier: Iterable[Path]) -> None:
    """Rename the directory of the latest earlier attempt that has one to `own`, unless that exists already.

    A process that still runs the earlier attempt then no longer finds its directory.
    """
    if own.is_dir():
        return
    for before in earlier:
        with suppress(FileNotFoundError):
            os.rename(before, own)
            return


def create(own: Path, parent: Path | None) -> Path:
    """The directory `own`. If it does not exist, it is created: as a copy of `parent` if that exists, else empty."""
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
