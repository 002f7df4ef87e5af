"""Whoever changes a record afterwards is found out, and `verify` names the place. One record, copied for each attempt."""

import contextlib
import json
import re
import shutil
import sqlite3
import sys
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

import trimtab as tt
from trimtab import keys
from trimtab.chain import link, seals
from trimtab.cli import cli
from trimtab.errors import Damaged, SpecError, StudyNotFound, UserError
from trimtab.storage import rows
from trimtab.storage.revisions import KINDS
from trimtab.storage.sql import Sql


def objective(trial):
    if trial.number == 4:
        raise RuntimeError("out of luck")
    trial.report(1, loss=2 * trial.params["x"])
    return trial.params["x"] + trial.seed % 5


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _keys(home, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(home))


@pytest.fixture(scope="session")
def original(tmp_path_factory, home):
    """A study with every kind of thing in its record, signed twice."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_STATE_HOME", str(home))
    folder = tmp_path_factory.mktemp("record")
    study = tt.Study(
        "s", tt.Space(x=tt.Float(0, 1, default=0.5)), minimize="loss", seed=1, storage=f"sqlite:///{folder}/s.db",
        budget={"trials": 9},
    )  # fmt: skip
    study.run(objective, trials=6, quiet=True)
    study.sign()
    study.add({"x": 0.9}, 4.0)
    study.note(2, "the sensor was replaced")
    study.cancel(study.enqueue({"x": 0.8}).number)
    study.evidence(objective, replicates=3, quiet=True)
    study.replay()
    study.enqueue({"x": 0.7})
    study.sign()
    study.storage.close()
    patch.undo()
    return folder


@dataclass
class Forger:
    """Somebody who may write the database and its witness file, and knows their format, but holds no key."""

    folder: Path

    @property
    def file(self):
        return self.folder / "s.db"

    @property
    def witness(self):
        return next(self.folder.glob("*.witness"))

    def sql(self, *statements):
        with closing(sqlite3.connect(self.file)) as database, database:
            for statement in statements:
                done = database.execute(statement)
                assert done.rowcount != 0, statement  # -1: it made a table

    def ask(self, query):
        with closing(sqlite3.connect(self.file)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query)]

    def position(self, kind, last=False):
        found = [
            e["position"] for e in self.ask(f"select position from events where kind = '{kind}' order by position")
        ]
        return found[-1 if last else 0]

    def rewrite(self, change):
        """Change events (None removes one), and give the chain, the study's row and the witness file fitting hashes."""
        study, made = self.ask("select * from studies")[0], []
        head = study["uid"]
        for row in self.ask("select * from events order by position"):
            event = rows.event_of(row)
            body = change(event)
            if body is not None:
                made.append(link(head, len(made) + 1, event.kind, event.number, event.at, body))
                head = made[-1].hash
        with closing(sqlite3.connect(self.file)) as database, database:
            database.execute("delete from events")
            for event in made:
                row = {**rows.event_row(event), "study": study["id"]}
                names = ", ".join(row)
                database.execute(f"insert into events ({names}) values ({', '.join('?' * len(row))})", [*row.values()])
            database.execute("update studies set position = ?, head = ?", [len(made), head])
        lines = [json.dumps({"uid": study["uid"], "position": e.position, "hash": e.hash}) for e in made]
        self.witness.write_text("\n".join(lines) + "\n")

    def found(self):
        return tt.Study("s", storage=f"sqlite:///{self.file}").verify()


@pytest.fixture
def forger(original, tmp_path):
    shutil.copytree(original, tmp_path / "copy")
    return Forger(tmp_path / "copy")


def swap(table, key, column, a, b):
    value = f"(select {column} from {table} where {key} = {{}})"
    return [
        f"create temp table kept as select {value.format(a)} as a, {value.format(b)} as b",
        f"update {table} set {column} = (select b from kept) where {key} = {a}",
        f"update {table} set {column} = (select a from kept) where {key} = {b}",
    ]


