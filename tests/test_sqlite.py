"""SQLite stores when things go wrong: bad files, other programs, full disks, killed processes, changed bytes."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from crowd import goes_on_after_fork, worker
from sqlalchemy import event
from sqlalchemy.pool import Pool
from stores import DONE, SPEC, proposal, put, running, verify

import trimtab as tt
from trimtab.errors import StorageError
from trimtab.records import Change, Purpose, Report
from trimtab.storage import open_storage, rows
from trimtab.storage.migrations import upgrade
from trimtab.storage.rows import Damaged
from trimtab.storage.sql import Sql


@pytest.fixture
def file(tmp_path):
    return tmp_path / "t.db"


@pytest.fixture
def store(file):
    made = Sql(f"sqlite:///{file}", timeout=0.2)
    yield made
    made.close()


def by_hand(file, *statements):
    """What somebody does to the file with another tool."""
    with closing(sqlite3.connect(file)) as c, c:
        for statement, *values in statements:
            c.execute(statement, values)


def read(file, query):
    with closing(sqlite3.connect(file)) as c:
        return c.execute(query).fetchall()


@contextmanager
def unprivileged():
    """As a user whom file modes bind (root is not)."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@contextmanager
def listening(target, name, listener):
    event.listen(target, name, listener)
    try:
        yield
    finally:
        event.remove(target, name, listener)


# ------------------------------------------------------------------------------------------------------------- opening


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqllite:///x.db", r"unknown kind 'sqllite'; did you mean 'sqlite'"),
        ("mongodb://x", r"unknown kind 'mongodb'; known: sqlite, postgresql, memory"),
        ("x.db", r"'x.db' is no URL; for a file write 'sqlite:///x.db'"),
        ("sqlite://x.db", r"names no file; write 'sqlite:///file.db'"),
        ("sqlite://", r"names no file"),
        ("sqlite:///:memory:", r"'memory://' for private memory"),
        ("sqlite:///x.db?mode=ro", r"options after '\?' are not supported"),
        ("sqlite:////no/such/folder/x.db", r"the folder /no/such/folder does not exist; make it first"),
        ("sqlite:////tmp", r"/tmp is a folder; name a file in it"),
        (f"sqlite:///{'x' * 300}.db", r"no file can be used there \(File name too long\); name another one"),
        ("sqlite:///a\0b.db", r"can be used there \(its name holds a character that no file name can\)"),
        ("sqlite:///\ud800.db", r"can be used there \(its name holds a character that no file name can\)"),
    ],
)
def test_a_url_that_names_no_store(url, message):
    with pytest.raises(StorageError, match=message):
        open_storage(url)


@pytest.mark.parametrize(
    "content",
    [b"Dear diary, this is no database at all. " * 50, b"x", bytes(range(256)) * 40, b"SQLite format 3\0" * 99],
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(file, content):
    file.write_bytes(content)
    with pytest.raises(StorageError, match=r"t\.db: (it is no SQLite database; name another|the database is damaged)"):
        Sql(f"sqlite:///{file}")
    assert file.read_bytes() == content
    assert os.listdir(file.parent) == ["t.db"]


def test_a_database_of_another_program_is_refused_and_left_alone(file):
    tables = ("studies", "trials", "alembic_version", "version_info")
    by_hand(file, *[(f"CREATE TABLE {t} (version_num TEXT)",) for t in tables])
    before = file.read_bytes()
    for opening in (Sql, upgrade):
        with pytest.raises(StorageError, match=r"another program .*studies, trials.* not touched, name another file"):
            opening(f"sqlite:///{file}")
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == ["t.db"]


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("0000", "older than this version .* run `trimtab db upgrade --storage URL`"),
        ("9999", "newer than .* pip install --upgrade trimtab"),
    ],
)
def test_a_store_of_another_version_says_what_to_do(file, store, version, message):
    store.close()
    by_hand(file, ("UPDATE trimtab_version SET version_num = ?", version))
    with pytest.raises(StorageError, match=message):
        Sql(store.url)


def test_a_damaged_database_is_named(file, store):
    study = store.create(SPEC).id
    put(store, study, 200)
    store.close()
    content = bytearray(file.read_bytes())
    content[4096 * 4 :] = b"\xa5" * (len(content) - 4096 * 4)
    file.write_bytes(content)
    with pytest.raises(StorageError, match=r"t\.db: the database is damaged; restore it from a backup"):
        verify(Sql(store.url), study)


