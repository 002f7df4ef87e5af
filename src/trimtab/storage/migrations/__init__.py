"""The schema's history (Alembic), and how a store is brought to its newest version: `trimtab db upgrade`."""

from pathlib import Path

from .. import schema, sqlite


def upgrade(url: str, *, timeout: float = 30.0) -> tuple[str | None, str]:
    """Bring the store at `url` to the newest schema, in one transaction: (version before, version after).

    An empty file gets it too (before: None). Raises StorageError for a database that is not ours or newer than we know.
    """
    from alembic import command
    from alembic.config import Config

    database = sqlite.locate(url, timeout)
    engine = sqlite.connect(database)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    try:
        with sqlite.explained(database):
            with engine.begin() as connection:
                schema.ready(connection, str(database.file), older=True)
            sqlite.write_ahead(engine, database)
            with engine.execution_options(**{sqlite.WRITES: True}).begin() as connection:
                before = schema.version(connection)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                after = schema.version(connection)
    finally:
        engine.dispose()
    return before, str(after)