FREE = '{"cpu":0.0,"gpu":0.0,"memory":0.0,"money":0.0,"wall":0.0}'
EDITS = {
    "a better metric": (["update trials set metrics = '{\"loss\":0.001}' where number = 3"], "trial 3: its row or its reports"),
    "other params": (["update trials set params = '{\"x\":0.25}' where number = 3"], "trial 3: its row is not what was enq"),
    "another seed": (["update trials set seed = 7 where number = 3"], "trial 3: its row is not what was enqueued"),
    "another strategy": (["update trials set strategy = 'gp2' where number = 3"], "trial 3: its row is not what was enq"),
    "another reason why": (["update trials set why = '{}' where number = 3"], "trial 3: its row is not what was enqueued"),
    "what its proposer had seen": (["update trials set seen = 1 where number = 3"], "trial 3: its row is not what was"),
    "an evidence trial made a search trial": (
        ["update trials set purpose = 'search' where number = 8"], "trial 8: its row is not what was enqueued",
    ),
    "a failure made a success": (
        ["update trials set state = 'done', reason = null, metrics = '{\"loss\":0.1}' where number = 4"], "trial 4: its row",
    ),
    "a cancelled trial brought back": (["update trials set state = 'queued' where number = 7"], "trial 7: it is queued, but"),
    "results for a trial that waits": (
        ["update trials set metrics = '{\"loss\":0.0}' where state = 'queued'"], "it is queued, but its row holds results",
    ),
    "a cheaper trial": ([f"update trials set cost = '{FREE}' where number = 2"], "trial 2: its row or its reports"),
    "another time": (["update trials set ended = ended + 60 where number = 2"], "trial 2: its row or its reports"),
    "another order of results": (swap("trials", "number", "told", 1, 2), "trial 1: its place in the order"),
    "swapped params": (swap("trials", "number", "params", 1, 2), "trial 1: its row is not what was enqueued"),
    "swapped metrics": (swap("trials", "number", "metrics", 1, 2), "trial 1: its row or its reports"),
    "a deleted trial": (
        ["delete from reports where number = 5", "delete from trials where number = 5"], "trial 5: its row is missing",
    ),
    "a deleted report": (["delete from reports where number = 2"], "trial 2: its row or its reports"),
    "an edited report": (["update reports set metrics = '{\"loss\":0.5}' where number = 2"], "trial 2: its row or its rep"),
    "a report that was moved": (["update reports set step = 9 where number = 2"], "trial 2: its row or its reports"),
    "an edited note": (["update trials set private = replace(private, 'sensor', 'rotor') where number = 2"], "trial 2: its pr"),
    "an edited error": (["update trials set private = replace(private, 'luck', 'line') where number = 4"], "trial 4: its priv"),
    "another actor": (["update private set text = 'somebody else' where position = 2"], "event 2: the actor kept with it"),
    "another budget": (["update studies set spec = replace(spec, '\"trials\":9', '\"trials\":99')"], "study s: its spec"),
    "another goal": (["update studies set spec = replace(spec, '\"maximize\":false', '\"maximize\":true')"], "study s: its"),
    "less spent": ([f"update studies set spent = '{FREE}'"], "study s: its spent cost"),
    "a reopened study": (["update studies set state = 'paused'"], "study s: its state is not what its events say"),
    "an older study": (["update studies set created = created - 86400"], "study s: its created is not what its events say"),
    "an edited event": (
        ["update events set body = replace(body, '\"workers\":1', '\"workers\":8') where position = 2"], "event 2 (run): its",
    ),
    "an event at another time": (["update events set at = at - 60 where position = 5"], "event 5 ("),
    "a deleted event": (
        ["delete from private where position = 2", "delete from events where position = 2"], "event 2: missing",
    ),
    "edited evidence": (
        ["update events set body = replace(body, '\"decision\":', '\"verdict\":') where kind = 'evidence'"], "(evidence)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_of_the_database_is_named(forger, kind):
    statements, place = EDITS[kind]
    forger.sql(*statements)
    found = forger.found()
    assert any(place in line for line in found), found


@pytest.mark.parametrize(
    ("table", "row", "free"),
    [
        ("studies", "name = 's'", set()),
        ("trials", "number = 3", set()),
        ("trials", "state = 'queued'", {"attempt"}),  # who claims a trial is no event
        ("reports", "number = 2", set()),
        ("events", "position = 2", set()),
    ],
)
def test_no_column_can_be_edited_unnoticed(forger, tmp_path, table, row, free):
    unnoticed = set()
    for column, value in forger.ask(f"select * from {table} where {row}")[0].items():
        copy = Forger(shutil.copytree(forger.folder, tmp_path / column))
        with contextlib.suppress(sqlite3.IntegrityError, Damaged, StudyNotFound):  # unwritable, or unreadable
            copy.sql(f"update {table} set {column} = '{other_than(value)}' where {row}")
            if not copy.found():
                unnoticed.add(column)
    assert unnoticed == free


def other_than(value):
    """Something else in a column, which can be read as it could before."""
    if isinstance(value, int | float):
        return value + 1
    objects = {"{": '{"other":1}', "[": "[1]"}
    return objects.get((value or "")[:1], (value or "1") + "1")


@pytest.mark.parametrize(
    ("column", "value"),
    [("state", "finished"), ("purpose", "none"), ("told", "3rd"), ("started", "early"), ("ended", "late")],
)
def test_a_value_without_which_a_study_cannot_be_opened_is_named(forger, column, value):
    forger.sql(f"update trials set {column} = '{value}' where number = 3")
    with pytest.raises(Damaged, match=rf"trial 3: its column '{column}' cannot be read \('{value}' is"):
        forger.found()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("parent", "x"), ("fidelity", "x"), ("params", "3"), ("metrics", "[]"), ("cost", "}")),
        *(("curve", '{"late":{}}'), ("why", '{"member": '), ("why", '["member"]')),
    ],
)
def test_a_value_that_is_read_with_many_others_is_an_error_that_says_so(tmp_path, column, value):
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", storage=f"sqlite:///{tmp_path}/s.db")
    study.add([{"x": n / 300} for n in range(300)], [float(n) for n in range(300)])
    study.storage.close()
    with closing(sqlite3.connect(tmp_path / "s.db")) as database, database:
        database.execute(f"update trials set {column} = ? where number = 299", [value])
    with pytest.raises(Damaged, match=rf"the column '{column}' cannot be read .* `trimtab verify` names it"):
        _ = tt.Study("s", storage=f"sqlite:///{tmp_path}/s.db").best
    assert any("trial 299" in line for line in tt.Study("s", storage=f"sqlite:///{tmp_path}/s.db").verify())


