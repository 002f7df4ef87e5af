"""What the SQL store must know about a kind of database: how to connect, what errors mean, and when to try again."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ..errors import StorageError

WRITES = "trimtab_writes"
"""The execution option that marks connections whose transactions write."""

FAULTS = (DBAPIError, sqlite3.Error, OSError)
"""The exceptions that mean that the database, its driver or its disk is at fault."""


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error, taken out of SQLAlchemy's; any other error as it is."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


class Database(Protocol):
    """One database, in SQLite or PostgreSQL."""

    @property
    def url(self) -> str:
        """Its URL, without a password."""
        ...

    @property
    def place(self) -> str:
        """What messages call the database."""
        ...

    @property
    def witness(self) -> Path | None:
        """The witness file (see `witness`); None if there is none."""
        ...

    def connect(self) -> Engine:
        """An engine for one process. Reading transactions see one snapshot; the option WRITES marks those that write."""
        ...

    def write_lock(self) -> AbstractContextManager[Any]:
        """A lock that threads of one process hold while they write."""
        ...

    def prepare(self, engine: Engine) -> None:
        """Set up what the database needs before our tables are created. Called whenever a store is opened."""
        ...

    def lock(self, connection: Connection) -> None:
        """Keep other processes from creating or changing tables until the transaction ends."""
        ...

    def now(self, connection: Connection) -> float | None:
        """The database's time when the transaction began; None if it has no clock that all its users share."""
        ...

    def ticket(self, connection: Connection) -> tuple[float | None, str]:
        """The same time for a writing transaction, and an identifier of that transaction, for `committed`."""
        ...

    def committed(self, engine: Engine, ticket: str) -> bool:
        """Whether a transaction was committed, although its commit was answered by an error."""
        ...

    def retry_after(self, error: BaseException, waited: float, opening: bool) -> float | None:
        """Seconds to wait before trying again; None if that would not help.

        waited: seconds for which it has been tried already. opening: whether the store is just being opened.
        """
        ...

    def explain(self, error: BaseException) -> str:
        """The message for an error: the place, what is wrong, and how to repair it."""
        ...


@contextmanager
def storage_errors(database: Database) -> Iterator[None]:
    """A context that turns FAULTS into a StorageError."""
    try:
        yield
    except FAULTS as error:
        raise StorageError(database.explain(error)) from None
