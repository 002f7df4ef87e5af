"""What a store in an SQL database needs to know of its kind: how to connect, what errors mean, and when to try again."""

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


def raised(error: BaseException) -> BaseException:
    """What the driver raised, where SQLAlchemy has wrapped it."""
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
        """An engine for one process. Reading transactions see one snapshot; WRITES says which ones write."""
        ...

    def write_lock(self) -> AbstractContextManager[Any]:
        """Where threads of one process queue before they write."""
        ...

    def prepare(self, engine: Engine) -> None:
        """What is done once to a database that may be written, before it has our tables."""
        ...

    def lock(self, connection: Connection) -> None:
        """Hold off others who would make or change tables, until the transaction ends."""
        ...

    def now(self, connection: Connection) -> float | None:
        """The database's own time when the transaction began; None: it has no clock to share."""
        ...

    def ticket(self, connection: Connection) -> tuple[float | None, str]:
        """The database's own time (None: it has no clock to share), and what names the writing transaction."""
        ...

    def committed(self, engine: Engine, ticket: str) -> bool:
        """Whether the transaction was kept, although its commit was answered by an error."""
        ...

    def again(self, error: BaseException, waited: float, opening: bool) -> float | None:
        """Seconds to wait before the same is tried again, after `waited` seconds of trying; None: it is of no use."""
        ...

    def explain(self, error: BaseException) -> str:
        """Place, what is wrong, and the repair."""
        ...


@contextmanager
def explained(database: Database) -> Iterator[None]:
    """Turns what the driver raises into a StorageError."""
    try:
        yield
    except FAULTS as error:
        raise StorageError(database.explain(error)) from None