def test_the_record_that_nobody_touched_is_intact(forger):
    assert forger.found() == []


def test_a_reordered_chain_is_named(forger):
    with closing(sqlite3.connect(forger.file)) as database, database:
        for old, new in ((5, 999), (6, 5), (999, 6)):
            database.execute("update events set position = ? where position = ?", [new, old])
    assert any(line.startswith("event 5 ") for line in forger.found())


def test_a_truncated_chain_is_named_by_the_witness(forger):
    last = forger.position("checkpoint", last=True)
    hash_ = forger.ask(f"select hash from events where position = {last - 1}")[0]["hash"]
    forger.sql(f"delete from private where position = {last}", f"delete from events where position = {last}",
               f"update studies set position = {last - 1}, head = '{hash_}'")  # fmt: skip
    assert f"event {last}: the witness file has seen it, the record has lost it" in forger.found()
    forger.sql(f"delete from events where position > {last - 4}")
    lost = [line for line in forger.found() if "lost" in line]
    assert lost == [f"event {last - 3}: the witness file has seen it, the record has lost it, and 3 more after it"]


def verified(forger):
    """What `trimtab verify` says of an intact record."""
    done = CliRunner().invoke(cli, ["verify", "s", "--storage", f"sqlite:///{forger.file}"])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_what_a_shortened_witness_cannot_tell_is_said(forger, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "validator"))
    lines = forger.witness.read_text().splitlines(keepends=True)
    at = [json.loads(line)["position"] for line in lines]
    assert "outside the store" not in verified(forger)
    for first, last, known, unseen in (
        (0, 8, f"up to event {at[7]}", "what was added or replaced after it"),
        (2, 8, f"from event {at[2]} to {at[7]}", "what was replaced before, or added or replaced after them"),
        (2, None, f"from event {at[2]} on", "a record that was cut short or replaced before"),
    ):
        forger.witness.write_text("".join(lines[first:last]))
        assert f"heads were kept {known} only here: {unseen} would not show" in verified(forger)