def test_migrations_and_tables_agree(tmp_path):
    made, migrated = tmp_path / "made.db", tmp_path / "migrated.db"
    Sql(f"sqlite:///{made}").close()
    assert upgrade(f"sqlite:///{migrated}") == (None, "0002")
    parts = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY 1, 2"  # the text of an altered table differs
    assert read(made, parts) == read(migrated, parts)
    for _, table in read(made, "SELECT type, name FROM sqlite_master WHERE type = 'table' ORDER BY 2"):
        for pragma in ("table_info", "foreign_key_list"):
            assert read(made, f"PRAGMA {pragma}({table})") == read(migrated, f"PRAGMA {pragma}({table})")
    assert read(made, "SELECT * FROM trimtab_version") == read(migrated, "SELECT * FROM trimtab_version")
    store = Sql(f"sqlite:///{migrated}")
    study = store.create(SPEC)
    assert upgrade(store.url) == ("0002", "0002")
    assert store.studies() == [study]
    store.close()


def test_a_store_of_the_first_schema_is_upgraded_with_all_that_it_holds(file, store):
    study = store.create(SPEC).id
    held = running(store, study)
    store.report(held, [Report(held.number, 1, s, {"loss": 0.1}, 7.5) for s in (1.0, 2.0)], 15.0)
    store.finish(held, DONE)
    put(store, study)
    before = store.trials(study)
    store.close()
    columns = ("fidelity", "curve", "verdict")
    by_hand(file, *[(f"ALTER TABLE trials DROP COLUMN {c}",) for c in columns])
    by_hand(file, ("UPDATE trimtab_version SET version_num = '0001'",))
    with pytest.raises(StorageError, match="trimtab db upgrade"):
        Sql(store.url)
    assert upgrade(store.url) == ("0001", "0002")
    again = Sql(store.url)
    assert again.trials(study) == before
    assert verify(again, study) == []
    again.finish(again.claim(study, "w", 15.0), DONE)
    assert verify(again, study) == []
    again.close()


def test_importing_the_package_loads_no_driver():
    code = "import sys, trimtab.storage, trimtab.storage.memory; print(sorted({'sqlalchemy', 'alembic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_readers_of_changes_use_an_index(file, store):
    study = store.create(SPEC).id
    put(store, study, 3)
    said = []
    with listening(Pool, "checkout", lambda raw, *_: raw.set_trace_callback(said.append)):
        store.trials(study, since=2)
    with closing(sqlite3.connect(file)) as other:
        looks = [text for text in said if "FROM trials" in text]
        plans = [row[-1] for text in looks for row in other.execute(f"EXPLAIN QUERY PLAN {text}")]
    assert len(plans) == 2
    assert {p.split("INDEX ")[1].split()[0] for p in plans} == {"trials_by_revision", "trials_by_state"}


# ---------------------------------------------------------------------------------------------- locked, full, read-only


def test_a_lock_held_for_too_long_is_an_error_and_later_all_is_well(file, store):
    study = store.create(SPEC).id
    held = running(store, study)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for write in (
            lambda: put(store, study),
            lambda: store.finish(held, DONE),
            lambda: store.report(held, [], 15.0),
        ):
            with pytest.raises(StorageError, match=r"t\.db: another program has kept it locked for longer than 0\.2 s"):
                write()
        assert len(store.trials(study).trials) == 1
    assert store.finish(held, DONE).state == "done"
    assert verify(store, study) == []


def test_who_opens_a_store_twice_keeps_what_others_must_not_take_away(file, store):
    """Else the next program that closes it takes the write-ahead log away, and what is written to that is lost."""
    study = store.create(SPEC).id
    Sql(store.url).close()
    looked = "import sys; from trimtab.storage.sql import Sql; Sql(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", looked, store.url], check=True)
    put(store, study, 3)
    with closing(Sql(store.url)) as again:
        assert len(again.trials(study).trials) == 3
        assert verify(again, study) == []


def test_a_file_that_another_program_is_just_making(file):
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="another program has kept it locked"):
            Sql(f"sqlite:///{file}", timeout=0.1)


