"""Attacks: what somebody who may write the database, but not this machine, makes another user's programs do."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from objectives import Listener, task

import trimtab as tt
from trimtab import keys, streams
from trimtab.chain import seals
from trimtab.cli import cli
from trimtab.errors import Damaged, ObjectiveError, StorageError
from trimtab.objective import ActiveTrial, Command, as_program
from trimtab.objective.template import arguments
from trimtab.records import Event

URL = "sqlite:///shared.db"
SPACE = tt.Space(x=tt.Float(0, 1, default=0.5))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def study(name="s", space=SPACE, **how):
    return tt.Study(name, space, minimize="loss", storage=URL, seed=1, budget={"trials": 4}, **how)


def change(statement, *values):
    with closing(sqlite3.connect("shared.db", isolation_level=None)) as database:
        database.execute(statement, values)


def call(*words, status=0):
    done = CliRunner().invoke(cli, [*words, "--storage", URL])
    assert done.exit_code == status, (done.output, done.exception)
    return done.output


# --------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("uid", ["/../../precious0", "a,trimtab-other", "A" * 32, "0" * 31, "0" * 32 + "\n"])
def test_a_uid_that_is_a_path_reaches_no_file(folder, uid):
    """Checkpoints are in a folder that is named after the uid; `trimtab delete` removes it."""
    study().ask()
    precious = folder / "precious0"
    precious.mkdir()
    Path("shared.db.checkpoints/trimtab-").mkdir(parents=True)
    change("UPDATE studies SET uid = ?", uid)
    assert "cannot be read" in call("delete", "s", status=2)
    with pytest.raises(Damaged, match="32 hexadecimal digits"):
        tt.Study("s", storage=URL)
    assert precious.is_dir()


# ------------------------------------------------------------------------------------------------------------ commands


SCRIPTS = [
    "sh -c 'echo loss={x}'",
    "/bin/bash -ec ./{x}",
    "env A=1 sh -c {x}",
    "ssh node ./train --rate {x}",
    "ssh node ./train {params}",
    "make train KERNEL={x}",
    "python -c print({x})",
    """echo '{{"kernel": "{x}"}}'""",
]


@pytest.mark.parametrize("template", SCRIPTS)
@pytest.mark.parametrize(
    "value", ["1; touch pwned", "$(touch pwned)", "`id`", "a b", "a\nb", "'", "{a,b}", "~", "*", "(1)"]
)
def test_no_value_becomes_code_of_a_script(template, value):
    """The params of a row need not be in the space."""
    with pytest.raises(ObjectiveError, match="would become part of a script"):
        arguments(template, ActiveTrial(task(params={"x": value}), Listener()))
    for plain in (0.25, 1e-300, -3, True, None, "adam", "a/b.json", "org:name@v1"):
        assert str(plain) in arguments(template, ActiveTrial(task(params={"x": plain}), Listener()))[-1]


def test_a_name_becomes_no_code_of_a_script_either():
    params = {"x; touch pwned": 0.5}
    assert arguments("train {params}", ActiveTrial(task(params=params), Listener())) == [
        "train",
        "--x; touch pwned",
        "0.5",
    ]
    with pytest.raises(ObjectiveError, match="would become part of a script"):
        arguments("ssh node train {params}", ActiveTrial(task(params=params), Listener()))


def test_an_option_that_would_be_code_is_told_before_the_first_trial():
    space = tt.Space(x=tt.Choice("plain", "$(touch pwned)", default="plain"))
    study(space=space)
    spec = tt.Study("s", storage=URL).spec
    with pytest.raises(ObjectiveError, match="would become part of a script"):
        as_program(Command("sh -c 'echo loss={x}'"), spec)
    for argument in ("sh -c 'echo loss=\"$1\"' sh {x}", "echo {x}", "echo --x={x}"):
        assert as_program(Command(argument), spec).kind == "command"


def test_a_worker_runs_no_code_from_a_study(monkeypatch):
    code = "1; touch pwned; echo loss=3"
    with monkeypatch.context() as attacker:
        attacker.setattr("trimtab.objective.template._refuse_code", lambda *_: None)
        study(space=tt.Space(x=tt.Choice(code, default=code))).submit(Command("sh -c 'echo loss={x}'"))
    said = call("worker", "--allow", "sh -c 'echo loss={x}'", "--idle", "0.5s")
    assert "is not served: command" in said
    assert "part of a script" in said
    assert not os.path.exists("pwned")


def test_a_worker_runs_no_code_from_a_row():
    made = study()
    made.submit(Command("sh -c 'echo loss={x}'"))
    number = made.enqueue({"x": 0.25}).number
    change("UPDATE trials SET params = ? WHERE number = ?", '{"x":"1; touch pwned; echo loss=3"}', number)
    call("worker", "--allow", "sh -c 'echo loss={x}'", "--idle", "0.5s")
    assert "part of a script" in made.trials[number].error
    assert not os.path.exists("pwned")


# ------------------------------------------------------------------------------------------------------------- workers

TRAIN = """
import os
from helper import wipe

