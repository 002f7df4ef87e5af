"""PostgreSQL stores when things go wrong: wrong URLs, servers that stop, crash or are cut off, answers that get lost."""

import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import postgres as pg
import psycopg
import pytest
from click.testing import CliRunner
from crowd import goes_on_after_fork, worker
from proxies import Proxy
from sqlalchemy.exc import DBAPIError
from stores import DONE, SPEC, kinds, proposal, put, running, verify
from threads import at_once

import trimtab as tt
from trimtab.cli import cli
from trimtab.cli.plumbing import Ended, resumable
from trimtab.errors import StorageError
from trimtab.records import Change, Report
from trimtab.storage import open_storage, postgres, revisions, rules, statements
from trimtab.storage.migrations import upgrade
from trimtab.storage.sql import Sql


@pytest.fixture
def url():
    return pg.server().database()


@pytest.fixture
def store(url):
    made = Sql(url, timeout=0.5)
    yield made
    made.close()


@pytest.fixture(scope="module")
def own():
    """A server that tests may stop and kill."""
    made = pg.Server(fsync="off")
    yield made
    made.close()


@pytest.fixture
def proxied(url):
    """(the proxy, a store behind it)"""
    proxy = Proxy(pg.server().port)
    made = Sql(url.replace(str(pg.server().port), str(proxy.port)))
    yield proxy, made
    made.close()
    proxy.close()


def by_hand(url, *statements):
    with psycopg.connect(url) as c:
        for statement in statements:
            c.execute(statement)


def later(seconds, what):
    timer = threading.Timer(seconds, what)
    timer.start()
    return timer


# ------------------------------------------------------------------------------------------------------------- opening


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://u@h", "names no database; write 'postgresql://user@host/name'"),
        ("postgresql://u@h:port/n", "cannot be read; write 'postgresql://user@host:5432/name'"),
        ("postgresql://127.0.0.1:1/none", "127.0.0.1/none: the server cannot be reached; see that it runs"),
        ("postgresql://127.0.0.1:1,localhost:1/none", "127.0.0.1,localhost/none: the server cannot be reached"),
        (
            "postgresql://u@/none?host=127.0.0.1:1&host=localhost:1",
            "127.0.0.1:1,localhost:1/none: the server cannot be",
        ),
        ("postgresql://u@/none?host=h1,h2&port=1", "cannot be read; write 'postgresql://user@host:5432/name'"),
    ],
)
def test_a_url_that_leads_nowhere(url, message, monkeypatch):
    monkeypatch.setattr(postgres, "OPENING", 0.1)
    with pytest.raises(StorageError, match=message):
        open_storage(url)


def test_a_database_that_is_not_there_is_an_error_at_once(monkeypatch):
    monkeypatch.setattr(postgres, "OPENING", 3600.0)  # what is waited for, is waited for long
    with pytest.raises(StorageError, match=r"127\.0\.0\.1/nowhere: there is no such .* createdb nowhere"):
        open_storage(pg.server().url("nowhere"))


def test_the_first_of_several_hosts_that_answers_is_taken(url):
    user, port = url.split("127.0.0.1:")
    with closing(Sql(f"{user}localhost,127.0.0.1:1,[::1]:1,127.0.0.1:{port}?target_session_attrs=read-write")) as store:
        assert store.studies() == []


def test_a_server_that_recovers_from_a_crash_is_waited_for(proxied):
    proxy, store = proxied
    proxy.recovering = 2
    again = Sql(store.url)
    assert proxy.recovering == 0
    again.close()


def test_a_password_is_never_shown(url):
    store = Sql(url.replace("tests@", "tests:geheim@").replace("postgresql", "postgres"))
    assert "geheim" not in store.url
    assert "geheim" not in repr(vars(store))
    store.close()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("postgresql://u:geheim@h", "names no database"),
        ("postgresql://u@h/db?password=geheim", "password in the query; put it in ~/.pgpass"),
        ("postgresql://u@h/db?sslpassword=geheim", "sslpassword in the query"),
        ("postgresql://u:x@geheim@h/db", "two @"),
        ("postgresql://u:geheim@h:port/db", "cannot be read"),
        ("postgresql:/u:geheim@h/db", "is no URL"),
        ("u:geheim@h/db", "is no URL"),
        ("postgresql+psycopg2://u:geheim@h/db", "'postgresql+psycopg2://u:***@h/db': unknown kind"),
        ("mysql://u:ge@he:im@h/db", "unknown kind"),
        ("mysql://h/db?user=u&password=geheim", "unknown kind"),
        ("redis://:geheim@h", "unknown kind"),
        ("sqlite://u:geheim@h/db", "names no file"),
    ],
)
def test_no_error_shows_a_password(wrong, why):
    with pytest.raises(StorageError, match=re.escape(why)) as caught:
        open_storage(wrong)
    assert "geheim" not in str(caught.value)
    assert "he:im" not in str(caught.value)


