"""Files that are written completely or not at all (neither a full disk nor kill -9 leaves half of one, or loses the old
one), locks between processes, full disks, and where a user's own files are."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from .errors import UserError


@contextmanager
def replacing(path: Path, content: bytes) -> Iterator[None]:
    """A context at whose end the file has this content; if anything raises, it stays as it was.

    The content is on the disk when the block starts. Folders that do not exist are made. Raises UserError if the file
    cannot be written.
    """
    with _explained(path):
        streams = path.is_fifo() or path.is_char_device()
    if streams:
        yield
        with _explained(path):
            path.write_bytes(content)
        return
    target = Path(os.path.realpath(path))  # a link stays one
    fresh = target.with_name(f"{target.name}.{token_hex(4)}")
    try:
        with _explained(path):
            _make_folder(target)
            if target.exists():
                os.close(os.open(target, os.O_WRONLY))  # what may not be written is not replaced either
            with fresh.open("wb") as file:
                if target.exists():
                    shutil.copymode(target, fresh)  # its permissions stay as they were
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        yield
        with _explained(path):
            os.replace(fresh, target)
    finally:
        with suppress(OSError):
            fresh.unlink()


def write(path: Path, content: bytes) -> None:
    """Write a file completely or not at all; folders that do not exist are made. Raises UserError."""
    with replacing(path, content):
        pass


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A context in which no other process holds the lock of this file, so that reading and rewriting it loses nothing.

    The lock is on a file beside it, since the file itself is replaced. On file systems without locks there is no
    locking. Raises UserError if the file cannot be written.
    """
    with _explained(path):
        _make_folder(path)
        lock = path.with_name(f"{path.name}.lock").open("ab")
    with lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_folder(path: Path) -> None:
    """Make the folder of a file, unless something of that name is there."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """A context in which an error of the file system says which file could not be written."""
    try:
        yield
    except BrokenPipeError:  # of the program that read it: it ended by itself
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def is_full(folder: Path) -> bool:
    """Whether less than 1 MiB is free on the disk of a folder."""
    try:
        return shutil.disk_usage(folder).free < 2**20
    except OSError:
        return False


def user_path(*names: str) -> Path:
    """A path for this user's own files, outside every database: in $XDG_STATE_HOME/trimtab, else
    ~/.local/state/trimtab."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state").joinpath("trimtab", *names)
