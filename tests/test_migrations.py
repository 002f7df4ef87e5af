"""`trimtab db upgrade`: a record that an earlier version wrote is whole afterwards, on every database.

tests/golden/record-NNNN.sql holds the rows of a study as the program wrote them when NNNN was the newest schema.
After a new migration, `python tests/test_migrations.py` writes the record of the newest schema; it is never changed again.
"""

import signal
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from dumps import load, rows_of
from sqlalchemy import text
from stores import DONE, SPEC, put, running, verify

import trimtab as tt
from trimtab.errors import StorageError
from trimtab.records import Change, Report
from trimtab.storage.database import WRITES
from trimtab.storage.migrations import upgrade, versions
from trimtab.storage.sql import Sql
from trimtab.storage.tables import SCHEMA
from trimtab.storage.urls import locate

RECORDS = sorted((Path(__file__).parent / "golden").glob("record-*.sql"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda p: p.stem)
def test_a_record_of_an_earlier_schema_is_whole_after_the_upgrade(record, database_url):
    version = load(database_url, record)
    if version != SCHEMA:
        with pytest.raises(StorageError, match=r"is older than this version .* run `trimtab db upgrade --storage URL`"):
            Sql(database_url)
    assert upgrade(database_url) == (version, SCHEMA)
    store = Sql(database_url)
    (study,) = store.studies()
    assert [str(t.state) for t in store.trials(study.id).trials] == ["done", "failed", "cancelled", "running"]
    assert verify(store, study.id) == []
    store.finish(store.trials(study.id).trials[-1], DONE)
    put(store, study.id)
    assert store.claim(study.id, "w", 15.0).number == 4
    assert verify(store, study.id) == []
    store.close()


KILLED = """
    import os, signal, sys
    from alembic import op
    from trimtab.storage.migrations import upgrade

    add, added = op.add_column, []

    def dies(*words):
        add(*words)
        added.append(words)
        if len(added) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    op.add_column = dies
    upgrade(sys.argv[1])
    """


def test_an_upgrade_that_is_killed_changes_nothing_and_several_at_once_make_one(database_url):
    load(database_url, RECORDS[0])
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), database_url], check=False)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(StorageError, match=r"its schema 0001 is older"):
        Sql(database_url)
    with ThreadPoolExecutor(4) as pool:
        made = [future.result() for future in [pool.submit(upgrade, database_url) for _ in range(4)]]
    assert sorted(made) == [("0001", SCHEMA), *[(SCHEMA, SCHEMA)] * 3]
    store = Sql(database_url)
    (study,) = store.studies()
    assert verify(store, study.id) == []
    store.close()


def set_schema(url, version):
    """Let the database look as if a program of another version had upgraded it."""
    engine = locate(url, 5.0).connect()
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        connection.execute(text("UPDATE trimtab_version SET version_num = :v"), {"v": version})
    engine.dispose()


def test_a_program_that_runs_while_the_database_is_upgraded_writes_no_more(database_url):
    store = Sql(database_url)
    study = store.create(SPEC).id
    held = running(store, study)
    position = store.study(study).position
    set_schema(database_url, "9999")
    for use in (
        lambda: store.finish(held, DONE),
        lambda: store.revise(study, Change("pause")),
        lambda: store.enqueue(study, [], at=1, seen=position),
        lambda: store.trials(study),
        lambda: store.study(study),
    ):
        with pytest.raises(StorageError, match=r"changed while this program used it: its schema 9999 is newer"):
            use()
    set_schema(database_url, SCHEMA)
    assert store.study(study).position == position
    store.finish(held, DONE)
    assert verify(store, study) == []
    store.close()


def test_a_run_ends_when_the_database_is_upgraded_and_loses_nothing(url):
    study = tt.Study("s", {"x": tt.Float(0, 1, default=0.5)}, minimize="loss", storage=url, seed=1)

    def upgraded(trial):
        if trial.number == 3:
            set_schema(url, "9999")
        return trial.params["x"]

    with pytest.raises(StorageError, match="its schema 9999 is newer"):
        study.run(upgraded, trials=6, quiet=True)
    set_schema(url, SCHEMA)
    again = tt.Study("s", storage=url)
    assert again.counts["done"] == 3
    again.run(lambda trial: trial.params["x"], trials=6, quiet=True)
    assert (again.counts["done"], again.verify()) == (6, [])


def test_every_schema_has_a_record():
    assert [p.stem.removeprefix("record-") for p in RECORDS] == versions()
    assert versions()[-1] == SCHEMA


def make_record(file):
    """A study that uses every table."""
    now = iter(range(1000, 2000))
    store = Sql(f"sqlite:///{file}", clock=lambda: next(now) + 0.1)
    study = store.create(SPEC).id
    put(store, study, 2, strategy="gp", version="2", why={"ei": 0.1}, parent=0, replicate=1, priority=2)
    for outcome in (DONE, replace(DONE, state="failed", reason="error", error="it's broken", output="o", notes=("n",))):
        held = store.claim(study, "host:1", 15.0)
        store.report(held, [Report(held.number, 1, s, {"loss": 0.1}, 7.5) for s in (1.0, 2.5)], 15.0)
        store.revise(study, Change("note", number=held.number, text="early", actor="ada"))
        store.finish(held, outcome)
    store.revise(study, Change("cancel", number=running(store, study).number, actor="ada"))
    put(store, study, 1)
    store.claim(study, "host:2", None)
    store.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        make_record(Path(folder) / "t.db")
        written = Path(__file__).parent / "golden" / f"record-{SCHEMA}.sql"
        written.write_text("".join(rows_of(Path(folder) / "t.db")))
