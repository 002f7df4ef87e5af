"""`trimtab db upgrade`: a record that an earlier version wrote is whole afterwards, on every database.

tests/golden/record-NNNN.sql holds the rows of a study as the program wrote them when NNNN was the newest schema.
"""

from pathlib import Path

import postgres as pg
import pytest
from sqlalchemy import text
from stores import DONE, put, verify

from trimtab.errors import StorageError
from trimtab.storage.database import WRITES, locate
from trimtab.storage.migrations import upgrade, versions
from trimtab.storage.sql import Sql
from trimtab.storage.tables import SCHEMA

RECORDS = sorted((Path(__file__).parent / "golden").glob("record-*.sql"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request, tmp_path):
    return f"sqlite:///{tmp_path}/t.db" if request.param == "sqlite" else pg.server().database()


def load(url, record):
    """Give an empty database the schema and the rows of a record."""
    version = record.stem.removeprefix("record-")
    assert upgrade(url, to=version) == (None, version)
    engine = locate(url, 5.0).connect()
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        for statement in record.read_text().split(";\n"):
            if statement:
                connection.execute(text(statement.replace(":", r"\:")))
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT setval('studies_id_seq', 1)"))
    engine.dispose()
    return version


@pytest.mark.parametrize("record", RECORDS, ids=lambda p: p.stem)
def test_a_record_of_an_earlier_schema_is_whole_after_the_upgrade(record, empty):
    version = load(empty, record)
    if version != SCHEMA:
        with pytest.raises(StorageError, match=r"is older than this version .* run `trimtab db upgrade`"):
            Sql(empty)
    assert upgrade(empty) == (version, SCHEMA)
    store = Sql(empty)
    (study,) = store.studies()
    assert [str(t.state) for t in store.trials(study.id).trials] == ["done", "failed", "cancelled", "running"]
    assert verify(store, study.id) == []
    store.finish(store.trials(study.id).trials[-1], DONE)
    put(store, study.id)
    assert store.claim([study.id], "w", 15.0).number == 4
    assert verify(store, study.id) == []
    store.close()


def test_every_schema_has_a_record():
    assert [p.stem.removeprefix("record-") for p in RECORDS] == versions()
    assert versions()[-1] == SCHEMA
