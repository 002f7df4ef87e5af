"""Databases as text: the rows of a record as INSERT statements that every database understands, kept in tests/golden."""

import sqlite3
from contextlib import closing

from sqlalchemy import text

from trimtab.storage.database import WRITES
from trimtab.storage.migrations import upgrade
from trimtab.storage.urls import locate


def rows_of(file):
    """All rows of a SQLite file: one statement for each table."""
    with closing(sqlite3.connect(file)) as c:
        for table in ("studies", "trials", "reports", "events", "private"):
            found = c.execute(f"SELECT * FROM {table}")
            names = ", ".join(f'"{column[0]}"' for column in found.description)
            rows = [", ".join(map(_literal, row)) for row in found]
            yield f"INSERT INTO {table} ({names}) VALUES\n" + ",\n".join(f"({row})" for row in rows) + ";\n"


def _literal(value):
    if value is None:
        return "NULL"
    return repr(value) if isinstance(value, int | float) else "'" + value.replace("'", "''") + "'"


def load(url, dump):
    """Give an empty database the schema and the rows of the dump NAME-SCHEMA.sql; returns the schema."""
    version = dump.stem.split("-")[1]
    assert upgrade(url, to=version) == (None, version)
    engine = locate(url, 5.0).connect()
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        for statement in dump.read_text().split(";\n"):
            if statement:
                connection.execute(text(statement.replace(":", r"\:")))
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT setval('studies_id_seq', (SELECT max(id) FROM studies))"))
    engine.dispose()
    return version