def test_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_space(store):
    study = store.create(SPEC).id
    done = [store.finish(running(store, study), DONE) for _ in range(3)]
    held = running(store, study)
    connections = []

    def small_disk(connection, record):
        connections.append(connection)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    store.close()
    with listening(Pool, "connect", small_disk):
        for write in (
            lambda: store.finish(held, replace(DONE, output="x" * 100_000)),
            lambda: put(store, study, 300),
            lambda: store.revise(study, Change("note", number=0, text="y" * 100_000)),
        ):
            with pytest.raises(StorageError, match=r"the disk is full; free some space and run the same again"):
                write()
    assert [t for t in store.trials(study).trials if t.told] == done
    assert verify(store, study) == []
    for connection in connections:
        connection.execute("PRAGMA max_page_count = 1000000")
    assert store.finish(held, replace(DONE, output="x" * 100_000)).state == "done"
    assert verify(store, study) == []


@pytest.mark.parametrize("writer_at_work", [False, True])
def test_a_read_only_store_can_be_verified_and_not_written(writer_at_work):
    folder = Path(tempfile.mkdtemp())
    file = folder / "t.db"
    writer = Sql(f"sqlite:///{file}")
    study = writer.create(SPEC).id
    writer.finish(running(writer, study), DONE)
    held = running(writer, study)
    if not writer_at_work:
        writer.close()
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    try:
        with unprivileged():
            reader = Sql(f"sqlite:///{file}")
            assert verify(reader, study) == []
            assert len(reader.witnessed(reader.studies()[0].uid)) == 4
            for write in (lambda: put(reader, study), lambda: reader.finish(held, DONE)):
                with pytest.raises(
                    StorageError, match=r"t\.db: it is read-only; make the file and its folder writable"
                ):
                    write()
            reader.close()
            with pytest.raises(StorageError, match="is read-only; name a file in another folder"):
                Sql(f"sqlite:///{folder}/new.db")
    finally:
        writer.close()
        folder.chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "replaced"])
def test_nothing_is_written_to_a_file_that_was_deleted_or_replaced_meanwhile(file, store, again):
    study = store.create(SPEC).id
    moved = file.rename(file.with_name("away.db"))
    if again:
        Sql(f"sqlite:///{file}").close()
    with pytest.raises(StorageError, match="was deleted or replaced while it was in use"):
        put(store, study)
    if not again:
        moved.rename(file)
        assert put(store, study)[0].number == 0


def test_a_file_that_was_deleted_between_two_connections_is_told_so(file, store):
    study = store.create(SPEC).id
    store.close()
    file.unlink()
    with pytest.raises(StorageError, match="was deleted or replaced while it was in use"):
        store.study(study)


def test_a_file_that_may_not_be_read():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "t.db"
        Sql(f"sqlite:///{file}").close()
        file.chmod(0)
        os.chmod(folder, 0o755)
        with unprivileged(), pytest.raises(StorageError, match=r"t\.db: it cannot be read; check its permissions"):
            Sql(f"sqlite:///{file}")


# ------------------------------------------------------------------------------------------------------------- witness


def test_the_witness_remembers_what_an_older_copy_has_lost(file, store, tmp_path):
    study = store.create(SPEC).id
    put(store, study)
    record = store.trials(study).study
    assert store.witnessed(record.uid) == [(e.position, e.hash) for e in store.events(study)]
    store.close()
    shutil.copy(file, tmp_path / "backup.db")
    store.finish(store.claim(study, "w", 15.0), DONE)
    store.close()
    shutil.copy(tmp_path / "backup.db", file)
    assert verify(store, study) == ["event 3: the witness file has seen it, the record has lost it"]


def test_torn_witness_lines_and_other_studies_are_passed_over(file, store):
    first, second = store.create(SPEC), store.create(replace(SPEC, name="t"))
    witness = file.with_name("t.db.witness")
    with open(witness, "a") as f:
        f.write(f'{{"uid":"{first.uid}","position":2,"ha')
    put(store, first.id)
    put(store, first.id)
    assert [position for position, _ in store.witnessed(first.uid)] == [1, 3]
    assert [position for position, _ in store.witnessed(second.uid)] == [1]
    assert (verify(store, first.id), verify(store, second.id)) == ([], [])


def test_a_witness_that_cannot_be_written_is_a_warning(file, store, caplog):
    file.with_name("t.db.witness").mkdir()
    study = store.create(SPEC).id
    put(store, study)
    assert caplog.text.count("t.db.witness: the witness line could not be written") == 1
    assert store.witnessed(store.studies()[0].uid) == []
    assert verify(store, study) == []


