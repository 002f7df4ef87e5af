"""Is this database ours, and of this version? What is new gets the newest schema; what is foreign is never touched."""

from sqlalchemy import Connection, inspect, text

from ..errors import StorageError
from .tables import SCHEMA, VERSION_TABLE, metadata


def version(connection: Connection) -> str | None:
    """The schema's version; None when the database is not ours or has no schema yet."""
    if VERSION_TABLE not in inspect(connection).get_table_names():
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return found


def ready(connection: Connection, place: str, *, older: bool = False) -> bool:
    """Whether the database holds our newest schema (or, if allowed, an older one); False when it is empty.

    Raises StorageError when it is another program's, or of a version that is not allowed.
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
    if found > SCHEMA:
        raise StorageError(
            f"{place}: its schema {found} is newer than this version of Trimtab knows ({SCHEMA}); "
            "upgrade trimtab: pip install --upgrade trimtab"
        )
    if found < SCHEMA and not older:
        raise StorageError(
            f"{place}: its schema {found} is older than this version of Trimtab needs ({SCHEMA}); "
            "run `trimtab db upgrade`"
        )
    return True


def make(connection: Connection) -> None:
    """Give an empty database the newest schema, as all migrations together would (a test proves that they agree)."""
    metadata.create_all(connection)
    connection.execute(
        text(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text(f"INSERT INTO {VERSION_TABLE} (version_num) VALUES (:schema)"), {"schema": SCHEMA})