def objective(trial):
    return trial.params["x"]

class Model:
    def __call__(self, trial):
        return trial.params["x"]

model = Model()
"""
HELPER = """
def wipe(everything=None):
    open("wiped", "w").close()
    return 1.0
"""


@pytest.fixture
def train():
    Path("train.py").write_text(TRAIN)
    Path("helper.py").write_text(HELPER)


@pytest.mark.parametrize(
    ("name", "runs"), [("wipe", False), ("os.system", False), ("objective", True), ("model", True)]
)
def test_an_allowed_file_allows_what_is_written_in_it(train, name, runs):
    study().submit(f"train.py:{name}")
    said = call("worker", "--allow", "train.py", "--idle", "0.5s", "--trials", "1")
    assert ("runs train.py" in said) == runs
    assert ("only imports; add --allow" in said) != runs
    assert not os.path.exists("wiped")


def test_what_a_file_imports_can_be_allowed_by_name(train):
    study().submit("train.py:wipe")
    assert "runs train.py:wipe" in call("worker", "--allow", "train.py:wipe", "--idle", "0.5s", "--trials", "1")
    assert os.path.exists("wiped")


@pytest.mark.parametrize("path", ["{}/secrets", "../secrets", "data/../../secrets"])
def test_a_worker_looks_at_no_data_outside_its_working_folder(train, folder, path):
    """The record would get the names and hashes of all files there."""
    (folder / "secrets").mkdir()
    (folder / "secrets" / "token.txt").write_text("1234")
    Path("data").mkdir()
    study(data={"d": "data"}).submit("train.py:objective")
    change("UPDATE events SET body = replace(body, ?, ?)", '"path":"data"', f'"path":"{path.format(folder)}"')
    said = call("worker", "--allow", "train.py", "--idle", "0.5s", "--trials", "1")
    assert "data 'd' is not here and not watched; name it with --data d=PATH" in said
    with closing(sqlite3.connect("shared.db")) as database:
        assert "token.txt" not in str([*database.execute("SELECT body FROM events")])


@pytest.mark.parametrize(
    "edit",
    [
        ("trials", "params", '{"x":"code"}'),
        ("trials", "params", '{"x":' + "[" * 100_000 + "]" * 100_000 + "}"),
        ("trials", "why", '{"n":' + "9" * 5000 + "}"),
        ("studies", "spec", '{"name":"s"}'),
        ("studies", "spec", ('"seed":1', '"seed":"x"')),
        ("studies", "spec", ('"max_failures":20', '"max_failures":"x"')),
        ("studies", "spec", ('"settings":{}', '"settings":{"shell":"sh"}')),
        ("events", "body", "[]"),
        ("events", "body", '{"fingerprint":"f","objective":["train.py"]}'),
        ("events", "body", '{"fingerprint":"f","objective":"train.py:objective","resources":{"user":"root"}}'),
    ],
)
def test_a_worker_serves_others_beside_a_study_that_it_cannot_read(train, edit):
    table, column, value = edit
    study("bad").submit("train.py:objective")
    study("bad").enqueue({"x": 0.1})
    if isinstance(value, str):
        change(f"UPDATE {table} SET {column} = ?", value)
    else:
        change(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", *value)
    study("good").submit("train.py:objective")
    said = call("worker", "--allow", "train.py", "--idle", "1s")
    assert "study 'good': runs train.py:objective" in said
    assert tt.Study("good", storage=URL).counts["done"] == 4


# ---------------------------------------------------------------------------------------------------------------- data


@pytest.mark.parametrize("watched", ["dataset", "dataset/train.csv"])
def test_a_repository_that_came_with_the_data_runs_nothing(folder, watched):
    """git runs what a repository's configuration names: filters, monitors of files, programs that check signatures."""
    data = Path("dataset")
    data.mkdir()
    (data / "train.csv").write_text("a\n1\n")

    def git(*words):
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", *words], cwd=data, check=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    git("config", "core.fsmonitor", f"touch {folder}/pwned; false")
    git("config", "filter.f.clean", f"touch {folder}/pwned; cat")
    (data / ".git" / "info" / "attributes").write_text("* filter=f\n")
    os.utime(data / "train.csv", (0, 0))
    made = study(data={"d": watched})
    made.run(lambda trial: trial.params["x"], trials=1, quiet=True)
    assert not (folder / "pwned").exists()
    assert made.storage.events(made.record.id, kinds={"run"})[0].body["data"]["d"]["path"] == watched