def test_an_event_appended_with_fitting_hashes_is_said_to_be_known_to_nobody_else(forger):
    witness = forger.witness.read_text()
    last = forger.position("checkpoint", last=True)
    evidence = json.loads(forger.ask("select body from events where kind = 'evidence'")[0]["body"])
    row = forger.ask(f"select * from events where position = {last}")[0]
    forged = link(row["hash"], last + 1, "evidence", None, row["at"], {**evidence, "actor": "00"})
    with closing(sqlite3.connect(forger.file)) as database, database:
        made = {**rows.event_row(forged), "study": row["study"]}
        database.execute(
            f"insert into events ({', '.join(made)}) values ({', '.join('?' * len(made))})", [*made.values()]
        )
        database.execute("update studies set position = ?, head = ?", [forged.position, forged.hash])
    assert forger.witness.read_text() == witness
    said = verified(forger)
    assert f"heads were kept up to event {last} only here: what was added" in said
    assert f"who did event {last + 1} is not known" in said


def test_verify_reads_all_events_once_and_those_that_name_somebody_again(forger, monkeypatch):
    read, events = [], Sql.events
    monkeypatch.setattr(Sql, "events", lambda *a, **how: read.append(how.get("kinds")) or events(*a, **how))
    verified(forger)
    assert read == [None, KINDS]
    kinds = {e["kind"] for e in forger.ask("select kind from events where body like '%\"actor\"%'")}
    assert {"run", "cancel"} < kinds <= KINDS


def test_names_that_were_erased_are_said_to_be_missing(forger):
    assert "erased" not in verified(forger)
    forger.sql("delete from private where position = 2")
    assert "who did event 2 is not known any more (1 name erased)" in verified(forger)


def test_a_chain_rewritten_with_its_witness_breaks_the_signature(forger):
    forger.rewrite(lambda e: {**e.body, "workers": 8} if e.kind == "run" else e.body)
    first = forger.position("checkpoint")
    assert f"event {first} (checkpoint): it signs another event {first - 1} than the chain holds" in forger.found()


def test_signatures_left_out_of_a_rewritten_chain_are_missed_where_they_were_made(forger):
    forger.rewrite(lambda e: None if e.kind == "checkpoint" else e.body)
    assert any("the witness file has seen" in line for line in forger.found())


def test_a_replaced_key_is_named(forger, tmp_path, monkeypatch):
    """The forger signs the rewritten chain with a key of their own, on a machine of their own."""
    first = forger.position("checkpoint")

    def resign(event):
        if event.kind != "checkpoint":
            return event.body
        uid = forger.ask("select uid from studies")[0]["uid"]
        head = forger.ask(f"select hash from events where position = {event.body['position']}")[0]["hash"]
        key = keys._key()
        signature = key.sign(seals.message(uid, event.body["position"], head)).hex()
        return {**event.body, "key": keys.public(), "signature": signature, "head": head}

    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_STATE_HOME", str(tmp_path / "forger"))
        forger.rewrite(resign)
    assert any(f"event {first} (checkpoint): it is signed with key" in line for line in forger.found())