# ----------------------------------------------------------------------------------------------------------- tampering


@pytest.fixture(scope="module")
def full_record(tmp_path_factory):
    """A closed store whose rows use every column."""
    file = tmp_path_factory.mktemp("full") / "t.db"
    now = iter(range(1000, 2000))
    store = Sql(f"sqlite:///{file}", clock=lambda: next(now) + 0.1)
    study = store.create(SPEC).id
    put(store, study, 2, strategy="gp", version="2", why={"ei": 0.1}, parent=0, replicate=1, priority=2)
    for outcome in (DONE, replace(DONE, state="failed", reason="error", error="boom", output="\x1b[1m", notes=("n",))):
        held = store.claim(study, "host:1", 15.0)
        store.report(held, [Report(held.number, 1, s, {"loss": 0.1}, 7.5) for s in (1.0, 2.5)], 15.0)
        store.revise(study, Change("note", number=held.number, text="early"))
        store.finish(held, outcome)
    store.revise(study, Change("cancel", number=running(store, study).number))
    store.revise(study, Change("import", trials=[(proposal(9), DONE)]))
    put(store, study, 2, purpose=Purpose.CERTIFY)
    store.claim(study, "host:2", 15.0, number=5)
    store.revise(study, Change("spec", spec=replace(SPEC, seed=3)))
    assert verify(store, study) == []
    store.close()
    return file


UNSEALED = {  # what no event covers, by design: claims, leases and reports of trials that have not ended are no events
    ("trials", column) for column in ("state", "attempt", "worker", "lease_until", "started")
}
UNSEALED |= {
    ("reports", "written"),  # only the order in which stopping rules are handed reports
    ("private", "study"),  # a name taken away from its event is an erasure, which is allowed
}


def variants(value, rng):
    """Other values for a column: neighbours, and texts with one character changed."""
    if value is None:
        return [1, "x"]
    if isinstance(value, int):
        return [value + 1, value ^ 2, float(value) + 0.5, "text"]
    if isinstance(value, float):
        return [value * (1 + 2**-52), value + 1, "text"]
    places = {0, len(value) - 1, *(rng.randrange(len(value)) for _ in range(6))} if value else set()
    changes = [value[:i] + chr(ord(value[i]) ^ 1) + value[i + 1 :] for i in places]
    return [*changes, value + " ", value.replace("e", "E"), value.replace("1b", "1B"), 7]


def findings_of(url):
    store = Sql(url)
    try:
        return [line for study in store.studies() for line in verify(store, study.id)]
    except Damaged as error:
        return [str(error)]
    finally:
        store.close()


def edits(table, rows, rng):
    """(row, column, another value that is tried in it), for all that something covers."""
    for row in rows:
        is_open = table == "trials" and row["told"] is None
        for column in row.keys() - {"place"}:
            if (table, column) not in UNSEALED or (table == "trials" and not is_open):
                yield from ((row, column, value) for value in variants(row[column], rng) if value != row[column])