# ------------------------------------------------------------------------------------------------------------ terminals

STEERING = "\x1b]0;title\x07\x1b]52;c;Y29weQ==\x07\x1b[2J\x9b2J\r\x08hidden\x7f"


def recorded():
    """A study with such texts wherever a record has texts."""
    made = study("s", tt.Space(c=tt.Choice(f"a{STEERING}", "b", default="b"), x=tt.Float(0, 1, default=0.5)))

    def objective(trial):
        sys.stdout.write(STEERING)
        if trial.number == 2:
            raise ValueError(STEERING)
        return trial.params["x"]

    made.run(objective, trials=4, quiet=True, supervised=True)
    made.note(1, STEERING)
    made.storage.close()
    return made


VIEWS = [
    ["list"],
    ["show", "s"],
    ["show", "s", "1"],
    ["show", "s", "2"],
    ["trials", "s"],
    ["best", "s"],
    ["verify", "s"],
]


def test_no_text_of_a_record_steers_a_terminal(monkeypatch):
    recorded()
    with monkeypatch.context() as watched:
        watched.setattr("trimtab.streams.is_terminal", lambda _: True)
        for view in VIEWS:
            said = CliRunner().invoke(cli, [*view, "--storage", URL], color=True).output
            assert not {"\x07", "\x08", "\x7f", "\x9b", "\r"} & {*said}, view
            assert "\x1b]" not in said
            assert "\x1b[2J" not in said
    assert "\x1b]0;title" in call("show", "s", "1")  # to a file, it is what is on record


def test_names_with_brackets_are_no_markup(monkeypatch):
    made = tt.Study("[/s]", tt.Space({"[/p]": tt.Float(0, 1, default=0.5)}), minimize="auc[/m]", storage=URL, seed=1)
    made.run(lambda trial: trial.params["[/p]"], trials=2, quiet=True)
    monkeypatch.setattr("trimtab.streams.is_terminal", lambda _: True)
    assert "auc[/m]" in call("trials", "[/s]")
    assert "[/p]" in call("show", "[/s]")


def test_colours_of_a_trial_are_kept(capsys):
    assert streams.visible("a\tb\n\x1b[31;1mred\x1b[0m\r\n50 %\r100 %") == "a\tb\n\x1b[31;1mred\x1b[0m\n50 %\n100 %"
    assert streams.visible(STEERING) == "␛]0;title␇␛]52;c;Y29weQ==␇␛[2J\ufffd2J\n␈hidden\ufffd"
    streams.tell(f"study {STEERING} is not served")
    assert "␛]0;title" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------- files and keys