@pytest.mark.parametrize("field", ["signature", "key", "head", "position"])
def test_an_edited_checkpoint_is_named(forger, field):
    def edit(event):
        if event.kind != "checkpoint":
            return event.body
        value = event.body[field]
        if isinstance(value, int):
            return {**event.body, field: value - 1}
        return {**event.body, field: value[:-2] + ("11" if value.endswith("00") else "00")}

    forger.rewrite(edit)
    first = forger.position("checkpoint")
    assert f"event {first} (checkpoint): its signature does not fit what it signs" in forger.found()


@pytest.mark.parametrize("kind", ["create", "run", "evidence", "checkpoint"])
def test_what_cannot_read_a_changed_record_names_the_event(forger, kind):
    forger.sql(f"update events set body = '{{}}' where kind = '{kind}'")
    study = tt.Study("s", storage=f"sqlite:///{forger.file}")
    check = re.escape(f"`trimtab verify s --storage {study.storage.url}`")
    named = rf"study 's' was changed outside Trimtab: event \d+ \({kind}\).*{check} names all"
    with pytest.raises(Damaged, match=named):
        study.report(forger.folder / "r.json")
    if kind in ("create", "run"):  # the others say nothing about proposals
        with pytest.raises(Damaged, match=named):
            study.replay()


def test_a_document_of_a_record_that_lacks_an_event_says_so(forger):
    forger.sql("delete from events where position = 14")
    study = tt.Study("s", storage=f"sqlite:///{forger.file}")
    assert "event 14: missing; the next one found is 15" in study.report(forger.folder / "r.json").read_text()


def test_a_trial_that_was_deleted_is_named_by_what_needs_it(forger):
    forger.sql("delete from reports where number = 5", "delete from trials where number = 5")
    study = tt.Study("s", storage=f"sqlite:///{forger.file}")
    with pytest.raises(Damaged, match="trial 5: its row is missing"):
        list(study.trials)


# ------------------------------------------------------------------------------------------------------------------ keys


def test_the_key_is_made_at_first_use_outside_the_database_and_readable_by_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", storage=f"sqlite:///{tmp_path}/s.db")
    assert not keys.folder().exists()
    study.sign()
    study.sign()
    assert oct((keys.folder() / "signing.pem").stat().st_mode)[-3:] == "600"
    bodies = [e.body for e in study.storage.events(study.record.id)]
    assert {b["key"] for b in bodies if "key" in b} == {keys.public()}
    assert b"PRIVATE" not in (tmp_path / "s.db").read_bytes()
    assert study.verify() == []


def test_a_colleague_s_signature_counts_once_their_key_is_trusted(forger, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "colleague"))
    assert forger.found() == []  # no key is trusted here yet: the signature fits, and that is all that can be said
    mine = keys.public()
    assert any("is not trusted here; if it should be: trimtab key --trust" in line for line in forger.found())
    theirs = forger.ask("select json_extract(body, '$.key') as key from events where kind = 'checkpoint'")[0]["key"]
    keys.trust("developer", theirs)
    assert forger.found() == []
    assert keys.trusted() == {theirs: "developer", mine: "this user"}
    with pytest.raises(UserError, match="is no public key, which has 64 hexadecimal digits"):
        keys.trust("x", "abc")
    for name in ("", "../x", "a/b", ".hidden"):
        with pytest.raises(UserError, match="letters, digits and"):
            keys.trust(name, theirs)
    keys.trust("developer", " ".join([theirs[:32].upper(), theirs[32:]]))  # as somebody may have copied it
    assert keys.trusted() == {theirs: "developer", mine: "this user"}
    (keys.folder() / "developer.pub").write_text(theirs.upper() + "\n")  # or put it there by hand
    assert keys.trusted() == {theirs: "developer", mine: "this user"}


def test_a_file_of_a_trusted_key_that_holds_none_is_named(forger, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "colleague"))
    keys.folder().mkdir(parents=True)
    (keys.folder() / "ada.pub").write_bytes(b"\xff\xfe of another kind")
    with pytest.raises(UserError, match=r"ada\.pub is no public key, .*; trust it again, or move it away"):
        forger.found()