def test_no_command_shows_a_password(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    secret = url.replace("tests@", "tests:geheim@")
    text = (
        "study: s\ncommand: echo {x}\nspace: {x: {float: [0, 1], default: 0.5}}\nminimize: loss\nbudget: {trials: 1}\n"
    )
    Path("s.yaml").write_text(text)
    Path("own.yaml").write_text(f"{text}storage: {secret}\n")
    Path("other.yaml").write_text(text.replace("minimize", "maximize"))
    store = ["--storage", secret]
    lines = [["submit", "own.yaml"], ["run", "s.yaml", *store], ["pause", "s", *store], ["db", "upgrade", *store]]
    for line in [*lines, ["run", "other.yaml", *store], ["show", "t", *store]]:
        done = CliRunner().invoke(cli, line)
        assert "geheim" not in done.output
        assert "tests:***@127.0.0.1" in done.output
    monkeypatch.setattr(sys, "argv", ["trimtab", "run", "s.yaml", f"--storage={secret}"])
    with (
        pytest.raises(Ended, match=r"Go on with: trimtab run s\.yaml '--storage=postgresql://tests:\*\*\*@"),
        resumable(),
    ):
        raise KeyboardInterrupt


def test_a_database_of_another_program_is_left_alone(url):
    by_hand(url, "CREATE TABLE studies (id int)")
    for opening in (Sql, upgrade):
        with pytest.raises(StorageError, match=r"another program .*studies.* not touched"):
            opening(url)
    with psycopg.connect(url) as c:
        assert c.execute("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'").fetchone() == (
            1,
        )


def test_many_may_open_an_empty_database_at_once(url):
    def come():
        store = Sql(url)
        store.create(SPEC)
        store.close()

    assert at_once(*[come] * 8) == []
    store = Sql(url)
    assert [s.name for s in store.studies()] == ["s"]
    store.close()


def test_migrations_and_tables_agree():
    made, migrated = pg.server().database(), pg.server().database()
    Sql(made).close()
    upgrade(migrated)
    look = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default, character_maximum_length "
        "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
        "SELECT * FROM trimtab_version",
    )
    for query in look:
        with psycopg.connect(made) as a, psycopg.connect(migrated) as b:
            assert a.execute(query).fetchall() == b.execute(query).fetchall()


# ---------------------------------------------------------------------------------------------- servers that go away


def test_a_store_waits_for_a_server_that_was_stopped_and_delivers(own):
    store = Sql(own.database())
    study = store.create(SPEC).id
    held = running(store, study)
    own.stop()
    timer = later(1.0, own.start)
    assert store.finish(held, DONE).state == "done"
    assert len(store.trials(study).trials) == 1
    timer.join()
    assert verify(store, study) == []
    store.close()


def test_a_standby_is_waited_for_only_if_the_url_asks_for_a_primary(own):
    """After a failover the first server that answers may be read-only for a while."""
    url = own.database()
    store, other = Sql(f"{url}?target_session_attrs=read-write"), Sql(url)
    study = store.create(SPEC).id
    held = running(store, study)

    def read_only(answer):
        with psycopg.connect(own.url("postgres"), autocommit=True) as c:
            c.execute("SET default_transaction_read_only = off")
            c.execute(f"ALTER SYSTEM SET default_transaction_read_only = {answer}")
            c.execute("SELECT pg_reload_conf()")

    read_only("on")
    own.stop()
    own.start()
    with pytest.raises(StorageError, match=r"the database is read-only \(a standby\?\)"):
        other.revise(study, Change("pause"))
    timer = later(1.0, lambda: read_only("off"))
    assert store.finish(held, DONE).state == "done"
    timer.join()
    assert verify(store, study) == []
    store.close()
    other.close()


