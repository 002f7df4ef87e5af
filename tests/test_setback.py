"""A database that was set back under running programs: by a restored backup, or a failover that lost the last commits."""

import sqlite3
import threading
from contextlib import closing

import postgres as pg
import psycopg
import pytest
from stores import DONE, SPEC, put, running
from waiting import until

import trimtab as tt
from trimtab.errors import LeaseLost, SetBack
from trimtab.live import LiveStudy
from trimtab.records import Change, Report
from trimtab.running.worker import Worker
from trimtab.storage.sql import Sql


class Sqlite:
    """Backups of a SQLite file, put back while it is in use."""

    def __init__(self, folder):
        self.url, self._file, self._copy = f"sqlite:///{folder}/t.db", folder / "t.db", folder / "copy.db"

    def backup(self):
        with closing(sqlite3.connect(self._file)) as c, closing(sqlite3.connect(self._copy)) as copy:
            c.backup(copy)

    def restore(self):
        with closing(sqlite3.connect(self._file)) as c, closing(sqlite3.connect(self._copy)) as copy:
            copy.backup(c)

    def execute(self, statement):
        with closing(sqlite3.connect(self._file)) as c:
            c.execute(statement)
            c.commit()


class Postgres:
    """Backups of a database on a server, put back as a failover would: with all connections cut."""

    def __init__(self, _):
        self.url = pg.server().database()
        self._name = self.url.rpartition("/")[2]

    def _by_hand(self, *statements):
        with psycopg.connect(pg.server().url("postgres"), autocommit=True) as c:
            for statement in statements:
                c.execute(statement)

    def execute(self, statement):
        with psycopg.connect(self.url) as c:
            c.execute(statement)

    def backup(self):
        cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'"
        self._by_hand(cut, f"CREATE DATABASE {self._name}_copy TEMPLATE {self._name}")

    def restore(self):
        self._by_hand(
            f"DROP DATABASE {self._name} WITH (FORCE)", f"ALTER DATABASE {self._name}_copy RENAME TO {self._name}"
        )


@pytest.fixture(params=[Sqlite, Postgres])
def database(request, tmp_path):
    return request.param(tmp_path)


def test_nothing_is_proposed_from_results_that_the_record_has_lost(database):
    with closing(Sql(database.url)) as store:
        study = store.create(SPEC).id
        live = LiveStudy(store, study)
        store.finish(running(store, study), DONE)
        live.refresh()
        database.backup()
        store.finish(running(store, study), DONE)
        live.refresh()
        database.restore()
        put(store, study, 3)  # the record is as long as it was, and longer
        put(store, study, 3)
        with pytest.raises(
            SetBack, match=r"its record was set back, by a restored backup or a failover: event 5 is not in it"
        ):
            live.refresh()
        assert [str(t.state) for t in live.refresh().trials.values()] == ["done", *["queued"] * 6]


@pytest.mark.parametrize(("lost", "there"), [(3, []), (0, [1])])
def test_afterwards_those_trials_wait_that_are_there_and_no_others(database, lost, there):
    """A worker that went on waited for ever for trials that were gone."""
    with closing(Sql(database.url)) as store, closing(Sql(database.url)) as other:
        study = store.create(SPEC).id
        live = LiveStudy(store, study)
        store.finish(running(store, study), DONE)
        live.refresh()
        database.backup()
        put(other, study, lost)
        for _ in range(3):  # events that touch no queued trial
            other.revise(study, Change("note", number=0, text="before"))
        live.refresh()
        database.restore()
        put(other, study, len(there))
        for _ in range(9):
            other.revise(study, Change("note", number=0, text="after"))
        with pytest.raises(SetBack):
            live.refresh()
        for _ in range(2):
            assert [t.number for t in live.refresh().queued()] == there


def test_a_result_counts_only_for_the_trial_that_it_is_of_although_its_number_was_given_out_again(database):
    with closing(Sql(database.url)) as store:
        study = store.create(SPEC).id
        database.backup()
        held = running(store, study)
        database.restore()
        again = running(store, study)
        assert (again.number, again.attempt) == (held.number, held.attempt)
        for lost in (
            lambda: store.report(held, [Report(0, 1, 1.0, {"loss": 1.0}, 0.0)], 15.0),
            lambda: store.finish(held, DONE),
        ):
            with pytest.raises(LeaseLost):
                lost()
        assert store.reports(study) == []
        assert store.finish(again, DONE).state == "done"


TRAIN = """
import time

def slow(trial):
    time.sleep(0.05)
    return (trial.params["x"] - 0.3) ** 2
"""


def test_a_worker_goes_on_from_what_is_there(database, tmp_path, monkeypatch):
    (tmp_path / "train.py").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)
    space = tt.Space(x=tt.Float(0, 1, default=0.5))
    study = tt.Study("s", space, minimize="loss", storage=database.url, seed=1, strategy="gp", budget={"trials": 30})
    study.submit("train.py:slow")

    def meddle():
        until(lambda: study.counts["done"] >= 8)
        database.backup()
        until(lambda: study.counts["done"] >= 16)
        database.restore()

    said, meddler = [], threading.Thread(target=meddle)
    meddler.start()
    with closing(Sql(database.url)) as store:
        Worker(store, ["train.py"], say=said.append).run(idle=0.0)  # even the least patience waits for it
    meddler.join()
    assert [line for line in said if "its record was set back" in line]
    again = tt.Study("s", storage=database.url)
    assert again.counts["done"] == 30
    assert again.replay().holds


def test_a_head_that_fits_no_event_is_for_verify_to_find(database):
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1, default=0.5)), minimize="loss", storage=database.url, seed=1)
    study.run(lambda trial: trial.params["x"], trials=2, quiet=True)
    database.execute("UPDATE studies SET head = 'no hash'")
    again = tt.Study("s", storage=database.url)
    assert len(again.trials) == 2
    assert [line for line in again.verify() if "its row does not fit the last event of its chain" in line]
