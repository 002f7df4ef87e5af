"""The command line: every verb, its exit status, its JSON, and what it says to a user's mistake."""

import csv
import io
import json
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from waiting import until

import trimtab as tt
from trimtab.cli import cli
from trimtab.storage.tables import SCHEMA

EXAMPLES = Path(__file__).parent / "examples"
VERBS = ["demo", "run", "list", "show", "best", "trials", "evidence", "report", "verify", "pause", "resume", "cancel",
         "archive", "copy", "delete", "db", "report-metrics",
         "replay", "reproduce", "sign", "key", "submit", "worker", "explain", "schedule", "train", "outlook",
         "revise"]  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working folder and an empty home for each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("TRIMTAB_STORAGE", raising=False)
    for name in ("train.sh", "train_args.py", "shell.yaml", "argparse.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    return tmp_path


def call(*args, status=0):
    """Run a command in this process and return what it printed on standard output."""
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    return result.stdout


def refused(*args, status=2):
    """Run a command that is wrong and return its one line on standard error."""
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    lines = result.stderr.splitlines()
    assert lines[-1].startswith("trimtab: ")
    assert "Traceback" not in result.stderr
    return lines[-1]


def program(*args):
    return [sys.executable, "-m", "trimtab", *args]


@pytest.fixture
def made(place):
    """A study called `made` in the default store: five finished trials, the fourth of them failed, one still running."""
    study = tt.Study(
        "made",
        {"rate": tt.Float(0.0, 1.0, default=0.9), "kind": tt.Choice("a", "b", default="a")},
        minimize="loss",
        subject_to=["size <= 5"],
        budget=tt.Budget(trials=20),
        strategy="random",
        seed=1,
        storage="sqlite:///trimtab.db",
    )
    for i in range(5):
        trial = study.ask()
        if i == 3:
            study.tell(trial, failed="out of luck")
        else:
            study.tell(trial, {"loss": 1.0 / (i + 1), "size": 7.0 if i == 4 else 1.0})
    study.ask()
    study.note(2, "the best, they say")
    return study


# ------------------------------------------------------------------------------------------------------------- the frame


def test_help_names_every_verb():
    text = call("--help")
    assert all(f"\n  {verb} " in text for verb in VERBS)
    assert "..." not in text.partition("Commands:")[2]  # no summary is cut short


def test_every_verb_explains_itself():
    for verb in VERBS:
        assert "Usage:" in call(verb, "--help")


def test_version_also_by_python_m_trimtab():
    run = subprocess.run(program("--version"), capture_output=True, text=True, check=True)
    assert call("--version") == run.stdout == f"trimtab {tt.__version__}\n"


def test_help_needs_none_of_the_heavy_libraries():
    code = "import sys, trimtab.cli; print([m for m in ('numpy', 'sqlalchemy', 'rich', 'yaml', 'psutil') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["shwo", "x"], "there is no command 'shwo'; did you mean 'show'?"),
        (["show"], "Missing argument 'NAME'"),
        (["run", "train.py"], "train.py is a Python file; name a study file, which says objective: train.py:function"),
        (["show", "x", "--jsn"], "--jsn"),
        (["list", "--storage", "sqlite:////"], "/ is a folder; name a file in it, such as 'sqlite:////trimtab.db'"),
        (["worker", "--allow", " "], "--allow ' ' allows nothing"),
        (["show", "-x"], "A NAME that begins with - stands after --: trimtab show -- NAME"),
        (["run", "-x.yaml"], "A FILE that begins with - stands after --: trimtab run -- FILE"),
        (["run", "none.yaml"], "none.yaml: there is no such file"),
        (["run", "shell.yaml", "--trials", "ten"], "'ten' is not a whole number"),
        (["run", "shell.yaml", "--workers", "-1"], "-1"),
        (["run", "shell.yaml", "--time", "soon"], "time='soon' is no positive amount"),
        (["run", "shell.yaml", "--storage", "trimtab.db"], "is no URL; for a file write 'sqlite:///trimtab.db'"),
        (["run", "shell.yaml", "--storage", "sqlite:///no/such/folder.db"], "does not exist"),
        (["list"], "sqlite:///trimtab.db: there is no such file; name the store with --storage"),
        (["trials", "x", "--json", "--csv", "-"], "--json and --csv exclude each other"),
        (["report", "x"], "Missing option '--out'"),
        (["report-metrics"], "Missing argument"),
        (["db", "upgrade"], "there is no such file"),
        (["db", "upgrad"], "upgrad"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(args, message):
    assert message in refused(*args)


@pytest.mark.parametrize(
    "verb", ["show", "best", "trials", "verify", "pause", "resume", "cancel", "archive", "delete", "evidence"]
)
def test_reading_makes_no_store(verb, place):
    assert "there is no such file" in refused(verb, "x", "--storage", "sqlite:///none.db")
    assert not (place / "none.db").exists()


@pytest.mark.parametrize("verb", ["show", "best", "trials", "verify", "pause", "cancel", "delete", "evidence"])
def test_an_unknown_study_is_told_with_the_nearest(verb, made):
    assert "no study 'mde'; did you mean 'made'?" in refused(verb, "mde")


def test_a_broken_study_file_is_one_line(place):
    text = (place / "shell.yaml").read_text()
    (place / "bad.yaml").write_text(text.replace("budget:", "bugdet:"))
    assert "bad.yaml: bugdet is not a key that is known here; did you mean 'budget'?" in refused("run", "bad.yaml")


def test_the_store_is_named_before_or_after_or_by_the_environment(place, monkeypatch):
    url = "sqlite:///other.db"
    tt.Study("made", {"x": tt.Float(0, 1)}, minimize="loss", storage=url)
    assert "made" in call("--storage", url, "list")
    assert "made" in call("list", "--storage", url)
    assert "made" in call("--storage", "sqlite:///nothing.db", "list", "--storage", url)
    monkeypatch.setenv("TRIMTAB_STORAGE", url)
    assert "made" in call("list")


# --------------------------------------------------------------------------------------------------------------- reading


def test_list_names_each_study_in_a_line_or_as_json(made):
    assert json.loads(call("list", "--json"))["studies"][0]["name"] == "made"
    head, line = call("list").splitlines()
    assert head.split() == ["study", "state", "trials", "created", "uid"]
    assert line.split()[:3] == ["made", "open", "6"]


def test_a_damaged_study_hides_no_other(made):
    tt.Study("broken", {"x": tt.Float(0, 1)}, minimize="loss", storage=made.storage)
    with closing(sqlite3.connect("trimtab.db")) as c, c:
        c.execute("UPDATE studies SET spec = 'x' WHERE name = 'broken'")
    for as_json in ([], ["--json"]):
        result = CliRunner().invoke(cli, ["list", *as_json])
        assert result.exit_code == 1
        assert "made" in result.stdout
        assert result.stderr.startswith("trimtab: study 2 (broken): its column 'spec' cannot be read")
    assert "did you mean 'made'?" in refused("show", "mad")
    assert "minimize loss" in call("show", "made")
    assert "study 2 (broken)" in refused("show", "broken")


def test_show_tells_question_budget_counts_and_space(made):
    text = call("show", "made")
    for part in (
        "minimize loss",
        "size <= 5",
        "budget      5 of 20 trials\n",
        "5 of 20 trials: 1 running, 4 done, 1 failed",
        "Float(0.0, 1.0",
    ):
        assert part in text
    data = json.loads(call("show", "made", "--json"))
    assert data["study"] == "made"
    assert data["counts"]["failed"] == 1
    assert data["best"]["number"] == 2


def test_show_tells_a_trial_in_full(made):
    failed, noted, running = (call("show", "made", str(n)) for n in (3, 2, 5))
    assert "\nstate     failed (error)\n" in failed
    assert failed.endswith("\n\nError:\nout of luck\n")
    assert f"rate={made.trials[2].params['rate']}, kind=" in noted
    assert "\nnote      the best, they say\n" in noted + "\n"
    assert "metrics   –" in running
    assert json.loads(call("show", "made", "3", "--json"))["error"] == "out of luck"
    assert "trial 6 does not exist; the study has 6 trials" in refused("show", "made", "6")


def test_show_tells_every_goal(place):
    space = {"x": tt.Float(0, 1, default=0.5)}
    study = tt.Study("both", space, maximize=["a", "b"], seed=1, storage="sqlite:///trimtab.db")

    def objective(trial):
        luck = (trial.number % 3) / 1000
        return {"a": trial.params["x"] + luck, "b": -trial.params["x"] + luck}

    study.run(objective, trials=8, quiet=True)
    study.evidence(objective, replicates=4, quiet=True)
    lines = dict(line.split(maxsplit=1) for line in call("show", "both").splitlines() if " " in line.strip())
    assert "a +0." in lines["difference"]
    assert "b -0." in lines["difference"]
    assert lines["evidence"].startswith("proven: a +0.")
    assert "; b worse (-0." in lines["evidence"]


def test_best_is_the_trial_that_python_names(made):
    data = json.loads(call("best", "made", "--json"))
    assert (data["study"], data["number"], data["feasible"]) == ("made", 2, True)
    assert data["params"] == made.best.params
    assert data["metrics"] == {"loss": 1 / 3, "size": 1.0}
    assert "loss 0.33333, size 1 (trial 2)" in call("best", "made")


def test_best_of_nothing_is_an_error(place):
    tt.Study("empty", {"x": tt.Float(0, 1)}, minimize="loss", storage="sqlite:///trimtab.db")
    assert "no best trial yet" in refused("best", "empty")


def test_explain_tells_what_matters_why_a_trial_was_proposed_and_each_goal(place):
    study = tt.Study(
        "told", {"x": tt.Float(0, 1, default=0.9)}, minimize="loss", seed=1, storage="sqlite:///trimtab.db"
    )
    study.run(lambda t: (t.params["x"] - 0.3) ** 2, trials=12, quiet=True)
    assert "from the baseline, by the model:" in call("explain", "told")
    assert "the baseline" in call("explain", "told", "--trial", "0")
    data = json.loads(call("explain", "told", "--json"))
    assert data["importance"] == {"x": 1.0}
    assert data["safe"][0]["low"] <= 0.3 <= data["safe"][0]["high"]
    study.revise(minimize=["loss", "seconds"])
    study.add([{"x": x / 9} for x in range(8)], [{"loss": 0.5, "seconds": x} for x in range(8)])
    assert "of seconds, one of 2 goals" in call("explain", "told", "--goal", "seconds")
    assert "none of the study's goals" in refused("explain", "told", "--goal", "hours")


def test_trials_are_listed_with_their_states_errors_and_notes(made):
    data = json.loads(call("trials", "made", "--json"))
    assert data["study"] == "made"
    assert [t["number"] for t in data["trials"]] == list(range(6))
    assert [t["state"] for t in data["trials"]] == ["done", "done", "done", "failed", "done", "running"]
    assert {"number", "state", "purpose", "params", "metrics", "seed"} <= data["trials"][0].keys()
    assert data["trials"][3]["reason"] == "error"
    assert "out of luck" in data["trials"][3]["error"]
    assert data["trials"][2]["notes"] == ["the best, they say"]
    lines = call("trials", "made").splitlines()
    assert len(lines) == 7
    assert "2*" in lines[3]
    assert "failed (error)" in lines[4]


def test_trials_as_csv_are_the_data_frame(made, place):
    printed = call("trials", "made", "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [r["state"] for r in rows] == ["done", "done", "done", "failed", "done", "running"]
    assert float(rows[0]["params.rate"]) == 0.9
    assert float(rows[2]["metrics.loss"]) == 1 / 3
    assert rows[3]["metrics.loss"] == ""
    frame = tt.Study("made", storage="sqlite:///trimtab.db").frame()
    assert list(rows[0]) == [*frame.columns]
    assert {"parent", "fidelity", "reached", "replicate", "gpu", "energy"} < {*frame.columns}
    assert call("trials", "made", "--csv", "t.csv") == "t.csv\n"
    assert (place / "t.csv").read_text() == printed


@pytest.mark.parametrize("command", [["trials", "made", "--csv"], ["report", "made", "--out"]])
def test_a_file_is_written_into_a_new_folder_or_the_error_says_why_not(made, place, command):
    name = "made.json" if command[0] == "report" else "made.csv"
    assert call(*command, f"new/folder/{name}") == f"new/folder/{name}\n"
    assert (place / "new/folder" / name).stat().st_size > 0
    for within in ("shell.yaml", "shell.yaml/folder"):
        said = refused(*command, f"{within}/{name}")
        assert said == f"trimtab: {within}/{name} cannot be written: Not a directory"
    (place / name).mkdir()
    assert refused(*command, name) == f"trimtab: {name} cannot be written: Is a directory"


def test_long_names_are_not_cut(place):
    name, param = "a study with a long name " * 6, "parameter" * 20
    study = tt.Study(name, {param: tt.Float(0, 1, default=0.5)}, minimize="loss", storage="sqlite:///trimtab.db")
    study.tell(study.ask(), 1.0)
    assert name.strip() in call("list")
    assert param in call("trials", name)
    assert param in call("show", name)


def test_a_study_is_copied_into_another_store(made, place):
    said = call("copy", "made", "--to", "sqlite:///other.db")
    assert said.startswith("study 'made' is in sqlite:///other.db, too: 6 trials, ")
    assert call("verify", "made", "--storage", "sqlite:///other.db").split("head ")[1][:16] in said
    assert refused("copy", "made", "--to", "sqlite:///other.db").endswith("delete it there and copy again")
    assert "is no URL" in refused("copy", "made", "--to", "other.db")


def test_report_ends_with_its_path(made, place):
    assert call("report", "made", "--out", str(place / "sub" / "r.html")).splitlines()[-1] == "sub/r.html"
    assert "<html" in (place / "sub" / "r.html").read_text()[:500]


def test_verify_says_what_it_rests_on(made, place, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "developer"))
    key = call("sign", "made").split("key ")[1].strip()
    position = made.record.position - 1
    assert call("verify", "made").endswith(f"signed up to event {position} by this user\n")

    monkeypatch.setenv("XDG_STATE_HOME", str(place / "validator"))
    (place / "trimtab.db.witness").unlink()
    unknown, no_head = call("verify", "made").splitlines()[1:]
    assert unknown.startswith(f"signed up to event {position} with key {key}, whose owner is not known")
    assert no_head.startswith("outside the store no head was kept here")
    call("key", "--trust", key, "--name", "ada")
    made.note(2, "seen by the validator")
    ada, some_heads = call("verify", "made").splitlines()[1:]
    assert ada == f"signed up to event {position} by ada"
    assert some_heads.startswith(f"outside the store heads were kept from event {position + 2} on only")


def test_verify_names_the_row_that_was_changed_and_fails(made):
    assert "study 'made' is intact: 6 trials" in call("verify", "made")
    made.storage.close()
    with closing(sqlite3.connect("trimtab.db")) as c, c:
        c.execute("update trials set params = replace(params, '0.9', '0.8') where number = 0")
    result = CliRunner().invoke(cli, ["verify", "made"])
    assert result.exit_code == 1
    assert "trial 0: its row" in result.stdout
    assert result.stderr.startswith("trimtab: study 'made': ")


# -------------------------------------------------------------------------------------------------------------- changing


def test_pause_resume_cancel_archive_delete(made):
    def states():
        return {s["uid"]: s["state"] for s in json.loads(call("list", "--json"))["studies"]}

    uid = made.record.uid
    assert "trimtab resume made" in call("pause", "made")
    assert states()[uid] == "paused"
    assert refused("pause", "made")
    call("resume", "made")
    assert states()[uid] == "open"
    assert "trial 5 is cancelled" in call("cancel", "made", "5")
    assert refused("cancel", "made", "5")
    assert refused("cancel", "made", "77")
    call("cancel", "made")
    assert states()[uid] == "cancelled"
    call("archive", "made")
    assert states()[uid] == "archived"
    assert "archived" in call("show", "made")
    assert "study 'made' (archived) is intact" in call("verify", "made")
    assert "archived" in refused("resume", "made")


def test_what_is_advised_names_the_store_where_it_is_not_the_usual_one(place):
    tt.Study("s", {"x": tt.Int(1, 9)}, minimize="loss", storage="sqlite:///other.db")
    said = call("pause", "s", "--storage", "sqlite:///other.db")
    assert said.endswith("go on with: trimtab resume s --storage sqlite:///other.db\n")


def test_commands_that_are_advised_name_a_study_that_begins_with_a_dash_so_that_they_run(place):
    tt.Study("-s", {"x": tt.Float(0, 1)}, minimize="loss", storage="sqlite:///other.db")
    said = call("pause", "--storage", "sqlite:///other.db", "--", "-s")
    assert "is open" in call(*shlex.split(said.partition("go on with: trimtab ")[2]))


def test_delete_asks_nothing(made):
    assert call("delete", "made") == "study 'made' is deleted\n"
    assert json.loads(call("list", "--json")) == {"studies": []}


def test_deleting_a_name_twice_deletes_one_study(made):
    call("archive", "made")
    tt.Study("made", made.spec.space, minimize="loss", storage="sqlite:///trimtab.db")
    call("delete", "made")
    assert refused("delete", "made").endswith(f"trimtab delete {made.record.uid[:12]}")
    assert f"  {made.record.uid[:12]}\n" in call("list")
    assert made.record.uid in call("show", made.record.uid)
    call("delete", made.record.uid[:12])
    assert json.loads(call("list", "--json")) == {"studies": []}


def test_db_upgrade_of_a_new_store_changes_nothing(made):
    before = made.record
    assert call("db", "upgrade").endswith(f" has the newest schema, {SCHEMA}; nothing had to be changed\n")
    assert tt.Study("made", storage=made.storage.url).record == before


# --------------------------------------------------------------------------------------------------------------- running


def test_a_shell_script_from_first_run_to_evidence(place):
    """Run, continue, revise the budget, test the gain and write it down."""
    text = call("run", "shell.yaml")
    for part in (
        "8 of 8 trials: 8 done",
        "baseline",
        "difference",
        "feasible    yes: size <= 8",
        "trimtab evidence shell",
    ):
        assert part in text
    first = json.loads(call("trials", "shell", "--json"))["trials"]
    assert [t["number"] for t in first] == list(range(8))
    assert first[0]["params"] == {"rate": 0.9, "depth": 1}
    assert first[0]["metrics"] == {"loss": 0.52, "size": 1.0}
    assert "8 of 8 trials" in call("run", "shell.yaml", "--quiet")
    assert json.loads(call("trials", "shell", "--json"))["trials"] == first

    file = place / "shell.yaml"
    file.write_text(file.read_text().replace("trials: 8", "trials: 10"))
    assert "10 of 10 trials: 10 done" in call("run", "shell.yaml", "--workers", "1")
    assert json.loads(call("trials", "shell", "--json"))["trials"][:8] == first

    assert "ignore trial.seed" in call("evidence", "shell", "--quiet")
    data = json.loads(call("evidence", "shell", "--replicates", "3", "--json", "--quiet"))
    assert data["study"] == "shell"
    assert len(data["pairs"]) == 3
    assert "evidence" in call("show", "shell")
    assert call("verify", "shell")
    assert '\n\nOutput:\nparameters: {"depth": 1, "rate": 0.9}\n' in call("show", "shell", "0")
    assert json.loads(call("show", "shell", "0", "--json"))["output"].startswith("parameters: {")


@pytest.mark.parametrize("verb", ["pause", "cancel", "archive"])
def test_a_run_that_somebody_ends_says_how_to_go_on_only_where_one_can(place, verb):
    (place / "ends.py").write_text(
        "import trimtab as tt\n\n\ndef objective(trial):\n"
        f"    tt.Study('ends', storage='sqlite:///trimtab.db').{verb}()\n    return 1.0\n"
    )
    (place / "ends.yaml").write_text(
        "study: ends\nobjective: ends.py:objective\nspace: {x: {int: [1, 9], default: 5}}\nminimize: loss\n"
    )
    said = call("run", "ends.yaml", "--quiet")
    assert ("trimtab resume ends" in said, "trimtab evidence ends" in said) == (verb == "pause", verb == "pause")
    assert f"The study is {verb}{'led' if verb == 'cancel' else 'd'}" in said


def test_a_submitted_study_is_known_to_evidence_and_shows_how_to_revise(place):
    call("submit", "shell.yaml")
    assert "no best trial yet" in refused("evidence", "shell")
    file = place / "shell.yaml"
    file.write_text(file.read_text().replace("minimize: loss", "minimize: size"))
    result = CliRunner().invoke(cli, ["submit", "shell.yaml"])
    assert "trimtab revise shell.yaml" in result.stderr


def test_an_untouched_argparse_script(place):
    assert "5 of 5 trials: 5 done" in call("run", "argparse.yaml", "--quiet")
    rows = json.loads(call("trials", "argparse", "--json"))["trials"]
    assert rows[0]["metrics"] == {"accuracy": 0.2}
    assert {t["params"]["kernel"] for t in rows} == {"linear", "rbf"}
    assert all(("gamma" in t["params"]) == (t["params"]["kernel"] == "rbf") for t in rows)


def test_trials_says_when_run_returns(place):
    assert "2 of 8 trials" in call("run", "shell.yaml", "--trials", "2", "--workers", "1", "--quiet")


def test_another_spec_is_an_error_until_fresh(place):
    call("run", "shell.yaml", "--trials", "1", "--quiet")
    file = place / "shell.yaml"
    file.write_text(file.read_text().replace("seed: 3", "seed: 4"))
    result = CliRunner().invoke(cli, ["run", "shell.yaml"])
    assert result.exit_code == 2
    assert "exists with another spec" in result.stderr
    assert "seed: stored 3, given 4" in result.stderr
    assert "trimtab run shell.yaml --fresh" in result.stderr
    call("run", "shell.yaml", "--trials", "1", "--quiet", "--fresh")
    assert [s["state"] for s in json.loads(call("list", "--json"))["studies"]] == ["archived", "open"]


def test_revise_makes_the_study_what_the_file_says(place):
    call("run", "shell.yaml", "--trials", "1", "--quiet")
    file = place / "shell.yaml"
    assert call("revise", "shell.yaml") == "study 'shell' is what shell.yaml says already\n"
    file.write_text(
        file.read_text().replace("int: [1, 9]", "int: [1, 12]").replace("space:", "space:\n  cold: {float: [0, 1]}")
    )
    message = CliRunner().invoke(cli, ["run", "shell.yaml"]).stderr
    assert "space depth: stored Int(1, 9, default=1), given Int(1, 12, default=1)" in message
    assert "trimtab revise shell.yaml" in message
    assert "cold" in refused("revise", "shell.yaml")
    assert "NAME=VALUE" in refused("revise", "shell.yaml", "--assume", "cold")
    assert call("revise", "shell.yaml", "--assume", "cold=0.5") == "study 'shell' is what shell.yaml says\n"
    assert "did you mean 'cold'" in refused("revise", "shell.yaml", "--assume", "cord=0.5")
    assert "2 of 8 trials" in call("run", "shell.yaml", "--trials", "2", "--quiet")
    study = tt.Study("shell", storage="sqlite:///trimtab.db")
    assert study.spec.assumed == {"cold": 0.5}
    assert study.verify() == []


def test_the_table_of_trials_says_why_they_failed(made):
    lines = call("trials", "made").splitlines()
    assert lines[0].endswith("error")
    assert lines[4].endswith("out of luck")


def test_the_file_names_the_store_and_the_hint_says_so(place):
    file = place / "shell.yaml"
    file.write_text(file.read_text() + "storage: sqlite:///mine.db\n")
    assert "trimtab evidence shell --storage sqlite:///mine.db" in call("run", "shell.yaml", "--trials", "1", "--quiet")
    assert (place / "mine.db").exists()
    assert not (place / "trimtab.db").exists()


def test_evidence_runs_only_what_this_user_ran_here(made, place):
    assert "was never run or submitted here from a study file" in refused("evidence", "made")
    store = f"sqlite:///{place}/trimtab.db"
    assert f"name the file: trimtab reproduce made --file study.yaml --storage {store};" in refused(
        "reproduce", "made", "--storage", store
    )
    assert "describes study 'shell', not 'made'" in refused("evidence", "made", "--file", "shell.yaml")


def test_a_failing_run_has_status_1(place):
    file = place / "shell.yaml"
    file.write_text(
        file.read_text().replace("sh train.sh {rate} {depth}", "sh -c 'exit 3' {rate}") + "max_failures: 2\n"
    )
    line = refused("run", "shell.yaml", "--quiet", "--workers", "1", status=1)
    assert "2 trials failed in a row" in line


def test_a_run_of_stopped_trials_has_not_failed(place):
    curve = "for e in range(20):\n        trial.report(e, loss=e)\n        if trial.should_stop(): return\n"
    (place / "t.py").write_text(f"def f(trial):\n    if trial.number == 0: raise ValueError\n    {curve}")
    rule = "fidelity: {name: epochs, low: 1, high: 81}, stopping: plateau"
    study = "study: s, objective: 't.py:f', space: {x: {float: [0, 1]}}, minimize: loss, budget: {trials: 3}"
    (place / "s.yaml").write_text(f"{{{study}, {rule}}}")
    assert "3 of 3 trials: 2 stopped, 1 failed" in call("run", "s.yaml", "--quiet")


def test_a_missing_program_is_found_before_the_first_trial(place):
    file = place / "shell.yaml"
    file.write_text(file.read_text().replace("sh train.sh", "no-such-program"))
    assert "no program 'no-such-program' on the PATH" in refused("run", "shell.yaml")
    assert json.loads(call("trials", "shell", "--json"))["trials"] == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_gives_the_trial_back_and_the_same_line_goes_on(place, number, status):
    file = place / "shell.yaml"
    slow = "command: sh -c 'touch on-$TRIMTAB_TRIAL; test -e go || sleep 60; sh train.sh {rate} {depth}'"
    file.write_text(
        file.read_text().replace("command: sh train.sh {rate} {depth}", slow).replace("trials: 8", "trials: 2")
    )
    process = subprocess.Popen(
        program("run", "shell.yaml"),
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: Path("on-0").exists() and Path("on-1").exists())
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == status, errors
    assert errors.splitlines()[-1].endswith("Go on with: trimtab run shell.yaml")
    assert "Traceback" not in errors
    assert [t["state"] for t in json.loads(call("trials", "shell", "--json"))["trials"]] == ["queued", "queued"]
    (place / "go").touch()
    assert "2 of 2 trials: 2 done" in call("run", "shell.yaml", "--quiet")


def test_without_a_home_to_write_to_the_run_still_runs(place, monkeypatch):
    (place / "blocked").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "blocked"))
    result = CliRunner().invoke(cli, ["run", "shell.yaml", "--trials", "1", "--quiet"])
    assert result.exit_code == 0
    assert "files.json cannot be written: Not a directory; `evidence` will need --file" in result.stderr
    assert "replicates" not in refused("evidence", "shell")