def test_a_standby_serves_readers_and_tells_others_at_once_that_it_is_one(own, monkeypatch):
    url = own.database()
    with closing(Sql(url)) as primary:
        study = primary.create(SPEC).id
    mark = own.data / "standby.signal"
    own.stop()
    mark.touch()
    own.start()
    monkeypatch.setattr(postgres, "PATIENCE", 20.0)
    with closing(Sql(url)) as standby:
        assert verify(standby, study) == []
        began = time.monotonic()
        with pytest.raises(StorageError, match=r"the database is read-only \(a standby\?\)"):
            put(standby, study)
        assert time.monotonic() - began < 10.0
    own.stop()
    mark.unlink()
    own.start()


def test_what_was_acknowledged_survives_kill_9_of_the_server(own):
    store = Sql(own.database())
    study = store.create(SPEC).id
    acknowledged = []

    def crash():
        own.kill()
        own.start()

    for _ in range(2):
        timer = later(0.2, crash)
        while timer.is_alive():
            acknowledged.append(store.finish(running(store, study), DONE).number)
        timer.join()
    done = {t.number for t in store.trials(study).trials if t.state == "done"}
    assert set(acknowledged) <= done
    assert len(acknowledged) == len(set(acknowledged))
    assert verify(store, study) == []
    store.close()


def test_nothing_outlives_a_transaction_behind_a_pooler(url):
    """Which gives the next one to another back end, and refuses a connection that brings `options`."""
    proxy = Proxy(pg.server().port)
    proxy.pooling = True
    with closing(Sql(url.replace(str(pg.server().port), str(proxy.port)))) as store:
        study = store.create(SPEC).id
        for _ in range(10):
            put(store, study)
        with store._reading() as connection:
            driver = connection.connection.dbapi_connection
            assert driver.execute("SHOW lock_timeout").fetchone() == ("30s",)
            assert driver.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("15s",)
        assert driver.execute("SHOW lock_timeout").fetchone() == ("0",)
        assert driver.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        assert "options" not in driver.info.get_parameters()
    proxy.close()


@pytest.mark.parametrize(
    ("given", "wait"), [("lock_timeout%3D5s", "5s"), ("deadlock_timeout%3D5s", "30s"), ("geqo%3Doff", "30s")]
)
def test_a_limit_in_the_url_holds(url, given, wait):
    with closing(Sql(f"{url}?options=-c%20{given}")) as store, store._reading() as connection:
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == wait


