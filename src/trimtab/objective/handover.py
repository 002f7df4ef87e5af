"""A trial's checkpoint directory, made when the objective first asks for it: empty, or a copy of its parent's.

The copy is made beside its final place, under a name like `.NUMBER-...`, and then renamed. So a process that is killed
meanwhile leaves no partial checkpoint; what it leaves is removed when the trial has ended.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..files import is_full

_CAUSES = 10  # how far an error is followed back to its causes, which may form a circle


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
    if own.parent.parent == Path(tempfile.gettempdir()):  # which all users of the machine share
        own.parent.mkdir(mode=0o700, exist_ok=True)
    if own.is_dir() or parent is None or not parent.is_dir():
        own.mkdir(parents=True, exist_ok=True)
        return own
    copy = Path(tempfile.mkdtemp(prefix=f".{own.name}-", dir=own.parent))
    try:
        shutil.copytree(parent, copy, dirs_exist_ok=True)
        os.rename(copy, own)
    except OSError as error:
        full = is_full(own.parent)  # shutil only tells in words what went wrong
        shutil.rmtree(copy, ignore_errors=True)
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(own)) from error
        if not own.is_dir():  # else another attempt at the same trial was faster
            raise
    return own


def lacks_room(own: Path, error: BaseException) -> bool:
    """Whether an evaluation that saves to `own` failed because a disk, or this user's quota, is full.

    The error or one of its causes says so; or that disk has no room any more, since many programs only say that they
    could not write.
    """
    cause: BaseException | None = error
    for _ in range(_CAUSES):
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        cause = None if cause is None else cause.__cause__ or cause.__context__
    return is_full(own.parent)
