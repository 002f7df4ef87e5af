"""Whether a database is ours and of this version. A new one gets the newest schema; another program's is never touched."""

from sqlalchemy import Connection, inspect, text

from ..errors import StorageError
from .tables import SCHEMA, VERSION_TABLE, metadata


def version(connection: Connection) -> str | None:
    """The schema's version; None if the database is not ours or has no schema yet."""
    if VERSION_TABLE not in inspect(connection).get_table_names():
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return found


def ready(connection: Connection, place: str, *, older: bool = False) -> bool:
    """True if the database has our newest schema, False if it is empty. Raises StorageError for any other database.

    older: an older schema of ours will do, too.
    """
    names = inspect(connection).get_table_names()
    if not names:
        return False
    found = version(connection)
    if found is None:
        listed = ", ".join(sorted(names)[:5])
        raise StorageError(
            f"{place}: this database belongs to another program (its tables: {listed}); it was not touched, "
            "name another file"
        )
    if found > SCHEMA or (found < SCHEMA and not older):
        raise StorageError(f"{place}: {mismatch(found)}")
    return True


def mismatch(found: str) -> str:
    """What to do about a schema that is not the one that this version of Trimtab needs."""
    if found > SCHEMA:
        return (
            f"its schema {found} is newer than this version of Trimtab knows ({SCHEMA}); "
            "upgrade trimtab: pip install --upgrade trimtab"
        )
    return (
        f"its schema {found} is older than this version of Trimtab needs ({SCHEMA}); "
        "back it up and run `trimtab db upgrade --storage URL`"
    )


def make(connection: Connection) -> None:
    """Create the newest schema in an empty database. It is the same as all migrations make of it: a test checks that."""
    metadata.create_all(connection)
    connection.execute(
        text(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text(f"INSERT INTO {VERSION_TABLE} (version_num) VALUES (:schema)"), {"schema": SCHEMA})
