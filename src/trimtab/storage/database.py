"""What the SQL store needs to know about a kind of database: how to connect, what errors mean, and when to retry."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ..errors import StorageError

WRITES = "trimtab_writes"
"""Execution option of connections whose transactions write."""

FAULTS = (DBAPIError, sqlite3.Error, OSError)
"""What connections raise when the database, its driver or its disk is at fault."""


def driver_error(error: BaseException) -> BaseException:
    """The driver's error, if SQLAlchemy has wrapped it."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


class Database(Protocol):
    """One database, as SQLite or PostgreSQL keeps it."""

    @property
    def url(self) -> str:
        """Its URL, without a password."""
        ...

    @property
    def place(self) -> str:
        """What messages call it."""
        ...

    @property
    def witness(self) -> Path | None:
        """The file where heads of chains are written, outside the database; None: nowhere."""
        ...

    def connect(self) -> Engine:
        """An engine for one process. Reading transactions see one snapshot; the option WRITES marks those that write."""
        ...

    def write_lock(self) -> AbstractContextManager[Any]:
        """Held by threads of one process while they write."""
        ...

    def prepare(self, engine: Engine) -> None:
        """Called once for a writable database before it has our tables."""
        ...

    def lock(self, connection: Connection) -> None:
        """Keep others from making or changing tables until the transaction ends."""
        ...

    def now(self, connection: Connection) -> float | None:
        """The database's own time when the transaction began; None if it has no clock to share."""
        ...

    def ticket(self, connection: Connection) -> tuple[float | None, str]:
        """The database's own time (None if it has no clock to share), and an identifier of the writing transaction."""
        ...

    def committed(self, engine: Engine, ticket: str) -> bool:
        """Whether the transaction was committed, although its commit was answered by an error."""
        ...

    def retry_after(self, error: BaseException, waited: float, opening: bool) -> float | None:
        """Seconds to wait before retrying, after `waited` seconds of trying; None if retrying is useless."""
        ...

    def explain(self, error: BaseException) -> str:
        """A message: the place, what is wrong, and how to repair it."""
        ...


@contextmanager
def storage_errors(database: Database) -> Iterator[None]:
    """A context that turns the driver's errors into a StorageError."""
    try:
        yield
    except FAULTS as error:
        raise StorageError(database.explain(error)) from None
