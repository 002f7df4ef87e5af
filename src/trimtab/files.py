"""Files that are written completely or not at all (neither a full disk nor kill -9 leaves half of one, or loses the old
one), locks between processes, and where a user's own files are."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex


@contextmanager
def replacing(path: Path, content: bytes) -> Iterator[None]:
    """A context at whose end the file has this content; if anything raises, it stays as it was.

    The content is on the disk when the block starts. Raises OSError.
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
    """Write a file completely or not at all. Raises OSError."""
    with replacing(path, content):
        pass


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A context in which no other process holds the lock of this file, so that reading and rewriting it loses nothing.

    The lock is on a file beside it, since the file itself is replaced. On file systems without locks there is no
    locking. Raises OSError.
    """
    with path.with_name(f"{path.name}.lock").open("ab") as lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def user_path(*names: str) -> Path:
    """A path for this user's own files, outside every database: in $XDG_STATE_HOME/trimtab, else
    ~/.local/state/trimtab."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state").joinpath("trimtab", *names)