def test_a_setting_of_an_administrator_changes_no_number(url):
    by_hand(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET extra_float_digits = 0")
    with closing(Sql(url)) as store:
        study = store.create(SPEC).id
        store.finish(running(store, study), DONE, [Report(0, 1, 0.1 + 0.2, {"loss": 1.0}, 0.0)])
        assert [r.step for r in store.reports(study)] == [0.1 + 0.2]
        assert verify(store, study) == []


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_holds_what_it_can(url, encoding):
    with psycopg.connect(url, autocommit=True) as c:
        c.execute(
            f"CREATE DATABASE other_{encoding} ENCODING {encoding} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    with closing(Sql(f"{url.rpartition('/')[0]}/other_{encoding.lower()}")) as store:
        assert store.study(store.create(replace(SPEC, name="größe")).id).spec.name == "größe"
        if encoding == "LATIN1":
            with pytest.raises(StorageError, match="lacks a character; make the database with: createdb -E UTF8"):
                store.create(replace(SPEC, name="ı"))


def test_patience_ends_with_an_error_that_says_what_to_do(proxied):
    proxy, store = proxied
    study = store.create(SPEC).id
    proxy.cut()
    with pytest.MonkeyPatch.context() as impatient:
        impatient.setattr(postgres, "PATIENCE", 0.5)
        with pytest.raises(StorageError, match=r"127\.0\.0\.1/t[0-9]+: the server cannot be reached; see that it runs"):
            store.trials(study)
    proxy.mend()
    assert store.trials(study).trials == []


def test_a_change_whose_acknowledgement_was_lost_is_made_once(proxied):
    proxy, store = proxied
    study = store.create(SPEC).id

    def lossy(change):
        proxy.lose_answer_to = b"COMMIT"
        result = change()
        assert proxy.lose_answer_to == b""
        return result

    record = store.trials(study).study
    lossy(lambda: put_now(store, record))
    held = lossy(lambda: store.claim(study, "w", 15.0))
    assert held.attempt == 1
    lossy(lambda: store.report(held, [Report(0, 1, 1.0, {"loss": 1.0}, 0.0)], 15.0))
    assert lossy(lambda: store.finish(held, DONE)).state == "done"
    lossy(lambda: store.revise(study, Change("note", number=0, text="once")))
    assert proxy.lost == 5
    assert kinds(store, study) == [("create", None), ("enqueue", None), ("finish", 0), ("note", 0)]
    assert store.trials(study).study.spent == DONE.cost
    assert verify(store, study) == []


def put_now(store, record):
    from stores import proposal

    return store.enqueue(record.id, [proposal()], at=record.count, seen=record.position)


def test_leases_outlive_the_time_in_which_nobody_could_renew_them(proxied, url):
    proxy, store = proxied
    study = store.create(SPEC).id
    held = running(store, study)
    proxy.cut()

    def mend():
        by_hand(url, "UPDATE trials SET lease_until = extract(epoch FROM clock_timestamp())")
        proxy.mend()

    timer = later(3.0, mend)
    assert store.claim(study, "other", 15.0) is None  # it ran out while the server was away
    timer.join()
    store.report(held, [], 15.0)
    assert store.finish(held, DONE).state == "done"


SHIFTED = """
    import sys, time

    right = time.time
    time.time = lambda: right() + float(sys.argv[2])
    import trimtab as tt

    study = tt.Study("s", storage=sys.argv[1])
    study.run(lambda trial: trial.params["x"], trials=3, time="10m", quiet=True)
    trial = study.ask()
    study.tell(trial, 0.5)
    """


@pytest.mark.parametrize("shift", [-86400.0, 86400.0])
def test_a_program_whose_clock_is_a_day_wrong_takes_over_when_a_lease_has_run_out(store, url, shift, tmp_path):
    study = store.create(SPEC).id
    running(store, study, lease=2.0)  # its worker is never heard of again
    script = tmp_path / "shifted.py"
    script.write_text(textwrap.dedent(SHIFTED))
    subprocess.run([sys.executable, script, url, str(shift)], check=True, timeout=300)
    trials = store.trials(study).trials
    assert [(str(t.state), t.attempt) for t in trials] == [("done", 2)] + [("done", 1)] * 3
    told = trials[3]
    assert 0.0 <= told.cost.wall < 3600.0
    assert all(t.created <= t.started <= t.ended for t in trials[1:])
    assert verify(store, study) == []


# ------------------------------------------------------------------------------------------------ others in the way


def test_a_program_that_froze_within_a_transaction_does_not_stop_the_others(url, monkeypatch):
    monkeypatch.setattr(postgres, "FROZEN", 1)
    frozen, others = Sql(url), Sql(url)
    study = frozen.create(SPEC).id
    transaction = frozen._writing()
    transaction.__enter__().exec_driver_sql("UPDATE studies SET count = count")
    assert len(put(others, study)) == 1  # after a second, when the server has ended the frozen transaction
    with pytest.raises(DBAPIError, match="idle-in-transaction timeout"):
        transaction.__exit__(None, None, None)
    assert len(put(frozen, study)) == 1
    assert verify(others, study) == []
    frozen.close()
    others.close()


def test_a_program_that_is_long_at_work_within_a_transaction_is_not_frozen(url, monkeypatch):
    monkeypatch.setattr(postgres, "FROZEN", 1)
    monkeypatch.setattr(postgres, "PATIENCE", 5.0)
    monkeypatch.setattr(revisions, "_PART", 5)
    monkeypatch.setattr(statements, "_MANY", 10)
    end = rules.end
    monkeypatch.setattr(rules, "end", lambda *how: time.sleep(0.02) or end(*how))
    store = Sql(url)
    study = store.create(SPEC).id
    store.revise(study, Change("import", trials=[(proposal(), DONE)] * 100))
    assert len(store.trials(study).trials) == 100
    assert verify(store, study) == []
    store.close()


def test_a_lock_held_for_too_long_is_an_error_and_later_all_is_well(store, url):
    study = store.create(SPEC).id
    held = running(store, study)
    with psycopg.connect(url) as other:
        other.execute("SELECT * FROM studies FOR UPDATE")
        for write in (lambda: put(store, study), lambda: store.finish(held, DONE)):
            with pytest.raises(StorageError, match="another program has kept rows locked for too long"):
                write()
        store.report(held, [], 15.0)  # renewals don't queue for the study
        other.rollback()
    assert store.finish(held, DONE).state == "done"
    assert verify(store, study) == []


def limited(url, seconds):
    return Sql(f"{url}?options=-c%20statement_timeout%3D300ms", timeout=seconds)


def test_a_statement_that_the_server_cancels_is_tried_again_and_then_an_error(url):
    with closing(limited(url, 30.0)) as patient, closing(limited(url, 0.5)) as hasty, psycopg.connect(url) as other:
        study = patient.create(SPEC).id
        other.execute("SELECT * FROM studies FOR UPDATE")
        with pytest.raises(StorageError, match="raise this user's statement_timeout"):
            put(hasty, study)
        later(1.0, other.rollback)
        put(patient, study)
        assert len(patient.trials(study).trials) == 1


def test_who_finds_no_connection_waits_and_is_then_told_so(url, monkeypatch):
    by_hand(url, "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0", "GRANT ALL ON SCHEMA public TO crowded")
    crowded = url.replace("tests@", "crowded@")
    monkeypatch.setattr(postgres, "OPENING", 0.1)
    with pytest.raises(StorageError, match=r"the server has no connection left; raise max_connections \(or the limit"):
        open_storage(crowded)
    monkeypatch.setattr(postgres, "OPENING", 60.0)
    later(1.0, lambda: by_hand(url, "ALTER ROLE crowded CONNECTION LIMIT 5"))
    with closing(open_storage(crowded)) as store:
        assert store.studies() == []
    by_hand(url, "DROP OWNED BY crowded", "DROP ROLE crowded")


def test_claims_pass_by_what_another_is_just_taking(store, url):
    study = store.create(SPEC).id
    put(store, study, 3)
    with psycopg.connect(url) as other:
        other.execute("SELECT * FROM trials WHERE number = 0 FOR UPDATE")
        assert store.claim(study, "w", 15.0).number == 1
        other.rollback()
    assert store.claim(study, "w", 15.0).number == 0


def test_a_user_without_rights_learns_it(store, url):
    study = store.create(SPEC).id
    by_hand(
        url,
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
    )
    reader = Sql(url.replace("tests@", "reader@"))
    assert verify(reader, study) == []
    with pytest.raises(StorageError, match="this user lacks the right; GRANT it"):
        put(reader, study)
    reader.close()


# ----------------------------------------------------------------------------------------------------------- processes


def test_processes_finish_exactly_the_budget_and_kill_9_loses_nothing(store, url):
    study = store.create(replace(SPEC, budget=replace(SPEC.budget, trials=60))).id
    first = worker(url)
    acknowledged = [int(first.stdout.readline()) for _ in range(10)]
    first.send_signal(signal.SIGKILL)
    rest, _ = first.communicate()
    acknowledged += [int(n) for n in rest.split("\n")[:-1]]
    for t in store.trials(study).trials:
        if t.state == "running":
            store.revise(study, Change("requeue", number=t.number, attempt=t.attempt))
    crowd = [worker(url) for _ in range(3)]
    ended = [p.communicate(timeout=300) for p in crowd]
    assert [errors for _, errors in ended] == [""] * 3
    numbers = acknowledged + [int(n) for out, _ in ended for n in out.split()]
    assert len(numbers) == len(set(numbers)) >= 59  # the first one may have died before it said so
    assert {str(t.state) for t in store.trials(study).trials} == {"done"}
    assert len(store.trials(study).trials) == 60
    assert verify(store, study) == []


def test_a_store_goes_on_after_fork(url):
    goes_on_after_fork(Sql(url))


def test_without_the_driver_the_error_names_the_extra(tmp_path):
    code = """
        import sys
        sys.modules["psycopg"] = None
        from trimtab.storage import open_storage
        try:
            open_storage("postgresql://u@h/n")
        except Exception as error:
            print(error)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=Path.cwd())
    assert "pip install 'trimtab[postgres]'" in done.stdout


def test_the_witness_remembers_what_an_older_copy_has_lost(store, url):
    study = store.create(SPEC)
    put(store, study.id, 2)
    by_hand(url, "DELETE FROM trials", "DELETE FROM events WHERE position = 2")
    by_hand(url, f"UPDATE studies SET position = 1, count = 0, reserved = 0, head = '{study.head}'")
    assert verify(store, study.id) == ["event 2: the witness file has seen it, the record has lost it"]


def test_a_study_runs_in_supervised_workers_as_it_does_on_sqlite(url):
    def objective(trial):
        trial.report(1, loss=0.5)
        trial.note("seen")
        return abs(trial.params["x"] - 0.3)

    study = tt.Study("s", tt.Space(x=tt.Float(0, 1, default=0.5)), minimize="loss", storage=url, seed=1)
    study.run(objective, trials=12, workers=2, quiet=True)
    assert study.counts["done"] == 12
    assert study.verify() == []
    assert [t.notes for t in study.trials] == [("seen",)] * 12
    assert tt.Study("s", storage=url).best == study.best
