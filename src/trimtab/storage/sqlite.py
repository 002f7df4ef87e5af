"""SQLite: how Trimtab finds the file, connects to it, waits for other writers, and explains its errors."""

import os
import random
import sqlite3
import threading
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from ..checks import without_password
from ..errors import StorageError
from ..files import is_full
from .database import WRITES, driver_error

_PAGE = 512  # bytes of the smallest possible database page
_OFTEN, _SELDOM = 0.006, 0.02  # seconds, at least and at most, between two attempts to write while another does


@dataclass(frozen=True)
class Sqlite:
    """A database file. writable: whether this process may write to it. timeout: seconds to wait for another writer."""

    url: str
    file: Path
    writable: bool
    timeout: float

    @property
    def place(self) -> str:
        return str(self.file)

    @property
    def witness(self) -> Path:
        return self.file.with_name(self.file.name + ".witness")

    def connect(self) -> Engine:
        """An engine whose transactions begin as writers if they have the option WRITES.

        A writing transaction raises StorageError if the file was deleted or replaced meanwhile: on Linux, writing to it
        would succeed, and all of that would be lost.
        """
        written: list[tuple[int, int]] = []  # the identity of the file, once it was written to
        engine = create_engine(
            "sqlite://",
            creator=lambda: _open(self),
            poolclass=QueuePool,
            pool_reset_on_return=None,  # every transaction has ended when its connection comes back
            max_overflow=-1,
            insertmanyvalues_page_size=500,
        )

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            if connection.get_execution_options().get(WRITES, False):
                if written and _identity(self.file) != written[0]:
                    raise StorageError(f"{self.file}: {_GONE}")
                _begin_write(connection, self.timeout)
                if not written and (found := _identity(self.file)) is not None:
                    written.append(found)
            else:
                connection.exec_driver_sql("BEGIN")

        return engine

    def write_lock(self) -> AbstractContextManager[Any]:
        """A lock of this process: a file has one writer at a time, and waiting for a lock is fairer than polling the file."""
        return threading.Lock()

    def prepare(self, engine: Engine) -> None:
        if self.writable:
            _write_ahead(engine, self.timeout)

    def lock(self, connection: Connection) -> None:
        """Nothing to do: BEGIN IMMEDIATE has locked the database."""

    def now(self, connection: Connection) -> float | None:
        del connection  # a file has no clock
        return None

    def ticket(self, connection: Connection) -> tuple[float | None, str]:
        del connection
        return None, ""

    def committed(self, engine: Engine, ticket: str) -> bool:
        del engine, ticket  # an error of COMMIT leaves the transaction undone
        return False

    def retry_after(self, error: BaseException, waited: float, opening: bool) -> float | None:
        """Retry a reader that is blocked: by a process that creates the file, or repairs it after a crash. (Writers wait in
        `_begin_write`.)"""
        del opening
        busy = _code(driver_error(error)) == sqlite3.SQLITE_BUSY and waited < self.timeout
        return 0.01 if busy else None

    def explain(self, error: BaseException) -> str:
        return _explain(self, driver_error(error))