def test_checkpoints_in_the_shared_temporary_folder_are_private(folder, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    made = tt.Study("s", SPACE, minimize="loss", seed=1, fidelity=tt.Fidelity("epochs", 1, 9))
    place = made.ask().checkpoint
    assert place.parent.parent == folder
    assert place.parent.stat().st_mode & 0o777 == 0o700


def test_a_database_file_from_elsewhere_runs_no_functions_that_are_unsafe():
    """Its triggers and views are part of it."""
    study().storage.close()
    change("CREATE TRIGGER t AFTER INSERT ON events BEGIN SELECT load_extension('/tmp/x'); END")
    with pytest.raises(StorageError, match="unsafe use of load_extension"):
        tt.Study("s", storage=URL).enqueue({"x": 0.5})


@pytest.mark.parametrize("field", ["position", "head", "key", "signature", "timestamp"])
@pytest.mark.parametrize("value", [None, 5, [1], {}, "1", "é"])
def test_a_checkpoint_of_nonsense_is_a_finding(field, value):
    key = Ed25519PrivateKey.generate()
    body = {"position": 1, "head": "h", "key": key.public_key().public_bytes_raw().hex(), field: value}
    made = {**body, "signature": key.sign(seals.message("uid", body["position"], body["head"])).hex(), field: value}
    events = [Event(1, "create", None, 0.0, {}, "h"), Event(2, "checkpoint", None, 0.0, made, "i")]
    assert len(seals.findings("uid", events, {})) == 1


def test_no_head_is_signed_that_no_chain_leads_to():
    """Its owner could show a forged chain with that head, and the signature, later."""
    study().storage.close()
    change("UPDATE studies SET head = ?", "f" * 64)
    assert "is not signed, since verify finds" in call("sign", "s", status=2)
    assert not list(keys.folder().glob("*"))


def test_signatures_that_were_taken_out_are_missed_by_whoever_trusts_a_key():
    study().storage.close()
    assert "signed" not in call("verify", "s")
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    keys.trust("ada", key)
    assert "nobody has signed it, or the signatures were taken out" in call("verify", "s")


# --------------------------------------------------------------------------------------------------------- huge values


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("trials", "number", 10**18),
        ("trials", "number", -1),
        ("trials", "metrics", '{"loss":{"a":1}}'),
        ("trials", "cost", '{"memory":{"a":1}}'),
        ("trials", "params", f'{{"x":{"[" * 100_000}{"]" * 100_000}}}'),
        ("trials", "metrics", f'{{"loss":{"9" * 5000}}}'),
        ("trials", "metrics", "[" * 100_000),
        ("trials", "metrics", f'{{"loss":{10**400}}}'),
        ("studies", "spec", f'{{"name":{"[" * 100_000}{"]" * 100_000}}}'),
    ],
)
def test_what_no_program_writes_is_damaged_in_every_view(table, column, value):
    made = study()
    made.run(lambda trial: trial.params["x"], trials=3, quiet=True)
    made.storage.close()
    change(f"UPDATE {table} SET {column} = ?" + (" WHERE number = 2" if table == "trials" else ""), value)
    for view in (["show", "s"], ["trials", "s"], ["replay", "s"], ["report", "s", "--out", "r.json"]):
        assert "outside Trimtab" in call(*view, status=2), view
    assert call("verify", "s", status=1)


def test_a_time_that_no_calendar_has_does_not_hide_other_studies():
    study("odd")
    change("UPDATE studies SET created = 1e300")
    study("s")
    assert "unknown" in call("list")


@pytest.mark.parametrize("parent", [3, 4, 10**9, -1])
def test_a_trial_that_is_its_own_ancestor_ends_no_report_in_a_loop(parent):
    made = study(strategy="pbt", fidelity=tt.Fidelity("epochs", 1, 9))
    made.run(lambda trial: trial.params["x"], trials=4, quiet=True)
    change("UPDATE trials SET parent = ?, fidelity = 9.0 WHERE number = 3", parent)
    change("UPDATE trials SET parent = 3 WHERE number = 2")
    assert "outside Trimtab" in call("report", "s", "--out", "r.html", status=2)
    assert "outside Trimtab" in call("schedule", "s", "3", status=2)
