"""A trial's checkpoint directory, made when it is first asked for: empty, or a copy of its parent's.

The copy is made beside its final place and then renamed, so that a process killed meanwhile leaves no partial
checkpoint: what it leaves is called `.NUMBER-...`, and is removed when the trial has ended.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def taken_over(own: Path, earlier: Iterable[Path]) -> None:
    """Move what the latest earlier attempt has saved to the directory `own`, if that does not exist yet. A process that
    still runs the earlier attempt no longer finds its directory."""
    for before in () if own.is_dir() else earlier:
        with suppress(FileNotFoundError):
            os.rename(before, own)
            return


def handed_over(own: Path, parent: Path | None) -> Path:
    """The directory `own`, created if necessary, as a copy of `parent` if that exists."""
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