def locate(url: str, timeout: float) -> Sqlite:
    """The database file that a URL names. Raises StorageError if there cannot be one."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path == ":memory:":
        raise StorageError(
            f"storage {without_password(url)!r} names no file; write 'sqlite:///file.db', or 'memory://' for private memory"
        )
    if "?" in path:
        raise StorageError(
            f"storage {url!r}: options after '?' are not supported; write 'sqlite:///{path.split('?')[0]}'"
        )
    file = Path(os.path.abspath(os.path.expanduser(path)))
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            file.stat()
    except (OSError, ValueError) as error:  # ValueError: NUL or a lone surrogate; Python's versions word it differently
        reason = error.strerror if isinstance(error, OSError) else "its name holds a character that no file name can"
        raise StorageError(f"storage {url!r}: no file can be used there ({reason}); name another one") from None
    if file.is_dir():
        raise StorageError(
            f"storage {url!r}: {file} is a folder; name a file in it, such as 'sqlite:///{os.path.join(path, 'trimtab.db')}'"
        )
    if not file.parent.is_dir():
        raise StorageError(f"storage {url!r}: the folder {file.parent} does not exist; make it first, or name another")
    exists = file.exists()
    writable = _may(file.parent, os.W_OK) and (not exists or _may(file, os.W_OK))
    if not exists and not writable:
        raise StorageError(f"storage {url!r}: the folder {file.parent} is read-only; name a file in another folder")
    if exists and not _may_be_database(file):
        raise StorageError(f"{file}: it is no SQLite database; name another file, or move this one away")
    return Sqlite(url, file, writable, timeout)


def _may_be_database(file: Path) -> bool:
    """Whether the file is empty or has at least the size of a page: SQLite would take some shorter files for empty ones."""
    if not _may(file, os.R_OK):
        raise StorageError(f"{file}: it cannot be read; check its permissions, or name another")
    return file.stat().st_size == 0 or file.stat().st_size >= _PAGE


def _may(path: Path, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def _open(database: Sqlite) -> sqlite3.Connection:
    mode = "rwc" if database.writable else "ro"
    wal = database.file.with_name(database.file.name + "-wal")
    if not database.writable and not (wal.exists() and wal.stat().st_size):
        mode += "&immutable=1"  # nobody is writing, and there may be no place for the files that reading WAL needs
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(database.file))}?mode={mode}",
        uri=True,
        timeout=0.0,  # waiting for the file's lock is done in `_begin_write`
        isolation_level=None,  # transactions begin where we say
        check_same_thread=False,  # the pool gives a connection to one thread at a time
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")  # a file from elsewhere may hold triggers and views
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _begin_write(connection: Connection, timeout: float) -> None:
    """BEGIN IMMEDIATE, tried for up to `timeout` seconds.

    All waiting processes try about equally often. They try more seldom if waiting usually takes long, because then many
    wait, and each attempt costs the writer time. If other processes write too, even the first attempt waits for a moment;
    otherwise the process that has just written would nearly always be the next writer again. (SQLite's own busy timeout
    backs off to 100 ms, and is unfair in both ways.)
    """
    began = time.monotonic()
    cursor, known = connection.connection.cursor(), connection.info
    usual = known.get("usual", 0.0)
    pause = min(max(usual / 20, _OFTEN), _SELDOM)
    if known.get("others"):
        time.sleep(random.uniform(pause / 2, pause))
    while True:
        try:
            cursor.execute("BEGIN IMMEDIATE")
            break
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() - began > timeout:
                raise
        time.sleep(random.uniform(pause / 2, pause))
    (version,) = cursor.execute("PRAGMA data_version").fetchone()  # changes when another connection has written
    known["others"] = known.get("version", version) != version
    known["version"], known["usual"] = version, 0.75 * usual + 0.25 * (time.monotonic() - began)
    cursor.close()


_GONE = "it was deleted or replaced while it was in use; put it back, or end all programs that use it and run the same again"


def _identity(file: Path) -> tuple[int, int] | None:
    """What identifies the file at a path, whatever its name; None if there is none."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _code(error: BaseException) -> int:
    """SQLite's primary result code; 0 if it has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _write_ahead(engine: Engine, timeout: float) -> None:
    """Switch the file to WAL mode, in which it stays. Other processes may do the same at this moment."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        deadline = time.monotonic() + timeout
        while True:
            try:
                if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    cursor.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
    finally:
        connection.close()


def _explain(database: Sqlite, error: BaseException) -> str:
    """The message for an error of the driver, by SQLite's primary result code."""
    code = _code(error)
    if code == sqlite3.SQLITE_IOERR and is_full(database.file.parent):  # it may report a full disk in this way too
        code = sqlite3.SQLITE_FULL
    waited = f"for longer than {database.timeout:g} s"
    repairs = {
        sqlite3.SQLITE_BUSY: f"another program has kept it locked {waited}; close that program and run the same again",
        sqlite3.SQLITE_LOCKED: f"another connection has kept it locked {waited}; run the same again",
        sqlite3.SQLITE_NOTADB: "it is no SQLite database; name another file, or move this one away",
        sqlite3.SQLITE_CORRUPT: "the database is damaged; restore it from a backup, or save what can be read with "
        "`sqlite3 FILE .recover`",
        sqlite3.SQLITE_READONLY: "it is read-only; make the file and its folder writable, or copy them elsewhere",
        sqlite3.SQLITE_FULL: "the disk is full; free some space and run the same again (nothing that was stored is lost)",
        sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that the file and its folder exist and may be read and "
        "written, or copy FILE and FILE-wal to a folder of yours",
        sqlite3.SQLITE_IOERR: "the disk failed to read or write; check its free space, quota and health, then run the "
        "same again",
    }
    if code == sqlite3.SQLITE_ERROR and "no such table" in str(error):
        return f"{database.file}: {_GONE} ({error})"
    return f"{database.file}: {repairs.get(code, 'the database refused')} ({error})"
