"""Where a user's own files are, how processes take turns at one, and files that are written whole or not at all: neither a
full disk nor kill -9 leaves half of one, or takes the one before."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex


@contextmanager
def whole(path: Path, content: bytes) -> Iterator[None]:
    """The file is there with this content when the block has ended, and as it was before where anything raises.

    The content is on the disk when the block begins. Raises OSError.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    if path.is_fifo() or path.is_char_device():
        yield
        path.write_bytes(content)
        return
    if path.exists():
        os.close(os.open(path, os.O_WRONLY))  # what may not be written is not replaced either
    fresh = path.with_name(f"{path.name}.{token_hex(4)}")
    try:
        try:
            with fresh.open("wb") as file:
                if path.exists():
                    shutil.copymode(path, fresh)  # who may read it stays as it was
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # who writes to a full disk is not told where
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        yield
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises OSError."""
    with whole(path, content):
        pass


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """While it lasts, nobody else has a turn at this file: who reads it and writes it anew loses nothing that others wrote.

    A lock is kept in a file beside it, since the file itself is replaced. Where the file system has no locks there are no
    turns. Raises OSError.
    """
    with path.with_name(f"{path.name}.lock").open("ab") as lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def of_user(*names: str) -> Path:
    """A place for what is this user's, outside every database: in $XDG_STATE_HOME/trimtab, else ~/.local/state/trimtab."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state").joinpath("trimtab", *names)