@pytest.fixture
def without_sign(monkeypatch):
    """The extra `sign` is not installed."""
    for name in ["cryptography", *(m for m in sys.modules if m.startswith("cryptography."))]:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("key", ["mine", "none"])
def test_a_signed_record_is_checked_as_far_as_it_can_be_without_the_extra(
    forger, key, without_sign, monkeypatch, tmp_path
):
    if key == "none":
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    done = CliRunner().invoke(cli, ["verify", "s", "--storage", f"sqlite:///{forger.file}"])
    assert done.exit_code == 1, done.output
    assert 'its signature cannot be checked here; run: pip install "trimtab[sign]"' in done.stdout
    assert done.stderr == "trimtab: study 's': 2 findings; what could be checked is intact\n"
    forger.sql("update trials set seed = 7 where number = 3")
    done = CliRunner().invoke(cli, ["verify", "s", "--storage", f"sqlite:///{forger.file}"])
    assert done.stderr == "trimtab: study 's': 3 findings; the record is not what was written\n"


def test_a_key_without_the_extra_is_an_error_that_names_it(without_sign):
    done = CliRunner().invoke(cli, ["key"])
    assert (done.exit_code, done.stderr) == (2, 'trimtab: keys need cryptography; run: pip install "trimtab[sign]"\n')


def test_an_archived_study_is_not_signed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", storage=f"sqlite:///{tmp_path}/s.db")
    tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", storage=study.storage, fresh=True)
    with pytest.raises(SpecError, match="sign a study before it is archived"):
        study.sign()
    assert not keys.folder().exists()


def test_who_goes_on_working_while_a_record_is_verified_is_taken_for_nobody_who_changed_it(database_url):
    how = {"minimize": "loss", "strategy": "random", "storage": database_url, "budget": {"trials": 100_000}}
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1, default=0.5)), **how)
    study.run(objective, trials=100, quiet=True)
    over = threading.Event()

    def annotate():
        at_work = tt.Study("s", storage=database_url)
        while not over.wait(0.005):
            at_work.note(0, "seen")

    def search():
        at_work = tt.Study("s", storage=database_url)
        while not over.is_set():
            at_work.run(objective, trials=at_work.counts["done"] + 20, quiet=True)

    others = [threading.Thread(target=annotate), threading.Thread(target=search)]
    for thread in others:
        thread.start()
    try:
        found = [study.verify() for _ in range(12)]
    finally:
        over.set()
        for thread in others:
            thread.join()
    assert found == [[]] * 12


@pytest.mark.parametrize("living", [True, False])
def test_a_study_that_was_renamed_does_not_hide_behind_an_archived_one_of_its_name(tmp_path, living):
    url, how = f"sqlite:///{tmp_path}/s.db", {"minimize": "loss", "seed": 1}
    for fresh in (False, True):
        tt.Study("s", tt.Space(x=tt.Float(0, 1)), storage=url, fresh=fresh, **how).enqueue({"x": 0.5})
    other = tt.Study("other", tt.Space(x=tt.Float(0, 1)), storage=url, **how)
    if not living:
        tt.Study("s", storage=url).archive()
        other.archive()
    assert CliRunner().invoke(cli, ["verify", "s", "--storage", url]).exit_code == 0
    Forger(tmp_path).sql("update events set body = '?' where study = 3 and position = 1")  # no hindrance to the others
    Forger(tmp_path).sql("update studies set name = 't', active = iif(active is null, null, 't') where id = 2")
    shown = CliRunner().invoke(cli, ["verify", "s", "--storage", url])
    assert shown.exit_code == 1
    assert "it was created as 's' and renamed outside Trimtab; verify it too" in shown.stdout
    other = CliRunner().invoke(cli, ["verify", "other", "--storage", url])
    assert (other.exit_code, "event 1 (create): its column 'body' cannot be read" in other.stdout) == (1, True)
    assert "its name is not what its events say" in CliRunner().invoke(cli, ["verify", "t", "--storage", url]).stdout