@contextmanager
def edited(c, table, row, column, value):
    """The row with another value in one column, while it lasts. Raises IntegrityError where the database refuses it."""
    c.execute(f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?', (value, row["place"]))
    yield
    now = value if (table, column) == ("studies", "id") else row["place"]  # a study's number is its place
    c.execute(f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?', (row[column], now))


def named(table, row, column, value):
    """What a finding must name when this was edited."""
    if column == "uid":
        return "event 1" if re.fullmatch("[0-9a-f]{32}", str(value)) else "column 'uid'"
    names = {"trials": f"trial {row.get('number')}", "events": f"event {row.get('position')}"}
    kinds = {"studies": "study", "trials": "trial", "reports": "trial", "events": "event", "private": "event"}
    nameless = value == "text" and column in ("number", "position")
    return kinds[table] if nameless else names.get(table, kinds[table])


@pytest.mark.parametrize("table", ["studies", "trials", "reports", "events", "private"])
def test_any_change_of_any_column_is_named(full_record, tmp_path, table):
    rng, tried = Random(table), 0
    file = tmp_path / "t.db"
    for suffix in ("", ".witness"):
        shutil.copy(f"{full_record}{suffix}", f"{file}{suffix}")
    with closing(sqlite3.connect(file, isolation_level=None)) as c:
        c.row_factory = sqlite3.Row
        c.execute("PRAGMA synchronous = OFF")
        rows = [dict(r) for r in c.execute(f"SELECT rowid AS place, * FROM {table}")]
        for row, column, value in edits(table, rows, rng):
            try:
                with edited(c, table, row, column, value):
                    found = findings_of(f"sqlite:///{file}")
            except sqlite3.IntegrityError:  # two rows of one key, or text as a row's number
                continue
            expected = named(table, row, column, value)
            assert any(expected in line for line in found), (table, row["place"], column, row[column], value, found)
            tried += 1
        assert [dict(r) for r in c.execute(f"SELECT rowid AS place, * FROM {table}")] == rows
    assert findings_of(f"sqlite:///{file}") == []
    assert tried >= 3 * len(rows)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM events WHERE position = 5", "event 5: missing"),
        ("DELETE FROM trials WHERE number = 1", "trial 1: its row is missing"),
        ("DELETE FROM reports WHERE number = 0 AND step = 2.5", "trial 0: its row or its reports"),
        (
            "INSERT INTO reports SELECT study, 3, 1, 9.0, metrics, at, 99 FROM reports LIMIT 1",
            "trial 3: its row or its reports",
        ),
        ("DELETE FROM events WHERE position = (SELECT max(position) FROM events)", "the witness file has seen it"),
    ],
)
def test_rows_taken_away_or_slipped_in_are_named(full_record, tmp_path, statement, finding):
    file = tmp_path / "t.db"
    for suffix in ("", ".witness"):
        shutil.copy(f"{full_record}{suffix}", f"{file}{suffix}")
    by_hand(file, (statement,))
    assert any(finding in line for line in findings_of(f"sqlite:///{file}"))


def test_erased_actors_leave_the_record_intact(full_record, tmp_path):
    file = tmp_path / "t.db"
    shutil.copy(full_record, file)
    by_hand(file, ("DELETE FROM private",))
    assert findings_of(f"sqlite:///{file}") == []


# ----------------------------------------------------------------------------------------------------------- processes


def test_four_processes_finish_exactly_the_budget(store):
    study = store.create(replace(SPEC, budget=replace(SPEC.budget, trials=200))).id
    crowd = [worker(store.url) for _ in range(4)]
    ended = [p.communicate(timeout=300) for p in crowd]
    assert [p.returncode for p in crowd] == [0] * 4, ended
    assert [errors for _, errors in ended] == [""] * 4
    assert sorted(int(n) for out, _ in ended for n in out.split()) == list(range(200))
    assert {str(t.state) for t in store.trials(study).trials} == {"done"}
    assert verify(store, study) == []


def test_kill_9_loses_nothing_that_was_acknowledged(store):
    study = store.create(SPEC).id
    acknowledged = []
    for _ in range(3):
        process = worker(store.url)
        acknowledged += [int(process.stdout.readline()) for _ in range(25)]
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        acknowledged += [int(n) for n in rest.split("\n")[:-1]]
        assert verify(store, study) == []
    done = [t.number for t in store.trials(study).trials if t.state == "done"]
    assert set(acknowledged) <= set(done)
    assert len(acknowledged) == len(set(acknowledged)) >= 75
    assert len(done) - len(acknowledged) <= 3


def test_a_store_goes_on_after_fork(file):
    goes_on_after_fork(Sql(f"sqlite:///{file}"))


def test_what_waits_unchanged_is_not_read_again(tmp_path, monkeypatch):
    store = Sql(f"sqlite:///{tmp_path}/s.db")
    study = store.create(SPEC).id
    put(store, study, 50)
    since = store.trials(study).study.position
    read, trial_of = [], rows.trial_of
    monkeypatch.setattr(rows, "trial_of", lambda row, known=None: read.append(row["number"]) or trial_of(row, known))
    store.claim(study, "w", 15.0)
    read.clear()
    assert [t.number for t in store.trials(study, since).trials] == [*range(50)]
    assert read == [0]
    store.close()


def test_a_folder_may_have_a_name_that_is_no_utf_8(tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"Pr\xfcfung")
    folder.mkdir()
    monkeypatch.chdir(folder)
    study = tt.Study("s", {"x": tt.Float(0, 1)}, minimize="loss", storage="sqlite:///s.db")
    study.run(lambda trial: trial.params["x"], trials=1, quiet=True)
    assert study.verify() == []
    assert (folder / "s.db").exists()
