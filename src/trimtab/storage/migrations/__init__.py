"""The schema's history (Alembic), and how a store is brought to its newest version: `trimtab db upgrade`."""

from pathlib import Path

from .. import schema
from ..database import WRITES, storage_errors
from ..urls import locate

_PATIENCE = 30.0  # seconds to wait for another program that writes


def upgrade(url: str, *, to: str = "head") -> tuple[str | None, str]:
    """Bring the store at `url` to the newest schema (or that of `to`), in one transaction: (version before, version after).

    An empty database gets it too (before: None). Raises StorageError for a database that is not ours or newer than we know.
    """
    from alembic import command
    from alembic.config import Config

    database = locate(url, _PATIENCE)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    engine = database.connect()
    try:
        with storage_errors(database):
            with engine.begin() as connection:
                schema.ready(connection, database.place, older=True)
            database.prepare(engine)
            with engine.execution_options(**{WRITES: True}).begin() as connection:
                database.lock(connection)
                before = schema.version(connection)
                config.attributes["connection"] = connection
                command.upgrade(config, to)
                after = schema.version(connection)
    finally:
        engine.dispose()
    return before, str(after)


def versions() -> list[str]:
    """All schemas that there have been, the newest last."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent))
    return [s.revision for s in reversed([*scripts.walk_revisions()])]
